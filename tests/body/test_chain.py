"""Fitting of kinematic chains, on small ones that can be calculated by hand."""

from itertools import pairwise

import numpy as np
import pytest

from signrep_core.body import chain
from signrep_core.body.chain import Bounds, KinematicChain, Targets, fit_chain, pose_chain, serial_chain

ROOT = [axis[:, None] for axis in np.eye(3)]
HINGE = serial_chain("zz", (1, 2))  # two bones along y that rotate about z: a planar arm
BONES = np.array([[[0.0], [1], [0]], [[0], [1], [0]]])


def bounds(low: float = -3, high: float = 3, rest: float = 0, deviation: float = np.inf, noise: float = 0) -> Bounds:
    return Bounds.of(np.tile((low, high), (2, 1)), np.full(2, rest), np.full(2, deviation), noise)


@pytest.fixture(autouse=True)
def many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough steps to converge from anywhere."""
    monkeypatch.setattr(chain, "STEPS", 30)


def fit(places: list[list[float]], limits: Bounds, seen: tuple[float, float] = (1, 1)) -> np.ndarray:
    targets = Targets(np.array(places)[..., None], np.array(seen)[:, None])
    return fit_chain(HINGE, np.full((2, 1), 0.1), ROOT, BONES, targets, limits)[:, 0]


def test_each_bone_of_a_serial_chain_starts_at_the_end_of_the_one_before() -> None:
    assert serial_chain("zyzxyx", (2, 5, 6)) == KinematicChain(
        axes="zyzxyx", parents=(-1, 0, 1, 2, 3, 4), pivots=(-1, -1, 0, 0, 0, 1), frames=(1, 4, 5), starts=(-1, 0, 1)
    )


def test_a_pose_rotates_bones_about_their_pivots() -> None:
    _, points = pose_chain(HINGE, np.array([[np.pi / 2], [-np.pi / 2]]), ROOT, BONES)
    np.testing.assert_allclose(points[0][:, 0], (-1, 0, 0), atol=1e-12)
    np.testing.assert_allclose(points[1][:, 0], (-1, 1, 0), atol=1e-12)


def test_a_reachable_target_is_reached() -> None:
    np.testing.assert_allclose(fit([[-1, 0, 0], [-1, 1, 0]], bounds()), (np.pi / 2, -np.pi / 2), atol=1e-6)


def test_limits_hold_and_the_other_angle_is_the_best_within_them() -> None:
    # The tip is drawn far out at 45°, but the first hinge can rotate by 0.2 only: the second bone aims from there.
    target = 2.5 * np.array([-np.sin(np.pi / 4), np.cos(np.pi / 4), 0])
    limits = Bounds.of(np.array([[-0.2, 0.2], [-3, 3]]), np.zeros(2), np.full(2, np.inf), 0)
    angles = fit([[0, 0, 0], target.tolist()], limits, seen=(0, 1))
    first = np.array([-np.sin(0.2), np.cos(0.2)])
    towards = target[:2] - first
    assert angles[0] == pytest.approx(0.2)
    assert angles.sum() == pytest.approx(np.arctan2(-towards[0], towards[1]), abs=1e-3)


def test_an_angle_without_evidence_is_at_rest() -> None:
    angles = fit([[-1, 0, 0], [9, 9, 9]], bounds(rest=0.5, deviation=1, noise=1e-3), seen=(1, 0))
    assert angles[0] == pytest.approx(np.pi / 2, abs=1e-4)
    assert angles[1] == pytest.approx(0.5, abs=1e-3)


def test_the_pull_of_springs_grows_with_the_noise() -> None:
    # One bone of 1 m, target at a small angle a, spring k towards 0: the angle is a / (1 + k²).
    target = [[-np.sin(0.01), np.cos(0.01), 0], [0, 0, 0]]
    assert fit(target, bounds(deviation=1, noise=1), seen=(1, 0))[0] == pytest.approx(0.01 / 2, rel=1e-3)
    assert fit(target, bounds(deviation=1, noise=0), seen=(1, 0))[0] == pytest.approx(0.01, rel=1e-3)


def test_frames_do_not_influence_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "STEPS", 5)
    rng = np.random.default_rng(0)
    targets, weights = rng.normal(size=(2, 3, 40)), np.ones((2, 40))
    start = rng.uniform(-1, 1, (2, 40))
    together = fit_chain(HINGE, start, ROOT, BONES, Targets(targets, weights), bounds())
    for k in (0, 17, 39):
        one = [part[..., k : k + 1] for part in (start, targets, weights)]
        alone = fit_chain(HINGE, one[0], ROOT, BONES, Targets(one[1], one[2]), bounds())
        np.testing.assert_allclose(together[:, k : k + 1], alone, atol=1e-9)


def test_more_steps_never_raise_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    targets, weights = rng.normal(size=(2, 3, 200)), np.ones((2, 200))
    start, limits = rng.uniform(-3, 3, (2, 200)), bounds(-1, 1)
    errors = []
    for steps in (0, 1, 3, 10):
        monkeypatch.setattr(chain, "STEPS", steps)
        angles = fit_chain(HINGE, start, ROOT, BONES, Targets(targets, weights), limits)
        errors.append(((np.stack(pose_chain(HINGE, angles, ROOT, BONES)[1]) - targets) ** 2).sum((0, 1)))
    for before, after in pairwise(errors):
        assert (after <= before + 1e-9).all()
    assert errors[-1].sum() < 0.9 * errors[0].sum()
