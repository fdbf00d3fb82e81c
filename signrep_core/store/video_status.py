"""Video status: a table per shard with one row per video of the sheet: ok, excluded or rejected (`schemas.VIDEOS`).

probe writes the first table; each later stage writes it again with the final status of the videos that end there. No
row is ever dropped.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from signrep_core.errors import REASONS
from signrep_core.store.schemas import TEXT, VIDEOS, Column
from signrep_core.store.tables import Columns, read_table

OVERLONG_S: Final = 0.2  # a span may end so much later than its video: spans are rounded, and the last frame has no end
FINAL_STATUSES = ("excluded", "rejected")
STATUSES = ("ok", *FINAL_STATUSES)


class FinalStatus(NamedTuple):
    """Final status of a video that is excluded or rejected."""

    status: str  # excluded or rejected
    reason: str  # a key of errors.REASONS
    detail: str


@dataclass(frozen=True)
class VideoTask:
    """A video to be decoded."""

    video_id: str
    path: str
    start: float | None  # seconds; None = from the beginning
    end: float | None  # seconds; None = to the end
    fps: float  # of its own frames: the rate of an image folder
    n_frames: int
    duration_s: float
    sha256: str

    def frames_at(self, target_fps: float | None) -> float:
        """About how many frames it has at a rate (None = its own), at least one."""
        frames = self.n_frames if target_fps is None else self.duration_s * target_fps
        return max(round(frames), 1) if np.isfinite(frames) else 1


def new_video_status(rows: Iterable[Any]) -> Columns:
    """Build the table of rows of the sheet (`sources.sheet.Row`): all ok, zeros in the columns that probe fills."""
    rows = list(rows)
    videos = {column.name: _new_column(column, rows) for column in VIDEOS.columns}
    videos["status"] = ["ok"] * len(rows)
    return videos


def finalise(videos: Columns, final: Mapping[str, tuple[str, str, str]]) -> Columns:
    """Copy a table of videos and set the final status of some of its ok videos.

    Args:
        final: by video_id; statuses of FINAL_STATUSES, reasons of `errors.REASONS`.

    Raises:
        ValueError: a video that is not in the table or is final already, or an unknown status or reason.
    """
    places = {video_id: place for place, video_id in enumerate(videos["video_id"])}
    columns = {name: list(videos[name]) for name in ("status", "reason", "detail")}
    for video_id, (status, reason, detail) in final.items():
        if video_id not in places:
            raise ValueError(f"the table holds no video {video_id!r}, which was to be {status} as {reason}")
        if status not in FINAL_STATUSES:
            raise ValueError(f"unknown status {status!r} of video {video_id!r}; expected one of {FINAL_STATUSES}")
        if reason not in REASONS:
            raise ValueError(f"unknown reason {reason!r} of video {video_id!r}; add it to signrep_core.errors.REASONS")
        place = places[video_id]
        if videos["status"][place] != "ok":
            raise ValueError(f"video {video_id!r} is {videos['status'][place]} already, as {videos['reason'][place]}")
        columns["status"][place], columns["reason"][place], columns["detail"][place] = status, reason, detail
    return {**videos, **columns}


def add_notes(videos: Columns, notes: Mapping[str, str]) -> Columns:
    """Copy a table of videos and add a note, by video_id, to the details of some of its ok videos."""
    details = [
        "; ".join(filter(None, (detail, notes.get(video_id)))) if status == "ok" else detail
        for video_id, status, detail in zip(videos["video_id"], videos["status"], videos["detail"], strict=True)
    ]
    return {**videos, "detail": details}


def ok_videos(videos: Columns) -> list[VideoTask]:
    """List the ok videos, in the order of the table."""
    return [video_task(videos, row) for row, status in enumerate(videos["status"]) if status == "ok"]


def video_task(videos: Columns, row: int) -> VideoTask:
    """Read what is needed to decode the video of a row."""
    return VideoTask(
        video_id=videos["video_id"][row],
        path=str(videos["path"][row]),
        start=_optional(videos["start"][row]),
        end=_optional(videos["end"][row]),
        fps=float(videos["fps"][row]),
        n_frames=int(videos["n_frames"][row]),
        duration_s=float(videos["duration_s"][row]),
        sha256=videos["sha256"][row],
    )


def pretrained_on(videos: Columns, splits: Collection[str], datasets: Collection[str] | None) -> list[bool]:
    """Whether each video belongs to the splits and data sets (None = all) of the pretraining."""
    rows = zip(videos["split"], videos["dataset"], strict=True)
    return [split in splits and (datasets is None or dataset in datasets) for split, dataset in rows]


def overlong_spans(videos: Columns) -> dict[str, float]:
    """Find the ok videos whose span ends after the video: by video_id the missing seconds.

    Args:
        videos: its columns `video_id`, `status`, `start`, `end` and `duration_s` (of the part that exists) are read.
    """
    start, end = (np.ma.filled(np.ma.asarray(videos[name], float), 0) for name in ("start", "end"))
    lacking = end - start - np.asarray(videos["duration_s"], float)
    found = zip(videos["video_id"], videos["status"], lacking, strict=True)
    return {video_id: float(seconds) for video_id, status, seconds in found if status == "ok" and seconds > OVERLONG_S}


def count_lost_videos(videos: Iterable[str | Path], dataset: str, needed: str) -> dict[str, dict[str, int]]:
    """Count a data set's videos that did not reach the shards: split -> reason -> number.

    Args:
        videos: files of the final tables of videos.
        needed: `gloss` or `text`: only videos that have one count.
    """
    lost: dict[str, Counter[str]] = {}
    for path in videos:
        table = read_table(path, VIDEOS, ("dataset", "split", "reason", needed))
        rows = zip(table["dataset"], table["split"], table["reason"], table[needed], strict=True)
        for name, split, reason, label in rows:
            if name == dataset and reason and label:
                lost.setdefault(split, Counter())[reason] += 1
    return {split: dict(reasons) for split, reasons in sorted(lost.items())}


def count_statuses(videos: Iterable[Columns | str | Path]) -> dict[tuple[str, str], int]:
    """Count videos by (status, reason) over tables of videos or their files; one table in memory at a time.

    ("ok", "") is always among them; the others only where videos have them, in the order of `errors.REASONS`.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for table in videos:
        if isinstance(table, str | Path):
            table = read_table(table, VIDEOS, ("status", "reason"))
        counts.update(zip(table["status"], table["reason"], strict=True))
    order = ["", *REASONS]
    ended = sorted(
        (ending for ending in counts if ending != ("ok", "")),
        key=lambda ending: (STATUSES.index(ending[0]), order.index(ending[1])),
    )
    return {ending: counts[ending] for ending in [("ok", ""), *ended]}


def _new_column(column: Column, rows: list[Any]) -> Any:
    values = [getattr(row, column.name, None) for row in rows]
    if column.dtype == TEXT:
        return [value or "" for value in values]
    dtype = column.dtype.to_pandas_dtype()
    if column.nullable:
        return np.ma.MaskedArray(np.array([value or 0 for value in values], dtype), [value is None for value in values])
    return np.array([value or 0 for value in values], dtype)


def _optional(value: Any) -> float | None:
    return None if value is None or value is np.ma.masked else float(value)
