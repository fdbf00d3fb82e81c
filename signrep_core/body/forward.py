"""Forward kinematics of the sign skeleton: angles and bone lengths to joints (supplement A1).

One differentiable function for numpy and torch arrays alike. A rotating frame is kept as its three column vectors,
so that a rotation about a local axis costs four multiplications per coordinate instead of a matrix product.

Legend: `...` any leading dimensions (frames, batch), J = 61 joints, angles in radians, lengths in metres.
"""

from collections.abc import Iterator
from types import MappingProxyType

import numpy as np

from signrep_core.body.arrays import Array, namespace
from signrep_core.body.rotations import rotate_columns, xyz_angles
from signrep_core.skeleton import (
    ARM_ANGLES,
    ARMS,
    BODY_JOINTS,
    FINGERS,
    HAND_ANGLES,
    HEAD_ANGLES,
    HIPS,
    LOWER_SPINE,
    N_WRIST_ANGLES,
    NOSE,
    SIDES,
    SPINE_ANGLES,
    Side,
)

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
    angles = body_angles[..., ARM_ANGLES[side]]
    clavicle = rotate_euler(root_frame(angles), "zy", angles[..., :2])
    upper = rotate_euler(clavicle, "zxy", angles[..., 2:5])
    return clavicle, upper, rotate(upper, "x", angles[..., 5])


def trunk_frames(body_angles: Array) -> tuple[Frame, Frame, Frame]:
    """The frames of head, upper spine and lower spine, from the body angles (..., 22)."""
    root = root_frame(body_angles)
    head = rotate_euler(root, "zxy", body_angles[..., HEAD_ANGLES])
    spine = rotate_euler(root, "zxy", body_angles[..., SPINE_ANGLES])
    return head, spine, rotate(spine, "x", body_angles[..., LOWER_SPINE])


def finger_frames(side: Side, finger: str, palm: Frame, angles: Array) -> Iterator[Frame]:
    """The frames of a finger's four bones, which lie along z; angles (..., 38) of all fingers."""
    frame, angle = palm, _FINGER_START[finger]
    for axes in _FINGER_AXES[finger]:
        frame = rotate_euler(frame, axes, angles[..., angle : angle + len(axes)], hand_signs(side))
        angle += len(axes)
        yield frame


def root_frame(like: Array) -> Frame:
    """The identity frame at the neck, of the dtype (and device) of `like`."""
    eye = np.eye(3, dtype=np.result_type(like, np.float32)) if namespace(like) is np else like.new_ones(3).diag()
    return eye[0], eye[1], eye[2]


def pose_body(angles: Array, offsets: Array) -> list[Array]:
    """The body's joints, each (..., 3), from angles (..., 22) and offsets (..., 16)."""
    upper_arm = offsets[..., :1]
    lengths = [upper_arm] + [upper_arm * offsets[..., i : i + 1] for i in range(1, 16)]
    joints: list[Array] = [None] * len(BODY_JOINTS)
    for side, outward in zip(SIDES, (-1, 1), strict=True):
        shoulder, elbow, wrist = ARMS[side]
        clavicle, upper, fore = arm_frames(side, angles)
        joints[shoulder] = lengths[1] * (outward * clavicle[0])
        joints[elbow] = joints[shoulder] + lengths[0] * upper[1]
        joints[wrist] = joints[elbow] + lengths[2] * fore[1]

    head, spine, lower_spine = trunk_frames(angles)
    mid_hip = lengths[5] * (spine[1] + lower_spine[1])
    for hip, outward in zip(HIPS, (-1, 1), strict=True):
        joints[hip] = mid_hip + outward * lengths[4] * lower_spine[0]
    joints[NOSE] = nose = -lengths[3] * head[1]
    ear, mouth, eye = lengths[6:9], lengths[9:12], lengths[13:16]
    spacing = lengths[12]
    for joint, x, y, z in (
        ("left_eye_inner", eye[0] - spacing, -eye[1], eye[2]),
        ("left_eye", eye[0], -eye[1], eye[2]),
        ("left_eye_outer", eye[0] + spacing, -eye[1], eye[2]),
        ("right_eye_inner", spacing - eye[0], -eye[1], eye[2]),
        ("right_eye", -eye[0], -eye[1], eye[2]),
        ("right_eye_outer", -eye[0] - spacing, -eye[1], eye[2]),
        ("left_ear", ear[0], ear[1], ear[2]),
        ("right_ear", -ear[0], ear[1], ear[2]),
        ("mouth_left", mouth[0], mouth[1], mouth[2]),
        ("mouth_right", -mouth[0], mouth[1], mouth[2]),
    ):
        joints[BODY_JOINTS.index(joint)] = nose + x * head[0] + y * head[1] + z * head[2]
    return joints


def pose_hand(side: Side, palm: Frame, angles: Array, offsets: Array, wrist: Array) -> list[Array]:
    """The hand's 21 joints, each (..., 3), its wrist first; angles (..., 38) of the fingers, offsets (..., 20)."""
    metacarpal = offsets[..., :1]
    lengths = [metacarpal] + [metacarpal * offsets[..., i : i + 1] for i in range(1, 20)]
    joints = [wrist]
    for finger in FINGERS:
        joint = wrist
        for frame, bone in zip(finger_frames(side, finger, palm, angles), FINGER_BONES[finger], strict=True):
            joint = joint + lengths[bone] * frame[2]
            joints.append(joint)
    return joints
