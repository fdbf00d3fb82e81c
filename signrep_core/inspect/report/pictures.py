"""Images of the report: frames of sequences and of rejected videos, small enough to be embedded in the page."""

import base64
import itertools
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from signrep_core.errors import SignRepError, VideoError
from signrep_core.store.schemas import VIDEOS
from signrep_core.store.shards import ShardReader
from signrep_core.store.tables import read_table
from signrep_core.video.row import VideoRow, read_row

log = logging.getLogger(__name__)

JPEG_QUALITY: Final = 78
# Only videos rejected for these reasons are shown: they were decoded to their end. Others may be malicious.
PICTURED: Final = ("no_signer", "signer_too_small", "signer_too_brief", "too_few_frames")
_FONT: Final = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
_CAPTION_PX: Final = 30


@dataclass(frozen=True)
class Example:
    """A rejected video, the reason, and a frame (H, W, 3) if one can be decoded."""

    video_id: str
    reason: str
    detail: str
    picture: NDArray[np.uint8] | None


def sample_crops(shards: str | Path, n: int = 24) -> list[tuple[str, NDArray[np.uint8]]]:
    """(video_id, middle frame) of at most `n` evenly spaced sequences of the corpus; unreadable ones are left out."""
    reader = ShardReader(Path(shards))
    found = []
    for row in np.unique(np.linspace(0, len(reader) - 1, n).round().astype(int)) if len(reader) else ():
        try:
            frame = reader.read_window(int(row), int(reader.index["n_frames"][row]) // 2, 1)[0]
        except SignRepError as error:
            log.warning("an image of the report is missing: %s", error)
            continue
        found.append((reader.index["video_id"][row], frame))
    return found


def contact_sheet(crops: Sequence[tuple[str, NDArray[np.uint8]]], columns: int = 6) -> NDArray[np.uint8]:
    """A grid of captioned images of one size: (H, W, 3)."""
    cells = [_captioned(picture, caption) for caption, picture in crops]
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % columns)
    rows = [np.concatenate(cells[k : k + columns], 1) for k in range(0, len(cells), columns)]
    return np.concatenate(rows, 0)


def rejected_examples(videos: Iterable[str | Path], per_reason: int = 2) -> list[Example]:
    """The first videos rejected for each reason, those with a picture first; one shard's table in memory at a time."""
    taken: dict[str, list[Example]] = defaultdict(list)
    for path in videos:
        table = read_table(
            path, VIDEOS, ["video_id", "path", "status", "reason", "detail", "duration_s", "start", "end", "fps"]
        )
        for k in np.flatnonzero(np.array(table["status"], dtype=object) == "rejected"):
            row = {name: values[k] for name, values in table.items()}
            if len(taken[row["reason"]]) < per_reason:
                picture = _middle_frame(row) if row["reason"] in PICTURED else None
                taken[row["reason"]].append(Example(row["video_id"], row["reason"], row["detail"], picture))
    found = [example for reason in sorted(taken) for example in taken[reason]]
    return sorted(found, key=lambda example: example.picture is None)


def fit(picture: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """Scale an image down to at most `width` pixels."""
    scale = min(width / picture.shape[1], 1.0)
    size = max(round(picture.shape[1] * scale), 1), max(round(picture.shape[0] * scale), 1)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def to_jpeg(picture: NDArray[np.uint8]) -> bytes:
    """Encode (H, W, 3) RGB as JPEG."""
    return cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def data_uri(jpeg: bytes) -> str:
    """A JPEG as the source of an `<img>`."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def _middle_frame(row: dict[str, Any]) -> NDArray[np.uint8] | None:
    """A frame from the middle of a video, or of its beginning, or None."""
    whole = VideoRow.of(row)
    start = whole.start or 0.0
    for moment in (start + float(row["duration_s"]) / 2, start):
        frames: Iterator[Any] = read_row(whole._replace(start=moment or None, end=None))
        try:
            for frame in itertools.islice(frames, 1):
                return fit(frame.rgb, 320)
        except VideoError as error:
            log.info("no image of %s: %s", row["video_id"], error)
    return None


def _captioned(picture: NDArray[np.uint8], caption: str) -> NDArray[np.uint8]:
    strip = Image.new("RGB", (picture.shape[1], _CAPTION_PX), "white")
    text = caption if len(caption) <= 24 else f"{caption[:10]}…{caption[-13:]}"
    ImageDraw.Draw(strip).text((4, 4), text, fill=(40, 40, 40), font=ImageFont.truetype(_FONT, 18))
    return np.concatenate([picture, np.asarray(strip)], 0)
