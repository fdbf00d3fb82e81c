"""Forward kinematics: reference vectors, poses worked out by hand, numpy and torch alike, mirror symmetry."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from signrep_core import skeleton
from signrep_core.body.kinematics import forward_kinematics, palm_frame, wrist_angles
from tests.body.poses import BONES, mirror_angles, mirror_joints, observed_angles, pose, random_angles

VECTORS = Path(__file__).parents[1] / "data" / "forward_kinematics_vectors.npz"
INPUTS = ("body_angles", "right_angles", "left_angles", "body_offsets", "hand_offsets")

# Bones that are easy to reckon with: an upper arm of 1 m, and each ratio its own.
BODY_BONES = np.array([1, 0.5, 0.8, 0.7, 0.4, 0.9, 0.3, 0.05, 0.2, 0.1, 0.15, 0.02, 0.03, 0.11, 0.12, 0.13])
HAND_BONES = np.array([0.1] + [0.4, 0.3, 0.2, 0.1] + [0.5, 0.3, 0.2] + [1.1, 0.6, 0.4, 0.2] * 3)


def zero_pose(**degrees: float) -> np.ndarray:
    """Joints of the rest pose with some angles in degrees: names of skeleton.BODY_ANGLES, hands with r_/l_."""
    angles = {"body": np.zeros(22), "r": np.zeros(41), "l": np.zeros(41)}
    for name, angle in degrees.items():
        if name[:2] in ("r_", "l_"):
            angles[name[0]][skeleton.HAND_ANGLES.index(name[2:])] = np.radians(angle)
        else:
            angles["body"][skeleton.BODY_ANGLES.index(name)] = np.radians(angle)
    return forward_kinematics(angles["body"], angles["r"], angles["l"], BODY_BONES, HAND_BONES)


def test_reference_vectors_are_reproduced() -> None:
    vectors = np.load(VECTORS)
    joints = forward_kinematics(*(vectors[name] for name in INPUTS))
    np.testing.assert_allclose(joints, vectors["joints"], atol=1e-6)


@pytest.mark.parametrize(
    ("joint", "expected"),
    [
        ("right_shoulder", (-0.5, 0, 0)),
        ("right_elbow", (-0.5, 1, 0)),
        ("right_wrist", (-0.5, 1.8, 0)),
        ("left_shoulder", (0.5, 0, 0)),
        ("left_wrist", (0.5, 1.8, 0)),
        ("right_hip", (-0.4, 1.8, 0)),
        ("left_hip", (0.4, 1.8, 0)),
        ("nose", (0, -0.7, 0)),
        ("left_eye_inner", (0.08, -0.82, 0.13)),
        ("left_eye_outer", (0.14, -0.82, 0.13)),
        ("right_eye_outer", (-0.14, -0.82, 0.13)),
        ("left_ear", (0.3, -0.65, 0.2)),
        ("mouth_right", (-0.1, -0.55, 0.02)),
        ("right_hand_wrist", (-0.5, 1.8, 0)),
        ("right_hand_index_mcp", (-0.5, 1.9, 0)),  # fingers hang down with the arm
        ("right_hand_index_tip", (-0.5, 2.0, 0)),
        ("left_hand_thumb_tip", (0.5, 1.9, 0)),
        ("left_hand_pinky_tip", (0.5, 1.8 + 0.23, 0)),
    ],
)
def test_rest_pose_hangs_straight(joint: str, expected: tuple[float, float, float]) -> None:
    np.testing.assert_allclose(zero_pose()[skeleton.JOINTS.index(joint)], expected, atol=1e-12)


@pytest.mark.parametrize(
    ("turned", "joint", "expected"),
    [
        ({"right_elbow_x": -90}, "right_wrist", (-0.5, 1, -0.8)),  # the forearm points at the camera
        ({"left_shoulder_z": -90}, "left_wrist", (2.3, 0, 0)),  # the left arm stretched out to the signer's left
        ({"right_shoulder_z": 90}, "right_elbow", (-1.5, 0, 0)),
        ({"left_clavicle_y": 90}, "left_shoulder", (0, 0, -0.5)),
        ({"head_y": 90}, "left_ear", (0.2, -0.65, -0.3)),
        ({"spine_x": 90}, "left_hip", (0.4, 0, 1.8)),
        ({"lower_spine_x": 90}, "right_hip", (-0.4, 0.9, 0.9)),
        ({"r_index_mcp_x": -90}, "right_hand_index_tip", (-0.4, 1.9, 0)),  # fingers bend towards the thigh
        ({"l_index_mcp_x": -90}, "left_hand_index_tip", (0.4, 1.9, 0)),
        ({"r_index_mcp_y": 90}, "right_hand_index_tip", (-0.5, 1.9, 0.1)),
        ({"l_index_mcp_y": 90}, "left_hand_index_tip", (0.5, 1.9, 0.1)),
        # The palm keeps its orientation in the root frame while the forearm points at the camera.
        ({"right_elbow_x": -90}, "right_hand_index_mcp", (-0.5, 1.1, -0.8)),
        ({"right_elbow_x": -90, "r_wrist_y": 90}, "right_hand_index_mcp", (-0.5, 1, -0.7)),
        ({"left_elbow_x": -90, "l_wrist_y": 90}, "left_hand_index_mcp", (0.5, 1, -0.7)),
        ({"r_wrist_x": 90}, "right_hand_index_mcp", (-0.6, 1.8, 0)),
        ({"l_wrist_x": 90}, "left_hand_index_mcp", (0.6, 1.8, 0)),
    ],
)
def test_one_angle_moves_the_joints_beyond_it(
    turned: dict[str, float], joint: str, expected: tuple[float, float, float]
) -> None:
    np.testing.assert_allclose(zero_pose(**turned)[skeleton.JOINTS.index(joint)], expected, atol=1e-12)


@pytest.mark.parametrize("side", skeleton.SIDES)
def test_wrist_angles_are_the_inverse_of_the_palm_frame(side: skeleton.Side) -> None:
    angles = np.random.default_rng(0).uniform((-3, -1.5, -3), (3, 1.5, 3), (50, 3))
    palm = np.stack(palm_frame(side, angles), -1)
    np.testing.assert_allclose(wrist_angles(side, palm), angles, atol=1e-9)
    np.testing.assert_allclose(wrist_angles(side, torch.from_numpy(palm)).numpy(), angles, atol=1e-9)


def test_palms_of_mirrored_hands_are_mirror_images() -> None:
    angles = np.random.default_rng(0).uniform((-3, -1.5, -3), (3, 1.5, 3), (50, 3))
    right, left = (np.stack(palm_frame(side, angles), -1) for side in skeleton.SIDES)
    mirror = np.diag((-1.0, 1, 1))
    np.testing.assert_allclose(mirror @ right @ mirror, left, atol=1e-12)


def test_numpy_and_torch_agree() -> None:
    angles = observed_angles(np.random.default_rng(0), 8)
    with_torch = forward_kinematics(*(torch.from_numpy(part) for part in (*angles, *BONES)))
    np.testing.assert_allclose(with_torch.numpy(), pose(angles), atol=1e-14)


def test_float32_stays_float32() -> None:
    angles = [part.astype(np.float32) for part in observed_angles(np.random.default_rng(0), 3)]
    joints = forward_kinematics(*angles, *(bones.astype(np.float32) for bones in BONES))
    assert joints.dtype == np.float32
    assert forward_kinematics(*(torch.from_numpy(part) for part in angles), *map(torch.tensor, BONES)).shape == (
        3,
        61,
        3,
    )


def test_any_leading_dimensions_and_bones_per_frame_are_taken() -> None:
    angles = observed_angles(np.random.default_rng(0), 6)
    folded = [part.reshape(2, 3, -1) for part in angles]
    per_frame = [np.tile(bones, (2, 3, 1)) for bones in BONES]
    np.testing.assert_allclose(forward_kinematics(*folded, *per_frame).reshape(6, 61, 3), pose(angles))


def test_gradients_reach_every_angle_that_moves_a_joint() -> None:
    parts = [torch.from_numpy(part).requires_grad_() for part in observed_angles(np.random.default_rng(0), 1)]
    joints = forward_kinematics(*parts, *map(torch.from_numpy, BONES))
    (joints * torch.arange(joints.numel()).reshape(joints.shape)).sum().backward()
    assert {k for k in range(22) if parts[0].grad[0, k] == 0} == {*skeleton.RESERVED_ANGLES}
    assert (parts[1].grad != 0).all()
    assert (parts[2].grad != 0).all()


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_mirrored_angles_give_the_mirrored_skeleton(seed: int) -> None:
    angles = random_angles(np.random.default_rng(seed), 4, skeleton.BODY_LIMITS, skeleton.HAND_LIMITS)
    np.testing.assert_allclose(pose(mirror_angles(angles)), mirror_joints(pose(angles)), atol=1e-12)


@given(seed=st.integers(0, 2**32 - 1), factor=st.floats(0.5, 2))
@settings(max_examples=20)
def test_bones_keep_their_lengths_in_any_pose_and_scale_with_the_person(seed: int, factor: float) -> None:
    angles = random_angles(np.random.default_rng(seed), 4, skeleton.BODY_LIMITS, skeleton.HAND_LIMITS)
    body, hand = (bones.copy() for bones in BONES)
    body[0] *= factor
    hand[0] *= factor
    joints = forward_kinematics(*angles, body, hand)
    np.testing.assert_allclose(np.linalg.norm(joints[:, 1] - joints[:, 0], axis=-1), factor * 0.266)
    np.testing.assert_allclose(np.linalg.norm(joints[:, 5] - joints[:, 4], axis=-1), factor * 0.266 * 0.931)
    np.testing.assert_allclose(np.linalg.norm(joints[:, 45] - joints[:, 40], axis=-1), factor * 0.081)
    np.testing.assert_allclose(joints, factor * pose(angles), atol=1e-12)
