"""The figures that solve_angles prints."""

import dataclasses

import numpy as np
import pytest

from signrep_core.body.bones import seen_joints
from signrep_core.body.kinematics import Quality, Solution, solve_angles
from tests.body.poses import pose, smooth_angles

PER_FRAME = [field.name for field in dataclasses.fields(Solution) if not field.name.startswith("video")]


@pytest.fixture(scope="module")
def solved() -> tuple[np.ndarray, np.ndarray, Solution]:
    joints = pose(smooth_angles(30, np.random.default_rng(0)))
    confidence = np.ones(joints.shape[:2])
    return joints, confidence, solve_angles(joints, confidence)


def quality(solution: Solution, joints: np.ndarray, confidence: np.ndarray) -> Quality:
    quality = Quality()
    quality.add(compared(solution, joints, confidence))
    return quality


def compared(solution: Solution, joints: np.ndarray, confidence: np.ndarray) -> Solution:
    return dataclasses.replace(solution, landmarks=seen_joints(joints, confidence))


def test_errors_are_the_distances_of_each_group(solved: tuple[np.ndarray, np.ndarray, Solution]) -> None:
    _, confidence, solution = solved
    moved = solution.joints()
    moved[:, 0:6] += (0.003, 0, 0.004)  # 5 mm
    moved[:, 8:19] += (0, 0.002, 0)
    moved[:, 6:8] -= (0, 0, 0.007)
    moved[:, 20:40] += (0, 0, 0.001)  # the wrists stay, and the arms' 5 mm are no error of the fingers
    moved[:, 41:61] += (0, 0, 0.001)
    figures = quality(solution, moved, confidence).figures()
    assert figures["arms_m"] == pytest.approx(0.005, abs=1e-4)
    assert figures["face_m"] == pytest.approx(0.002, abs=1e-4)
    assert figures["hips_m"] == pytest.approx(0.007, abs=1e-4)
    assert figures["fingers_m"] == pytest.approx(0.001, abs=1e-4)
    assert figures["frames"] == 30


def test_the_error_of_a_hands_size_is_separate_from_that_of_its_shape(
    solved: tuple[np.ndarray, np.ndarray, Solution],
) -> None:
    joints, confidence, _ = solved
    near = joints.copy()
    for wrist, hand in (
        (19, slice(19, 40)),
        (40, slice(40, 61)),
    ):  # a third of the frames, one hand larger, one smaller
        size = 2.0 if wrist == 19 else 0.5
        near[:10, hand] = near[:10, wrist, None] + size * (near[:10, hand] - near[:10, wrist, None])
    solution = solve_angles(near, confidence)
    figures = quality(solution, near, confidence).figures()
    assert figures["fingers_m"] < 1e-4
    assert figures["fingers_as_placed_m"] < 1e-4  # the median frame is of the video's size
    only = dataclasses.replace(solution, **{name: getattr(solution, name)[:10] for name in PER_FRAME})
    figures = quality(only, near[:10], confidence[:10]).figures()
    assert figures["fingers_m"] < 1e-4
    assert figures["fingers_as_placed_m"] > 0.02


def test_joints_not_seen_do_not_count(solved: tuple[np.ndarray, np.ndarray, Solution]) -> None:
    joints, confidence, solution = solved
    moved, unsure = joints.copy(), confidence.copy()
    moved[:, 8:19] += 1.0
    unsure[:, 8:19] = 0.3
    assert np.isnan(quality(solution, moved, unsure).figures()["face_m"])


def test_jumps_are_the_largest_between_frames_modulo_360_degrees(
    solved: tuple[np.ndarray, np.ndarray, Solution],
) -> None:
    joints, confidence, solution = solved
    body, right = np.zeros_like(solution.body_angles), np.zeros_like(solution.right_angles)
    body[10:, 5] = -0.5
    body[20:, 14] = 0.7
    right[15:, 0] = 2 * np.pi + 0.2
    valid = solution.body_valid.copy()
    valid[20, 14] = False  # filled, so not a jump of what was seen
    changed = dataclasses.replace(
        solution, body_angles=body, right_angles=right, left_angles=np.zeros_like(right), body_valid=valid
    )
    figures = quality(changed, joints, confidence).figures()
    assert figures["body_jump"] == pytest.approx(0.5)
    assert figures["wrists_jump"] == pytest.approx(0.2)
    assert figures["fingers_jump"] == 0


def test_quality_of_parts_adds_up(solved: tuple[np.ndarray, np.ndarray, Solution]) -> None:
    joints, confidence, solution = solved
    off = joints + np.random.default_rng(0).normal(0, 0.01, joints.shape)
    parts = quality(solution, joints, confidence), quality(solution, off, confidence)
    both = Quality()
    both.add(compared(solution, joints, confidence))
    both.add(compared(solution, off, confidence))
    assert parts[0].merge(parts[1]).figures() == both.figures()


def test_a_line_of_text_names_every_figure(solved: tuple[np.ndarray, np.ndarray, Solution]) -> None:
    text = str(quality(solved[2], *solved[:2]))
    assert text.startswith("median joint error: arms 0.1 mm, face 0.1 mm, hips ")
    assert "0 of 30 frames have a filled angle" in text
    assert str(Quality()).startswith("median joint error: arms nan mm")
