"""The nine sign priors: names, shapes, weights, scales, and their targets and masks per frame.

Supplement A1, A8 and Table 9. Numpy and torch arrays alike; no files. The distances are derived here from the
keypoints, so that training needs no distance tables.

Legend: `...` any leading dimensions (batch, frames), J = 61 joints, A angles, C values of one entry.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from signrep_core.body.arrays import Array, namespace
from signrep_core.body.priors import Tables, angle_validity, distances, tables_for
from signrep_core.skeleton import (
    FINGERTIP_DESTINATIONS,
    FINGERTIPS,
    HANDS,
    INTERACTION_DESTINATIONS,
    INTERACTION_SOURCES,
    MIN_CONFIDENCE,
    N_BODY_ANGLES,
    N_HAND_ANGLES,
    N_HAND_JOINTS,
    N_JOINTS,
    SIDES,
    Side,
)

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
    """Target of one prior: `value` (..., *entries, C), finite everywhere; `valid` (..., *entries), bool."""

    value: Array
    valid: Array


def prior_targets(
    body_angles: Array,
    right_angles: Array,
    left_angles: Array,
    keypoints: Array,
    confidence: Array,
    *,
    tables: Tables | None = None,
) -> dict[str, Target]:
    """Targets and masks of all priors, in physical units (radians as sin and cos, metres); ψ is not applied.

    Args:
        body_angles: (..., 22), right_angles and left_angles: (..., 41) radians; NaN where unknown.
        keypoints: (..., 61, 3) metres, neck at the origin; NaN where unknown.
        confidence: (..., 61) of each joint; below 0.5 it is missing (A8).
        tables: of these arrays' kind and device; None = made for this call.

    Returns:
        For each name of `PRIORS` its target; entries that need a missing joint are not valid, and their value is 0.
    """
    seen, tables = confidence >= MIN_CONFIDENCE, tables or tables_for(confidence)
    angles = {"body_angles": body_angles, "right_angles": right_angles, "left_angles": left_angles}
    known = angle_validity(confidence, tables)
    targets = {name: _angle_target(values, valid) for (name, values), valid in zip(angles.items(), known, strict=True)}
    targets["body_keypoints"] = _target(keypoints, seen)
    for side in SIDES:
        hand, wrist = HANDS[side], slice(HANDS[side].start, HANDS[side].start + 1)
        relative = keypoints[..., hand, :] - keypoints[..., wrist, :]
        targets[f"{side}_keypoints"] = _target(relative, seen[..., hand] & seen[..., wrist])
    values, valid = distances(keypoints, confidence, tables)
    return targets | {f"{part}_distances": _target(values[part], valid[part]) for part in values}


def _angle_target(angles: Array, valid: Array) -> Target:
    xp = namespace(angles)
    return _target(xp.stack((xp.sin(angles), xp.cos(angles)), -1), valid)


def _target(value: Array, valid: Array) -> Target:
    """Set entries that are invalid or not finite to 0 and invalid."""
    xp = namespace(value)
    valid = valid & xp.isfinite(value).all(-1)
    return Target(xp.where(valid[..., None], value, xp.zeros_like(value)), valid)
