"""The mesh follows the joints of forward kinematics: every joint inside, faces outward, natural sizes."""

import numpy as np
import pytest

from signrep_core.body.kinematics import forward_kinematics
from signrep_core.skeleton import HANDS
from signrep_core.synthetic.anatomy import build_surface, finger_radius
from signrep_core.synthetic.perform import perform
from signrep_core.synthetic.signer import make_signer
from signrep_core.synthetic.surface import PART, pose_signer


@pytest.fixture(scope="module", params=[0, 5])
def posed(request):
    signer = make_signer(request.param)
    motion = perform(signer, ("HELP",), 0)
    now = [0, len(motion) // 2]
    surface = build_surface(signer)
    pose = pose_signer(signer, motion.body[now], motion.right[now], motion.left[now])
    return signer, surface, pose, surface.vertices(pose)


def test_the_joints_are_those_of_forward_kinematics(posed):
    signer, _, pose, _ = posed
    motion = perform(signer, ("HELP",), 0)
    now = [0, len(motion) // 2]
    joints = forward_kinematics(
        motion.body[now], motion.right[now], motion.left[now], signer.body_offsets, signer.hand_offsets
    )
    assert pose.joints[:, :61] == pytest.approx(joints, abs=1e-12)


def test_every_finger_joint_lies_inside_its_finger(posed):
    signer, _, pose, vertices = posed
    for side in ("right", "left"):
        for joint in (6, 7, 10, 11, 14, 15, 18, 19):  # middle and end joints of the four fingers
            centre = pose.joints[:, HANDS[side].start + joint]
            nearest = np.sort(np.linalg.norm(vertices - centre[:, None], axis=-1), 1)[:, :8]
            finger = ("index", "middle", "ring", "pinky")[(joint - 5) // 4]
            radius = finger_radius(signer, finger, np.array(2.0 + (joint - 5) % 4 - 1))
            assert nearest[0].mean() == pytest.approx(radius, rel=0.25)  # at rest: no other finger near


def test_face_landmarks_lie_on_the_skin(posed):
    _, _, pose, vertices = posed
    for joint, slack in ((8, 0.004), (10, 0.006), (13, 0.006), (17, 0.006), (18, 0.006), (15, 0.02), (16, 0.02)):
        distance = np.linalg.norm(vertices - pose.joints[:, joint, None], axis=-1).min(1)
        assert distance.max() < slack + 0.004, joint


def test_faces_look_outward(posed):
    _, surface, pose, vertices = posed
    normals = surface.normals(vertices)
    face = np.unique(surface.faces[surface.part == PART["face"]])
    middle = vertices[:, face].mean(1, keepdims=True)
    outward = ((vertices[:, face] - middle) * normals[:, face]).sum(-1)
    assert (outward > 0).mean() > 0.97
    hand = np.unique(surface.faces[surface.part == PART["nail"]])
    bones = pose.joints[:, 19:61]
    away = vertices[:, hand, None] - bones[:, None]
    nearest = np.take_along_axis(away, np.linalg.norm(away, axis=-1).argmin(-1)[..., None, None], 2)[:, :, 0]
    assert ((nearest * normals[:, hand]).sum(-1) > 0).mean() > 0.9


def test_colours_and_indices_are_in_range(posed):
    _, surface, _, vertices = posed
    assert surface.faces.max() == vertices.shape[1] - 1 == len(surface.albedo) - 1
    assert 0 <= surface.albedo.min() <= surface.albedo.max() <= 1
    assert np.isfinite(vertices).all()
    assert set(np.unique(surface.part)) <= set(PART.values())


def test_a_bent_finger_keeps_its_girth():
    signer = make_signer(1)
    surface = build_surface(signer)
    body = np.zeros((2, 22))
    straight, bent = np.zeros((1, 41)), np.zeros((1, 41))
    bent[0, 13 + 5] = np.radians(-95)  # the index finger's middle joint
    hands = np.concatenate([straight, bent])
    pose = pose_signer(signer, body, hands, hands)
    vertices = surface.vertices(pose)
    centre = pose.joints[:, HANDS["right"].start + 6]
    distance = np.sort(np.linalg.norm(vertices - centre[:, None], axis=-1), 1)[:, :12].mean(1)
    assert distance[1] == pytest.approx(distance[0], rel=0.3)
