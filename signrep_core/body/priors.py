"""Sign priors from keypoints: fingertip and interaction distances, signer activity, validity of angles (A1, A8).

Legend: `...` any leading dimensions, T frames of one video, W windows, J = 61 joints, A angles; metres, y down.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from signrep_core.body.arrays import Array, namespace
from signrep_core.config import Deviation
from signrep_core.skeleton import (
    ACTIVITY_REFERENCE,
    ARMS,
    BODY_ANGLES,
    FINGERTIP_DESTINATIONS,
    FINGERTIPS,
    HAND_ANGLES,
    HAND_JOINTS,
    HAND_WRIST,
    HANDS,
    HIPS,
    INTERACTION_DESTINATIONS,
    INTERACTION_SOURCES,
    JOINTS,
    KNUCKLES,
    MIN_CONFIDENCE,
    N_HAND_JOINTS,
    N_JOINTS,
    NOSE,
    SHOULDERS,
    SIDES,
    Side,
)
from signrep_core.window import WINDOW

ACTIVITY_STD: Final = 0.26  # A1: metres, summed over the hand's 21 joints
_REDUCE: Final[dict[Deviation, Callable[[NDArray[np.float64]], NDArray[np.float64]]]] = {
    "mean": lambda deviation: deviation.mean(-1),
    "norm": lambda deviation: np.linalg.norm(deviation, axis=-1),
    "sum": lambda deviation: deviation.sum(-1),
}
_CHUNK = 2048  # windows worked on at a time, so that memory does not grow with the video

_DISTANCE_SETS: Final[dict[str, tuple[tuple[int, ...], tuple[int, ...]]]] = {
    "body": (INTERACTION_SOURCES, INTERACTION_DESTINATIONS),
    "right": (FINGERTIPS["right"], FINGERTIP_DESTINATIONS["right"]),
    "left": (FINGERTIPS["left"], FINGERTIP_DESTINATIONS["left"]),
}


@dataclass(frozen=True)
class Tables:
    """Joints that distances and angles are computed from, as arrays of one kind on one device."""

    joints: Mapping[str, tuple[Array, Array]]  # sources and destinations of the distances, by name
    needed: Array  # (J, A) 1 where the angle is solved from the joint


def tables_for(array: Array) -> Tables:
    """Tables of an array's kind and device; they are copied to a GPU, so a training makes them once."""
    xp = namespace(array)
    convert = np.asarray if xp is np else functools.partial(xp.tensor, device=array.device)
    joints = {name: (convert(sources), convert(ends)) for name, (sources, ends) in _DISTANCE_SETS.items()}
    return Tables(joints, convert(_joints_needed().T))


def distances(
    keypoints: Array, confidence: Array, tables: Tables | None = None
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Per-axis signed differences source - destination (A1): interaction ("body") and fingertips ("right", "left").

    Args:
        keypoints: (..., 61, 3) metres; numpy or torch.
        confidence: (..., 61).
        tables: of these arrays' kind and device; None = made for this call.

    Returns:
        Values: "body" (..., 12, 22, 3), "right" and "left" (..., 5, 11, 3), metres.
        Validity, under the same names without the last axis: both joints have a confidence of at least 0.5 (A8).
    """
    seen = confidence >= MIN_CONFIDENCE
    values, valid = {}, {}
    for name, (rows, columns) in (tables or tables_for(keypoints)).joints.items():
        values[name] = keypoints[..., rows, None, :] - keypoints[..., None, columns, :]
        valid[name] = seen[..., rows, None] & seen[..., None, columns]
    return values, valid


def activity(
    keypoints: NDArray[np.floating],
    confidence: NDArray[np.floating],
    window: int = WINDOW,
    threshold: float = ACTIVITY_STD,
    deviation: Deviation = "mean",
) -> tuple[np.ma.MaskedArray, np.ma.MaskedArray]:
    """Activity of each hand in the window that starts at each frame (A1).

    A hand is inactive iff it hangs below the mid-torso and hardly moves: the mean y of its joints over the window is
    larger than that of shoulders and hips, and the sum over its joints of the standard deviation over time is below
    `threshold`. D (decision 0026): the sum is 21 times the mean over the joints that are seen in the window, so that a
    hand half of which is hidden does not count as still; the deviation of a joint is over the frames in which it is
    seen (confidence of at least 0.5); a hand never seen in the window is inactive.

    Args:
        keypoints: (T, 61, 3) metres, with the standard bones; the shoulders and hips count whatever their confidence.
        confidence: (T, 61).
        window: frames of a window.
        threshold: metres.
        deviation: one number from the deviations of a joint's x, y and z: their mean, 2-norm or sum.

    Returns:
        Right and left, each (T,) bool, masked where no full window starts.
    """
    seen = (confidence >= MIN_CONFIDENCE) & np.isfinite(keypoints).all(-1)
    n_frames, n_windows = len(keypoints), max(len(keypoints) - window + 1, 0)
    torso = keypoints[:, list(ACTIVITY_REFERENCE), 1].mean(-1, dtype=np.float64)
    labels: list[np.ma.MaskedArray] = []
    for side in SIDES:
        active = np.zeros(n_frames, bool)
        hand, hand_seen = keypoints[:, HANDS[side]], seen[:, HANDS[side]]
        for start in range(0, n_windows, _CHUNK):
            stop = min(start + _CHUNK, n_windows)
            frames = slice(start, stop + window - 1)
            active[start:stop] = _active(hand[frames], hand_seen[frames], torso[frames], window, threshold, deviation)
        labels.append(np.ma.MaskedArray(active, np.arange(n_frames) >= n_windows))
    return labels[0], labels[1]


def angle_validity(confidence: Array, tables: Tables | None = None) -> tuple[Array, Array, Array]:
    """Validity of angles: every joint that the angle is solved from has a confidence of at least 0.5 (A8).

    Args:
        confidence: (..., 61); numpy or torch.
        tables: of this array's kind and device; None = made for this call.

    Returns:
        Body (..., 22), right hand (..., 41) and left hand (..., 41), bool.
    """
    missing = confidence < MIN_CONFIDENCE
    missing = missing.astype(np.float32) if namespace(confidence) is np else missing.float()
    valid = (missing @ (tables or tables_for(confidence)).needed) == 0
    body, right = len(BODY_ANGLES), len(BODY_ANGLES) + len(HAND_ANGLES)
    return valid[..., :body], valid[..., body:right], valid[..., right:]


def _active(
    hand: NDArray[np.floating],
    seen: NDArray[np.bool_],
    torso: NDArray[np.float64],
    window: int,
    threshold: float,
    deviation: Deviation,
) -> NDArray[np.bool_]:
    """(W,) of the W = T - window + 1 windows of a block: hand (T, 21, 3), seen (T, 21), torso (T,) mean y."""
    n_windows = len(hand) - window + 1
    hand = np.where(seen[..., None], hand, 0).astype(np.float64)
    weight = seen.astype(np.float64)[..., None]

    def over_window(values: Callable[[slice], NDArray[np.float64]]) -> NDArray[np.float64]:
        total = values(slice(0, n_windows)).copy()
        for k in range(1, window):
            total += values(slice(k, k + n_windows))
        return total

    count = over_window(lambda frames: weight[frames])  # (W, 21, 1)
    shown = np.maximum(count, 1)
    # Two passes over the window: no difference of large sums.
    mean = over_window(lambda frames: hand[frames]) / shown
    variance = over_window(lambda frames: weight[frames] * (hand[frames] - mean) ** 2) / shown
    shown_joints = (count > 0).sum((1, 2))  # a joint that is never seen has deviation 0
    movement = N_HAND_JOINTS * _REDUCE[deviation](np.sqrt(variance)).sum(-1) / np.maximum(shown_joints, 1)
    detections = count.sum((1, 2))
    height = (mean[..., 1] * count[..., 0]).sum(1) / np.maximum(detections, 1)
    below = height > over_window(lambda frames: torso[frames]) / window
    return (detections > 0) & ~(below & (movement < threshold))


@functools.cache
def _joints_needed() -> NDArray[np.float32]:
    """(22 + 41 + 41, 61): 1 where the angle is solved from the joint (D: our choice, no source)."""
    rows = [_body_angle_joints(angle) for angle in BODY_ANGLES]
    rows += [_hand_angle_joints(angle, side) for side in SIDES for angle in HAND_ANGLES]
    needed = np.zeros((len(rows), N_JOINTS), np.float32)
    for row, joints in zip(needed, rows, strict=True):
        row[list(joints)] = 1
    return needed


def _body_angle_joints(angle: str) -> set[int]:
    shoulders = set(SHOULDERS)  # the neck between them is the origin
    part, _, rest = angle.partition("_")
    if part in ARMS:
        _, elbow, wrist = ARMS["right" if part == "right" else "left"]
        if rest.startswith("clavicle"):
            return shoulders
        twist = rest in ("shoulder_y", "elbow_x")  # rotations about the upper arm show only in the forearm
        return shoulders | {elbow} | ({wrist} if twist else set())
    if part == "head":
        return shoulders | {NOSE, *(JOINTS.index(f"{side}_eye") for side in SIDES)}
    if part == "reserved":
        return shoulders
    return shoulders | set(HIPS)


def _hand_angle_joints(angle: str, side: Side) -> set[int]:
    start, finger = HANDS[side].start, angle.partition("_")[0]
    palm = {start + k for k in (HAND_WRIST, *KNUCKLES)}
    if finger == "wrist":
        return palm
    return palm | {start + k for k, joint in enumerate(HAND_JOINTS) if joint.startswith(finger)}
