"""Forward kinematics of the sign skeleton: angles and bone lengths to joints (supplement A1).

One differentiable function for numpy and torch arrays alike. A rotating frame is kept as its three column vectors,
so that a rotation about a local axis costs four multiplications per coordinate instead of a matrix product.

Legend: `...` any leading dimensions (frames, batch), J = 61 joints, angles in radians, lengths in metres.
"""

from types import MappingProxyType

import numpy as np

from signrep_core.body.arrays import Array, namespace
from signrep_core.body.rotations import rotate_columns, xyz_angles
from signrep_core.skeleton import ARMS, FINGERS, HAND_ANGLES, N_WRIST_ANGLES, SIDES, Side

Frame = tuple[Array, Array, Array]  # the columns of a rotation matrix, each (..., 3)

# First angle of each finger's chain (among the fingers'), and the local axes of each of its four bones.
_FINGER_START = MappingProxyType({finger: HAND_ANGLES.index(f"{finger}_{part}_x") - N_WRIST_ANGLES
    for finger, part in zip(FINGERS, ("cmc", *["metacarpal"] * 4), strict=True)})  # fmt: skip
_FINGER_AXES = MappingProxyType(
    {f: ("xyz", "xyz", "xyz", "x") if f == "thumb" else ("xyz", "xy", "x", "x") for f in FINGERS}
)
# Offsets of each finger's four bones, from the wrist outward.
FINGER_BONES = MappingProxyType({"thumb": (1, 2, 3, 4), "index": (0, 5, 6, 7), "middle": (8, 9, 10, 11),
                                  "ring": (12, 13, 14, 15), "pinky": (16, 17, 18, 19)})  # fmt: skip


def forward_kinematics(
    body_angles: Array, right_angles: Array, left_angles: Array, body_offsets: Array, hand_offsets: Array
) -> Array:
    """Pose skeletons.

    Args:
        body_angles: (..., 22) radians, in the order of `skeleton.BODY_ANGLES`.
        right_angles, left_angles: (..., 41) radians, in the order of `skeleton.HAND_ANGLES`.
        body_offsets: (..., 16) upper-arm length in metres, then ratios to it; broadcasts against the angles.
        hand_offsets: (..., 20) index metacarpal in metres, then ratios to it; both hands share them.

    Returns:
        (..., 61, 3) joints in metres, neck at the origin.
    """
    xp = namespace(body_angles)
    joints = pose_body(body_angles, body_offsets)
    for side, angles in zip(SIDES, (right_angles, left_angles), strict=True):
        palm = palm_frame(side, angles[..., :N_WRIST_ANGLES])
        joints += pose_hand(side, palm, angles[..., N_WRIST_ANGLES:], hand_offsets, joints[ARMS[side][2]])
    return xp.stack(xp.broadcast_tensors(*joints) if xp is not np else np.broadcast_arrays(*joints), -2)


def palm_frame(side: Side, wrist: Array) -> Frame:
    """The palm's axes in the root frame from its wrist angles (..., 3): K · Rx Ry Rz, without the forearm.

    z points along the index metacarpal, y out of the palm, x to the little finger (right hand) or the thumb (left).
    """
    x, y, z = root_frame(wrist)
    base = (z, x, y) if side == "right" else (-z, -x, y)  # the columns of K
    return rotate_euler(base, "xyz", wrist, hand_signs(side))


def wrist_angles(side: Side, palm: Array) -> Array:
    """Wrist angles (..., 3) of a palm's frame, the inverse of `palm_frame`; y lies within ±90°.

    palm: (..., 3, 3), its columns the palm's axes in the root frame.
    """
    xp = namespace(palm)
    x, y, z = (palm[..., row, :] for row in range(3))
    rows = (z, x, y) if side == "right" else (-z, -x, y)  # Kᵀ · palm
    angles = xyz_angles([xp.stack([row[..., axis] for row in rows], 0) for axis in range(3)])
    return xp.stack([sign * angle for sign, angle in zip(hand_signs(side), angles, strict=True)], -1)


def rotate(frame: Frame, axis: str, angle: Array) -> Frame:
    """Rotate a frame about one of its own axes: R → R · R_axis(angle); angle (...)."""
    xp = namespace(angle)
    return rotate_columns(frame, axis, xp.cos(angle)[..., None], xp.sin(angle)[..., None])


def rotate_euler(frame: Frame, axes: str, angles: Array, signs: tuple[int, int, int] = (1, 1, 1)) -> Frame:
    """Rotate a frame about several of its own axes in order; angles (..., len(axes)), signs of x, y and z angles."""
    for k, axis in enumerate(axes):
        frame = rotate(frame, axis, signs["xyz".index(axis)] * angles[..., k])
    return frame


def hand_signs(side: Side) -> tuple[int, int, int]:
    """Signs of a hand's x, y and z rotations: the left hand's y and z angles are negated."""
    return (1, 1, 1) if side == "right" else (1, -1, -1)


def arm_frames(side: Side, body_angles: Array) -> tuple[Frame, Frame, Frame]:
    """The frames of a clavicle, upper arm and forearm, from the body angles (..., 22)."""
    start = 6 * SIDES.index(side)
    clavicle = rotate_euler(root_frame(body_angles), "zy", body_angles[..., start : start + 2])
    upper = rotate_euler(clavicle, "zxy", body_angles[..., start + 2 : start + 5])
    return clavicle, upper, rotate(upper, "x", body_angles[..., start + 5])


def root_frame(like: Array) -> Frame:
    """The identity frame at the neck, of the dtype (and device) of `like`."""
    eye = np.eye(3, dtype=np.result_type(like, np.float32)) if namespace(like) is np else like.new_ones(3).diag()
    return eye[0], eye[1], eye[2]


def pose_body(angles: Array, offsets: Array) -> list[Array]:
    """The body's joints, each (..., 3), from angles (..., 22) and offsets (..., 16)."""
    upper_arm = offsets[..., :1]
    lengths = [upper_arm] + [upper_arm * offsets[..., i : i + 1] for i in range(1, 16)]
    joints: list[Array] = [None] * 19
    for side, outward in zip(SIDES, (-1, 1), strict=True):
        shoulder, elbow, wrist = ARMS[side]
        clavicle, upper, fore = arm_frames(side, angles)
        joints[shoulder] = lengths[1] * (outward * clavicle[0])
        joints[elbow] = joints[shoulder] + lengths[0] * upper[1]
        joints[wrist] = joints[elbow] + lengths[2] * fore[1]

    root = root_frame(angles)
    spine = rotate_euler(root, "zxy", angles[..., 19:22])
    lower_spine = rotate(spine, "x", angles[..., 15])
    mid_hip = lengths[5] * (spine[1] + lower_spine[1])
    joints[6] = mid_hip - lengths[4] * lower_spine[0]
    joints[7] = mid_hip + lengths[4] * lower_spine[0]

    head = rotate_euler(root, "zxy", angles[..., 12:15])
    joints[8] = nose = -lengths[3] * head[1]
    ear, mouth, eye = lengths[6:9], lengths[9:12], lengths[13:16]
    spacing = lengths[12]
    for joint, x, y, z in (
        (9, eye[0] - spacing, -eye[1], eye[2]),
        (10, eye[0], -eye[1], eye[2]),
        (11, eye[0] + spacing, -eye[1], eye[2]),
        (12, spacing - eye[0], -eye[1], eye[2]),
        (13, -eye[0], -eye[1], eye[2]),
        (14, -eye[0] - spacing, -eye[1], eye[2]),
        (15, ear[0], ear[1], ear[2]),
        (16, -ear[0], ear[1], ear[2]),
        (17, mouth[0], mouth[1], mouth[2]),
        (18, -mouth[0], mouth[1], mouth[2]),
    ):
        joints[joint] = nose + x * head[0] + y * head[1] + z * head[2]
    return joints


def pose_hand(side: Side, palm: Frame, angles: Array, offsets: Array, wrist: Array) -> list[Array]:
    """The hand's 21 joints, each (..., 3), its wrist first; angles (..., 38) of the fingers, offsets (..., 20)."""
    signs = hand_signs(side)
    metacarpal = offsets[..., :1]
    lengths = [metacarpal] + [metacarpal * offsets[..., i : i + 1] for i in range(1, 20)]
    joints = [wrist]
    for finger in FINGERS:
        frame, joint, angle = palm, wrist, _FINGER_START[finger]
        for axes, bone in zip(_FINGER_AXES[finger], FINGER_BONES[finger], strict=True):
            frame = rotate_euler(frame, axes, angles[..., angle : angle + len(axes)], signs)
            angle += len(axes)
            joint = joint + lengths[bone] * frame[2]  # every bone lies along its frame's z
            joints.append(joint)
    return joints
