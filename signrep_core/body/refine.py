"""Refinement: a video's angles moved so that the posed skeleton lies where the camera saw its joints.

The angles given (a lifter's, or any other solver's) are the prior, each with the spread that its solver expects of it.
The camera is a perspective one; where the neck stands before it is found in each frame, its distance made steady. A
joint seen in the picture then lies somewhere on a line of sight, and the limbs of `fit_body` and `fit_hand` are fitted
to these lines by the same damped Gauss-Newton steps with joint limits as to landmarks, the prior taking the place of
rest. Bones are the video's, the same in every frame. Last, a smoother that knows how fast limbs turn takes off tremor.

Legend: T frames, n of them in a stretch, J = 61 joints, A angles, P points of a limb; vectors are axes first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded
from scipy.ndimage import median_filter

from signrep_core.body.chain import Bounds, Limb, fit_limb, pose_limb
from signrep_core.body.fit_body import (
    ARM,
    ARM_ANGLES,
    FACE,
    HEAD,
    HEAD_ANGLES,
    HIPS,
    ROOT,
    SPINE,
    SPINE_ANGLES,
    arm_bones,
    face_bones,
    spine_bones,
)
from signrep_core.body.fit_hand import (
    FINGER,
    FINGER_ANGLES,
    FINGER_JOINTS,
    MCPS,
    METACARPAL_ANGLES,
    PALM,
    THUMB,
    THUMB_ANGLES,
    THUMB_JOINTS,
    hand_lengths,
    wrist_angles,
)
from signrep_core.body.forward import FINGER_BONES, arm_frames, forward_kinematics, hand_base, hand_signs, turns
from signrep_core.body.landmarks import SCALE_JOINTS, SCALE_WINDOW
from signrep_core.body.rotations import Axes, Floats, across, cross, unit, whole_turns_off
from signrep_core.skeleton import (
    ARMS,
    BODY,
    BODY_LIMITS,
    HAND_ANGLES,
    HAND_LIMITS,
    HANDS,
    MIN_CONFIDENCE,
    N_BODY_ANGLES,
    N_HAND_ANGLES,
    N_JOINTS,
    SIDES,
    Side,
)

_STRETCH = 512  # frames fitted at a time: small enough for the processor's cache
_ROUNDS = 2  # of placing the neck and fitting the limbs
_STEPS = 2
_NOISE = 0.01  # metres: how far a joint of a hand is seen off
_BODY_NOISE = 0.018  # of the body: no point of the skin is the joint
_OUTLIER = 2.5  # times as far off: from here on a joint counts in proportion less (Huber)
_UNSEEN = 0.05  # least weight of a frame in smoothing
_LEFT_OPEN = 0.07  # radians that an angle strays which no joint shows
_SPREADS = (0.02, 1.0)  # radians: least and greatest
_BODY_TREMOR, _PALM_TREMOR, _HAND_TREMOR = 1.0, 1.0, 1.0  # of angles, see `smooth`
_WRIST = [HAND_ANGLES.index(f"wrist_{axis}") for axis in "xyz"]
_PALM_JOINTS = [0, *MCPS]

Angles = tuple[Floats, Floats, Floats]  # body (T, 22), right and left hand (T, 41); radians


class Refined(NamedTuple):
    """Refined angles of a video."""

    body_angles: Floats  # (T, 22)
    right_angles: Floats  # (T, 41)
    left_angles: Floats  # (T, 41)
    neck: Floats  # (T, 3) metres before the camera

    @property
    def angles(self) -> Angles:
        """Body, right and left angles."""
        return self.body_angles, self.right_angles, self.left_angles


def refine_angles(
    image_xy: NDArray[np.floating],
    confidence: NDArray[np.floating],
    centre: Floats,
    focal: float,
    angles: Angles,
    spread: Angles,
    body_offsets: Floats,
    hand_offsets: Floats,
) -> Refined:
    """Bring a video's angles to where its joints are seen in the picture.

    Args:
        image_xy: (T, 61, 2) pixels; NaN where missing.
        confidence: (T, 61); a joint below 0.5 is missing (A8), others count by it.
        centre, focal: (2,) the camera's principal point and its focal length, pixels.
        angles: the prior, radians, finite.
        spread: how far each may be off, radians (standard deviations).
        body_offsets, hand_offsets: (16,) and (20,) the video's bones.

    Returns:
        Angles of the same shapes, finite and within the limits; where nothing is seen, the prior.
    """
    sight = (np.asarray(image_xy, np.float64) - centre) / focal
    seen = (confidence >= MIN_CONFIDENCE) & np.isfinite(sight).all(-1)
    view = _View(np.where(seen[..., None], sight, 0.0), np.where(seen, confidence, 0.0).astype(np.float64))
    prior = (_within(angles[0], BODY_LIMITS), _within(angles[1], HAND_LIMITS), _within(angles[2], HAND_LIMITS))
    bones = (np.asarray(body_offsets, np.float64), np.asarray(hand_offsets, np.float64))
    found = prior
    for _ in range(_ROUNDS):
        joints = forward_kinematics(*found, *bones)
        neck = place_neck(joints, view.sight, view.weight)
        found = _fit_stretches(view.robust(joints, neck), neck, found, prior, spread, bones)
    share = [view.weight[:, joints].mean(1) for joints in (BODY, HANDS["right"], HANDS["left"])]
    return Refined(*_steady(found, (share[0], share[1], share[2])), neck)


def angle_spread(error: Floats, body_offsets: Floats, hand_offsets: Floats) -> Angles:
    """How far angles may be off where joints are, (T, 22) and twice (T, 41): an error across a bone turns it.

    Args:
        error: (T, 61) metres to expect: of the body from the neck, of a hand's joints from its wrist.
        body_offsets, hand_offsets: (16,) and (20,).
    """
    body = np.full((len(error), N_BODY_ANGLES), _LEFT_OPEN)
    lengths = body_offsets * np.r_[1.0, np.full(len(body_offsets) - 1, body_offsets[0])]
    for side in SIDES:
        shoulder, elbow, wrist = (error[:, joint, None] for joint in ARMS[side])
        turned = [shoulder / lengths[1]] * 2 + [elbow / lengths[0]] * 2 + [wrist / lengths[2]] * 2
        body[:, ARM_ANGLES[side]] = np.concatenate(turned, 1)
    body[:, HEAD_ANGLES] = error[:, FACE[0], None] / lengths[3]
    body[:, SPINE_ANGLES[:3]] = error[:, HIPS].mean(1)[:, None] / (2 * lengths[5])
    hands = [_hand_spread(error[:, HANDS[side]], hand_lengths(hand_offsets)) for side in SIDES]
    return _bounded(body), _bounded(hands[0]), _bounded(hands[1])


def _hand_spread(error: Floats, lengths: Floats) -> Floats:
    """(T, 41) from errors (T, 21); what a joint adds to the error of the one before turned the bone between them."""
    spread = np.full((len(error), N_HAND_ANGLES), _LEFT_OPEN)
    spread[:, _WRIST] = error[:, MCPS].mean(1)[:, None] / lengths[0]
    bones = lengths[list(FINGER_BONES.values())]  # (5, 4)
    joints = error[:, 1:].reshape(-1, 5, 4)
    added = np.sqrt(np.maximum(joints[..., 1:] ** 2 - joints[..., :-1] ** 2, (joints[..., 1:] / 2) ** 2)) / bones[:, 1:]
    for finger in range(4):
        columns = FINGER_ANGLES[finger]
        spread[:, columns[3:]] = added[:, 1 + finger][:, [0, 0, 1, 2]]  # MCP x and y, PIP, DIP
    spread[:, THUMB_ANGLES] = added[:, 0][:, [0, 0, 0, 0, 0, 0, 1, 1, 1, 2]]
    return spread


def _bounded(spread: Floats) -> Floats:
    return np.clip(spread, *_SPREADS)


def place_neck(joints: Floats, sight: Floats, weight: Floats) -> Floats:
    """(T, 3) where the neck stands before the camera, in metres.

    Trunk and head tell its distance, a running median over some seconds; given that, they tell its direction.

    Args:
        joints: (T, 61, 3) the posed skeleton, neck at the origin.
        sight: (T, 61, 2) x / z and y / z of the lines on which the joints are seen.
        weight: (T, 61), 0 where missing.
    """
    trunk = list(SCALE_JOINTS)
    place, lines, w = joints[:, trunk], sight[:, trunk], weight[:, trunk, None]
    w = w / np.maximum(w.sum(1, keepdims=True), 1e-9)
    across = place[..., :2] - lines * place[..., 2:]  # = lines · distance - neck's x, y
    lines_off, across_off = (values - (w * values).sum(1, keepdims=True) for values in (lines, across))
    spread = (w * lines_off**2).sum((1, 2))
    good = (weight[:, trunk] > 0).sum(1) >= 3
    distance = np.full(len(joints), np.nan)
    distance[good] = (w * lines_off * across_off).sum((1, 2))[good] / np.maximum(spread[good], 1e-12)
    good &= np.isfinite(distance) & (distance > 0.3)
    if not good.any():
        return np.tile([0.0, 0.0, 2.0], (len(joints), 1))
    steady = np.interp(
        np.arange(len(joints)), np.flatnonzero(good), median_filter(distance[good], SCALE_WINDOW, mode="reflect")
    )
    xy = (w * (lines * steady[:, None, None] - across)).sum(1)
    for axis in range(2):
        xy[:, axis] = np.interp(np.arange(len(joints)), np.flatnonzero(good), xy[good, axis])
    return np.concatenate([xy, steady[:, None]], 1)


@dataclass(frozen=True)
class _View:
    """Lines of sight (T, 61, 2) and what they count (T, 61), 0 where nothing is seen."""

    sight: Floats
    weight: Floats

    def robust(self, joints: Floats, neck: Floats) -> Self:
        """Joints seen far from where the pose has them count less."""
        placed = joints + neck[:, None]
        off = np.linalg.norm(placed[..., :2] - self.sight * placed[..., 2:], axis=-1)
        noise = np.full(N_JOINTS, _NOISE)
        noise[BODY] = _BODY_NOISE
        relative = off / (_OUTLIER * noise)
        return type(self)(self.sight, self.weight * (_NOISE / noise) / np.sqrt(np.maximum(relative, 1)))

    def stretch(self, frames: slice) -> tuple[Floats, Floats]:
        """Of some frames, axes first: (61, 2, n) and (61, n)."""
        return np.ascontiguousarray(self.sight[frames].transpose(1, 2, 0)), self.weight[frames].T.copy()


def _fit_stretches(
    view: _View, neck: Floats, found: Angles, prior: Angles, spread: Angles, bones: tuple[Floats, Floats]
) -> Angles:
    body, *hands = (np.empty_like(part) for part in found)
    for start in range(0, len(neck), _STRETCH):
        frames = slice(start, start + _STRETCH)
        sight, weight = view.stretch(frames)
        (old_body, *old), (prior_body, *priors), (body_spread, *spreads) = (
            [part[frames] for part in angles] for angles in (found, prior, spread)
        )
        body[frames] = _fit_body(sight, weight, neck[frames].T, (old_body, prior_body, body_spread), bones[0])
        before, joints = (forward_kinematics(pose, old[0], old[1], *bones) for pose in (old_body, body[frames]))
        for k, side in enumerate(SIDES):
            own, wrist = HANDS[side], ARMS[side][2]
            hand = _Hand(side, sight[own], weight[own], (neck[frames] + joints[:, wrist]).T)
            hand.centre((before[:, own] - before[:, wrist, None]).transpose(1, 2, 0) * hand.mirror)
            palm = palm_frame(side, prior_body, priors[k])
            hands[k][frames] = _fit_hand(hand, palm, body[frames], (old[k], priors[k], spreads[k]), bones[1])
    return body, hands[0], hands[1]


def _targets(sight: Floats, origin: Floats) -> Floats:
    """(P, 3, n) a point of each line of sight (P, 2, n), from an origin (3, n) before the camera."""
    flat = sight * origin[2] - origin[:2]
    return np.concatenate([flat, np.zeros_like(flat[:, :1])], 1)


def _fit(
    limb: Limb, limits: Floats, angles: Sequence[Floats], base: Axes, bones: Floats,
    target: Floats, weight: Floats, sight: Floats,
) -> Floats:  # fmt: skip
    """(A, ..., n) angles of a limb; limits (A, ..., 2), angles found, prior and spread (A, ..., n)."""
    start, rest, spread = angles
    lowest, highest = np.moveaxis(limits, -1, 0)[..., None]
    bounds = Bounds(lowest, highest, rest, _NOISE / spread)
    return fit_limb(limb, start, base, bones, target, weight, bounds, _STEPS, sight)


# ---------------------------------------------------------------- the body
def _fit_body(sight: Floats, weight: Floats, neck: Floats, parts: Angles, offsets: Floats) -> Floats:
    """(n, 22) from lines (61, 2, n), weights (61, n), neck (3, n) and angles (n, 22) found, prior and spread."""
    fitted = parts[0].copy()
    limbs = [(ARM, ARM_ANGLES[side], arm_bones(side, offsets), _arm_lines(side, sight, weight)) for side in SIDES]
    limbs.append((HEAD, HEAD_ANGLES, face_bones(offsets), (sight[FACE], weight[FACE])))
    middle = np.zeros_like(sight[:1]), np.zeros_like(weight[:1])  # the mid-spine is not seen
    lines = np.concatenate([middle[0], sight[HIPS]]), np.concatenate([middle[1], weight[HIPS]])
    limbs.append((SPINE, SPINE_ANGLES, spine_bones(offsets), lines))
    for limb, columns, bones, (seen, counts) in limbs:
        angles = [part[:, columns].T for part in parts]
        lines_and_bones = bones[..., None], _targets(seen, neck), counts, seen
        fitted[:, columns] = _fit(limb, BODY_LIMITS[columns], angles, ROOT, *lines_and_bones).T
    return fitted


def _arm_lines(side: Side, sight: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Lines and weights of shoulder, elbow and wrist; the hand's wrist, where it is seen, counts for the arm's."""
    joints, hand = list(ARMS[side]), HANDS[side].start
    lines, counts = sight[joints], weight[joints]
    both = np.maximum(counts[2] ** 2 + weight[hand] ** 2, 1e-12)
    lines[2] = (counts[2] ** 2 * lines[2] + weight[hand] ** 2 * sight[hand]) / both
    counts[2] = np.sqrt(both)
    return lines, counts


# ---------------------------------------------------------------- the hands
class _Hand:
    """What is seen of a hand, a left one mirrored: lines (21, 2, n), weights (21, n), its wrist (3, n)."""

    def __init__(self, side: Side, sight: Floats, weight: Floats, wrist: Floats) -> None:
        self.side = side
        self.mirror = np.array([1.0 if side == "right" else -1.0, 1, 1])[:, None]
        self.sight, self.weight, self.wrist = sight * self.mirror[:2], weight, wrist * self.mirror

    def centre(self, shape: Floats) -> None:
        """Move the wrist so that the palm of a shape (21, 3, n) lies amid its lines, and only the form counts."""
        palm = _PALM_JOINTS
        w = self.weight[palm] ** 2
        off = _targets(self.sight[palm], self.wrist)[:, :2] + self.sight[palm] * shape[palm, 2:] - shape[palm, :2]
        self.wrist = self.wrist.copy()
        self.wrist[:2] += (w[:, None] * off).sum(0) / np.maximum(w.sum(0), 1e-9)

    def lines(self, joints: slice | list[int]) -> tuple[Floats, Floats, Floats]:
        """Targets, weights and lines of some joints, from the wrist."""
        return _targets(self.sight[joints], self.wrist), self.weight[joints], self.sight[joints]


def _fit_hand(hand: _Hand, palm: Axes, body: Floats, parts: Angles, offsets: Floats) -> Floats:
    """(n, 41) angles of a hand.

    Args:
        hand: what is seen of it.
        palm: the prior's, see `palm_frame`.
        body: (n, 22) fitted.
        parts: the hand's angles found, of the prior, and its spread, each (n, 41).
        offsets: (20,).
    """
    bones = hand_lengths(offsets)[list(FINGER_BONES.values())]  # (5, 4)
    fitted = parts[0].copy()
    palm = _fit_palm(hand, palm, parts, bones[1:, 0])
    angles = [part[:, FINGER_ANGLES].transpose(2, 1, 0) for part in parts]  # (7, F, n)
    lines = (part.reshape(4, 4, *part.shape[1:]) for part in hand.lines(FINGER_JOINTS))  # (F, joint, ..., n)
    target, weight, sight = (np.moveaxis(part, 0, -2) for part in lines)
    limits, base = HAND_LIMITS[FINGER_ANGLES.T], [axis[:, None] for axis in palm]
    fingers = _fit(FINGER, limits, angles, base, _along_z(bones[1:].T), target, weight, sight)
    fitted[:, FINGER_ANGLES] = fingers.transpose(2, 1, 0)
    angles = [part[:, THUMB_ANGLES].T for part in parts]
    thumb = _fit(THUMB, HAND_LIMITS[THUMB_ANGLES], angles, palm, _along_z(bones[0]), *hand.lines(THUMB_JOINTS))
    fitted[:, THUMB_ANGLES] = thumb.T
    fitted[:, _WRIST] = wrist_angles(hand.side, np.stack(palm).transpose(2, 0, 1), arm_frames(hand.side, body)[2])
    return fitted


def _fit_palm(hand: _Hand, palm: Axes, parts: Angles, bones: Floats) -> Axes:
    """The palm's frame, turned from the prior's; metacarpals (F,) in metres, the rest as of `_fit_hand`."""
    columns = METACARPAL_ANGLES.ravel()
    found, prior, spread = (part[:, columns].T for part in parts)
    still, any_turn = np.zeros((3, found.shape[1])), np.tile((-np.pi, np.pi), (3, 1))
    limits = np.concatenate([any_turn, HAND_LIMITS[columns]])
    angles = [np.concatenate(both) for both in ((still, found), (still, prior), (parts[2][:, _WRIST].T, spread))]
    fitted = _fit(PALM, limits, angles, palm, _along_z(bones), *hand.lines(MCPS))
    return pose_limb(PALM, fitted, palm, _along_z(bones))[0][2]


def _along_z(bones: Floats) -> Floats:
    """(P, ...) lengths as vectors (P, 3, ..., 1), the same in every frame."""
    return np.stack([np.zeros_like(bones), np.zeros_like(bones), bones], 1)[..., None]


def palm_frame(side: Side, body: Floats, hand: Floats) -> Axes:
    """The columns (3, n) of the palm's frame from angles (n, 22) and (n, 41), of a left hand its mirror image's."""
    frame = turns(hand_base(side, arm_frames(side, body)[2]), "xyz", hand[:, _WRIST], hand_signs(side))
    if side == "right":
        return [axis.T for axis in frame]
    flip = np.array([-1.0, 1, 1])
    return [axis.T for axis in (-frame[0] * flip, frame[1] * flip, frame[2] * flip)]


# ---------------------------------------------------------------- over time
def _steady(angles: Angles, seen: tuple[Floats, Floats, Floats]) -> Angles:
    """Angles without tremor; `seen` (T,) says how much of the body and of each hand was seen."""
    body = np.clip(smooth(angles[0], seen[0], _BODY_TREMOR), *BODY_LIMITS.T)
    steady = [body]
    for k, side in enumerate(SIDES):
        hand = np.clip(smooth(angles[1 + k], seen[1 + k], _HAND_TREMOR), *HAND_LIMITS.T)
        palm = np.stack(palm_frame(side, angles[0], angles[1 + k]))  # (3, 3, T), as wrist angles may jump by a turn
        x, _, z = smooth(palm.reshape(9, -1).T, seen[1 + k], _PALM_TREMOR).T.reshape(3, 3, -1)
        z = unit(z)
        x = across(x, z)
        palms = np.stack([x, cross(z, x), z]).transpose(2, 0, 1)
        wrist = wrist_angles(side, palms, arm_frames(side, body)[2])
        hand[:, _WRIST] = np.unwrap(wrist, axis=0)  # so that they never jump by a turn
        steady.append(hand)
    return steady[0], steady[1], steady[2]


def smooth(values: Floats, weight: Floats, tremor: float) -> Floats:
    """(T, A) nearest to the values (T, A), weighted by frame (T,), with little change of speed (Whittaker).

    `tremor` is how large the values' noise is, relative to how far a frame's speed differs from the one before.
    """
    frames, weight = len(values), np.maximum(weight, _UNSEEN)
    if frames < 3:
        return values
    bands = np.zeros((3, frames))  # of weight + tremor² DᵀD, D the second difference; the upper form of LAPACK
    bands[2] = weight
    for row, pair in ((2, (0, 0)), (2, (1, 1)), (2, (2, 2)), (1, (0, 1)), (1, (1, 2)), (0, (0, 2))):
        difference = (1.0, -2.0, 1.0)
        bands[row, pair[1] : frames - 2 + pair[1]] += tremor**2 * difference[pair[0]] * difference[pair[1]]
    return np.asarray(solveh_banded(bands, values * weight[:, None]))


def _within(angles: Floats, limits: Floats) -> Floats:
    """Angles (T, A) within their limits (A, 2), whole turns taken off."""
    return np.clip(whole_turns_off(np.asarray(angles, np.float64).T, limits).T, *limits.T)
