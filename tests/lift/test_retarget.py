"""Motion capture to angles: known angles come back, bones are constant, missing points and wrong files are handled."""

from pathlib import Path

import numpy as np
import pytest

from signrep_core.body.forward import forward_kinematics
from signrep_core.body.inverse import BODY_REST, HAND_REST
from signrep_core.errors import SignRepError
from signrep_core.lift.retarget import Motion, fit_motion, read_motion, summarise_fit, write_fit
from signrep_core.skeleton import (
    BODY_ANGLES,
    DEFAULT_BODY_OFFSETS,
    DEFAULT_HAND_OFFSETS,
    HAND_ANGLES,
    HANDS,
    JOINTS,
)

ARM_POINTS = tuple(JOINTS[:8])
HAND_POINTS = tuple(JOINTS[HANDS["right"]])
MOVED = ["right_elbow_x", "left_shoulder_x", "right_shoulder_z"]
BENT = ["index_mcp_x", "index_pip_x", "ring_dip_x", "thumb_tip_x", "pinky_mcp_x"]


@pytest.fixture(scope="module")
def truth() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Body (T, 22) and hand angles (T, 41) of slow waves about the resting pose, and the joints (T, 61, 3)."""
    wave = np.sin(np.arange(40) / 8)[:, None]
    body, hand = np.tile(BODY_REST, (40, 1)), np.tile(HAND_REST, (40, 1))
    for angles, names, moved in ((body, BODY_ANGLES, MOVED), (hand, HAND_ANGLES, BENT)):
        columns = [names.index(name) for name in moved]
        angles[:, columns] += np.radians(20) * wave * np.linspace(0.5, 1, len(columns))
    return body, hand, forward_kinematics(body, hand, hand, DEFAULT_BODY_OFFSETS, 1.1 * DEFAULT_HAND_OFFSETS)


def points(joints: np.ndarray, names: tuple[str, ...]) -> Motion:
    """The named joints as one recording."""
    return Motion(joints[:, [JOINTS.index(name) for name in names]], names, np.array([len(joints)]), np.array([0]))


def test_known_angles_of_arms_come_back_wherever_the_signer_stands(truth) -> None:
    body, _, joints = truth
    fitted = fit_motion(points(joints + np.array([0.3, -1.0, 2.5]), ARM_POINTS))
    columns = [BODY_ANGLES.index(name) for name in MOVED]
    assert np.abs(fitted.body - body)[:, columns].max() < np.radians(2)
    assert np.nanmax(fitted.residual) < 2e-3
    np.testing.assert_allclose(fitted.body_offsets[0, :3], DEFAULT_BODY_OFFSETS[:3], rtol=0.02)


def test_known_angles_of_a_hand_come_back(truth) -> None:
    _, hand, joints = truth
    fitted = fit_motion(points(joints, HAND_POINTS))
    columns = [HAND_ANGLES.index(name) for name in BENT]
    assert np.abs(fitted.hands[0] - hand)[:, columns].max() < np.radians(3)
    np.testing.assert_allclose(fitted.hands[1][:, 3:], np.tile(HAND_REST[3:], (40, 1)), atol=1e-6)
    assert np.nanmax(fitted.residual) < 1e-3


def test_noise_and_gaps_are_smoothed_over(truth) -> None:
    joints = truth[2]
    noisy = joints + np.random.default_rng(0).normal(0, 0.01, joints.shape)
    motion = points(noisy, ARM_POINTS)
    motion.points[10:13, ARM_POINTS.index("right_wrist")] = np.nan
    fitted = fit_motion(motion)
    posed = forward_kinematics(fitted.body, *fitted.hands, fitted.body_offsets[0], fitted.hand_offsets[0])
    wrist = JOINTS.index("right_wrist")
    off = np.linalg.norm(posed[:, wrist] - joints[:, wrist], axis=-1)
    assert np.isnan(fitted.residual[10:13, ARM_POINTS.index("right_wrist")]).all()
    assert np.median(off) < 0.8 * np.median(np.linalg.norm(noisy[:, wrist] - joints[:, wrist], axis=-1))
    assert off[10:13].max() < 0.04


def test_files_are_read_and_written(truth, tmp_path: Path) -> None:
    motion = points(truth[2], HAND_POINTS[:3])
    np.savez(tmp_path / "motion.npz", points=motion.points, names=np.array(motion.names))
    read = read_motion(tmp_path / "motion.npz")
    assert (read.names, read.lengths.tolist()) == (HAND_POINTS[:3], [40])
    fitted = fit_motion(read)
    write_fit(tmp_path / "fit.npz", fitted, read)
    with np.load(tmp_path / "fit.npz") as file:
        assert file["body"].shape == (40, 22)
    assert "| right_hand_thumb_cmc |" in summarise_fit(fitted, read)


def test_wrong_files_are_refused_with_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(SignRepError, match=r"expected a .npz with the arrays points and names"):
        read_motion(tmp_path / "missing.npz")
    with pytest.raises(SignRepError, match="no point is named 'tail'; expected joints or neck"):
        Motion(np.zeros((3, 1, 3)), ("tail",), np.array([3]), np.array([0]))
    with pytest.raises(SignRepError, match="expected recordings of at least one frame"):
        Motion(np.zeros((0, 1, 3)), ("neck",), np.array([0]), np.array([0]))
    with pytest.raises(SignRepError, match=r"expected points \(4, 1, 3\)"):
        Motion(np.zeros((3, 1, 3)), ("neck",), np.array([4]), np.array([0]))
