"""Convert decoded frames to upright RGB with square pixels."""

from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from av.sidedata.sidedata import Type
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from signrep_core.errors import VideoError
from signrep_core.video import hdr

Orientation = tuple[int, int, int, int]  # a 2×2 matrix, row by row

UPRIGHT: Final[Orientation] = (1, 0, 0, 1)
SQUARE_PIXEL_LIMIT = 4  # a pixel more than this times wider than high (or higher than wide) is a broken header


class RgbConverter:
    """Converts the frames of one video. Where its shape changes the picture keeps its proportions and a part begins.

    A change of resolution alone, as calls over a network have it, is no change of shape: such frames get the size of
    their part's first frame.

    Args:
        pixel: width : height of a pixel, if the file says so.
    """

    def __init__(self, path: str | Path, pixel: Fraction | None) -> None:
        self._path, self._pixel = path, pixel
        self._reformatter = VideoReformatter()
        self._size = 0, 0  # of the part's frames, before they are turned upright
        self._orientation = UPRIGHT
        self._last: tuple[Any, NDArray[np.uint8]] | None = None
        self.part = -1  # of the frame converted last

    def convert(self, frame: Any, orientation: Orientation) -> NDArray[np.uint8]:
        """Convert a frame to (H, W, 3) uint8, read-only.

        Args:
            orientation: of the frame, as `orientation_of` gives it.

        Raises:
            VideoError: undecodable: its pixel format cannot be converted.
        """
        if self._last is not None and self._last[0] is frame:
            return self._last[1]
        size = _square_size(frame.width, frame.height, self._pixel)
        if self.part < 0 or orientation != self._orientation or not same_shape(size, self._size):
            self._size, self._orientation = size, orientation
            self.part += 1
        try:
            rgb = np.ascontiguousarray(_upright(self._rgb(frame), self._orientation))
        except (av.FFmpegError, ValueError) as error:
            raise VideoError("undecodable", f"{self._path}: no RGB from {frame.format.name} frames: {error}") from error
        rgb.flags.writeable = False
        self._last = frame, rgb
        return rgb

    def _rgb(self, frame: Any) -> NDArray[np.uint8]:
        width, height = self._size
        options: dict[str, Any] = {
            "width": width,
            "height": height,
            "threads": 1,
            "interpolation": Interpolation.BICUBIC,
        }
        if frame.format.has_palette or any(component.is_alpha for component in frame.format.components):
            rgba = self._reformatter.reformat(frame, format="rgba", **options).to_ndarray()
            return (rgba[..., :3].astype(np.uint16) * rgba[..., 3:] // 255).astype(np.uint8)  # on black
        if not frame.format.is_rgb:
            full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
            options["src_color_range"] = ColorRange.JPEG if full else ColorRange.MPEG
            options["dst_color_range"] = ColorRange.JPEG
            options["src_colorspace"] = _matrix(frame)
        if frame.color_trc in hdr.TRANSFERS:
            wide: Any = self._reformatter.reformat(frame, format="rgb48le", **options).to_ndarray()
            return hdr.tone_map(wide, frame.color_trc)
        return self._reformatter.reformat(frame, format="rgb24", **options).to_ndarray()  # type: ignore[return-value]


def _matrix(frame: Any) -> int:
    """The frame's colour matrix; untagged video is BT.709 from 720 lines on and BT.601 below, as players assume."""
    tagged = {1: Colorspace.ITU709, 4: Colorspace.FCC, 5: Colorspace.ITU601, 6: Colorspace.ITU601,
              7: Colorspace.SMPTE240M, 9: Colorspace.BT2020, 10: Colorspace.BT2020}  # fmt: skip
    return tagged.get(frame.colorspace, Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601)


def same_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes have the same proportions, but for the rounding of sides to even numbers."""
    (width, height), (other_width, other_height) = size, other
    return abs(width * other_height - height * other_width) <= 2 * max(*size, *other)


def _square_size(width: int, height: int, pixel: Fraction | None) -> tuple[int, int]:
    """Width and height with square pixels, never smaller than stored; `pixel` is the width : height of one."""
    if not pixel or not Fraction(1, SQUARE_PIXEL_LIMIT) <= pixel <= SQUARE_PIXEL_LIMIT:
        return width, height
    return (round(width * pixel), height) if pixel >= 1 else (width, round(height / pixel))


def orientation_of(frame: Any, before: Orientation = UPRIGHT) -> Orientation:
    """The 2×2 part of the display matrix by which a frame is to be rotated or mirrored.

    Args:
        before: of the frame before; it goes on until a keyframe, since H.264 tells an orientation with keyframes alone.
    """
    for data in frame.side_data:
        if data.type == Type.DISPLAYMATRIX:
            a, b, _, c, d = np.frombuffer(data, np.int32)[:5].tolist()
            return a, b, c, d
    return UPRIGHT if frame.key_frame else before


def _upright(rgb: NDArray[np.uint8], orientation: Orientation) -> NDArray[np.uint8]:
    """Rotate by quarter turns and mirror as (x, y) · matrix does, to the nearest such rotation."""
    a, b, c, d = orientation
    if abs(b) + abs(c) > abs(a) + abs(d):
        rgb, a, d = rgb.transpose(1, 0, 2), c, b
    return rgb[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
