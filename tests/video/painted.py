"""Videos whose every frame carries its number as a bar code that survives decoding and cropping."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from signrep_core.config import Config
from signrep_core.store.resume import open_resume_cache
from signrep_core.store.schemas import ACTIVITY, ANGLES, KEYPOINTS, POSE, VIDEOS, Schema
from signrep_core.video.crop import CropResult, crop_shard

BITS = 8
BLACK, WHITE = 40, 215


def paint(number: int, width: int = 160, height: int = 120) -> NDArray[np.uint8]:
    """A frame of BITS upright bars, the lowest bit first, on which something moves."""
    bars = (number >> np.arange(BITS)) & 1
    columns = np.where(bars[np.arange(width) * BITS // width], WHITE, BLACK)
    picture = np.repeat(np.repeat(columns[None, :, None], height, 0), 3, 2).astype(np.uint8)
    y = (number * 7) % max(height - 12, 1)
    picture[y : y + 4, :, number % 3] = 128
    return picture


def number_in(
    picture: NDArray[np.uint8], square: tuple[float, float, float] | None = None, width: int = 160, height: int = 120
) -> int:
    """The number painted in a frame, or in a crop of the given box (x0, y0, side) of a frame."""
    x0, y0, side = square or (0.0, 0.0, 0.0)
    size = picture.shape[0]
    number = 0
    for bit in range(BITS):
        x = (bit + 0.5) * width / BITS
        x = int((x - x0) / side * size) if square else int(x * picture.shape[1] / width)
        top, bottom = (
            (np.array([0.1, 0.9]) * height - y0) / side * size if square else np.array([0.1, 0.9]) * size
        ).astype(int)
        number |= int(np.median(picture[max(top, 0) : bottom, x]) > 128) << bit
    return number


def write_video(
    path: Path,
    numbers: Iterable[int],
    *,
    fps: float = 25,
    times: Sequence[float] | None = None,
    size: tuple[int, int] = (160, 120),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    gop: int = 12,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write painted frames, at `times` (seconds) where given."""
    tick = Fraction(1, 1000)
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream: Any = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1000), options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt, stream.gop_size = pix_fmt, gop
        if times is not None:
            stream.time_base = stream.codec_context.time_base = tick
        for i, number in enumerate(numbers):
            frame = av.VideoFrame.from_ndarray(paint(number, *size), format="rgb24").reformat(format=pix_fmt)
            if times is not None:
                frame.pts, frame.time_base = round(times[i] * 1000), tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_pictures(folder: Path, n: int, name: str = "images{:04d}.png") -> Path:
    """Write painted frames as an image folder; the names count from 1."""
    folder.mkdir()
    for number in range(n):
        cv2.imwrite(str(folder / name.format(number + 1)), paint(number)[..., ::-1])
    return folder


def videos_of(videos: dict[str, Path], status: dict[str, str] | None = None) -> dict[str, Any]:
    """A VIDEOS table of videos that are all ok, or of the given status."""
    columns = _zeros(VIDEOS, len(videos))
    columns |= {"video_id": list(videos), "path": [str(path) for path in videos.values()]}
    columns["status"] = [(status or {}).get(video, "ok") for video in videos]
    columns["split"] = ["train"] * len(videos)
    columns["gloss"] = [f"gloss of {video}" for video in videos]
    columns["start"] = columns["end"] = np.ma.masked_all(len(videos), np.float64)
    columns["fps"] = np.full(len(videos), 25, np.float32)
    return columns


def pose_of(
    video: str, present: Sequence[bool], center: tuple[float, float] = (80, 60), width: float = 80, fps: float = 25
) -> dict[str, Any]:
    """POSE rows of a person whose shoulders, `width` apart, are around `center`; absent frames hold NaN."""
    n = len(present)
    shown = np.asarray(present, bool)
    columns = _zeros(POSE, n) | {
        "video_id": [video] * n,
        "frame": np.arange(n, dtype=np.int32),
        "time_s": np.arange(n) / fps,
    }
    xy = np.empty((n, 61, 2), np.float32)
    xy[:] = center
    xy[:, 0, 0] -= width / 2
    xy[:, 3, 0] += width / 2
    xy[:, 8:19, 1] -= width / 1.5
    xy[~shown] = np.nan
    columns |= {"present": shown, "image_xy": xy, "confidence": np.repeat(shown[:, None], 61, 1).astype(np.float32)}
    return columns


def targets_of(video: str, n: int, fps: float = 25) -> dict[str, dict[str, Any]]:
    """ANGLES, KEYPOINTS and ACTIVITY rows in which every value tells its frame."""
    tables = {}
    for schema in (ANGLES, KEYPOINTS, ACTIVITY):
        columns = _zeros(schema, n)
        for column in schema.columns:
            if column.shape:
                columns[column.name] += np.arange(n, dtype=np.float32).reshape(-1, *[1] * len(column.shape))
        columns |= {"video_id": [video] * n, "frame": np.arange(n, dtype=np.int32), "time_s": np.arange(n) / fps}
        tables[schema.name] = columns
    full = np.arange(n) > n - 16
    tables["activity"]["right_active"] = np.ma.MaskedArray(np.arange(n) % 2 == 0, full)
    tables["activity"]["left_active"] = np.ma.MaskedArray(np.arange(n) % 3 == 0, full)
    return tables


def _zeros(schema: Schema, n: int) -> dict[str, Any]:
    return {
        column.name: [""] * n
        if str(column.dtype) == "string"
        else np.zeros((n, *column.shape), column.dtype.to_pandas_dtype())
        for column in schema.columns
    }


def crop_videos(
    videos: Any, pose: str | Path, out_mp4: Path, config: Config | None = None, threads: int = 1
) -> CropResult:
    """Crop a shard as the rule does, with a resume cache that is removed at the end."""
    with open_resume_cache(out_mp4) as cache:
        return crop_shard(videos, pose, out_mp4, cache, config, threads)
