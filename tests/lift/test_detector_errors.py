"""The error model of the detector: drawn errors have the fitted statistics, fitted parameters are those drawn from."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from signrep_core.errors import SignRepError
from signrep_core.lift.detector_errors import (
    CONDITIONS,
    ErrorModel,
    PartErrors,
    corrupt,
    load_errors,
    save_errors,
)
from signrep_core.lift.fit_detector_errors import Pairs, fit_errors
from signrep_core.skeleton import BODY, HANDS
from signrep_core.synthetic.corpus import plan_corpus, true_columns

SCALE = 200.0  # pixels per metre
B, T = 60, 120


@pytest.fixture(scope="module")
def poses() -> tuple[np.ndarray, np.ndarray]:
    """True joints (B, T, 61, 3) of signing, and their places (B, T, 61, 2) under a camera far away."""
    plan = plan_corpus(signers=3, glosses=12, takes=4, seed=5, size=320, kind="pretraining")
    joints = np.concatenate([true_columns(performance)["camera_joints"] for performance in plan])
    starts = np.linspace(0, len(joints) - T, B).astype(int)
    joints = np.stack([joints[start : start + T] for start in starts]).astype(np.float32)
    return joints, SCALE * joints[..., :2] + 160


def part(joints: int, features: int, conditions: int, rng: np.random.Generator) -> PartErrors:
    """Errors with one component of jitter for each value, and bursts."""
    values = 3 * joints
    return PartErrors(
        pose=np.float32(np.r_[np.zeros((features - 1, values)), rng.normal(0, 0.02, (1, values))]),
        reach=np.float32(np.full((2, values), ((-1,), (1,)))),
        offset=np.float32(0.15 * np.linalg.qr(rng.normal(size=(values, values)))[0][:3]),
        jitter=np.float32(
            np.geomspace(0.2, 0.1, 12)[:, None] * np.linalg.qr(rng.normal(size=(values, values)))[0][:12]
        ),
        decay=np.float32([np.linspace(0.1, 0.4, 12), np.linspace(0.2, 0.8, 12)]),
        amplitude=np.float32(np.zeros(conditions)),
        burst=np.float32((0.3, 0.8)),
    )


@pytest.fixture(scope="module")
def model() -> ErrorModel:
    rng = np.random.default_rng(1)
    hand = part(21, 67, len(CONDITIONS), rng)
    hand.amplitude[CONDITIONS.index("edge_on")] = 0.8
    missing = np.zeros(len(CONDITIONS) + 1, np.float32)
    missing[0], missing[CONDITIONS.index("edge_on")], missing[-1] = -5, 2, 4
    sure = np.float32(np.tile((1.0, -0.5, 0.3, 0.5, 0.7), (BODY.stop + 1, 1)))
    return ErrorModel(
        part(19, 58, 1, rng), hand, missing, np.float32((0.004, 0.8)), sure, np.float32((0.2, 0.1))
    )  # fmt: skip


@pytest.fixture(scope="module")
def drawn(poses: tuple[np.ndarray, np.ndarray], model: ErrorModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    joints, places = poses
    return corrupt(places, joints, np.full(B, SCALE), np.random.default_rng(2), model)


@pytest.fixture(scope="module")
def fitted(poses: tuple[np.ndarray, np.ndarray], drawn: tuple[np.ndarray, np.ndarray, np.ndarray]) -> ErrorModel:
    joints, places = (values.reshape(B * T, *values.shape[2:]) for values in poses)
    xy, depth, confidence = (values.reshape(B * T, *values.shape[2:]) for values in drawn)
    return fit_errors(
        Pairs(
            xy, depth, confidence, places, joints, np.full(B * T, SCALE), np.full((B * T, 2), 1e4),
            np.repeat(np.arange(B), T),
        )
    )  # fmt: skip


def relative(a: np.ndarray, b: np.ndarray) -> float:
    """Distance of two arrays, relative to the second."""
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def test_fitting_drawn_errors_recovers_the_parameters(model: ErrorModel, fitted: ErrorModel) -> None:
    for name, near in (("body", 0.03), ("hand", 0.1)):
        drawn, found = getattr(model, name), getattr(fitted, name)
        assert found.burst == pytest.approx(drawn.burst, abs=0.1)
        assert found.decay.mean(1) == pytest.approx(drawn.decay.mean(1), rel=0.4)
        assert np.linalg.norm(found.offset) == pytest.approx(np.linalg.norm(drawn.offset), rel=0.35)
        size = np.linalg.norm(found.jitter, axis=1)[:12]  # amplitudes are fitted as of mean square 1
        assert relative(size / size.mean(), np.linalg.norm(drawn.jitter, axis=1) / 0.15) < near + 0.1
    assert fitted.hand.amplitude[CONDITIONS.index("edge_on")] == pytest.approx(0.8, abs=0.2)
    assert np.abs(fitted.hand.amplitude[2:]).max() < 0.25
    assert fitted.missing[:2] == pytest.approx(model.missing[:2], abs=0.5)
    assert fitted.missing[-1] == pytest.approx(4, abs=0.6)
    assert fitted.other == pytest.approx(model.other, rel=0.3)
    assert fitted.other_confidence == pytest.approx(model.other_confidence, abs=0.05)
    assert fitted.confidence.mean(0) == pytest.approx(model.confidence.mean(0), abs=0.1)


def test_drawn_errors_have_the_models_bias_and_deviation(
    poses: tuple[np.ndarray, np.ndarray], drawn: tuple[np.ndarray, np.ndarray, np.ndarray], model: ErrorModel
) -> None:
    joints, places = poses
    width = np.linalg.norm(joints[..., 0, :] - joints[..., 3, :], axis=-1)[..., None]
    error = ((drawn[0] - places)[..., BODY, 0] / (SCALE * width)).reshape(-1, BODY.stop)
    assert error.mean(0) == pytest.approx(model.body.pose[-1, 0::3], abs=0.02)
    variance = (model.body.jitter**2).sum(0) * np.exp(2 * model.body.burst[0] ** 2) + (model.body.offset**2).sum(0)
    assert error.var(0) == pytest.approx(variance[0::3], rel=0.25)


def test_the_error_of_a_still_hand_persists_and_that_of_a_moving_one_does_not(
    poses: tuple[np.ndarray, np.ndarray], model: ErrorModel
) -> None:
    decay = np.float32([np.full(12, 0.02), np.full(12, 1)])
    hand = dataclasses.replace(model.hand, decay=decay, burst=np.float32((0, 0)))
    model = dataclasses.replace(model, hand=hand, other=np.float32((0, 0)))
    joints = np.repeat(poses[0][:, :1], 30, axis=1)
    change = {}
    for name, speed in (("still", 0.0), ("moving", 0.1)):
        moved = joints + speed * np.arange(30)[:, None, None] * np.array([1.0, 0, 0])
        places = SCALE * moved[..., :2]
        xy, _, _ = corrupt(places, moved, np.full(B, SCALE), np.random.default_rng(3), model)
        change[name] = np.nanstd(np.diff(xy - places, axis=1)[:, :, HANDS["right"]])
    expected = np.sqrt(
        (1 - np.exp(-1.02)) / (1 - np.exp(-0.02))
    )  # of AR(1): a change's variance is 2 (1 - correlation)
    assert change["moving"] / change["still"] == pytest.approx(expected, rel=0.1)


def test_hands_go_missing_in_runs_and_more_so_edge_on(
    poses: tuple[np.ndarray, np.ndarray], drawn: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    hand = poses[0][..., HANDS["right"], :]
    normal = np.cross(hand[..., 5, :] - hand[..., 0, :], hand[..., 17, :] - hand[..., 0, :])
    edge_on = np.abs(normal[..., 2]) / np.linalg.norm(normal, axis=-1) < 0.3
    missing = np.isnan(drawn[0][..., HANDS["right"].start, 0])
    assert missing[edge_on].mean() > 1.5 * missing[~edge_on].mean()
    assert missing[:, 1:][missing[:, :-1]].mean() > 5 * missing.mean()
    assert (drawn[2][..., HANDS["right"]][missing] == 0).all()
    assert np.isfinite(drawn[0][..., BODY, :]).all()


def test_now_and_then_one_hand_is_taken_for_the_other(poses: tuple[np.ndarray, np.ndarray], model: ErrorModel) -> None:
    joints, places = poses
    always = dataclasses.replace(model, other=np.float32((1, 1)))
    xy, _, _ = corrupt(places, joints, np.full(B, SCALE), np.random.default_rng(4), always)
    off = {side: np.nanmedian(np.abs(xy[..., HANDS["right"], :] - places[..., HANDS[side], :])) for side in HANDS}
    assert off["left"] < 0.5 * off["right"]


def test_the_same_seed_draws_the_same_errors(
    poses: tuple[np.ndarray, np.ndarray], drawn: tuple[np.ndarray, np.ndarray, np.ndarray], model: ErrorModel
) -> None:
    joints, places = poses
    again = corrupt(places, joints, np.full(B, SCALE), np.random.default_rng(2), model)
    for first, second in zip(drawn, again, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-3)


def test_the_shipped_model_has_the_errors_of_mediapipe(poses: tuple[np.ndarray, np.ndarray]) -> None:
    # Of its fit: hands off by 2.9 % of the shoulders' width (median), bodies' elbows by 3.3 %, 8 % of hands missing.
    joints, places = poses
    xy, depth, confidence = corrupt(places, joints, np.full(B, SCALE), np.random.default_rng(5), load_errors())
    width = SCALE * np.linalg.norm(joints[..., 0, :] - joints[..., 3, :], axis=-1)[..., None]
    off = 100 * np.linalg.norm(xy - places, axis=-1) / width
    assert 2 < np.nanmedian(off[..., HANDS["right"]]) < 5
    assert 2.5 < np.median(off[..., [1, 4]]) < 6
    assert 0.02 < np.isnan(off[..., HANDS["left"]]).mean() < 0.2
    assert np.isfinite(depth[..., BODY]).all()
    assert ((confidence >= 0) & (confidence <= 1)).all()


def test_a_model_is_read_as_it_was_written(tmp_path: Path, model: ErrorModel) -> None:
    save_errors(model, tmp_path / "errors.json")
    found = load_errors(tmp_path / "errors.json")
    np.testing.assert_allclose(found.hand.jitter, model.hand.jitter, rtol=1e-3)
    np.testing.assert_allclose(found.missing, model.missing, rtol=1e-3)


def test_a_missing_or_foreign_file_says_what_to_do(tmp_path: Path, model: ErrorModel) -> None:
    with pytest.raises(SignRepError, match=r"nowhere\.json cannot be read"):
        load_errors(tmp_path / "nowhere.json")
    for spoil, message in (
        (
            {"skeleton_version": -1},
            "expected skeleton_version 2, found -1; fit them again: signrep train",
        ),
        ({"hand": {}}, "expected the parameters of ErrorModel"),
    ):
        (tmp_path / "errors.json").write_text(json.dumps({**model.to_dict(), **spoil}))
        with pytest.raises(SignRepError, match=message):
            load_errors(tmp_path / "errors.json")
