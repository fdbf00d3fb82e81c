"""Fine-tuning on shards in memory: it learns, resumes exactly, and reports errors."""

import csv
import dataclasses
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from signrep_core.config import Recognition
from signrep_core.data.augment import Draws
from signrep_core.data.clips import select_labelled
from signrep_core.errors import CheckpointError, TrainingError
from signrep_core.evaluate import features as extraction
from signrep_core.evaluate import recognition as evaluation
from signrep_core.evaluate.features import Inference, extract_features
from signrep_core.evaluate.recognition import evaluate_recognition
from signrep_core.model.encoder import EncoderConfig
from signrep_core.model.recogniser import KeypointRecogniser, Recogniser, load_recogniser
from signrep_core.model.signrep import PRESETS, SignRep
from signrep_core.model.weights import UNTRAINED, read_notes
from signrep_core.train import recognition
from signrep_core.train.checkpoint import load_state
from signrep_core.train.launch import Devices
from signrep_core.train.loop import RunSetup, TrainResult
from signrep_core.train.recognition import Origin, train_recognition
from tests.fake_reader import FakeReader, use_reader
from tests.train.test_pretrain import assert_equal, assert_same_metrics, assert_same_weights

MICRO = dataclasses.replace(
    PRESETS["tiny"],
    encoder=EncoderConfig(image_size=32, embed_dim=8, stages=(1, 1, 1, 1), drop_path=0.0),
    decoder_channels=(16, 16),
)
SETTINGS = Recognition(
    epochs=8, batch_size=4, learning_rate=2e-3, keypoint_learning_rate=2e-3, warmup=2, validate_every=4, save_every=3,
    log_every=2, workers=0,
)  # fmt: skip


class Labelled(FakeReader):
    """Nine videos of three glosses: two of each for training, one for validation."""

    n_videos = 9
    splits = ("train",) * 6 + ("val",) * 3

    def __init__(self, folder: Path = Path()) -> None:
        super().__init__(folder)
        self.index["shard"] = ["00000"] * len(self.index["video_id"])


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "signrep.safetensors"
    SignRep(MICRO).save(path)
    return path


def changed(**values: Any) -> Recognition:
    """The settings with other values; the network on keypoints learns at the same rate."""
    rates = {"keypoint_learning_rate": values["learning_rate"]} if "learning_rate" in values else {}
    return SETTINGS.model_copy(update=values | rates)


def run(
    out: Path, weights: Path | None, settings: Recognition = SETTINGS, reader: Any = Labelled,
    features: Path | None = None, devices: int = 1,
) -> TrainResult:  # fmt: skip
    setup = RunSetup(out, devices=Devices("cpu", devices))
    with use_reader(reader, recognition):
        return train_recognition(Path("shards"), settings, setup, Origin("fake", weights, features))


def evaluate(weights: Path, reader: Any = Labelled) -> dict[str, Any]:
    with use_reader(reader, evaluation):
        return evaluate_recognition(weights, Path("shards"), "fake", "val", Inference("cpu", batch_size=8))[1]


def extract(weights: Path, out: Path) -> None:
    with use_reader(Labelled, extraction):
        extract_features(weights, Path("shards"), out, inference=Inference("cpu"))


def metrics(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_the_defaults_are_the_papers() -> None:
    s = Recognition()
    assert (s.epochs, s.batch_size, s.learning_rate, s.warmup) == (100, 8, 1e-4, 1000)
    assert (s.betas, s.weight_decay, s.clip) == ((0.9, 0.95), 0.5, 1.0)  # A3
    assert (s.label_smoothing, s.kappa, s.layer_decay, s.freeze) == (0.1, 0.2, 0.85, "nothing")


def test_the_network_on_keypoints_has_its_own_learning_rate_and_no_class_distribution() -> None:
    config = Recognition(learning_rate=3e-4, keypoint_learning_rate=7e-3, kappa=0.3, epochs=5)
    keypoints = config.for_keypoints()
    assert (keypoints.learning_rate, keypoints.kappa, keypoints.epochs) == (7e-3, 0.0, 5)


def test_a_run_writes_selected_weights_and_metrics(weights: Path, tmp_path: Path) -> None:
    result = run(tmp_path, weights)
    rows = metrics(tmp_path / "metrics.csv")
    assert result.finished
    assert result.step == 8 * 6 // 4
    assert [int(row["step"]) for row in rows] == [2, 4, 6, 8, 10, 12]
    assert float(rows[-1]["epoch"]) == 8
    assert float(rows[0]["divergence"]) > 0
    assert [bool(row["val_top1"]) for row in rows] == [False, True, False, True, False, True]
    assert result.best == pytest.approx(max(float(row["selection"]) for row in rows if row["selection"]), rel=1e-4)
    model = load_recogniser(result.weights)
    assert isinstance(model, Recogniser)
    assert model.glosses == ("gloss0", "gloss1", "gloss2")
    assert not model.training


@pytest.mark.slow
def test_training_clips_are_augmented_with_one_draw_each(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A3; the clips that select the weights are not augmented."""
    drawn = []

    def record(model: Any, tensors: Any, draws: Any = None) -> torch.Tensor:
        drawn.append(draws)
        return evaluation.clip_inputs(model, tensors, draws)

    monkeypatch.setattr(recognition, "clip_inputs", record)
    run(tmp_path, weights, changed(epochs=1, kappa=0.0, crop_area=(0.25, 0.25), crop_ratio=(1.0, 1.0)))
    (draws,) = drawn
    assert draws.crop[:, 2:].tolist() == [pytest.approx([0.5, 0.5])] * 4
    clip = {"frames": torch.zeros(1, 64, 32, 32, 3, dtype=torch.uint8)}
    clip["frames"][:, :, :, :16] = 200
    draw = Draws(torch.tensor([[0.0, 0.5, 1.0, 0.5]]), torch.tensor([-1]), torch.zeros(1), torch.zeros(1) > 0)
    model = Recogniser(MICRO, ["A", "B"])
    right, whole = evaluation.clip_inputs(model, clip, draw), evaluation.clip_inputs(model, clip)
    assert right.std((2, 3, 4)).max() == pytest.approx(0, abs=1e-5)
    assert whole.std((2, 3, 4)).min() > 1


def test_fine_tuning_learns_and_recognises_held_out_videos(weights: Path, tmp_path: Path) -> None:
    class Bright(Labelled):
        """The gloss determines the brightness, so that a few steps suffice."""

        def read_window(self, row: int, start: int, n_frames: int = 16) -> np.ndarray:
            frames = super().read_window(row, start, n_frames)
            return frames // 8 + np.uint8(100 * (row // 2 % 3))

    settings = changed(epochs=24, layer_decay=1.0, learning_rate=5e-3)
    run(tmp_path, weights, settings, reader=Bright)
    result = evaluate(tmp_path / "best.safetensors", Bright)
    assert result["metrics"]["top1_instance"] == 100


def test_the_network_on_keypoints_learns_and_recognises_held_out_videos(tmp_path: Path) -> None:
    result = run(tmp_path, None, changed(epochs=15, learning_rate=5e-3, validate_every=99))
    assert isinstance(load_recogniser(result.weights), KeypointRecogniser)
    found = evaluate(result.weights)
    assert found["metrics"]["top1_instance"] == 100
    assert found["protocol"]["inputs"] == "keypoints"


@pytest.mark.parametrize("inputs", ["video", "keypoints"])
@pytest.mark.slow
def test_a_killed_run_ends_with_the_weights_of_a_whole_one(weights: Path, tmp_path: Path, inputs: str) -> None:
    start = weights if inputs == "video" else None
    state = tmp_path / "killed" / "last" / "state.pt"
    reads = 0

    class Killed(Labelled):
        def _check(self, row: int) -> None:
            nonlocal reads
            reads += state.exists()
            if reads == 12:  # after steps that are lost
                raise RuntimeError("killed")

    run(tmp_path / "whole", start)
    with pytest.raises(RuntimeError, match="killed"):
        run(tmp_path / "killed", start, reader=Killed)
    assert state.exists()
    run(tmp_path / "killed", start)
    whole, killed = (tmp_path / name for name in ("whole", "killed"))
    a, b = (load_state(folder / "last" / "state.pt") for folder in (whole, killed))
    assert_equal({part: a[part] for part in ("model", "optimiser", "step", "best")},
                 {part: b[part] for part in ("model", "optimiser", "step", "best")})  # fmt: skip
    assert_same_metrics(whole / "metrics.csv", killed / "metrics.csv")
    assert_same_weights(whole / "best.safetensors", killed / "best.safetensors")


def test_another_checkpoint_or_data_set_is_another_run(weights: Path, tmp_path: Path) -> None:
    class Stopped(Labelled):
        def read_window(self, row: int, start: int, n_frames: int = 16) -> np.ndarray:
            if (tmp_path / "run" / "last" / "state.pt").exists():
                raise RuntimeError("killed")
            return super().read_window(row, start, n_frames)

    with pytest.raises(RuntimeError, match="killed"):
        run(tmp_path / "run", weights, reader=Stopped)
    torch.manual_seed(1)
    SignRep(MICRO).save(tmp_path / "other.safetensors")
    with pytest.raises(TrainingError, match="unfinished run with other settings: weights was"):
        run(tmp_path / "run", tmp_path / "other.safetensors")


def test_a_frozen_encoder_does_not_change(weights: Path, tmp_path: Path) -> None:
    result = run(tmp_path, weights, changed(epochs=2, freeze="encoder"))
    model = load_recogniser(result.weights)
    assert isinstance(model, Recogniser)
    before = Recogniser.from_signrep(SignRep.load(weights), model.glosses)
    for name, parameter in before.encoder.named_parameters():
        assert torch.equal(parameter, dict(model.encoder.named_parameters())[name]), name
    assert not torch.equal(before.projection[1].weight, model.projection[1].weight)


def test_features_of_the_same_weights_give_the_same_distribution_as_computing_them(
    weights: Path, tmp_path: Path
) -> None:
    extract(weights, tmp_path / "features.parquet")
    settings = changed(epochs=1)
    for name, features in (("table", tmp_path / "features.parquet"), ("computed", None)):
        run(tmp_path / name, weights, settings, features=features)
    rows = [metrics(tmp_path / name / "metrics.csv")[0] for name in ("table", "computed")]
    assert float(rows[0]["divergence"]) == pytest.approx(float(rows[1]["divergence"]), rel=1e-4)


def test_features_of_a_checkpoint_of_another_size_are_refused(weights: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(MICRO, encoder=dataclasses.replace(MICRO.encoder, embed_dim=16))
    SignRep(config).save(tmp_path / "wide.safetensors")
    table = tmp_path / "features.parquet"
    extract(tmp_path / "wide.safetensors", table)
    with pytest.raises(CheckpointError, match=r"vectors of 128 values, the weights give 64: .*another checkpoint"):
        run(tmp_path / "run", weights, features=table)


def test_weights_of_something_else_are_refused(weights: Path, tmp_path: Path) -> None:
    result = run(tmp_path / "run", weights, changed(epochs=1))
    with pytest.raises(CheckpointError, match=r"expected SignRep weights .* found format 'recogniser-1'"):
        run(tmp_path / "again", result.weights)
    with pytest.raises(CheckpointError, match=r"expected a recogniser .* found 'signrep-1'; give a best.safetensors"):
        load_recogniser(weights)


def assert_placeholder(result: TrainResult, why: str) -> None:
    """The run left weights that note the reason, and metrics without a row."""
    assert (result.finished, result.step, result.best) == (True, 0, None)
    assert re.search(why, read_notes(result.weights, "")[UNTRAINED])
    assert (result.weights.parent / "metrics.csv").read_text() == ",".join(recognition.COLUMNS) + "\n"


def test_without_labelled_training_videos_placeholders_give_the_reason(weights: Path, tmp_path: Path) -> None:
    class Bare(Labelled):
        def __init__(self, folder: Path = Path()) -> None:
            super().__init__(folder)
            self.index["gloss"] = ["" if s == "train" else "X" for s in self.index["split"]]

    assert_placeholder(
        run(tmp_path, weights, reader=Bare), r"'fake' has no video with a gloss in split 'train'; .* fake val: 6"
    )


def test_with_one_gloss_placeholders_give_the_reason(weights: Path, tmp_path: Path) -> None:
    class One(Labelled):
        def __init__(self, folder: Path = Path()) -> None:
            super().__init__(folder)
            self.index["gloss"] = ["HELLO"] * len(self.index["gloss"])

    assert_placeholder(run(tmp_path, weights, reader=One), r"all 6 training videos have the gloss 'HELLO'")


def test_glosses_with_one_video_are_logged_and_without_validation_the_loss_selects(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Single(FakeReader):
        n_videos = 4
        splits = ("train",)

    caplog.set_level(logging.INFO)
    result = run(tmp_path, None, changed(epochs=2), reader=Single)
    assert result.finished
    assert "2 of 3 glosses have one training video only (gloss1, ...)" in caplog.text
    assert "selected by the negative training loss" in caplog.text
    rows = metrics(tmp_path / "metrics.csv")
    assert result.best == pytest.approx(-float(rows[-1]["loss"]), rel=1e-4)


def test_validation_videos_of_other_glosses_do_not_count(tmp_path: Path) -> None:
    class Other(Labelled):
        def __init__(self, folder: Path = Path()) -> None:
            super().__init__(folder)
            self.index["gloss"][-2:] = ["UNSEEN"] * 2

    index = Other().index
    assert len(select_labelled(index, "fake", ["val"], ["gloss0", "gloss1", "gloss2"], only_these=True)) == 2
    result = run(tmp_path, None, changed(epochs=15, learning_rate=5e-3), reader=Other)
    assert result.best is not None
    assert 100 < result.best < 100.011


def test_an_unreadable_training_video_is_replaced_and_counted(tmp_path: Path) -> None:
    class Broken(Labelled):
        broken_rows = (0, 1)

    run(tmp_path, None, SETTINGS, reader=Broken)
    assert int(metrics(tmp_path / "metrics.csv")[-1]["broken"]) >= 8  # once an epoch, or again as a replacement


def test_devices_that_cannot_share_the_training_are_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"3 devices cannot share the 4 clips .* 1, 2, 4 .*batch_size: 6"):
        run(tmp_path, weights, devices=3)
    with pytest.raises(TrainingError, match=r"the network on keypoints normalises by the whole batch, .*one device"):
        run(tmp_path, None, devices=2)


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(weights: Path, tmp_path: Path) -> None:
    settings = changed(epochs=1, log_every=1, validate_every=99)
    for devices in (1, 2):
        run(tmp_path / str(devices), weights, settings, devices=devices)
    one, two = (metrics(tmp_path / str(devices) / "metrics.csv") for devices in (1, 2))
    for a, b in zip(one, two, strict=True):
        for name in ("loss", "divergence", "grad_norm"):
            assert float(b[name]) == pytest.approx(float(a[name]), abs=1e-4, rel=1e-4), (a["step"], name)
    for name in ("val_top1", "val_top5", "val_probability"):  # of videos that the ranks share
        assert float(two[-1][name]) == pytest.approx(float(one[-1][name]), rel=1e-3), name
