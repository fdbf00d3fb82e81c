"""The nine sign priors: names, shapes, weights, scales, and how a frame's row becomes targets and masks.

Supplement A1, A8 and Table 9. Numpy and torch arrays alike; no files. The distances are derived here from the
keypoints, so that training needs no table of them.

Legend: `...` any leading dimensions (batch, frames), J = 61 joints, A angles, C values of one entry.
"""

import functools
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from signrep_core.skeleton import (
    ARMS,
    BODY_ANGLES,
    FINGERTIP_DESTINATIONS,
    FINGERTIPS,
    HAND_ANGLES,
    HAND_JOINTS,
    HANDS,
    INTERACTION_DESTINATIONS,
    INTERACTION_SOURCES,
    JOINTS,
    N_BODY_ANGLES,
    N_HAND_ANGLES,
    N_HAND_JOINTS,
    N_JOINTS,
    SIDES,
    Side,
)

Array = Any  # numpy.ndarray or torch.Tensor

MIN_CONFIDENCE: Final = 0.5  # A8: below it a joint is missing, and what needs it is masked
ACTIVITY_WEIGHT: Final = 0.2  # Table 9


@dataclass(frozen=True)
class Prior:
    """One target of the decoder: `shape` per frame (its last axis are the values of one entry), Table 9's w and ψ."""

    shape: tuple[int, ...]
    weight: float
    scale: float  # ψ multiplies the target


def _distance_shape(side: Side) -> tuple[int, int, int]:
    return len(FINGERTIPS[side]), len(FINGERTIP_DESTINATIONS[side]), 3


PRIORS: Final = MappingProxyType(
    {
        "body_angles": Prior((N_BODY_ANGLES, 2), 10, 1),
        "right_angles": Prior((N_HAND_ANGLES, 2), 10, 1),
        "left_angles": Prior((N_HAND_ANGLES, 2), 10, 1),
        "body_keypoints": Prior((N_JOINTS, 3), 10, 1),
        "right_keypoints": Prior((N_HAND_JOINTS, 3), 10, 2),
        "left_keypoints": Prior((N_HAND_JOINTS, 3), 10, 2),
        "body_distances": Prior((len(INTERACTION_SOURCES), len(INTERACTION_DESTINATIONS), 3), 20, 1),
        "right_distances": Prior(_distance_shape("right"), 20, 4),
        "left_distances": Prior(_distance_shape("left"), 20, 4),
    }
)


@dataclass(frozen=True)
class Target:
    """What one prior should be: `value` (..., *entries, C), finite everywhere; `valid` (..., *entries), bool."""

    value: Array
    valid: Array


def prior_targets(
    body_angles: Array, right_angles: Array, left_angles: Array, keypoints: Array, confidence: Array
) -> dict[str, Target]:
    """Targets and masks of all priors, in physical units (radians as sin and cos, metres); ψ is not applied.

    Args:
        body_angles: (..., 22), right_angles and left_angles: (..., 41) radians; NaN where unknown.
        keypoints: (..., 61, 3) metres, neck at the origin; NaN where unknown.
        confidence: (..., 61) of each joint; below 0.5 it is missing (A8).

    Returns:
        For each name of `PRIORS` its target; entries that need a missing joint are not valid, and their value is 0.
    """
    seen = confidence >= MIN_CONFIDENCE
    angles = {"body_angles": body_angles, "right_angles": right_angles, "left_angles": left_angles}
    targets = {name: _angle_target(values, seen, _joints_needed(name)) for name, values in angles.items()}
    targets["body_keypoints"] = _target(keypoints, seen)
    for side in SIDES:
        hand, wrist = HANDS[side], HANDS[side].start
        relative = keypoints[..., hand, :] - keypoints[..., wrist : wrist + 1, :]
        targets[f"{side}_keypoints"] = _target(relative, seen[..., hand] & seen[..., wrist : wrist + 1])
    sets = {"body": (INTERACTION_SOURCES, INTERACTION_DESTINATIONS)}
    sets |= {side: (FINGERTIPS[side], FINGERTIP_DESTINATIONS[side]) for side in SIDES}
    for part, (sources, destinations) in sets.items():
        targets[f"{part}_distances"] = _distance_target(keypoints, seen, list(sources), list(destinations))
    return targets


def _angle_target(angles: Array, seen: Array, needed: NDArray[np.bool_]) -> Target:
    xp = _namespace(angles)
    valid = _all_seen(seen, needed)
    return _target(xp.stack((xp.sin(angles), xp.cos(angles)), -1), valid)


def _distance_target(keypoints: Array, seen: Array, sources: list[int], destinations: list[int]) -> Target:
    difference = keypoints[..., sources, None, :] - keypoints[..., None, destinations, :]  # (..., S, D, 3)
    return _target(difference, seen[..., sources, None] & seen[..., None, destinations])


def _target(value: Array, valid: Array) -> Target:
    """Entries that are not valid, or not finite, become 0 and not valid."""
    xp = _namespace(value)
    valid = valid & xp.isfinite(value).all(-1)
    return Target(xp.where(valid[..., None], value, xp.zeros_like(value)), valid)


def _all_seen(seen: Array, needed: NDArray[np.bool_]) -> Array:
    """(..., A): all joints that each angle needs are seen; seen (..., J), needed (A, J)."""
    xp = _namespace(seen)
    if xp is np:
        return ~((~seen[..., None, :]) & needed).any(-1)
    return ~((~seen[..., None, :]) & xp.as_tensor(needed, device=seen.device)).any(-1)


@functools.cache
def _joints_needed(name: str) -> NDArray[np.bool_]:
    """(A, J): the joints that each angle of a part is solved from (D: no source says)."""
    if name == "body_angles":
        rows = [_body_angle_joints(angle) for angle in BODY_ANGLES]
    else:
        side: Side = "right" if name == "right_angles" else "left"
        rows = [_hand_angle_joints(angle, side) for angle in HAND_ANGLES]
    needed = np.zeros((len(rows), N_JOINTS), bool)
    for row, joints in zip(needed, rows, strict=True):
        row[list(joints)] = True
    return needed


def _body_angle_joints(angle: str) -> set[int]:
    shoulders = {ARMS["right"][0], ARMS["left"][0]}
    side, _, rest = angle.partition("_")
    if side == "right" or side == "left":
        _, elbow, wrist = ARMS[side]
        if rest.startswith("clavicle"):
            return shoulders
        twist = rest in ("shoulder_y", "elbow_x")  # what turns about the upper arm shows in the forearm
        return shoulders | {elbow} | ({wrist} if twist else set())
    if side == "head":
        return shoulders | {JOINTS.index(joint) for joint in ("nose", "left_eye", "right_eye")}
    if side == "reserved":
        return shoulders
    return shoulders | {JOINTS.index("right_hip"), JOINTS.index("left_hip")}


def _hand_angle_joints(angle: str, side: Side) -> set[int]:
    start = HANDS[side].start
    palm = {start + HAND_JOINTS.index(joint) for joint in ("wrist", "index_mcp", "middle_mcp", "pinky_mcp")}
    finger = angle.partition("_")[0]
    if finger == "wrist":
        return palm | set(ARMS[side])
    chain = [k for k, joint in enumerate(HAND_JOINTS) if joint.startswith(finger)]
    return palm | {start + k for k in chain}


def _namespace(array: Array) -> Any:
    """numpy, or torch without importing it."""
    if isinstance(array, np.ndarray):
        return np
    import sys

    return sys.modules["torch"]
