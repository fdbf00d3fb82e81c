"""The lifter's solution refined: nearer to what was seen, finite whatever was not."""

import functools
from dataclasses import replace

import numpy as np
import pytest

from signrep_core.body.inverse import Solution
from signrep_core.lift.detector_errors import expected_error, load_errors
from signrep_core.lift.lift_video import LiftedVideo, lift, sighted, solve_by_lifter
from signrep_core.lift.lifter import Lifter, load_lifter
from signrep_core.lift.refine import camera_of, refine_solution
from signrep_core.skeleton import ARMS, BODY_ANGLES, SIDES
from signrep_core.synthetic.corpus import plan_corpus, true_columns

Pose = tuple[np.ndarray, np.ndarray]
ARM_JOINTS = [joint for side in SIDES for joint in ARMS[side]]
OF_ARMS = np.array(["shoulder" in name or "elbow" in name for name in BODY_ANGLES])


@pytest.fixture(scope="module")
def lifter() -> Lifter:
    return load_lifter()


@pytest.fixture(scope="module")
def pose() -> Pose:
    """A rendered signer's true places, and confidences."""
    truth = true_columns(plan_corpus(signers=1, glosses=3, takes=1, seed=5, size=320)[0])
    places = np.asarray(truth["image_xy"])
    return places, np.ones(places.shape[:2])


def test_refined_joints_lie_nearer_to_what_was_seen(lifter: Lifter, pose: Pose) -> None:
    """Of the lifter's own pose, and of one whose arms are some 6° elsewhere: the prior keeps a part of that."""
    video, solution = lift(lifter, *pose), solve_by_lifter(lifter, *pose)

    def off(found: Solution) -> float:
        joints = found.joints()
        return float(np.median(np.linalg.norm(sighted(video, joints, *pose) - joints, axis=-1)[:, ARM_JOINTS]))

    moved = np.random.default_rng(0).normal(0, 0.1, solution.body_angles.shape[1]) * OF_ARMS
    for start, share in ((solution, 1.0), (replace(solution, body_angles=solution.body_angles + moved), 0.7)):
        assert off(refine_solution(video, start, *pose)) < share * off(start)


def test_the_expected_error_is_taken_off_before(lifter: Lifter, pose: Pose) -> None:
    xy, confidence = pose
    video, solution = lift(lifter, *pose), solve_by_lifter(lifter, *pose)
    expected = functools.partial(expected_error, errors=load_errors())
    plain, corrected = (refine_solution(video, solution, xy, confidence, shift) for shift in (None, expected))
    assert np.abs(plain.body_angles - corrected.body_angles).max() > np.radians(1)
    np.testing.assert_array_equal(plain.confidence, corrected.confidence)


def test_the_camera_follows_from_the_lifters() -> None:
    # 2 shoulder widths of 50 pixels a metre, 2 m away: focal length 200; the neck 0.1 right of the axis at that
    # distance, seen at (160, 100).
    frames = 5
    camera = np.tile([2, 0.5, 0, 0, 0.1, 0], (frames, 1))
    nothing = np.zeros((frames, 1))
    video = LiftedVideo(
        np.tile([160.0, 100], (frames, 1)), np.full(frames, 50.0), *[nothing] * 5, camera, nothing, nothing
    )  # fmt: skip
    centre, focal, scale = camera_of(video)
    assert focal == pytest.approx(200)
    assert centre == pytest.approx((140, 100))
    assert scale == pytest.approx(np.full(frames, 100.0))
