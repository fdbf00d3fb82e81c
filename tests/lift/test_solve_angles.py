"""The entry `lift.solve_angles`: shapes, other frame rates, gaps, wrong input."""

import numpy as np
import pytest

from signrep_core.body.forward import forward_kinematics
from signrep_core.body.inverse import BODY_REST, HAND_REST
from signrep_core.errors import SignRepError
from signrep_core.lift import solve_angles
from signrep_core.skeleton import BODY_ANGLES, DEFAULT_BODY_OFFSETS, DEFAULT_HAND_OFFSETS

ELBOW = BODY_ANGLES.index("right_elbow_x")


def waving(fps: float, seconds: float = 2.0) -> np.ndarray:
    """(T, 61, 2) pixels of a signer whose right forearm swings once a second."""
    times = np.arange(round(seconds * fps)) / fps
    body, hand = np.tile(BODY_REST, (len(times), 1)), np.tile(HAND_REST, (len(times), 1))
    body[:, ELBOW] += 0.5 * np.sin(2 * np.pi * times)
    joints = forward_kinematics(body, hand, hand, DEFAULT_BODY_OFFSETS, DEFAULT_HAND_OFFSETS)
    return 800 * joints[..., :2] / (joints[..., 2:] + 2.0) + 250


@pytest.mark.parametrize("fps", [10.0, 25.0, 60.0])
def test_any_frame_rate_gives_an_angle_for_every_frame(fps: float) -> None:
    xy = waving(fps)
    solved = solve_angles(xy, np.ones(xy.shape[:2]), fps)
    assert solved.body_angles.shape == (len(xy), 22)
    assert solved.right_angles.shape == solved.left_angles.shape == (len(xy), 41)
    assert solved.confidence.shape == (len(xy), 61)
    truth = 0.5 * np.sin(2 * np.pi * np.arange(len(xy)) / fps)
    assert np.corrcoef(solved.body_angles[:, ELBOW], truth)[0, 1] > 0.9


def test_missing_hands_and_single_frames_are_solved() -> None:
    xy = waving(50.0)
    xy[:, 19:] = np.nan
    solved = solve_angles(xy, np.ones(xy.shape[:2]), 50.0)
    assert np.isfinite(solved.right_angles).all()
    assert (solved.confidence[:, 19:] == 0).all()
    assert len(solve_angles(xy[:1], np.ones((1, 61)), 50.0).body_angles) == 1


def test_wrong_shapes_and_rates_are_refused() -> None:
    with pytest.raises(SignRepError, match=r"expected image_xy \(T, 61, 2\).*found \(3, 60, 2\)"):
        solve_angles(np.zeros((3, 60, 2)), np.zeros((3, 60)))
    with pytest.raises(SignRepError, match="positive fps"):
        solve_angles(np.zeros((3, 61, 2)), np.zeros((3, 61)), 0)
