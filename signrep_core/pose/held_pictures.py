"""Pictures kept for a while for crops of a signer's hands: cut to the signer's reach, and no larger than crops need.

Bounds the memory of a stretch of frames, whatever the video's size: a kept picture has at most
(2 * REACH * SHARP)² pixels, 8 MB.
"""

from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from signrep_core.pose.crops import Regions, cut_crops
from signrep_core.pose.graph import HIPS, SHOULDERS

REACH: Final = 2.6  # shoulder widths from the middle of the shoulders: no hand is further away
SHARP: Final = 320.0  # pixels of the shoulder width from which a hand fills more than its crop of 224 pixels
SHOULDERS_TO_TRUNK: Final = 0.75  # of the trunk's length: the least shoulder width, of a signer seen from the side


class Held(NamedTuple):
    """A kept picture."""

    rgb: NDArray[np.uint8]  # (h, w, 3) part of the picture, perhaps reduced
    origin: tuple[int, int]  # x, y of the part in the picture
    factor: float  # pixels of `rgb` for a pixel of the picture
    size: tuple[int, int]  # width, height of the picture


def hold(rgb: NDArray[np.uint8], body: NDArray[np.floating]) -> Held:
    """Keep a picture (H, W, 3) for crops of the hands of a body (33, >=2); of nobody (NaN) nothing is kept."""
    height, width = rgb.shape[:2]
    right, left = body[list(SHOULDERS), :2]
    middle = (right + left) / 2
    if not np.isfinite(middle).all():
        return Held(rgb[:0, :0], (0, 0), 1.0, (width, height))
    trunk = float(np.linalg.norm(body[list(HIPS), :2].mean(0) - middle))
    shoulders = max(float(np.linalg.norm(right - left)), SHOULDERS_TO_TRUNK * trunk, 1.0)
    low = np.clip(np.floor(middle - REACH * shoulders), 0, (width - 1, height - 1)).astype(int)
    high = np.clip(np.ceil(middle + REACH * shoulders), low + 1, (width, height)).astype(int)
    part = rgb[low[1] : high[1], low[0] : high[0]]
    factor = min(SHARP / shoulders, 1.0)
    if factor < 1:
        part = cv2.resize(part, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    elif part.size < 0.5 * rgb.size:
        part = part.copy()  # lets the whole picture go
    return Held(part, (int(low[0]), int(low[1])), factor, (width, height))


def cut_held(pictures: list[Held], regions: Regions, side: int) -> NDArray[np.uint8]:
    """Cut one region (N, 4), in pixels of the whole picture, out of each of N kept pictures: (N, side, side, 3)."""
    local = regions.copy()
    factor = np.array([picture.factor for picture in pictures]).reshape(-1, 1)
    local[:, :2] -= np.array([picture.origin for picture in pictures]).reshape(-1, 2)
    local[:, :3] *= factor
    return cut_crops([picture.rgb for picture in pictures], local, side)
