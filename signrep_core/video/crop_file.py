"""Crop a video file without its pose: to a square around a given box, or to the largest square in the middle.

Legend: T frames.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from signrep_core.errors import ConfigError
from signrep_core.video.crop import cut_box
from signrep_core.video.encode import EncoderSettings
from signrep_core.video.reader import Frame
from signrep_core.video.row import VideoRow, read_row
from signrep_core.window import WINDOW

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels of the upright frame


def video_file_window(video: str, start: int, *, box: Box | None = None, fps: float | None = None) -> NDArray[np.uint8]:
    """Read the frames of one window of a video file, (T, 256, 256, 3); fewer at its end.

    Raises:
        VideoError: the video cannot be read.
        ConfigError: the box lies outside the frame.
    """
    crops = crop_frames(read_row(VideoRow(video, fps=fps)), box)
    return np.stack(list(islice(crops, start, start + WINDOW)))


def crop_frames(frames: Iterable[Frame], box: Box | None) -> Iterator[NDArray[np.uint8]]:
    """Crop each frame to a square around the box, or to the largest square in the middle, (256, 256, 3).

    Raises:
        ConfigError: the box lies outside the frame.
    """
    for frame in frames:
        height, width = frame.rgb.shape[:2]
        x0, y0, x1, y1 = box or (0, 0, width, height)
        if x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
            raise ConfigError(f"the box {x0:g},{y0:g},{x1:g},{y1:g} lies outside the frame of {width}×{height} pixels")
        side = max(x1 - x0, y1 - y0) if box else min(width, height)
        yield cut_box(frame.rgb, (x0 + x1 - side) / 2, (y0 + y1 - side) / 2, side, EncoderSettings.size)
