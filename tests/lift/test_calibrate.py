"""Calibration of expected errors: the scale of a known distribution is found from any expectation."""

from pathlib import Path

import numpy as np
import pytest

from signrep_core.__main__ import main
from signrep_core.errors import SignRepError
from signrep_core.lift.calibrate import GROUPS, calibrate, fit_shift, joint_errors, posed
from signrep_core.lift.lift_video import lift
from signrep_core.lift.lifter import load_lifter, save_lifter
from signrep_core.model.weights import read_weights
from signrep_core.skeleton import HANDS, JOINTS, N_JOINTS, SIDES
from signrep_core.store.schemas import POSE, TRUTH
from signrep_core.store.tables import TableWriter, read_videos
from signrep_core.synthetic.corpus import plan_corpus, true_columns, write_truth

WRISTS = [HANDS[side].start for side in SIDES]


def test_errors_three_times_as_large_as_expected_move_the_expectation_by_log_three() -> None:
    rng = np.random.default_rng(0)
    shape = np.linspace(1, 3, N_JOINTS)
    for group in GROUPS:  # joints that share a constant here share a shape
        shape[group] = shape[group[0]]
    log_scale = rng.normal(-4, 0.5, (4000, N_JOINTS))
    errors = 3 * np.exp(log_scale) * rng.weibull(shape, (4000, N_JOINTS))
    shift = fit_shift(errors, log_scale, np.ones((4000, N_JOINTS), bool), shape)
    moved = np.delete(np.arange(N_JOINTS), WRISTS)
    np.testing.assert_allclose(shift[moved], np.log(3), atol=0.06)
    np.testing.assert_array_equal(shift[WRISTS], 0)  # a wrist has no error from itself
    within = 0.03  # the confidence is then the share of errors within bounds
    said = 1 - np.exp(-((within / np.exp(log_scale + shift)) ** shape))
    np.testing.assert_allclose(said.mean(0)[moved], (errors < within).mean(0)[moved], atol=0.03)


def test_a_joint_never_seen_is_left_as_it_was() -> None:
    seen = np.ones((10, N_JOINTS), bool)
    wrists = [JOINTS.index("right_wrist"), JOINTS.index("left_wrist")]
    seen[:, wrists] = False
    shift = fit_shift(np.full((10, N_JOINTS), 0.04), np.full((10, N_JOINTS), np.log(0.02)), seen, np.ones(N_JOINTS))
    np.testing.assert_array_equal(shift[wrists], 0)
    np.testing.assert_allclose(np.delete(shift, wrists + WRISTS), np.log(2), atol=1e-9)


def test_both_sides_share_a_constant() -> None:
    right, left = JOINTS.index("right_elbow"), JOINTS.index("left_elbow")
    errors = np.full((10, N_JOINTS), 0.02)
    errors[:, left] = 0.06  # mean of 1 and 3 times what was expected: twice
    shift = fit_shift(errors, np.full((10, N_JOINTS), np.log(0.02)), np.ones((10, N_JOINTS), bool), np.ones(N_JOINTS))
    np.testing.assert_allclose(shift[[right, left]], np.log(2), atol=1e-9)
    assert sorted(joint for group in GROUPS for joint in group) == np.delete(np.arange(N_JOINTS), WRISTS).tolist()


def test_errors_of_a_hand_are_relative_to_its_wrist() -> None:
    truth = np.zeros((1, N_JOINTS, 3))
    joints = truth.copy()
    joints[:, HANDS["left"]] += 0.5
    joints[:, HANDS["left"].stop - 1, 0] += 0.01
    errors = joint_errors(joints, truth)
    assert abs(errors[0, HANDS["left"].stop - 1] - 0.01) < 1e-12
    assert errors[0, HANDS["left"].start + 3] == 0


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path]:
    """Two rendered signers' truth, and their true places as the pose that was detected."""
    plan = plan_corpus(signers=2, glosses=1, takes=1, seed=5, size=320)
    write_truth(plan, tmp_path / "truth.parquet")
    with TableWriter(tmp_path / "pose.parquet", POSE) as writer:
        for performance in plan:
            truth = true_columns(performance)
            frames = len(truth["frame"])
            writer.write({
                **{key: truth[key] for key in ("video_id", "frame", "time_s", "image_xy")},
                "landmarks": truth["camera_joints"], "confidence": np.ones((frames, N_JOINTS)),
                "present": np.ones(frames, bool), "doubtful": np.zeros(frames, bool),
                "part": np.zeros(frames, np.int32), "shot": np.zeros(frames, np.int32),
                "right_hand": ["seen"] * frames, "left_hand": ["seen"] * frames,
                "damaged": np.zeros(frames, bool), "box": np.zeros((frames, 4)),
            })  # fmt: skip
    return tmp_path / "truth.parquet", tmp_path / "pose.parquet"


def test_the_command_writes_weights_that_expect_their_own_errors(tmp_path: Path, tables: tuple[Path, Path]) -> None:
    lifter = load_lifter()
    lifter.calibration += 1.0  # whatever was there before
    save_lifter(tmp_path / "given.safetensors", lifter, {"steps": 3})
    out = tmp_path / "out.safetensors"
    arguments = ["--weights", tmp_path / "given.safetensors", "--truth", tables[0], "--pose", tables[1], "--out", out]
    assert main(["train", "calibration", *map(str, arguments)]) == 0
    notes = read_weights(out, "")[1]["training"]
    assert notes["steps"] == 3
    assert set(notes["calibration"]) == {"truth", "pose"}
    calibrated = load_lifter(out)
    judged = []
    for (_, truth), (_, pose) in zip(read_videos(tables[0], TRUTH), read_videos(tables[1], POSE), strict=True):
        video = lift(calibrated, pose["image_xy"], pose["confidence"])
        error = joint_errors(posed(video), truth["camera_joints"])
        judged.append((error / np.exp(video.log_scale)) ** np.exp(calibrated.shape.detach().numpy()))
    right, left = JOINTS.index("right_elbow"), JOINTS.index("left_elbow")
    # The Weibull's power of its scale has the mean 1; a joint's own shape differs a little from its pair's mean.
    assert np.concatenate(judged)[:, [right, left]].mean() == pytest.approx(1, abs=0.05)


def test_tables_of_different_videos_are_refused(tmp_path: Path, tables: tuple[Path, Path]) -> None:
    other = plan_corpus(signers=3, glosses=1, takes=1, seed=6, size=320)[2:]
    write_truth(other, tmp_path / "other.parquet")
    with pytest.raises(SignRepError, match=r"calibration: .*pose\.parquet has no video of .*other\.parquet; give the"):
        calibrate(load_lifter(), tmp_path / "other.parquet", tables[1])
