"""The lifter's benchmark: bends do not depend on conventions, constants and correlations are as by hand."""

import numpy as np
import pytest

from signrep_core.bench.lifting import motion_parts
from signrep_core.bench.real_motion import Compared, bends, with_motion
from signrep_core.bench.rendered_signers import jitter, reprojection
from signrep_core.lift.real_motion import HELD_OUT, RealMotion
from signrep_core.skeleton import HANDS
from signrep_core.synthetic.clips import make_bank


def test_a_bend_is_the_angle_between_two_bones() -> None:
    joints = np.zeros((1, 61, 3))
    for side in HANDS.values():
        finger = np.array([[0, 0, 0], [0, 0, 1.0], [0, 0, 2], [0, 1, 2], [0, 1, 1]])  # straight, 90°, 90°
        for first in (5, 9, 13, 17):
            joints[:, side.start + np.array([0, first, first + 1, first + 2, first + 3])] = finger
        joints[:, side.start + np.arange(1, 5)] = [[0, 0, 0], [1, 0, 0], [2, 1, 0], [3, 2, 0]]
    np.testing.assert_allclose(bends(joints, "knuckles"), 0, atol=1e-5)
    np.testing.assert_allclose(bends(joints, "middle joints"), 90)
    np.testing.assert_allclose(bends(joints, "end joints"), 90)
    np.testing.assert_allclose(bends(joints, "thumb"), [[45, 0]] * 2, atol=1e-5)


def test_figures_state_the_constant_and_the_correlation() -> None:
    true = np.array([[0.0], [10], [20], [30]])
    error, correlation = Compared(true + 1, true).figures("x", "°", 2.0, 0.9)
    assert (error.value, error.passed) == (1.0, True)
    assert error.note == "mean 1; a constant 10, mean 10"
    assert correlation.value == pytest.approx(1.0)
    assert [figure.value for figure in Compared(0 * true, true).figures("x", "°", None, None)] == [15, 0]


def test_a_bank_holds_the_motion_of_one_person_only() -> None:
    own = RealMotion(np.arange(76.0).reshape(2, 38), np.array([1, 1]), np.array([0, 5]), np.ones((6, 20)))
    bank = with_motion(make_bank(1, 0), "hands", {"hands": own}, HELD_OUT["hands"])
    np.testing.assert_array_equal(bank.fingers[0].values, own.angles[1:])
    assert bank.hand_offsets[0].shape == (1, 20)


def test_the_parts_without_videos_are_named_by_motion_and_errors() -> None:
    names = list(motion_parts(None, None))
    assert names[:4] == [
        "real hands",
        "real hands, detector errors",
        "synthetic hands",
        "synthetic hands, detector errors",
    ]
    assert len(names) == 8


def test_a_posed_skeleton_at_its_own_projection_has_no_error_and_no_jitter() -> None:
    rng = np.random.default_rng(0)
    joints = np.tile(rng.normal(0, 0.2, (1, 61, 3)), (6, 1, 1))
    xy = 1.9 * 100 * joints[..., :2] / (joints[..., 2:] + 2.0) + 50
    pose = {"image_xy": xy, "confidence": np.ones((6, 61)), "height": 100, "width": 100}
    assert reprojection(joints, pose).max() < 1
    assert jitter(joints, pose).max() < 1e-9
