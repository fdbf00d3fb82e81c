"""Training of the lifter: batches determined by seed and step, a falling loss, reproducible runs."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from signrep_core.body.kinematics import solve_angles
from signrep_core.errors import CheckpointError, TrainingError
from signrep_core.lift import LIFTER_WEIGHTS
from signrep_core.lift.detector_errors import load_errors
from signrep_core.lift.lifter import Lifter, LifterConfig, load_lifter, project
from signrep_core.lift.simulated_detections import draw_views, simulate_detections
from signrep_core.lift.train import (
    LifterSettings,
    _contact_loss,
    compute_losses,
    draw_batch,
    total_loss,
    train_lifter,
)
from signrep_core.lift.training_poses import Bank, Variety, draw_poses
from signrep_core.model.weights import read_weights
from signrep_core.synthetic.clips import make_bank
from tests.train.test_launch import TORCHRUN

SMALL = LifterSettings(
    config=LifterConfig(16, 16), steps=4, windows=4, frames=12, clips=1, validate_every=4, save_every=2, log_every=2
)


@pytest.fixture(scope="module")
def bank() -> Bank:
    return make_bank(1, 0)


def test_targets_are_what_inverse_kinematics_makes_of_the_joints(bank: Bank) -> None:
    poses = draw_poses(bank, 3, 20, np.random.default_rng(0), Variety(varied=0, random_fingers=0))
    for window in range(3):
        solved = solve_angles(poses.joints[window], np.ones((20, 61)))
        for ours, theirs in zip(
            (poses.body[window], *poses.hands[:, window]),
            (solved.body_angles, solved.right_angles, solved.left_angles),
            strict=True,
        ):
            off = (ours - theirs + np.pi) % (2 * np.pi) - np.pi
            assert np.percentile(np.abs(off), 95) < np.radians(0.5)


def test_a_batch_is_determined_by_seed_and_step(bank: Bank) -> None:
    errors = load_errors()
    first, again, next_one = (draw_batch(bank, errors, SMALL, step) for step in (5, 5, 6))
    for ours, theirs in zip(vars(first).values(), vars(again).values(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(first.joints, next_one.joints, atol=1e-3)
    assert all(torch.isfinite(values).all() for values in vars(first).values())
    assert (first.xy[first.confidence == 0] == 0).all()


def test_views_are_projections_of_the_joints(bank: Bank) -> None:
    joints = draw_poses(bank, 2, 8, np.random.default_rng(0), Variety()).joints
    views = draw_views(joints, np.random.default_rng(1))
    shoulders = np.linalg.norm(views.image_xy[:, :, 0] - views.image_xy[:, :, 3], axis=-1)
    np.testing.assert_allclose(np.median(shoulders, 1), 100, rtol=1e-6)
    camera = torch.tensor([[[3.0, 0.5, 0.1, -0.2, 0.0, 0.0]]])
    point = project(torch.tensor([[[[0.2, 0.4, -1.0]]]]), camera)
    torch.testing.assert_close(point[0, 0, 0], torch.tensor([3 * 0.2 / 0.5 + 0.1, 3 * 0.4 / 0.5 - 0.2]))


def test_some_windows_lack_whole_parts_and_some_have_no_errors(bank: Bank) -> None:
    poses = draw_poses(bank, 150, 2, np.random.default_rng(0), Variety())
    views = draw_views(poses.joints, np.random.default_rng(1))
    seen = simulate_detections(views, poses.joints, np.random.default_rng(2), load_errors())
    no_hands = (seen.confidence[..., 19:] == 0).all((1, 2))
    only_arms = no_hands & (seen.confidence[..., 8:] == 0).all((1, 2))
    assert 0.1 < no_hands.mean() < 0.35
    assert 0.04 < only_arms.mean() < 0.2
    exact = np.nanmax(np.abs(seen.image_xy - views.image_xy)[..., :8, :], (1, 2, 3)) < 1e-3
    assert 0.01 < exact.mean() < 0.3


def test_the_contact_loss_counts_near_joints_of_different_parts_only() -> None:
    joints = torch.zeros(1, 1, 61, 3)
    joints[..., 0] = torch.arange(61) * 10.0  # all far from one another
    joints[..., 19 + 8, :] = joints[..., 10, :]  # a right tip at the left eye
    moved = joints.clone()
    moved[..., 19 + 12, :] += 1  # far from everything
    assert _contact_loss(moved, joints) == 0
    moved[..., 19 + 8, 2] += 0.5
    torch.testing.assert_close(_contact_loss(moved, joints), torch.tensor(0.5))
    joints[..., 19 + 8, :] = joints[..., 19 + 4, :]  # tips of one hand
    moved = joints.clone()
    moved[..., 19 + 8, 2] += 0.5
    assert _contact_loss(moved, joints) == 0


def test_a_few_steps_lower_the_loss(bank: Bank) -> None:
    torch.manual_seed(0)
    lifter, batch = Lifter(SMALL.config), draw_batch(bank, load_errors(), SMALL, 0)
    optimiser = torch.optim.Adam(lifter.parameters(), 1e-2)
    losses = []
    for _ in range(15):
        loss = total_loss(compute_losses(lifter, lifter(batch.xy, batch.confidence), batch, SMALL), SMALL.weights)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_equal_runs_give_equal_weights_and_start_from_given_ones(tmp_path: Path) -> None:
    first, again = (
        train_lifter(tmp_path / name, SMALL, make_bank, workers=0, accelerator="cpu") for name in ("a", "b")
    )
    assert first.finished
    weights = [load_lifter(run.weights).state_dict() for run in (first, again)]
    torch.testing.assert_close(*weights, atol=1e-3, rtol=1e-3)
    assert "flexion_degrees" in (tmp_path / "a" / "metrics.csv").read_text()
    load_lifter(first.weights)
    other = LifterSettings(config=LifterConfig(32, 16), steps=1, clips=1)
    with pytest.raises(CheckpointError, match="give weights of the same sizes"):
        train_lifter(tmp_path / "c", other, make_bank, initial=first.weights, workers=0, accelerator="cpu")


def test_several_processes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TrainingError, match="the lifter trains in one process: start it without torchrun or srun"):
        train_lifter(tmp_path, SMALL, make_bank, accelerator="cpu")


def test_the_shipped_weights_record_what_made_them() -> None:
    notes = read_weights(LIFTER_WEIGHTS, "")[1]["training"]
    made, now = json.loads(notes["settings"]), json.loads(json.dumps(asdict(LifterSettings())))
    added = {"performed", "symmetric", "loose", "slowest", "fastest"}  # with real motion, after these weights
    assert set(now["variety"]) - set(made["variety"]) == added
    assert all(made[name] == now[name] for name in made if name not in ("variety", "weights"))
    assert set(notes["calibration"]) == {"truth", "pose"}
