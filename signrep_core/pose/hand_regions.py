"""Regions in which a hand is looked for besides those of `pose.graph`: along the forearm, or carried along with it from
another frame.

Pure functions. A region is (x, y, side, angle) as in `pose.crops`; at angle 0 the fingers point up in the picture.
Where a needed joint is NaN, so is the region.

Legend: T frames; 2 hands in the order of skeleton.SIDES; body (T, 33, >=2) MediaPipe's pose in pixels; lengths that are
not in pixels are shares of the shoulder width.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from signrep_core.pose.crops import Regions, rotate
from signrep_core.pose.graph import ELBOWS, UP, WRISTS, aligned, transform, wrap

Floats = NDArray[np.floating]

_WRIST, _INDEX, _PINKY = 0, 5, 17  # of a hand's joints
BEYOND_WRIST: Final = 0.28  # along the forearm, from the wrist to the hand's middle, in sides of the region


def forearm_angles(body: Floats) -> Floats:
    """(T, 2) angle of a region whose top points along the forearm."""
    return aligned(body[:, ELBOWS, :2], body[:, WRISTS, :2], UP)[..., 3]


def forearm_regions(body: Floats, sides: Floats) -> Regions:
    """(T, 2, 4) regions of the given sides (T, 2), pixels, beyond the wrist along the forearm."""
    at_wrist = _region(body[:, WRISTS, :2], sides, forearm_angles(body))
    return transform(at_wrist, 1.0, -BEYOND_WRIST)


def carried_regions(body: Floats, regions: Regions, source: NDArray[np.intp]) -> Regions:
    """(T, 2, 4) regions of other frames, moved and rotated with the forearm.

    Args:
        regions: (T, 2, 4)
        source: (T, 2) the frame to take each hand's region from; -1 for none.
    """
    hands = np.arange(2)
    wrist, angle = body[:, WRISTS, :2], forearm_angles(body)
    taken = regions[source, hands]
    turned = angle - angle[source, hands]
    offset = (taken[..., :2] - wrist[source, hands]).reshape(-1, 1, 2)
    place = wrist + rotate(offset, turned.ravel()).reshape(wrist.shape)
    carried = _region(place, taken[..., 2], wrap(taken[..., 3] + turned))
    carried[source < 0] = np.nan
    return carried


def blend_regions(before: Regions, after: Regions, share: Floats) -> Regions:
    """(..., 4) regions between two, `share` (...) of the way; angles by the shorter way."""
    change = after - before
    change[..., 3] = wrap(change[..., 3])
    return before + share[..., None] * change


def palm_lengths(points: Floats) -> Floats:
    """(...,) root of the palm's area by a hand's joints (..., 21, >=2), pixels."""
    corners = points[..., (_WRIST, _INDEX, _PINKY), :2]
    a, b = corners[..., 1, :] - corners[..., 0, :], corners[..., 2, :] - corners[..., 0, :]
    return np.sqrt(np.abs(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]) / 2)


def similar(a: Regions, b: Regions) -> NDArray[np.bool_]:
    """Whether two regions show nearly the same: centres within 6 % of the side, sides within 8 %, angles within 8°."""
    near = np.linalg.norm(a[..., :2] - b[..., :2], axis=-1) < 0.06 * b[..., 2]
    sized = np.abs(a[..., 2] - b[..., 2]) < 0.08 * b[..., 2]
    same: NDArray[np.bool_] = near & sized & (np.abs(wrap(a[..., 3] - b[..., 3])) < np.radians(8))
    return same


def _region(centre: Floats, side: Floats, angle: Floats) -> Regions:
    return np.concatenate([centre, side[..., None], angle[..., None]], -1)
