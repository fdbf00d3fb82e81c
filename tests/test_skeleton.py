"""The skeleton's facts, typed again from the supplement (A1) and the measured skeleton."""

import numpy as np
import pytest

from signrep_core import skeleton


def test_a_skeleton_has_61_joints_and_104_angles() -> None:
    assert skeleton.N_JOINTS == 61
    assert (skeleton.N_BODY_ANGLES, skeleton.N_HAND_ANGLES) == (22, 41)
    assert (skeleton.N_BODY_OFFSETS, skeleton.N_HAND_OFFSETS) == (16, 20)


@pytest.mark.parametrize(
    ("joint", "name"),
    [
        (0, "right_shoulder"), (1, "right_elbow"), (2, "right_wrist"), (3, "left_shoulder"), (4, "left_elbow"),
        (5, "left_wrist"), (6, "right_hip"), (7, "left_hip"), (8, "nose"), (9, "left_eye_inner"), (10, "left_eye"),
        (11, "left_eye_outer"), (12, "right_eye_inner"), (13, "right_eye"), (14, "right_eye_outer"), (15, "left_ear"),
        (16, "right_ear"), (17, "mouth_left"), (18, "mouth_right"), (19, "right_hand_wrist"),
        (20, "right_hand_thumb_cmc"), (23, "right_hand_thumb_tip"), (24, "right_hand_index_mcp"),
        (39, "right_hand_pinky_tip"), (40, "left_hand_wrist"), (60, "left_hand_pinky_tip"),
    ],
)  # fmt: skip
def test_joint_has_its_number(joint: int, name: str) -> None:
    assert skeleton.JOINTS[joint] == name


def test_body_joints_are_the_supplements_mediapipe_landmarks() -> None:
    assert skeleton.MEDIAPIPE_POSE == (12, 14, 16, 11, 13, 15, 24, 23, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)


def test_fingertip_sets_are_those_of_the_supplement() -> None:
    assert skeleton.FINGERTIPS["left"] == (44, 48, 52, 56, 60)
    assert skeleton.FINGERTIP_DESTINATIONS["left"] == (40, 41, 44, 45, 48, 49, 52, 53, 56, 57, 60)
    for left, right in (
        (skeleton.FINGERTIPS["left"], skeleton.FINGERTIPS["right"]),
        (skeleton.FINGERTIP_DESTINATIONS["left"], skeleton.FINGERTIP_DESTINATIONS["right"]),
    ):
        assert tuple(joint - 21 for joint in left) == right


def test_interaction_sets_are_those_of_the_supplement() -> None:
    assert set(skeleton.INTERACTION_SOURCES) == {23, 27, 31, 35, 39, 44, 48, 52, 56, 60} | {19, 40}
    assert len(skeleton.INTERACTION_SOURCES) == 12
    assert skeleton.INTERACTION_DESTINATIONS == (
        0, 3, 6, 7, 10, 13, 15, 16, 17, 18, 19, 23, 27, 31, 35, 39, 40, 44, 48, 52, 56, 60,
    )  # fmt: skip


def test_activity_is_judged_against_shoulders_and_hips() -> None:
    assert skeleton.ACTIVITY_REFERENCE == (0, 3, 6, 7)


@pytest.mark.parametrize(
    ("index", "name"),
    [(5, "right_elbow_x"), (8, "left_shoulder_z"), (13, "head_x"), (15, "lower_spine_x"), (19, "spine_z")],
)
def test_body_angle_has_its_number(index: int, name: str) -> None:
    assert skeleton.BODY_ANGLES[index] == name


@pytest.mark.parametrize(
    ("index", "name"),
    [
        (2, "wrist_z"), (12, "thumb_tip_x"), (13, "index_metacarpal_x"), (16, "index_mcp_x"), (18, "index_pip_x"),
        (20, "middle_metacarpal_x"), (27, "ring_metacarpal_x"), (40, "pinky_dip_x"),
    ],
)  # fmt: skip
def test_hand_angle_has_its_number(index: int, name: str) -> None:
    assert skeleton.HAND_ANGLES[index] == name


@pytest.mark.parametrize(
    ("limits", "observed"),
    [
        (skeleton.BODY_LIMITS, skeleton.OBSERVED_BODY_RANGES),
        (skeleton.HAND_LIMITS, skeleton.OBSERVED_HAND_RANGES),
    ],
)
def test_limits_take_in_whatever_was_observed(limits: np.ndarray, observed: np.ndarray) -> None:
    assert (limits[:, 0] <= observed[:, 0]).all()
    assert (limits[:, 1] >= observed[:, 1]).all()


def test_elbows_bend_forward_only() -> None:
    elbows = [skeleton.BODY_ANGLES.index(f"{side}_elbow_x") for side in skeleton.SIDES]
    assert (skeleton.BODY_LIMITS[elbows, 1] == 0).all()
    assert (skeleton.BODY_LIMITS[elbows, 0] <= np.radians(-150)).all()
