"""Hand angles from landmarks: the palm first, then five fingers, each fitted on its own given the palm.

A left hand is solved as the mirror image of a right one: mirroring x negates exactly its y and z rotations.

Two ambiguities of landmarks are resolved here:
- The wrist and the metacarpals can express the same palm, and a metacarpal's twist shows only in a bent finger.
  Springs draw these angles towards rest, the stiffer the noisier the video; noise is read from how much the bone
  lengths scatter, so that landmarks without noise are reproduced exactly.
- A hand appears larger as it approaches the camera, by an unknown factor: the hand of each frame is divided by its
  `hand_scale` before fitting.

Legend: T frames, n of them in a block, F = 4 fingers; vectors are (3, n), axes first.
"""

from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from signrep_core.body.arrays import BLOCK
from signrep_core.body.chain import LEAST_NOISE, Bounds, KinematicChain, Targets, fit_chain, pose_chain, serial_chain
from signrep_core.body.forward import FINGER_BONES, wrist_angles
from signrep_core.body.rotations import (
    Axes,
    Floats,
    aim_z,
    cross,
    dot,
    inverse_rotate,
    local,
    nearest_turn,
    perpendicular,
    pull_to_rest,
    unit,
)
from signrep_core.skeleton import (
    HAND_ANGLES,
    HAND_LIMITS,
    KNUCKLES,
    N_HAND_ANGLES,
    N_WRIST_ANGLES,
    OBSERVED_HAND_RANGES,
    Side,
)

HAND_REST: Final[Floats] = OBSERVED_HAND_RANGES.mean(1)  # the middle of the observed ranges

Integers = NDArray[np.intp]

_Z = np.array([[0.0], [0], [1]])

PALM: Final = KinematicChain(
    "xyz" + "xy" * 4, (-1, 0, 1, 2, 3, 2, 5, 2, 7, 2, 9), (-1,) * 11, (4, 6, 8, 10), (-1,) * 4
)  # the wrist, then each finger's metacarpal
FINGER: Final = serial_chain("xyzxyxx", (3, 5, 6, 7))
THUMB: Final = serial_chain("xyzxyzxyzx", (3, 6, 9, 10))

THUMB_ANGLES = list(range(3, 13))
FINGER_ANGLES = np.arange(13, N_HAND_ANGLES).reshape(4, 7)
METACARPAL_ANGLES = FINGER_ANGLES[:, :2]  # x and y
MCPS = list(KNUCKLES)
THUMB_JOINTS = slice(1, 5)
FINGER_JOINTS = slice(5, 21)

# Usual deviation of an angle from rest (radians); a spring has the stiffness noise / deviation. Redundant angles have
# stiff springs; the weak springs of flexion matter only where noisy landmarks leave an angle undetermined.
_STRAYS = {
    "metacarpal_x": 0.1, "metacarpal_y": 0.1, "metacarpal_z": 0.1, "thumb_cmc_z": 0.15, "thumb_mcp_z": 0.15,
    "thumb_ip_z": 0.3, "mcp_y": 0.4, "mcp_x": 1, "pip_x": 1, "dip_x": 1, "tip_x": 1,
}  # fmt: skip
HAND_DEVIATION = np.array(
    [
        min([deviation for part, deviation in _STRAYS.items() if name.endswith(part)], default=np.inf)
        for name in HAND_ANGLES
    ]
)


def hand_scale(lengths: Floats, offsets: Floats) -> Floats:
    """Size of one hand's landmarks relative to the video's bones, by least squares over its bones.

    lengths (T, 20) metres with NaN, offsets (20,); returns (T,), NaN where no bone is seen.
    """
    bones = hand_lengths(offsets)
    seen = np.isfinite(lengths)
    squares = (seen * bones**2).sum(-1)
    return np.where(squares > 0, np.nansum(lengths * bones, -1) / np.maximum(squares, 1e-12), np.nan)


def hand_lengths(offsets: Floats) -> Floats:
    """(20,) metres from hand offsets."""
    return offsets * np.r_[1.0, np.full(len(offsets) - 1, offsets[0])]


def fit_hand(side: Side, hand: Floats, offsets: Floats, noise: float) -> Floats:
    """Fit the hand angles of every frame; a hand is at rest where a joint of its palm is missing.

    Args:
        side: of the hand; a left one is mirrored.
        hand: (T, 21, 3) metres, of the size of `offsets`, NaN where missing.
        offsets: (20,) the video's bones.
        noise: scatter of the landmarks, metres.

    Returns:
        (T, 41) radians.
    """
    angles = np.tile(HAND_REST, (len(hand), 1))
    mirror = np.array([1.0 if side == "right" else -1.0, 1, 1])
    relative = (hand - hand[:, :1]) * mirror
    bones = hand_lengths(offsets)[list(FINGER_BONES.values())]  # (5, 4)
    frames = np.flatnonzero(np.isfinite(relative[:, MCPS]).all((1, 2)))
    for start in range(0, len(frames), BLOCK):
        block = frames[start : start + BLOCK]
        joints = np.ascontiguousarray(relative[block].transpose(1, 2, 0))  # (21, 3, n)
        palm, metacarpals = _fit_palm(joints[MCPS], bones[1:, 0], noise)
        angles[block, :N_WRIST_ANGLES] = wrist_angles("right", np.stack(palm).transpose(2, 1, 0))
        angles[block, 3:13] = _fit_thumb(palm, joints[THUMB_JOINTS], bones[0], noise).T
        fingers = joints[FINGER_JOINTS].reshape(4, 4, 3, -1).transpose(1, 2, 0, 3)  # (joint, 3, F, n)
        fitted = _fit_fingers(palm, metacarpals, fingers, bones[1:], noise)  # (7, F, n)
        angles[block, 13:] = fitted.transpose(2, 1, 0).reshape(len(block), -1)
    return angles


def _fit_palm(mcps: Floats, bones: Floats, noise: float) -> tuple[Axes, Floats]:
    """The palm's frame, and the four metacarpals' x and y angles (2, F, n); mcps (F, 3, n), bones (F,) metres."""
    rest = HAND_REST[METACARPAL_ANGLES]  # (F, 2)
    resting = [np.stack((np.sin(y), -np.sin(x) * np.cos(y), np.cos(x) * np.cos(y))) for x, y in rest]
    frame, template = _palm_frame(mcps), np.stack(_palm_frame(np.stack(resting)[..., None]))[..., 0]
    palm = [sum(frame[i] * template[i, j] for i in range(3)) for j in range(3)]
    metacarpals = np.concatenate([aim_z(local(palm, mcp)) for mcp in mcps])  # (8, n): x, y of each finger
    free, columns = np.full(3, np.inf), METACARPAL_ANGLES.ravel()
    bounds = Bounds.of(
        np.concatenate((np.stack((-free, free), -1), HAND_LIMITS[columns])),
        np.concatenate((np.zeros(3), rest.ravel())),
        np.concatenate((free, HAND_DEVIATION[columns])),
        noise,
    )
    start = np.concatenate((np.zeros_like(metacarpals[:3]), metacarpals))
    along_z = bones[:, None, None] * _Z
    angles = fit_chain(PALM, start, palm, along_z, Targets(mcps, np.ones_like(mcps[:, 0])), bounds)
    frames, _ = pose_chain(PALM, angles, palm, along_z)
    return frames[2], angles[3:].reshape(4, 2, -1).transpose(1, 0, 2)


def _palm_frame(mcps: Floats) -> Axes:
    """Orthonormal frame of the palm: z along the metacarpals, x across, y out of its plane; mcps (F, 3, n)."""
    directions = [unit(mcp) for mcp in mcps]
    z = unit(sum(directions[1:], directions[0]))
    normals = [cross(a, b) for a, b in pairwise(directions)]
    x = perpendicular(sum(normals[1:], normals[0]), z)
    return x, cross(z, x), z


def _fit_fingers(palm: Axes, metacarpals: Floats, joints: Floats, bones: Floats, noise: float) -> Floats:
    """(7, F, n): metacarpal x y z, MCP x y, PIP x, DIP x; joints (4, 3, F, n), bones (F, 4) metres."""
    base = [axis[:, None] for axis in palm]
    vectors = np.concatenate((joints[:1], np.diff(joints, axis=0)))
    proximal, middle, distal = (
        unit(inverse_rotate("y", metacarpals[1], inverse_rotate("x", metacarpals[0], local(base, bone))))
        for bone in vectors[1:]
    )
    # A bent finger defines its plane of flexion; a straight one, or one bent by 90° at the MCP, does not.
    first, second = cross(proximal, middle), cross(middle, distal)
    normal = -first - np.where(dot(first, second) < 0, -1, 1) * second
    y = cross(proximal, perpendicular(normal, proximal))
    seen = dot(normal, normal) * (y[0] ** 2 + y[1] ** 2) * bones[:, 2, None] ** 2
    columns = FINGER_ANGLES[:, 2]
    spring = (max(noise, LEAST_NOISE) / HAND_DEVIATION[columns, None]) ** 2
    twist = pull_to_rest(np.arctan2(-y[0], y[1]), seen, HAND_REST[columns, None], spring, period=np.pi)
    twist = _within(columns, twist)
    mcp = aim_z(inverse_rotate("z", twist, proximal))

    def beyond_mcp(bone: Floats) -> Floats:
        return inverse_rotate("y", mcp[1], inverse_rotate("x", mcp[0], inverse_rotate("z", twist, bone)))

    pip = _flexion(beyond_mcp(middle), FINGER_ANGLES[:, 5])
    dip = _flexion(inverse_rotate("x", pip, beyond_mcp(distal)), FINGER_ANGLES[:, 6])
    start = np.concatenate((metacarpals, [twist], mcp, [pip, dip]))
    return _fit(_Digit(FINGER, FINGER_ANGLES.T), start, base, bones.T[..., None], joints, noise)


def _fit_thumb(palm: Axes, joints: Floats, bones: Floats, noise: float) -> Floats:
    """(10, n): CMC x y z, MCP x y z, IP x y z, last x; joints (4, 3, n), bones (4,) metres."""
    columns = np.array(THUMB_ANGLES)
    vectors = [local(palm, bone) for bone in np.concatenate((joints[:1], np.diff(joints, axis=0)))]
    start = []
    for k, z in enumerate(columns[[2, 5, 8]]):  # each joint aims its bone; only the last joint's twist is measured
        aim = aim_z(vectors[k])
        vectors = [inverse_rotate("y", aim[1], inverse_rotate("x", aim[0], bone)) for bone in vectors]
        twist = np.full_like(aim[0], HAND_REST[z])
        if k == 2:  # the tip bends towards the palm, which defines its plane
            tip = unit(vectors[3])
            seen = (tip[0] ** 2 + tip[1] ** 2) * bones[3] ** 2
            spring = (max(noise, LEAST_NOISE) / HAND_DEVIATION[z]) ** 2
            twist = _within(z, pull_to_rest(np.arctan2(-tip[0], tip[1]), seen, twist, spring, period=np.pi))
        vectors = [inverse_rotate("z", twist, bone) for bone in vectors]
        start += [*aim, twist]
    start.append(_flexion(vectors[3], columns[9]))
    return _fit(_Digit(THUMB, columns), np.stack(start), palm, bones[:, None], joints, noise)


class _Digit(NamedTuple):
    """The chain of a thumb or finger, and its angles among the hand's: (A, ...)."""

    chain: KinematicChain
    columns: Integers


def _fit(digit: _Digit, start: Floats, base: Axes, bones: Floats, joints: Floats, noise: float) -> Floats:
    """(A, ..., n) angles of one digit or of four fingers: bones (P, ...) along z, joints (P, 3, ..., n)."""
    columns = digit.columns
    rest = HAND_REST[columns]
    start = np.where(np.isfinite(start), nearest_turn(start, HAND_LIMITS[columns]), rest[..., None])
    along_z = np.stack((np.zeros_like(bones), np.zeros_like(bones), bones), 1)
    along_z = along_z.reshape(*along_z.shape, *(1,) * (joints.ndim - along_z.ndim))
    bounds = Bounds.of(HAND_LIMITS[columns], rest, HAND_DEVIATION[columns], noise)
    weights = np.isfinite(joints[:, 0]).astype(np.float64)
    return fit_chain(digit.chain, start, base, along_z, Targets(np.nan_to_num(joints), weights), bounds)


def _flexion(bone: Floats, column: int | Integers) -> Floats:
    """The angle of Rx that brings z nearest to a bone.

    A finger that appears to bend backwards beyond its limit is a folded finger that the detector flattened; its sign is
    reversed.
    """
    angle = np.arctan2(-bone[1], bone[2])
    return np.where(angle > HAND_LIMITS[column, 1][..., None], -angle, angle)


def _within(columns: Integers, angles: Floats) -> Floats:
    """Angles (..., n) within the limits of hand angles (...)."""
    lowest, highest = np.moveaxis(HAND_LIMITS[columns], -1, 0)[..., None]
    return np.clip(angles, lowest, highest)
