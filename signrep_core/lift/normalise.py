"""Normalisation of 2-D joints for the lifter: the neck at the origin, the signer's shoulders one unit apart.

The origin is the neck of each frame; the unit is a running median of the shoulders' width over some seconds, so that it
is stable under noise and rotations and still follows a zoom or a cut.

Legend: `...` any leading dimensions (windows), T frames, J = 61 joints; pixels.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from signrep_core.body.landmarks import SCALE_WINDOW
from signrep_core.skeleton import SHOULDERS

Floats = NDArray[np.floating]

MIN_WIDTH: Final = 1.0  # pixels: narrower shoulders give no scale


@dataclass(frozen=True)
class SignerFrame:
    """The neck and the shoulders' width in each frame; NaN where no shoulder was ever seen."""

    neck: Floats  # (..., T, 2) pixels
    width: Floats  # (..., T) pixels

    def apply(self, image_xy: Floats) -> Floats:
        """(..., T, 61, 2) shoulder widths from the neck; NaN where missing."""
        return (image_xy - self.neck[..., None, :]) / self.width[..., None, None]


def window_frame(image_xy: Floats) -> SignerFrame:
    """The frame of windows (..., T, 61, 2), with the median over all frames of a window as its unit."""
    neck, width = _shoulders(image_xy)
    return SignerFrame(neck, np.broadcast_to(np.nanmedian(width, -1, keepdims=True), width.shape))


def video_frame(image_xy: Floats, causal: bool = False) -> SignerFrame:
    """The frame of a video (T, 61, 2), NaN where missing, interpolated where no shoulders were seen.

    causal: no frame depends on later ones.
    """
    neck, width = _shoulders(image_xy)
    seen = np.flatnonzero(np.isfinite(width))
    if not seen.size:
        return SignerFrame(neck, width)
    origin = (SCALE_WINDOW - 1) // 2 if causal else 0  # the filter's window ends at the frame itself
    smooth = median_filter(width[seen], size=SCALE_WINDOW, mode="nearest", origin=origin)
    times = np.arange(len(width))
    if causal:
        last = np.maximum(np.searchsorted(seen, times, side="right") - 1, 0)
        neck, width = neck[seen[last]], smooth[last]
        width[: seen[0]] = neck[: seen[0]] = np.nan
        return SignerFrame(neck, width)
    filled = [np.interp(times, seen, values) for values in (*neck[seen].T, smooth)]
    return SignerFrame(np.stack(filled[:2], -1), filled[2])


def _shoulders(image_xy: Floats) -> tuple[Floats, Floats]:
    right, left = (image_xy[..., joint, :] for joint in SHOULDERS)
    width = np.linalg.norm(right - left, axis=-1)
    return (right + left) / 2, np.where(width >= MIN_WIDTH, width, np.nan)
