"""Targets and masks of the priors."""

import math

import numpy as np
import pytest
import torch

from signrep_core.body.targets import PRIORS, Target, prior_targets
from signrep_core.skeleton import BODY_ANGLES, HAND_ANGLES, JOINTS


def pose(**changes: np.ndarray) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "body_angles": rng.normal(size=(16, 22)),
        "right_angles": rng.normal(size=(16, 41)),
        "left_angles": rng.normal(size=(16, 41)),
        "keypoints": rng.normal(size=(16, 61, 3)),
        "confidence": np.ones((16, 61)),
    } | changes


def unseen(*joints: str) -> np.ndarray:
    confidence = np.ones((16, 61))
    confidence[:, [JOINTS.index(joint) for joint in joints]] = 0.49
    return confidence


def valid_names(target: Target, names: tuple[str, ...]) -> set[str]:
    return {name for name, valid in zip(names, target.valid[0], strict=True) if valid}


def test_weights_and_scales_are_those_of_table_9() -> None:
    assert {name: (p.weight, p.scale) for name, p in PRIORS.items()} == {
        "body_angles": (10, 1), "right_angles": (10, 1), "left_angles": (10, 1),
        "body_keypoints": (10, 1), "right_keypoints": (10, 2), "left_keypoints": (10, 2),
        "body_distances": (20, 1), "right_distances": (20, 4), "left_distances": (20, 4),
    }  # fmt: skip


def test_targets_have_the_shapes_of_the_priors_and_are_valid_when_all_is_seen() -> None:
    targets = prior_targets(**pose())
    assert {name: target.value.shape[1:] for name, target in targets.items()} == {
        name: prior.shape for name, prior in PRIORS.items()
    }
    assert all(target.valid.all() for target in targets.values())


def test_an_angle_becomes_its_sine_and_cosine() -> None:
    angles = np.zeros((16, 22))
    angles[:, 5] = math.pi / 6
    value = prior_targets(**pose(body_angles=angles))["body_angles"].value
    assert value[0, 5] == pytest.approx([0.5, math.sqrt(3) / 2])
    assert value[0, 0] == pytest.approx([0, 1])


def test_hands_have_their_wrist_at_the_origin() -> None:
    inputs = pose()
    targets = prior_targets(**inputs)
    assert np.all(targets["left_keypoints"].value[:, 0] == 0)
    expected = inputs["keypoints"][:, 39] - inputs["keypoints"][:, 19]
    np.testing.assert_allclose(targets["right_keypoints"].value[:, 20], expected)


def test_a_distance_is_source_minus_destination() -> None:
    inputs = pose()
    keypoints = inputs["keypoints"]
    targets = prior_targets(**inputs)
    # sources {19, 23, ...}, destinations {0, 3, 6, 7, 10, ...}; left tips {44, ...}, destinations {40, 41, ...}
    np.testing.assert_allclose(targets["body_distances"].value[:, 1, 4], keypoints[:, 23] - keypoints[:, 10])
    np.testing.assert_allclose(targets["left_distances"].value[:, 0, 1], keypoints[:, 44] - keypoints[:, 41])


def test_a_distance_needs_both_its_joints() -> None:
    valid = prior_targets(**pose(confidence=unseen("right_hand_thumb_tip")))["right_distances"].valid
    assert not valid[:, 0].any()  # its row: joint 23 as the source
    assert not valid[:, :, 2].any()  # its column: joint 23 as the destination
    assert valid[:, 1:, [0, 1, 3, 4, 5, 6, 7, 8, 9, 10]].all()


def test_confidence_of_exactly_one_half_is_enough() -> None:
    assert prior_targets(**pose(confidence=np.full((16, 61), 0.5)))["body_keypoints"].valid.all()


def test_an_unseen_elbow_hides_that_arm_only() -> None:
    targets = prior_targets(**pose(confidence=unseen("left_elbow")))
    hidden = set(BODY_ANGLES) - valid_names(targets["body_angles"], BODY_ANGLES)
    assert hidden == {"left_shoulder_z", "left_shoulder_x", "left_shoulder_y", "left_elbow_x"}
    assert targets["left_angles"].valid.all()
    assert targets["right_angles"].valid.all()


def test_an_unseen_ring_finger_hides_its_own_angles_only() -> None:
    targets = prior_targets(**pose(confidence=unseen("right_hand_ring_tip")))
    hidden = set(HAND_ANGLES) - valid_names(targets["right_angles"], HAND_ANGLES)
    assert hidden
    assert all(name.startswith("ring_") for name in hidden)
    assert targets["left_angles"].valid.all()


def test_a_hand_without_its_wrist_has_no_keypoints() -> None:
    targets = prior_targets(**pose(confidence=unseen("left_hand_wrist")))
    assert not targets["left_keypoints"].valid.any()
    assert targets["right_keypoints"].valid.all()


def test_nan_is_invalid_and_becomes_zero() -> None:
    inputs = pose()
    inputs["keypoints"][:, 44] = np.nan
    inputs["right_angles"][3] = np.nan
    targets = prior_targets(**inputs)
    assert all(np.isfinite(target.value).all() for target in targets.values())
    assert not targets["left_distances"].valid[:, 0].any()
    assert not targets["right_angles"].valid[3].any()
    assert targets["right_angles"].valid[2].all()


def test_torch_and_numpy_agree() -> None:
    inputs = pose(confidence=unseen("left_hand_index_tip", "nose"))
    expected = prior_targets(**inputs)
    found = prior_targets(**{name: torch.from_numpy(value) for name, value in inputs.items()})
    for name, target in expected.items():
        np.testing.assert_allclose(found[name].value.numpy(), target.value)
        np.testing.assert_array_equal(found[name].valid.numpy(), target.valid)
