"""Inverse kinematics of the sign skeleton: landmarks to angles (supplement A1; "From detector landmarks to angles").

Closed forms joint by joint, then a few damped Gauss-Newton steps with joint limits, over all frames at once. The body
is divided into independent kinematic chains: two arms, head, spine, and for each hand the palm and, given the palm, its
five fingers. Bone lengths are the video's own medians, the same in every frame and on both sides.

Missing angles are filled in time: over at most `max_gap` frames by interpolation, otherwise by the nearest known pose
of the video, or the resting one. They are finite, and flagged.

Legend: T frames, J = 61 joints, A angles.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from signrep_core.body.arrays import blocks
from signrep_core.body.bones import frame_offsets, measure_bones, scatter, seen_joints, video_offsets
from signrep_core.body.fit_body import BODY_REST, fit_body
from signrep_core.body.fit_hand import HAND_REST, fit_hand, hand_scale
from signrep_core.body.forward import forward_kinematics
from signrep_core.body.priors import angle_validity
from signrep_core.skeleton import (
    HAND_ANGLES,
    HANDS,
    MIN_CONFIDENCE,
    N_BODY_OFFSETS,
    RESERVED_ANGLES,
    SHOULDERS,
    SIDES,
)

Floats = NDArray[np.float64]

PERIODIC: Final = [HAND_ANGLES.index(name) for name in ("wrist_x", "wrist_z")]  # full rotations
BRIEF: Final = 8  # frames: a shorter video shows too little of its bones and movements
_TABLE = (
    "body_angles", "right_angles", "left_angles", "body_offsets", "hand_offsets", "confidence", "residual_m",
    "interpolated", "flag",
)  # fmt: skip
_TURN_WINDOW = 25  # frames: a median over one second ignores a few mistaken shoulders


@dataclass(frozen=True)
class Solution:
    """The angles of one video with their validity, bones, landmarks and confidence.

    `body_angles` (T, 22), `right_angles` and `left_angles` (T, 41): radians, finite everywhere.
    `body_valid`, `right_valid`, `left_valid`: bool of the same shapes, False where a joint that the angle needs was not
    detected.
    `lengths` (T, 36, 2): each frame's bones in metres, by side; NaN where not seen.
    `video_body_offsets` (16,), `video_hand_offsets` (20,): the bones that the angles were fitted with.
    `hand_scale` (T, 2): size of the right and left hand's landmarks relative to those bones; NaN where not seen.
    `landmarks` (T, 61, 3): targets of the posed skeleton; NaN where nothing was detected.
    `confidence` (T, 61): of each joint, for the masks of A8; 0 where the signer is turned away.
    `flag` (T,): a key of `errors.FLAGS`, or empty.
    """

    body_angles: Floats
    right_angles: Floats
    left_angles: Floats
    body_valid: NDArray[np.bool_]
    right_valid: NDArray[np.bool_]
    left_valid: NDArray[np.bool_]
    lengths: Floats
    video_body_offsets: Floats
    video_hand_offsets: Floats
    hand_scale: Floats
    landmarks: Floats
    confidence: NDArray[np.floating]
    flag: NDArray[np.str_]

    @cached_property
    def body_offsets(self) -> Floats:
        """(T, 16) of each frame, both sides averaged; NaN where not seen."""
        return frame_offsets(self.lengths)[0]

    @cached_property
    def hand_offsets(self) -> Floats:
        """(T, 20) of each frame, both sides averaged; NaN where not seen."""
        return frame_offsets(self.lengths)[1]

    @cached_property
    def interpolated(self) -> NDArray[np.bool_]:
        """(T,) whether some angle of the frame was filled instead of detected."""
        return ~np.concatenate((self.body_valid, self.right_valid, self.left_valid), 1).all(1)

    @cached_property
    def residual_m(self) -> Floats:
        """(T,) mean distance of the posed skeleton to the landmarks; NaN where there are none."""
        residual = np.full(len(self.landmarks), np.nan)
        for frames in blocks(len(residual)):
            squares = ((self.joints(frames) - self.landmarks[frames]) ** 2).sum(-1)
            seen = np.isfinite(squares)
            distance = np.sqrt(np.where(seen, squares, 0)).sum(-1)
            residual[frames] = np.where(seen.any(-1), distance / np.maximum(seen.sum(-1), 1), np.nan)
        return residual

    def columns(self) -> dict[str, NDArray[Any]]:
        """Columns of the angles table."""
        return {name: getattr(self, name) for name in _TABLE}

    def joints(self, frames: slice = slice(None)) -> Floats:
        """The posed skeleton with the video's own bones: (T, 61, 3)."""
        return forward_kinematics(
            self.body_angles[frames],
            self.right_angles[frames],
            self.left_angles[frames],
            self.video_body_offsets,
            self.video_hand_offsets,
        )


def solve_angles(
    landmarks: NDArray[np.floating],
    confidence: NDArray[np.floating],
    max_gap: int = 5,
    body_offsets: Floats | None = None,
    hand_offsets: Floats | None = None,
) -> Solution:
    """Solve the joint angles of every frame of a video.

    Args:
        landmarks: (T, 61, 3) metres, skeleton axes, neck at the origin; NaN where missing.
        confidence: (T, 61); a joint below 0.5 is missing (A8).
        max_gap: longest gap in frames over which missing angles are interpolated in time.
        body_offsets, hand_offsets: (16,) and (20,) bones to fit with; by default the video's own medians.
    """
    joints = seen_joints(landmarks, confidence)
    lengths = measure_bones(landmarks, confidence)
    own_body, own_hand = video_offsets(lengths)
    body_bones = own_body if body_offsets is None else np.asarray(body_offsets, np.float64)
    hand_bones = own_hand if hand_offsets is None else np.asarray(hand_offsets, np.float64)
    body_valid, *hands_valid = angle_validity(np.isfinite(joints[..., 0]))

    body = fill_gaps(fit_body(joints, body_bones, lengths), body_valid, max_gap, BODY_REST)
    body[:, RESERVED_ANGLES] = 0
    scales = np.stack([hand_scale(lengths[:, N_BODY_OFFSETS:, k], hand_bones) for k in range(len(SIDES))], -1)
    hands = []
    for k, (side, valid) in enumerate(zip(SIDES, hands_valid, strict=True)):
        size = scales[:, k, None]
        noise = scatter(lengths[:, N_BODY_OFFSETS:, k] / size)
        angles = fit_hand(side, joints[:, HANDS[side]] / size[..., None], hand_bones, noise)
        hands.append(fill_gaps(angles, valid, max_gap, HAND_REST, PERIODIC))
    flag = flag_frames(confidence, np.subtract(*(joints[:, joint, 0] for joint in reversed(SHOULDERS))))
    return Solution(
        body_angles=body,
        right_angles=hands[0],
        left_angles=hands[1],
        body_valid=body_valid,
        right_valid=hands_valid[0],
        left_valid=hands_valid[1],
        lengths=lengths,
        video_body_offsets=body_bones,
        video_hand_offsets=hand_bones,
        hand_scale=scales,
        landmarks=joints,
        confidence=np.where(flag[:, None] == "turned_away", 0, confidence),
        flag=flag,
    )


def flag_frames(confidence: NDArray[np.floating], across: NDArray[np.floating]) -> NDArray[np.str_]:
    """(T,) the reason why a frame's pose is doubtful, as a key of `errors.FLAGS`; empty where it is not.

    Args:
        confidence: (T, 61) the detector's.
        across: (T,) x of the left shoulder in the image, from the right one; NaN where unknown.
    """
    seen = confidence >= MIN_CONFIDENCE
    facing = np.nan_to_num(across, nan=0.0) >= 0
    turned = median_filter(facing.astype(np.uint8), _TURN_WINDOW, mode="nearest") == 0 if len(facing) else facing
    flags = np.where(seen.all(1), "", "incomplete").astype("<U12")
    if len(flags) < BRIEF:
        flags[:] = "brief"
    flags[turned] = "turned_away"
    flags[~seen[:, SHOULDERS].all(1)] = "absent"
    return flags


def fill_gaps(
    angles: Floats, known: NDArray[np.bool_], max_gap: int, rest: Floats, periodic: list[int] | None = None
) -> Floats:
    """Fill unknown angles (T, A) in time; periodic ones are unwrapped, so that they never jump by 2π."""
    filled, times = angles.copy(), np.arange(len(angles))
    for k, column in enumerate(known.T):
        frames = np.flatnonzero(column)
        if not frames.size:
            filled[:, k] = rest[k]
            continue
        values = np.unwrap(angles[frames, k]) if periodic and k in periodic else angles[frames, k]
        if frames.size == len(times):
            filled[:, k] = values
            continue
        filled[:, k] = np.interp(times, frames, values)
        after = np.clip(np.searchsorted(frames, times), 1, max(frames.size - 1, 1))
        before, after = frames[after - 1], frames[np.minimum(after, frames.size - 1)]
        long = ~column & (after - before - 1 > max_gap) & (times > before) & (times < after)
        nearest = np.where(times - before <= after - times, before, after)
        filled[long, k] = values[np.searchsorted(frames, nearest[long])]
    return filled
