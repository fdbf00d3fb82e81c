"""Refinement: what the camera saw is reached, what it did not see stays as it was."""

import numpy as np
import pytest

from signrep_core import skeleton
from signrep_core.body.forward import forward_kinematics
from signrep_core.body.refine import Angles, Refined, angle_spread, place_neck, refine_angles, smooth
from tests.body.poses import BONES, smooth_angles

FOCAL, CENTRE = 600.0, np.array([160.0, 160.0])
NECK = np.array([0.05, -0.1, 2.0])
T = 40
ELBOWS = [skeleton.BODY_ANGLES.index(f"{side}_elbow_x") for side in skeleton.SIDES]


@pytest.fixture(scope="module")
def truth() -> Angles:
    return smooth_angles(T, np.random.default_rng(3))


def photograph(angles: Angles) -> np.ndarray:
    """(T, 61, 2) pixels of a perspective camera."""
    placed = forward_kinematics(*angles, *BONES) + NECK
    return FOCAL * placed[..., :2] / placed[..., 2:] + CENTRE


def spreads(frames: int, radians: float = 0.2) -> Angles:
    return np.full((frames, 22), radians), np.full((frames, 41), radians), np.full((frames, 41), radians)


def refine(image_xy: np.ndarray, prior: Angles, confidence: float | np.ndarray = 1.0) -> Refined:
    confidence = np.broadcast_to(confidence, image_xy.shape[:2])
    return refine_angles(image_xy, confidence, CENTRE, FOCAL, prior, spreads(len(image_xy)), *BONES)


def off(angles: Angles, image_xy: np.ndarray) -> float:
    """Median distance in the picture, pixels; a shoulder width is 97 of them."""
    return float(np.median(np.linalg.norm(photograph(angles) - image_xy, axis=-1)))


def test_a_true_pose_stays_and_the_neck_is_found(truth: Angles) -> None:
    refined = refine(photograph(truth), truth)
    for ours, theirs in zip(refined.angles, truth, strict=True):
        assert np.abs(ours - theirs).max() < np.radians(2)  # the neck's distance is a median: it moves with the spine
    np.testing.assert_allclose(refined.neck, np.tile(NECK, (T, 1)), atol=0.02)


def test_a_prior_that_is_off_is_brought_to_what_was_seen(truth: Angles) -> None:
    rng = np.random.default_rng(4)
    prior: Angles = tuple(part + 0.15 * rng.standard_normal(part.shape[1]) for part in truth)  # type: ignore[assignment]
    prior[0][:, skeleton.RESERVED_ANGLES] = 0
    image_xy = photograph(truth)
    refined = refine(image_xy, prior)
    assert off(refined.angles, image_xy) < 0.4 * off(prior, image_xy)
    joints, before, after = (forward_kinematics(*angles, *BONES) for angles in (truth, prior, refined.angles))
    wrists = [2, 5]
    errors = [np.linalg.norm((pose - joints)[:, wrists], axis=-1).mean() for pose in (before, after)]
    assert errors[1] < 0.8 * errors[0]


def test_a_joint_far_from_where_it_can_be_counts_less(truth: Angles) -> None:
    image_xy = photograph(truth)
    image_xy[:, skeleton.ARMS["right"][1]] += 200  # pixels, two shoulder widths
    refined = refine(image_xy, truth)
    elbow = forward_kinematics(*refined.angles, *BONES)[:, 1] - forward_kinematics(*truth, *BONES)[:, 1]
    assert np.linalg.norm(elbow, axis=-1).max() < 0.1


@pytest.mark.parametrize("frames", [1, 2, T])
def test_where_nothing_is_seen_the_prior_stays(truth: Angles, frames: int) -> None:
    prior: Angles = tuple(part[:frames] for part in truth)  # type: ignore[assignment]
    refined = refine(np.full((frames, 61, 2), np.nan), prior, confidence=0)
    for ours, theirs in zip(refined.angles, prior, strict=True):
        assert np.abs(ours - theirs).max() < np.radians(3)  # of smoothing


def test_a_hand_that_was_not_seen_keeps_its_pose_and_the_other_moves(truth: Angles) -> None:
    body, right, left = truth
    prior = (body, right + 0.1, left + 0.1)
    confidence = np.ones((T, 61))
    confidence[:, skeleton.HANDS["left"]] = 0
    refined = refine(photograph(truth), prior, confidence)
    flexion = skeleton.HAND_ANGLES.index("index_mcp_x")
    assert np.abs(refined.left_angles - prior[2])[:, flexion].max() < np.radians(1)
    assert np.abs(refined.right_angles - right)[:, flexion].mean() < 0.07


def test_limits_hold_whatever_the_prior_and_the_picture(truth: Angles) -> None:
    rng = np.random.default_rng(5)
    wild: Angles = tuple(rng.uniform(-4, 4, part.shape) for part in truth)  # type: ignore[assignment]
    refined = refine(rng.uniform(0, 320, (T, 61, 2)), wild)
    low, high = skeleton.BODY_LIMITS.T
    assert ((refined.body_angles >= low) & (refined.body_angles <= high)).all()
    for hand in (refined.right_angles, refined.left_angles):
        low, high = skeleton.HAND_LIMITS[3:].T
        assert ((hand[:, 3:] >= low) & (hand[:, 3:] <= high)).all()
        assert np.isfinite(hand).all()


def test_the_necks_place_follows_from_pose_and_lines_of_sight(truth: Angles) -> None:
    joints = forward_kinematics(*truth, *BONES)
    sight = (photograph(truth) - CENTRE) / FOCAL
    np.testing.assert_allclose(place_neck(joints, sight, np.ones((T, 61))), np.tile(NECK, (T, 1)), atol=1e-9)


def test_smoothing_leaves_steady_motion_and_takes_off_tremor() -> None:
    steady = 0.1 * np.arange(30.0)[:, None] * (1, -2)
    np.testing.assert_allclose(smooth(steady, np.ones(30), 3.0), steady, atol=1e-9)
    tremor = 0.01 * (-1.0) ** np.arange(30)[:, None]
    assert np.abs(smooth(tremor, np.ones(30), 1.0)[5:-5]).max() < 0.001  # 1 / (1 + 16) of the fastest change there is


def test_a_frame_that_was_not_seen_is_bridged() -> None:
    values, weight = np.arange(20.0)[:, None], np.ones(20)
    values[10], weight[10] = 30, 0
    assert smooth(values, weight, 1.0)[10, 0] == pytest.approx(10, abs=1)


def test_an_error_across_a_bone_turns_it() -> None:
    error = np.full((1, 61), 0.01)
    error[0, 1] = 0.0266  # of the right elbow, one tenth of the upper arm
    body, right, _ = angle_spread(error, *BONES)
    names = skeleton.BODY_ANGLES.index
    assert body[0, [names("right_shoulder_z"), names("right_shoulder_x")]] == pytest.approx(0.1)
    assert body[0, names("right_elbow_x")] == pytest.approx(0.01 / (0.931 * 0.266))
    # equal errors of PIP and DIP: half of it is laid to the bone between them
    middle = 0.081 * 0.269
    assert right[0, skeleton.HAND_ANGLES.index("index_pip_x")] == pytest.approx(0.005 / middle)
