"""The signer's skin, hair and clothes as one triangle mesh that follows the skeleton's joints.

Limbs, fingers, neck and trunk are rings swept along the bones: a ring near a joint takes the mean of the two bones'
frames, so that elbows and knuckles bend without losing girth. Head and hair are rigid in the face frame; the palm spans
the metacarpals. Every joint of forward kinematics is the centre of the mesh around it.

Legend: B frames, V vertices, F faces, R rings; lengths in metres; a along a bone, u and v = a × u across it.
"""

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from signrep_core.body.forward import (
    arm_frames,
    finger_frames,
    forward_kinematics,
    palm_frame,
    rotate,
    trunk_frames,
)
from signrep_core.skeleton import ARMS, FINGERS, HANDS, HIPS, N_JOINTS, N_WRIST_ANGLES, NOSE, SIDES, Side
from signrep_core.synthetic.arrays import Array, cross, like, namespace, unit
from signrep_core.synthetic.signer import UPPER_ARM, Floats, Signer

PARTS: Final = ("skin", "face", "hand", "nail", "hair", "top", "trousers")
PART: Final = {name: i for i, name in enumerate(PARTS)}
TWISTS: Final = 8  # frames along a forearm, from the elbow's rotation to the wrist's
FINGER_BONES: Final = 4
PALM_JOINTS: Final = (2, 5, 9, 13, 17, 6, 10, 14, 18)  # of the hand: thumb knuckle, four knuckles, four first joints


class Pose(NamedTuple):
    """Joints and bone frames that the mesh is attached to, each an array over frames."""

    joints: Array  # (B, J', 3) the skeleton's 61 joints and the helpers of JOINTS_EXTRA
    along: Array  # (B, N, 3) unit vector along each bone of BONES
    across: Array  # (B, N, 3) unit vector across it
    face: Array  # (B, 3, 3) the face frame's columns


@dataclass
class Surface:
    """A signer's mesh independent of the pose: topology, colours, and the attachment of each vertex."""

    signer: Signer
    faces: NDArray[np.int64]  # (F, 3) outward when seen counter-clockwise
    part: NDArray[np.int64]  # (F,) index into PARTS
    albedo: Floats  # (V, 3) linear light
    paint: Floats  # (V, 3) position on the part, for painting per pixel
    rings: dict[str, NDArray[Any]]
    ring_of: NDArray[np.int64]  # (Vr,) of the swept vertices
    local: Floats  # (Vr, 2) across the ring
    palms: dict[Side, dict[str, Floats]]
    head: Floats  # (Vh, 3) in the face frame, nose tip at the origin
    incident: NDArray[np.int64] = field(init=False)  # (V, most) faces at each vertex, padded with F

    def __post_init__(self) -> None:
        self.incident = _incident_faces(self.faces, len(self.albedo))

    def vertices(self, pose: Pose) -> Array:
        """(B, V, 3) metres, neck at the origin, body axes."""
        xp = namespace(pose.joints)
        swept = self._sweep(pose)
        palms = [self._palm(pose, side) for side in SIDES]
        nose = pose.joints[:, NOSE]
        head = nose[:, None] + xp.einsum("bij,vj->bvi", pose.face, like(self.head, pose.joints))
        return xp.concatenate((swept, *palms, head), 1)

    def normals(self, vertices: Array) -> Array:
        """(B, V, 3) outward unit normals, the mean of the faces around each vertex."""
        xp = namespace(vertices)
        faces = like(self.faces, vertices)
        a, b, c = (vertices[:, faces[:, k]] for k in range(3))
        flat = cross(b - a, c - a)
        flat = xp.concatenate((flat, flat[:, :1] * 0), 1)
        incident = like(self.incident, vertices)
        total = flat[:, incident[:, 0]]
        for k in range(1, incident.shape[1]):
            total = total + flat[:, incident[:, k]]
        return unit(total)

    def _sweep(self, pose: Pose) -> Array:
        table = {name: like(values, pose.joints) for name, values in self.rings.items()}
        first, second, weight = table["first"], table["second"], table["weight"][None, :, None]
        a = (1 - weight) * pose.along[:, first] + weight * pose.along[:, second]
        length = ((pose.joints[:, table["end"]] - pose.joints[:, table["start"]]) ** 2).sum(-1)[..., None] ** 0.5
        centre = pose.joints[:, table["joint"]] + a * length * table["offset"][None, :, None]
        a = unit(a)
        u = (1 - weight) * pose.across[:, first] + weight * pose.across[:, second]
        u = unit(u - a * (a * u).sum(-1)[..., None])
        v = cross(a, u)
        ring, local = like(self.ring_of, pose.joints), like(self.local, pose.joints)
        return centre[:, ring] + u[:, ring] * local[:, :1] + v[:, ring] * local[:, 1:]

    def _palm(self, pose: Pose, side: Side) -> Array:
        xp, table = namespace(pose.joints), self.palms[side]
        wrist = pose.joints[:, HANDS[side].start]
        knuckles = pose.joints[:, [HANDS[side].start + k for k in PALM_JOINTS]] - wrist[:, None]
        bone = BONES[f"{side}_palm"]
        z, x = pose.along[:, bone], pose.across[:, bone] * (1 if side == "right" else -1)
        frame = xp.stack((x, cross(z, x), z), 1)  # (B, 3 axes, 3)
        spread = xp.einsum("vk,bki->bvi", like(table["weights"], wrist), knuckles)
        return wrist[:, None] + spread + xp.einsum("vk,bki->bvi", like(table["local"], wrist), frame)


# ---------------------------------------------------------------- bones and helper joints
HELPER_JOINTS: Final = ("neck", "mid_spine", "mid_hip", "skull", "nape", "right_root", "left_root")
JOINTS_EXTRA: Final = {name: N_JOINTS + i for i, name in enumerate(HELPER_JOINTS)}


def _bone_names() -> list[str]:
    names = ["spine", "lower_spine", "neck"]
    for side in SIDES:
        names += [f"{side}_clavicle", f"{side}_upper", *(f"{side}_fore{k}" for k in range(TWISTS)), f"{side}_palm"]
        names += [f"{side}_{finger}{k}" for finger in FINGERS for k in range(FINGER_BONES)]
    return names


BONES: Final = {name: i for i, name in enumerate(_bone_names())}


def pose_signer(signer: Signer, body: Array, right: Array, left: Array) -> Pose:
    """Pose a signer: joints and bone frames.

    Args:
        signer: whose bone lengths to take.
        body, right, left: (B, 22), (B, 41), (B, 41) radians.
    """
    xp = namespace(body)
    body_offsets, hand_offsets = like(signer.body_offsets, body), like(signer.hand_offsets, body)
    joints = forward_kinematics(body, right, left, body_offsets, hand_offsets)
    head, spine, lower = trunk_frames(body)
    face = rotate(head, "x", body[..., 0] * 0 - signer.face.upright)
    extra = _helper_joints(signer, joints, spine, lower, face, body_offsets)
    joints = xp.concatenate((joints, extra), 1)
    frames = [(spine[1], spine[0]), (lower[1], lower[0]), (_between(joints, "nape", "skull"), face[0] + spine[0])]
    for side, angles in zip(SIDES, (right, left), strict=True):
        shoulder = joints[:, ARMS[side][0]]
        frames += _arm_frames(side, body, angles, unit(shoulder - joints[:, JOINTS_EXTRA[f"{side}_root"]]))
    shape = joints[:, 0]
    along = xp.stack([unit(a + shape * 0) for a, _ in frames], 1)
    across = xp.stack([unit(u + shape * 0) for _, u in frames], 1)
    return Pose(joints, along, across, xp.stack(face, -1))


def _helper_joints(signer: Signer, joints: Array, spine: Any, lower: Any, face: Any, offsets: Array) -> Array:
    xp, k = namespace(joints), signer.upper_arm / UPPER_ARM
    neck = joints[:, NOSE] * 0
    mid_hip = (joints[:, HIPS[0]] + joints[:, HIPS[1]]) / 2
    mid_spine = offsets[0] * offsets[5] * spine[1]
    nose, scale = joints[:, NOSE], signer.face.scale

    def in_trunk(x: float, y: float, z: float) -> Array:
        return k * (x * spine[0] + y * spine[1] + z * spine[2])

    skull = nose + scale * (0.010 * face[1] + 0.098 * face[2])
    nape = neck + in_trunk(0, -0.004, -0.012)
    roots = [neck + in_trunk(x, -0.050, -0.002) for x in (-0.024, 0.024)]
    return xp.stack((neck, mid_spine, mid_hip, skull, nape, *roots), 1)


def _between(joints: Array, start: str, end: str) -> Array:
    return unit(joints[:, JOINTS_EXTRA[end]] - joints[:, JOINTS_EXTRA[start]])


def _arm_frames(side: Side, body: Array, hand: Array, collar: Array) -> list[tuple[Array, Array]]:
    """(along, across) of an arm's bones, as in BONES; `collar` (B, 3) points from the neck to the shoulder."""
    xp, outward = namespace(body), (-1 if side == "right" else 1)
    clavicle, upper, fore = arm_frames(side, body)
    palm = palm_frame(side, hand[..., :N_WRIST_ANGLES])
    frames = [(collar, -outward * clavicle[1]), (upper[1], upper[0])]
    # The forearm's twist, from the elbow's hinge to the width of the wrist (thumb up = 90°).
    width = -outward * palm[0]
    twist = np.pi / 2 + xp.arctan2(-(width * fore[0]).sum(-1), (width * fore[2]).sum(-1))[..., None]
    for k in range(TWISTS):
        share = twist * (k / (TWISTS - 1))
        frames.append((fore[1], xp.cos(share) * fore[0] + xp.sin(share) * fore[2]))
    frames.append((palm[2], width))
    for finger in FINGERS:
        bones = finger_frames(side, finger, palm, hand[..., N_WRIST_ANGLES:])
        frames += [(frame[2], frame[0]) for frame in bones]
    return frames


def _incident_faces(faces: NDArray[np.int64], n_vertices: int) -> NDArray[np.int64]:
    """(V, most) the faces at each vertex, padded with len(faces)."""
    vertex, face = faces.ravel(), np.repeat(np.arange(len(faces)), 3)
    order = np.argsort(vertex, kind="stable")
    vertex, face = vertex[order], face[order]
    place = np.arange(len(vertex)) - np.searchsorted(vertex, vertex)
    table = np.full((n_vertices, place.max() + 1), len(faces))
    table[vertex, place] = face
    return table
