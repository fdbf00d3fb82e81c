"""Crop boxes: runs of frames with a signer, and one square of the upper torso for each run.

Pure geometry on pose arrays (supplement A2: signer present by pose, cropped to the upper torso).
Legend: T frames, J = 61 joints; xy in pixels of the source frame, y down.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from signrep_core.skeleton import ARMS, HANDS, HEAD, MIN_CONFIDENCE, NOSE, SHOULDERS, SIDES
from signrep_core.window import WINDOW

REACHING = [joint for side in SIDES for joint in ARMS[side][1:]]  # elbows and wrists
NOSE_TO_SHOULDERS = 1.5  # shoulder width over the height of the nose above them, of the default bones
CROWN = 0.45  # of the shoulder width: from the eyes to the top of the hair
CHEST = 1.0  # of the shoulder width: the box always reaches so far below the shoulders
LOWEST = 1.7  # of the shoulder width below the shoulders: fingers of a hand at the hips (1.4); a lower hand rests
REACH = 2.6  # of the shoulder width: no hand is further than this from the middle of its own shoulders
OUTLIERS = 0.02  # share of a run's frames, at least one, that may reach outside on each side
SMALLEST_SIDE = 16.0  # pixels


def signer_runs(
    present: Any, min_frames: int = WINDOW, max_gap: int = 5, breaks: Any | None = None
) -> list[tuple[int, int]]:
    """Find (start, length) of every run of frames with the signer present, in order.

    Args:
        present: (T,) bool.
        max_gap: absences of at most so many frames belong to the run around them (angles are interpolated there).
        breaks: (T,) bool, frames before which a run ends: damaged ones, and the first of a part of the video.
    """
    shown = np.flatnonzero(np.asarray(present, bool))
    if len(shown) == 0:
        return []
    broken = np.zeros(len(present), int) if breaks is None else np.cumsum(breaks)
    last = np.flatnonzero((np.diff(shown) > max_gap + 1) | (np.diff(broken[shown]) > 0))
    starts, ends = shown[np.r_[0, last + 1]], shown[np.r_[last, len(shown) - 1]] + 1
    return [(int(s), int(e - s)) for s, e in zip(starts, ends, strict=True) if e - s >= min_frames]


def torso_box(image_xy: Any, confidence: Any, margin: float = 0.1) -> tuple[float, float, float]:
    """Compute one square that holds head, chest and the reach of the hands in all frames of a run but outliers.

    Hands below the hips do not enlarge the box: signing happens above (LOWEST; measured in benchmarks/crops.py).
    The extent of each frame is measured from its own shoulders, so a signer who walks stays inside. The most extreme
    2 % of the frames (at least one) are left out on each side, so one wrong detection has no effect.

    Args:
        image_xy: (T, 61, 2) pixels, NaN where not detected.
        confidence: (T, 61).
        margin: room around, as a share of the extent.

    Returns:
        x0, y0, side in whole pixels; the box may reach outside the frame.

    Raises:
        ValueError: no joint is seen in any frame.
    """
    xy = np.asarray(image_xy, np.float64)
    seen = (np.asarray(confidence) >= MIN_CONFIDENCE) & np.isfinite(xy).all(-1)
    xy = np.where(seen[..., None], xy, np.nan)
    framed = seen[:, SHOULDERS].all(1)
    low, high = _torso_extent(xy[framed]) if framed.any() else _any_extent(xy[seen.any(1)])
    low, high = _robust(low, -1), _robust(high, 1)
    side = max(float((high - low).max()) * (1 + margin), SMALLEST_SIDE)
    side = float(np.ceil(side))
    x0, y0 = np.round((low + high) / 2 - side / 2)
    return float(x0), float(y0), side


def _torso_extent(xy: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Corners (T, 2) and (T, 2) of the extent in each frame; both shoulders are seen in all."""
    shoulders = xy[:, SHOULDERS]
    middle = shoulders.mean(1)
    width = np.linalg.norm(shoulders[:, 0] - shoulders[:, 1], axis=1)
    # Seen from the side the shoulders are narrow: the head's height then tells the scale.
    nose = np.nan_to_num(np.linalg.norm(xy[:, NOSE] - middle, axis=1))
    width = np.maximum(width, NOSE_TO_SHOULDERS * nose)[:, None]
    head = xy[:, HEAD].copy()
    head[..., 1] -= CROWN * width
    chest = middle + width * np.array([0.0, CHEST])
    hands = np.concatenate([xy[:, REACHING], xy[:, HANDS["right"]], xy[:, HANDS["left"]]], 1)
    far = np.linalg.norm(hands - middle[:, None], axis=2) > REACH * width
    hands[far] = np.nan  # somebody else's, or a false detection
    lowest = middle[:, 1:] + LOWEST * width
    hands[..., 1] = np.minimum(hands[..., 1], lowest)
    points = np.concatenate([shoulders, head, chest[:, None], hands], 1)
    return np.nanmin(points, 1), np.nanmax(points, 1)


def _any_extent(xy: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Corners of all seen joints, for a run that never shows both shoulders."""
    if len(xy) == 0:
        raise ValueError("no joint is seen in any frame of the run")
    return np.nanmin(xy, 1), np.nanmax(xy, 1)


def _robust(corners: NDArray[np.float64], outward: int) -> NDArray[np.float64]:
    """Extreme of (T, 2) corners in a direction, without the most extreme frames; (2,)."""
    dropped = min(int(np.ceil(OUTLIERS * len(corners))), len(corners) - 1)
    ordered = np.sort(corners, axis=0)
    return ordered[dropped] if outward < 0 else ordered[-1 - dropped]
