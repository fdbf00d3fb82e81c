"""Open a row: the one way from a row of the sheet, of the video status table or of a task to its frames."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from signrep_core.video.reader import Frame, read_frames


class VideoRow(NamedTuple):
    """A video, or a span of one, as the sheet gives it."""

    path: str  # of a video file, or of an image folder
    start: float | None = None  # seconds; None = from the beginning
    end: float | None = None  # seconds; None = to the end
    fps: float | None = None  # of an image folder; a file's own rate counts

    @classmethod
    def of(cls, columns: Mapping[str, Any]) -> "VideoRow":
        """Take `path`, `start`, `end` and `fps` from a row's columns; None and masked are empty cells."""
        start, end, fps = (_optional(columns[name]) for name in ("start", "end", "fps"))
        return cls(str(columns["path"]), start, end, fps)


def read_row(row: VideoRow, target_fps: float | None = 25.0) -> Iterator[Frame]:
    """Read a row's frames on the common timeline; arguments and errors as `video.reader.read_frames`."""
    return read_frames(row.path, target_fps, row.start, row.end, folder_fps=row.fps)


def _optional(value: Any) -> float | None:
    return None if value is None or value is np.ma.masked else float(value)
