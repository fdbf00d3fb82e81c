"""Body angles from landmarks: closed forms of arms, head and spine, refined by fitting each kinematic chain.

Legend: T frames, n of them in a block, J = 61 joints, A angles; vectors are (3, n), axes first.
"""

from typing import Final

import numpy as np

from signrep_core.body.arrays import blocks
from signrep_core.body.bones import BONES, head_frame, scatter
from signrep_core.body.chain import LEAST_NOISE, Bounds, KinematicChain, Targets, fit_chain, serial_chain
from signrep_core.body.rotations import (
    Axes,
    Floats,
    cross,
    dot,
    inverse_rotate,
    nearest_turn,
    perpendicular,
    pull_to_rest,
    unit,
    zxy_angles,
)
from signrep_core.skeleton import (
    ARM_ANGLES,
    ARMS,
    BODY,
    BODY_ANGLES,
    BODY_LIMITS,
    HEAD,
    HEAD_ANGLES,
    HIPS,
    LOWER_SPINE,
    OBSERVED_BODY_RANGES,
    SIDES,
    SPINE_ANGLES,
    Side,
)

BODY_REST: Final[Floats] = OBSERVED_BODY_RANGES.mean(1)  # the middle of the observed ranges

ROOT: Final[Axes] = tuple(axis[:, None] for axis in np.eye(3))

ARM: Final = serial_chain("zyzxyx", (2, 5, 6))
# The nose, and the face from there.
_HEAD: Final = KinematicChain("zxy", (-1, 0, 1), (-1, -1, -1), (2,) * 11, (-1, *(0,) * 10))
# Mid-spine, right hip, left hip.
SPINE: Final = KinematicChain("zxyx", (-1, 0, 1, 2), (-1, -1, -1, 0), (2, 3, 3), (-1, 0, 0))

_SPINE_ANGLES = [*range(SPINE_ANGLES.start, SPINE_ANGLES.stop), LOWER_SPINE]
_RIGID_BONES = [BONES.index(bone) for bone in ("upper_arm", "forearm")]

# Usual deviation of an angle from rest (radians); a spring has the stiffness noise / deviation. The bend of the lower
# spine shows only in the distance from neck to hips, the upper arm's rotation about its axis only in a bent elbow.
_STRAYS = {"lower_spine_x": 0.1, "right_shoulder_y": 0.5, "left_shoulder_y": 0.5}
BODY_DEVIATION = np.array([_STRAYS.get(angle, np.inf) for angle in BODY_ANGLES])


def fit_body(joints: Floats, offsets: Floats, lengths: Floats) -> Floats:
    """Fit the body angles of every frame; angles of missing joints are finite but arbitrary.

    Args:
        joints: (T, 61, 3) metres, neck at the origin, NaN where missing.
        offsets: (16,) the video's bones.
        lengths: (T, 36, 2) measured bones; their scatter is the landmarks' noise.

    Returns:
        (T, 22) radians.
    """
    angles = np.tile(BODY_REST, (len(joints), 1))
    noise = scatter(lengths[:, _RIGID_BONES].reshape(len(joints), len(_RIGID_BONES) * len(SIDES)))
    for frames in blocks(len(joints)):
        block = np.ascontiguousarray(joints[frames, BODY].transpose(1, 2, 0))  # (19, 3, n)
        head = [axis.T for axis in head_frame(joints[frames])]
        for side in SIDES:
            angles[frames, ARM_ANGLES[side]] = _fit_arm(side, block, offsets, noise).T
        angles[frames, HEAD_ANGLES] = _fit(
            _HEAD, HEAD_ANGLES, zxy_angles(head), face_bones(offsets), block[HEAD], noise
        ).T
        angles[frames, _SPINE_ANGLES] = _fit_spine(block[list(HIPS)], offsets, noise).T
    return angles


def _fit(
    chain: KinematicChain, columns: slice | list[int], start: Floats, bones: Floats, targets: Floats, noise: float
) -> Floats:
    """(A, n) angles of a chain with its origin at the neck: start (A, n), bones (P, 3), targets (P, 3, n) with NaN."""
    rest = BODY_REST[columns]
    start = np.where(np.isfinite(start), nearest_turn(start, BODY_LIMITS[columns]), rest[:, None])
    weights = np.isfinite(targets[:, 0]).astype(np.float64)
    bounds = Bounds.of(BODY_LIMITS[columns], rest, BODY_DEVIATION[columns], noise)
    return fit_chain(chain, start, ROOT, bones[..., None], Targets(np.nan_to_num(targets), weights), bounds)


def _fit_arm(side: Side, joints: Floats, offsets: Floats, noise: float) -> Floats:
    """(6, n): clavicle z y, shoulder z x y, elbow x."""
    outward = -1.0 if side == "right" else 1.0
    shoulder, elbow, wrist = (joints[joint] for joint in ARMS[side])
    x = outward * unit(shoulder)  # the clavicle's axis
    clavicle_z, clavicle_y = np.arctan2(x[1], x[0]), -np.arctan2(x[2], np.hypot(x[0], x[1]))

    def in_clavicle(a: Floats) -> Floats:
        return inverse_rotate("y", clavicle_y, inverse_rotate("z", clavicle_z, a))

    upper = in_clavicle(elbow - shoulder)
    shoulder_z, shoulder_x = np.arctan2(-upper[0], upper[1]), np.arctan2(upper[2], np.hypot(upper[0], upper[1]))
    fore = inverse_rotate("x", shoulder_x, inverse_rotate("z", shoulder_z, in_clavicle(wrist - elbow)))
    shoulder_y, elbow_x = np.arctan2(-fore[0], -fore[2]), -np.arctan2(np.hypot(fore[0], fore[2]), fore[1])
    column = BODY_ANGLES.index(f"{side}_shoulder_y")
    spring = (max(noise, LEAST_NOISE) / BODY_DEVIATION[column]) ** 2
    shoulder_y = pull_to_rest(shoulder_y, fore[0] ** 2 + fore[2] ** 2, BODY_REST[column], spring)
    start = np.stack((clavicle_z, clavicle_y, shoulder_z, shoulder_x, shoulder_y, elbow_x))
    return _fit(ARM, ARM_ANGLES[side], start, arm_bones(side, offsets), np.stack((shoulder, elbow, wrist)), noise)


def _fit_spine(hips: Floats, offsets: Floats, noise: float) -> Floats:
    """(4, n): spine z x y, lower spine x; hips (2, 3, n)."""
    middle, half = hips.mean(0), offsets[0] * offsets[5]
    bend = -2 * np.arccos(np.minimum(np.sqrt(dot(middle, middle)) / (2 * half), 1))
    y = unit(middle)  # the upper spine's frame rotated by half the bend
    x = perpendicular(hips[1] - hips[0], y)
    z = cross(x, y)
    c, s = np.cos(bend / 2), np.sin(bend / 2)
    start = np.concatenate((zxy_angles((x, c * y - s * z, c * z + s * y)), bend[None]))
    targets = np.concatenate((np.full_like(hips[:1], np.nan), hips))  # the mid-spine is not a landmark
    return _fit(SPINE, _SPINE_ANGLES, start, spine_bones(offsets), targets, noise)


def arm_bones(side: Side, offsets: Floats) -> Floats:
    """(3, 3): clavicle, upper arm and forearm, from the body offsets (16,)."""
    outward = -1.0 if side == "right" else 1.0
    return offsets[0] * np.array([[outward * offsets[1], 0, 0], [0, 1, 0], [0, offsets[2], 0]])


def spine_bones(offsets: Floats) -> Floats:
    """(3, 3): the mid-spine from the neck, then the hips from there, in the upper and lower spine's frames."""
    half, width = offsets[0] * offsets[5], offsets[0] * offsets[4]
    return np.array([[0, half, 0], [-width, half, 0], [width, half, 0]])


def face_bones(offsets: Floats) -> Floats:
    """(11, 3): the nose from the neck, then the face points from the nose, in the head's frame."""
    ear, mouth = offsets[6:9], offsets[9:12]
    spacing, x, y, z = offsets[12:16] * (1, 1, -1, 1)
    left_eye = np.array([[x - spacing, y, z], [x, y, z], [x + spacing, y, z]])
    mirror = np.array([-1, 1, 1])
    points = [[0, -offsets[3], 0], *left_eye, *(left_eye * mirror), ear, ear * mirror, mouth, mouth * mirror]
    return offsets[0] * np.array(points)
