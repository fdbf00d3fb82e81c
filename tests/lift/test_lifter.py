"""The lifter and its solutions of videos: limits, mirror symmetry, causality, bad input, weights on disk."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from signrep_core.body.arrays import BLOCK
from signrep_core.body.forward import forward_kinematics
from signrep_core.errors import CheckpointError
from signrep_core.lift.lift_video import lift, smooth, solve_by_lifter, solve_lifted
from signrep_core.lift.lifter import (
    Lifted,
    Lifter,
    LifterConfig,
    bone_limits,
    load_lifter,
    mirror_body,
    mirrored,
    save_lifter,
)
from signrep_core.lift.normalise import video_frame
from signrep_core.lift.solver import open_solver
from signrep_core.skeleton import BODY_LIMITS, HAND_LIMITS
from tests.body.poses import pose, smooth_angles

SMALL = LifterConfig(width=16, stem=16)


def wild(config: LifterConfig = SMALL, scale: float = 6.0) -> Lifter:
    """A lifter with large random weights, so that its output is arbitrary."""
    torch.manual_seed(0)
    lifter = Lifter(config)
    with torch.no_grad():
        for weights in lifter.parameters():
            weights.copy_(torch.randn_like(weights) * scale / weights.shape[-1] ** 0.5)
    return lifter.eval()


def inputs(frames: int = 40, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(2, frames, 61, 2, generator=random), torch.rand(2, frames, 61, generator=random)


def lifted(lifter: Lifter, *values: torch.Tensor) -> Lifted:
    with torch.inference_mode():
        return lifter(*values)


def signer(frames: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and confidences of a signer before a camera."""
    joints = pose(smooth_angles(frames, np.random.default_rng(0)))
    return 400 * joints[..., :2] / (joints[..., 2:] + 2) + 200, np.ones((frames, 61))


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_angles_and_bones_are_within_their_limits_whatever_the_weights(scale: float) -> None:
    out = lifted(wild(scale=scale), *inputs())
    right, left = out.hand_angles()
    bones = torch.cat((out.body_offsets, out.hand_offsets), -1)
    for values, limits in (
        (out.body_angles, BODY_LIMITS),
        (right, HAND_LIMITS),
        (left, HAND_LIMITS),
        (bones, bone_limits()),
    ):
        low, high = torch.tensor(limits, dtype=torch.float32).unbind(-1)
        assert (values >= low - 1e-5).all()
        assert (values <= high + 1e-5).all()


def test_the_lifter_of_a_mirrored_signer_is_the_mirrored_signer_of_the_lifter() -> None:
    lifter, seen = wild(), inputs()
    ours, theirs = lifted(lifter, *seen), lifted(lifter, *mirrored(*seen))
    torch.testing.assert_close(mirror_body(ours.body_angles), theirs.body_angles, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours.palms.flip(2), theirs.palms, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours.fingers.flip(2), theirs.fingers, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours.body_offsets, theirs.body_offsets)


def test_joints_are_forward_kinematics_of_the_angles_and_differentiable() -> None:
    lifter = wild(scale=1.0)
    out = lifter(*inputs(8))
    parts = [values.detach().double().numpy() for values in (
        out.body_angles, *out.hand_angles(), out.body_offsets, out.hand_offsets)]  # fmt: skip
    np.testing.assert_allclose(out.joints().detach().numpy(), forward_kinematics(*parts), atol=1e-5)
    out.joints().square().mean().backward()
    assert all(torch.isfinite(weights.grad).all() for weights in lifter.blocks.parameters())


def test_a_causal_lifter_reads_no_later_frame_and_the_usual_one_no_distant_one() -> None:
    xy, confidence = inputs(60)
    changed = xy.clone()
    changed[:, 30:] += 1
    for config, unchanged in ((LifterConfig(16, 16, causal=True), 30), (SMALL, 30 - SMALL.reach)):
        lifter = wild(config, 1.0)
        before, after = lifted(lifter, xy, confidence), lifted(lifter, changed, confidence)
        torch.testing.assert_close(before.body_angles[:, :unchanged], after.body_angles[:, :unchanged])
        assert not torch.equal(before.body_angles[:, unchanged:31], after.body_angles[:, unchanged:31])


def test_a_causal_video_frame_does_not_depend_on_later_frames() -> None:
    xy, _ = signer(40)
    changed = xy.copy()
    changed[20:] = 3 * changed[20:] + 50
    ours, theirs = video_frame(xy, causal=True), video_frame(changed, causal=True)
    np.testing.assert_allclose(ours.width[:20], theirs.width[:20])
    np.testing.assert_allclose(ours.neck[:20], theirs.neck[:20])


def test_a_long_video_is_lifted_in_blocks_as_if_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    xy, confidence = signer(90)
    lifter = wild(scale=1.0)
    whole = lift(lifter, xy, confidence)
    monkeypatch.setattr("signrep_core.lift.lift_video.BLOCK", 25)
    cut = lift(lifter, xy, confidence)
    assert BLOCK > 90
    np.testing.assert_allclose(cut.body_angles, whole.body_angles, atol=1e-4)
    np.testing.assert_allclose(cut.log_scale, whole.log_scale, atol=1e-4)


def test_the_shipped_lifter_reproduces_its_input() -> None:
    xy, confidence = signer()
    solution = solve_by_lifter(load_lifter(), xy, confidence)
    assert (solution.flag == "").all()
    assert np.median(solution.residual_m) < 0.03
    assert ((solution.confidence >= 0) & (solution.confidence <= 1)).all()
    again = solve_by_lifter(load_lifter(), 3 * xy + 500, confidence)
    np.testing.assert_allclose(again.body_angles, solution.body_angles, atol=1e-3)  # whatever the picture's size


def test_smooth_angles_are_means_with_their_neighbours_unless_one_is_missing_or_they_jump() -> None:
    """By hand: 0 4 0 0 becomes 0 2 1 0; with the last frame missing the third stays; a jump of 2 radians stays."""
    jittering = np.array([[0.0], [0.4], [0.0], [0.0]])
    here = np.ones(4, bool)
    np.testing.assert_allclose(smooth(jittering, here)[:, 0], [0, 0.2, 0.1, 0], atol=1e-12)
    np.testing.assert_allclose(smooth(jittering, np.array([True, True, True, False]))[:, 0], [0, 0.2, 0, 0], atol=1e-12)
    np.testing.assert_array_equal(smooth(5 * jittering, here), 5 * jittering)
    for frames in range(3):
        np.testing.assert_array_equal(smooth(jittering[:frames], here[:frames]), jittering[:frames])


def test_angles_of_a_causal_lifter_are_not_smoothed() -> None:
    xy, confidence = signer(30)
    video = lift(load_lifter(), xy, confidence)
    causal, smoothed = (solve_lifted(replace(video, causal=causal), xy, confidence) for causal in (True, False))
    np.testing.assert_allclose(causal.body_angles, video.body_angles, atol=1e-6)
    assert np.abs(smoothed.body_angles - causal.body_angles).max() > 1e-4
    accelerations = (np.abs(np.diff(x.left_angles[:, 3:], 2, axis=0)).mean() for x in (smoothed, causal))
    assert next(accelerations) < 0.7 * next(accelerations)


def test_a_gap_is_filled_and_flagged() -> None:
    xy, confidence = signer(40)
    xy[15:18], confidence[15:18] = np.nan, 0
    solution = solve_by_lifter(load_lifter(), xy, confidence)
    assert solution.interpolated.nonzero()[0].tolist() == [15, 16, 17]
    middle = (solution.body_angles[14] + solution.body_angles[18]) / 2
    np.testing.assert_allclose(solution.body_angles[16], middle, atol=1e-9)


def test_weights_come_back_as_they_were_saved(tmp_path: Path) -> None:
    path = tmp_path / "lifter.safetensors"
    lifter = wild()
    save_lifter(path, lifter, {"steps": 3})
    again = load_lifter(path)
    assert again.config == lifter.config
    torch.testing.assert_close(lifted(again, *inputs()).log_scale, lifted(lifter, *inputs()).log_scale)


def test_a_file_that_is_no_lifter_is_refused(tmp_path: Path) -> None:
    from signrep_core.model.weights import write_weights

    (tmp_path / "text").write_text("no weights")
    with pytest.raises(CheckpointError, match="train it again: signrep train lifter"):
        load_lifter(tmp_path / "text")
    write_weights(tmp_path / "other", {"a": torch.zeros(1)}, {"format": "signrep", "skeleton": "1"})
    with pytest.raises(CheckpointError, match="expected a lifter of format 'signrep-lifter-1' and skeleton 2, found"):
        open_solver("lifter", str(tmp_path / "other"), 5)
