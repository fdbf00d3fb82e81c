"""Pretraining on shards in memory: it learns, resumes exactly, and reports errors."""

import csv
import dataclasses
import logging
import os
import signal
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from signrep_core.body.targets import PRIORS
from signrep_core.config import Pretrain, Prior
from signrep_core.errors import ConfigError, TrainingError
from signrep_core.model.discriminator import Discriminator
from signrep_core.model.signrep import PRESETS, SignRep
from signrep_core.model.weights import read_weights
from signrep_core.train import loop, step
from signrep_core.train import pretrain as module
from signrep_core.train.checkpoint import load_state
from signrep_core.train.launch import Devices
from signrep_core.train.loop import RunSetup, TrainResult
from signrep_core.train.pretrain import pretrain
from tests.fake_reader import FakeReader, use_reader

MICRO = dataclasses.replace(
    PRESETS["tiny"],
    encoder=dataclasses.replace(PRESETS["tiny"].encoder, image_size=32, embed_dim=16, stages=(1, 1, 1, 1)),
    decoder_channels=(64, 48),
)
SETTINGS = Pretrain(
    initial_weights="scratch",
    preset="tiny",
    mask_ratio=0.5,
    iterations=12,
    batch_size=8,
    learning_rate=2e-3,
    warmup=2,
    validate_every=6,
    save_every=4,
    log_every=3,
    workers=0,
)
CPU = Devices("cpu")
TIMING = ("clips_per_s", "data_wait")


@pytest.fixture(autouse=True)
def _micro(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PRESETS", MappingProxyType({"tiny": MICRO}))


def changed(settings: Pretrain = SETTINGS, **values: Any) -> Pretrain:
    return settings.model_copy(update=values)


def train(
    out: Path, settings: Pretrain = SETTINGS, seed: int = 0, reader: Any = FakeReader, **options: Any
) -> TrainResult:
    shards, validation = options.pop("shards", Path("shards")), options.pop("validation", None)
    with use_reader(reader, module):
        return pretrain(shards, settings, RunSetup(out, seed, **{"devices": CPU, **options}), validation)


def metrics(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def assert_same_run(one: Path, other: Path) -> None:
    """Weights, optimisers and reported values are the same within rounding; times differ."""
    a, b = load_state(one / "last" / "state.pt"), load_state(other / "last" / "state.pt")
    for part in ("model", "discriminator", "optimiser", "discriminator_optimiser"):
        assert_equal(a[part], b[part])
    assert (a["step"], a["best"]) == (b["step"], pytest.approx(b["best"], rel=1e-4))
    assert_same_metrics(one / "metrics.csv", other / "metrics.csv")
    assert_same_weights(one / "best.safetensors", other / "best.safetensors")


def assert_same_metrics(one: Path, other: Path) -> None:
    for a, b in zip(metrics(one), metrics(other), strict=True):
        numbers = [
            {name: float(value) for name, value in row.items() if value and name not in TIMING} for row in (a, b)
        ]
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-3, abs=1e-4)


def assert_same_weights(one: Path, other: Path) -> None:
    (a, about), (b, other_about) = (read_weights(path, "") for path in (one, other))
    scores = [about["notes"].pop("score", 0), other_about["notes"].pop("score", 0)]
    assert about == other_about
    assert float(scores[0]) == pytest.approx(float(scores[1]), rel=1e-4)
    assert_equal(a, b)


def assert_equal(a: Any, b: Any) -> None:
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_equal(a[key], b[key])
    elif isinstance(a, torch.Tensor):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    elif isinstance(a, float):
        assert a == pytest.approx(b, rel=1e-4)
    elif isinstance(a, list):
        for x, y in zip(a, b, strict=True):
            assert_equal(x, y)
    else:
        assert a == b


class Interrupted(FakeReader):
    """The process is terminated, or fails, after `reads` windows."""

    reads: ClassVar[int] = 0
    event: ClassVar[str] = ""

    def read_window(self, row: int, start: int, n_frames: int = 16) -> np.ndarray:
        Interrupted.reads -= n_frames == 16
        if Interrupted.reads == 0:
            if self.event == "terminate":
                os.kill(os.getpid(), signal.SIGTERM)
            else:
                raise RuntimeError("killed")
        return super().read_window(row, start, n_frames)


def test_the_defaults_are_the_papers() -> None:
    s = Pretrain()
    assert (s.preset, s.iterations, s.batch_size, s.learning_rate, s.warmup) == ("base", 500_000, 20, 1e-4, 50_000)
    assert (s.betas, s.weight_decay, s.layer_decay, s.clip, s.mask_ratio) == ((0.9, 0.95), 0.5, 0.85, 1.0, 0.8)
    assert (s.discriminator_learning_rate, s.discriminator_betas, s.discriminator_weight_decay) == (
        1e-4,
        (0.5, 0.9),
        1e-3,
    )
    assert s.priors == list(PRIORS)
    assert (s.variance_weight, s.covariance_weight, s.adversarial_weight, s.momentum) == (1.0, 0.004, 2.0, 0.1)
    assert s.validate_every == 25_000


@pytest.mark.slow
def test_a_run_learns_and_writes_weights_metrics_and_events(tmp_path: Path) -> None:
    result = train(tmp_path / "run", changed(iterations=40, validate_every=40))
    untrained, *rows = metrics(tmp_path / "run" / "metrics.csv")
    assert untrained["step"] == "0"
    assert float(untrained["retrieval_DCG"]) > 0
    assert result.finished
    assert result.step == 40
    assert float(rows[-1]["reconstruction"]) < 0.7 * float(rows[0]["reconstruction"])
    assert [int(row["step"]) for row in rows] == [*range(3, 40, 3), 40]
    assert all(
        float(row[name]) >= 0 for row in rows for name in ("loss", "grad_norm", "discriminator", "effective_rank")
    )
    assert 0 <= float(rows[-1]["discriminator_accuracy"]) <= 1
    assert any("tfevents" in path.name for path in (tmp_path / "run" / "tensorboard").iterdir())
    assert SignRep.load(result.weights).config == MICRO


def test_two_equal_runs_give_equal_weights_and_another_seed_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(tmp_path / name, changed(iterations=3), seed)
    assert_same_run(tmp_path / "a", tmp_path / "b")
    with pytest.raises(AssertionError):
        assert_same_run(tmp_path / "a", tmp_path / "c")


@pytest.mark.slow
def test_a_terminated_run_saves_its_state_and_resumes_from_it(tmp_path: Path) -> None:
    train(tmp_path / "whole")
    Interrupted.reads, Interrupted.event = 5 * 8 - 3, "terminate"  # while the fifth batch is read
    stopped = train(tmp_path / "stopped", reader=Interrupted)
    assert not stopped.finished
    assert stopped.step == 5
    assert not (tmp_path / "stopped" / "best.safetensors").exists()  # no output that looks finished
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert train(tmp_path / "stopped").finished
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.slow
def test_a_killed_run_resumes_from_its_last_state(tmp_path: Path) -> None:
    train(tmp_path / "whole")
    Interrupted.reads, Interrupted.event = 8 * 8 - 1, "kill"  # after step 7, which is lost
    with pytest.raises(RuntimeError, match="killed"):
        train(tmp_path / "killed", reader=Interrupted)
    assert load_state(tmp_path / "killed" / "last" / "state.pt")["step"] == 6
    train(tmp_path / "killed")
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def test_inputs_that_changed_meanwhile_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Interrupted.reads, Interrupted.event = 5 * 8 - 3, "terminate"
    train(tmp_path / "run", reader=Interrupted, provenance={"inputs": "before"})
    assert "have changed" not in caplog.text
    assert train(tmp_path / "run", provenance={"inputs": "now"}).finished
    assert "the run's inputs have changed since step 5" in caplog.text


def test_a_run_killed_while_its_weights_are_published_is_published_and_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    train(tmp_path / "whole")
    with monkeypatch.context() as patched:
        patched.setattr(loop.shutil, "copyfile", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "killed")
    assert not (tmp_path / "killed" / "best.safetensors").exists()
    Interrupted.reads, Interrupted.event = 1, "kill"  # with the first window that is read
    assert train(tmp_path / "killed", reader=Interrupted).finished
    assert Interrupted.reads == 1
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def test_an_unfinished_run_with_other_settings_is_not_touched(tmp_path: Path) -> None:
    Interrupted.reads, Interrupted.event = 20, "terminate"
    train(tmp_path / "run", reader=Interrupted)
    before = (tmp_path / "run" / "last" / "state.pt").read_bytes()
    with pytest.raises(TrainingError, match=r"batch_size was 8 and is 4; set them back to continue it, or delete"):
        train(tmp_path / "run", changed(batch_size=4))
    assert (tmp_path / "run" / "last" / "state.pt").read_bytes() == before


def test_a_finished_run_starts_again_when_called_again(tmp_path: Path) -> None:
    short = changed(iterations=3)
    train(tmp_path / "run", short)
    train(tmp_path / "run", short, seed=1)
    train(tmp_path / "other", short, seed=1)
    assert_same_run(tmp_path / "run", tmp_path / "other")


def test_a_loss_that_is_not_finite_stops_with_step_term_and_windows(tmp_path: Path) -> None:
    with pytest.raises(
        TrainingError, match=r"step \d+: .*body_angles.* became (nan|inf).*the batch: video0\d row \d+ frame"
    ):
        train(tmp_path / "run", changed(learning_rate=1e30, warmup=0))


def test_the_best_is_selected_by_retrieval_where_there_are_validation_glosses(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    result = train(tmp_path / "run")
    scores = {
        int(r["step"]): float(r["retrieval_DCG"])
        for r in metrics(tmp_path / "run" / "metrics.csv")
        if r["retrieval_DCG"]
    }
    assert list(scores) == [0, 6, 12]
    assert result.best == pytest.approx(max(scores[6], scores[12]), rel=1e-4)  # untrained weights are never the best
    assert "selected by retrieval on the validation split" in caplog.text


def test_another_folder_can_hold_the_labelled_videos_and_unlabelled_ones_are_left_out(tmp_path: Path) -> None:
    encoded: list[str] = []

    class Two(FakeReader):
        """Unlabelled shards; in the folder `labelled`, shards in which two videos have no gloss."""

        def __init__(self, folder: Path = Path()) -> None:
            super().__init__(folder)
            self.labelled = folder.name == "labelled"
            unlabelled = range(4, 8) if self.labelled else range(12)
            self.index["gloss"] = ["" if k in unlabelled else g for k, g in enumerate(self.index["gloss"])]
            self.index["split"] = ["train"] * 8 + ["val"] * 4

        def read_window(self, row: int, start: int, n_frames: int = 16) -> np.ndarray:
            if self.labelled:
                encoded.append(self.index["video_id"][row])
            return super().read_window(row, start, n_frames)

    settings = changed(iterations=2)
    train(tmp_path, settings, reader=Two, validation=Path("labelled"))
    assert metrics(tmp_path / "metrics.csv")[-1]["retrieval_DCG"]
    assert set(encoded) == {"video00", "video01", "video04", "video05"}


class TwoSets(FakeReader):
    """Videos 0-5 of the data set `yt`, all in train; 6-11 of `signs` (train and val) and `more` (likewise)."""

    n_videos = 12
    used: ClassVar[dict[str, set[str]]] = {}

    def __init__(self, folder: Path = Path()) -> None:
        super().__init__(folder)
        self.index["dataset"] = ["yt"] * 12 + ["signs"] * 8 + ["more"] * 4
        self.index["split"] = ["train"] * 16 + ["val"] * 4 + ["train", "train", "val", "val"]
        self.index["gloss"][20:] = ["gloss9"] * 4

    def read_targets(self, row: int, start: int, n_frames: int = 16) -> dict[str, np.ndarray]:
        self.used["trained" if n_frames == 16 else "retrieved"].add(self.index["dataset"][row])
        return super().read_targets(row, start, n_frames)


def test_only_the_named_data_sets_are_trained_on_and_the_named_one_selects(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A7: no video of the data set that selects the weights is trained on."""
    caplog.set_level(logging.INFO)
    settings = changed(iterations=4, validate_every=4, datasets=["yt"], validation="signs")
    TwoSets.used = {"trained": set(), "retrieved": set()}
    result = train(tmp_path / "run", settings, reader=TwoSets)
    assert TwoSets.used == {"trained": {"yt"}, "retrieved": {"signs"}}
    assert (
        "pretraining: trained on yt, split train; started from scratch; selected by retrieval on the val split of"
        in (caplog.text)
    )
    notes = read_weights(result.weights, "")[1]["notes"]
    assert notes["selected_by"] == "retrieval on the validation split of signs (DCG)"
    TwoSets.used = {"trained": set(), "retrieved": set()}
    train(tmp_path / "all", changed(iterations=4, validate_every=4), reader=TwoSets)
    assert TwoSets.used == {"trained": {"yt", "signs", "more"}, "retrieved": {"yt", "signs", "more"}}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"datasets": ["wlasl"]},
            r"in the splits \['train'\] of the data sets \['wlasl'\]; the shards contain .*yt train: 12",
        ),
        ({"validation": "yt"}, r"'yt' has no gloss in both splits 'train' and 'val' \(labelled sequences: 12 and 0\)"),
    ],
)
def test_data_sets_that_the_shards_lack_are_refused(tmp_path: Path, values: Any, message: str) -> None:
    TwoSets.used = {"trained": set(), "retrieved": set()}
    with pytest.raises(TrainingError, match=message):
        train(tmp_path / "run", changed(**values), reader=TwoSets)


def test_devices_that_cannot_share_the_videos_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"3 devices cannot share the 4 videos .*1, 2, 4 .*pretrain.batch_size: 12"):
        train(tmp_path, reader=None, devices=Devices("cpu", 3))


def test_a_pretraining_without_initial_weights_says_how_to_get_them(tmp_path: Path) -> None:
    for value, found in ((None, "got null"), ("nowhere.safetensors", "found none at nowhere.safetensors")):
        with pytest.raises(
            ConfigError, match=rf"{found}; .*github.com/facebookresearch/hiera .*signrep convert .*scratch"
        ):
            train(tmp_path / "run", changed(initial_weights=value))


def test_the_encoder_starts_from_the_initial_weights(tmp_path: Path) -> None:
    torch.manual_seed(7)
    start = SignRep(MICRO)
    start.save(tmp_path / "start.safetensors")
    settings = changed(iterations=1, warmup=0, learning_rate=1e-12, initial_weights=str(tmp_path / "start.safetensors"))
    trained = SignRep.load(train(tmp_path / "run", settings).weights)
    for name, weight in trained.encoder.state_dict().items():
        torch.testing.assert_close(weight, start.encoder.state_dict()[name], rtol=0, atol=1e-6)
    assert not torch.equal(trained.projection[1].weight, start.projection[1].weight)


def test_sentences_are_no_glosses_to_retrieve(tmp_path: Path) -> None:
    """The gloss of a sentence is the sequence of its signs, so equal ones are no matching signs."""
    encoded: list[str] = []

    class Mixed(FakeReader):
        """One of three glosses labels sentences; in the folder `sentences` all do."""

        def __init__(self, folder: Path = Path()) -> None:
            super().__init__(folder)
            self.index["split"] = ["train"] * 6 + ["val"] * 6
            sentences = ("gloss1",) if folder.name == "mixed" else ("gloss0", "gloss1", "gloss2")
            self.index["text"] = ["It rains." if gloss in sentences else "" for gloss in self.index["gloss"]]

        def read_window(self, row: int, start: int, n_frames: int = 16) -> np.ndarray:
            encoded.append(self.index["video_id"][row])
            return super().read_window(row, start, n_frames)

    settings = changed(iterations=1)
    train(tmp_path / "mixed", settings, reader=Mixed, shards=Path("mixed"))
    assert metrics(tmp_path / "mixed" / "metrics.csv")[-1]["retrieval_DCG"]
    assert {"video03", "video05"} <= set(encoded)  # the validation's signs
    assert "video04" not in encoded  # its sentence
    train(tmp_path / "sentences", settings, reader=Mixed, shards=Path("sentences"))
    assert not metrics(tmp_path / "sentences" / "metrics.csv")[-1]["retrieval_DCG"]


def test_the_best_is_selected_by_loss_where_there_are_no_glosses(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Unlabelled(FakeReader):
        def __init__(self, folder: Path = Path()) -> None:
            super().__init__(folder)
            self.index["gloss"] = [""] * len(self.index["gloss"])

    caplog.set_level(logging.INFO)
    result = train(tmp_path / "run", reader=Unlabelled)
    rows = metrics(tmp_path / "run" / "metrics.csv")
    assert "selected by the negative training loss" in caplog.text
    assert result.best == pytest.approx(-np.mean([float(r["reconstruction"]) for r in rows[2:]]), rel=1e-4)


def test_broken_sequences_are_logged_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(FakeReader):
        broken_rows = (0, 1)

    train(tmp_path / "run", changed(splits=["train", "test"], validate_every=99, iterations=6),
          reader=Broken)  # fmt: skip
    logged = [record.message for record in caplog.records if "was replaced by another" in record.message]
    assert logged
    assert "video00" in logged[0]
    assert int(metrics(tmp_path / "run" / "metrics.csv")[-1]["broken"]) == len(logged)


def test_too_many_broken_sequences_stop_the_run(tmp_path: Path) -> None:
    class Broken(FakeReader):
        broken_rows = (0, 1)

    settings = changed(splits=["train", "val", "test"], iterations=40, validate_every=99, max_broken=0.01)
    with pytest.raises(TrainingError, match=r"11 videos could not be read in \d+ examples, more than the 1%"):
        train(tmp_path, settings, reader=Broken)


def test_the_decoder_can_start_at_the_median_target(tmp_path: Path) -> None:
    losses = {}
    for start in (False, True):
        train(tmp_path / str(start), changed(iterations=1, log_every=1, initialise_from_data=start))
        losses[start] = float(metrics(tmp_path / str(start) / "metrics.csv")[1]["reconstruction"])
    assert losses[True] < 0.6 * losses[False]


def test_mixed_precision_gives_nearly_the_losses_of_full_precision(tmp_path: Path) -> None:
    short = changed(iterations=1, log_every=1)
    rows = []
    for precision in ("32-true", "bf16-mixed"):
        train(tmp_path / precision, short, devices=Devices("cpu", precision=precision))
        rows.append(metrics(tmp_path / precision / "metrics.csv")[1])
    for name in ("reconstruction", "variance", "discriminator"):
        assert float(rows[1][name]) == pytest.approx(float(rows[0][name]), rel=0.02)
    state = load_state(tmp_path / "bf16-mixed" / "last" / "state.pt")
    assert all(w.dtype == torch.float32 for w in state["model"].values())


def test_a_prior_that_is_left_out_is_reported_but_not_trained_on(tmp_path: Path) -> None:
    angles = ["body_angles", "right_angles", "left_angles"]
    train(tmp_path / "run", changed(iterations=3, priors=angles))
    row = {name: float(value) for name, value in metrics(tmp_path / "run" / "metrics.csv")[-1].items() if value}
    assert row["body_distances"] > 0
    assert row["reconstruction"] == pytest.approx(10 * sum(row[a] for a in angles) + 0.2 * row["activity"], rel=1e-4)


@pytest.mark.parametrize(
    ("stage", "triangle", "width"), [(1, "without_diagonal", 16 * 15 // 2), (2, "with_diagonal", 32 * 33 // 2)]
)
def test_the_style_can_be_of_another_stage_or_part_of_the_gram_matrix(
    tmp_path: Path, stage: int, triangle: str, width: int
) -> None:
    """The micro encoder has 16 channels, twice as many in each further stage."""
    train(tmp_path / "run", changed(iterations=1, style_stage=stage, style_triangle=triangle))
    state = load_state(tmp_path / "run" / "last" / "state.pt")
    assert state["discriminator"]["style.0.weight"].shape[1] == width


def test_without_the_adversarial_term_there_is_no_discriminator(tmp_path: Path) -> None:
    train(tmp_path / "run", changed(iterations=3, adversarial_weight=0.0))
    assert metrics(tmp_path / "run" / "metrics.csv")[-1]["discriminator"] == ""


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("swapped_means", lambda m, u: (m**2).mean() + ((u - 0.5) ** 2).mean()),
        ("midpoint", lambda m, u: ((m - 0.25) ** 2).mean() + ((u - 0.25) ** 2).mean()),
        ("relativistic", lambda m, u: m.exp().log1p().mean() + (0.5 - u).exp().log1p().mean()),
    ],
)
def test_the_adversarial_loss_moves_the_features_and_not_the_discriminator(form: str, expected: Any) -> None:
    class Wrapped:
        module = Discriminator(16, 6, 16)

    class Run:
        discriminator = Wrapped
        settings = changed(adversarial_form=form)

    z, matched, unmatched = torch.randn(4, 16, requires_grad=True), torch.rand(4, 6), torch.rand(4, 6)
    Wrapped.module.mean_matched.fill_(0.5)
    loss = step._adversarial(Run, z, matched, unmatched)  # type: ignore[arg-type]
    loss.backward()
    with torch.no_grad():
        m, u = Wrapped.module.eval()(z, matched), Wrapped.module(z, unmatched)  # E_M = 0.5, E_U = 0
    assert loss.item() == pytest.approx(expected(m, u).item(), rel=1e-3)
    assert z.grad is not None
    assert z.grad.abs().sum() > 0
    assert all(p.grad is None and p.requires_grad for p in Wrapped.module.parameters())


def test_the_objective_is_the_weighted_sum_of_its_terms() -> None:
    class Run:
        settings = Pretrain()

    values = {"reconstruction": 10.0, "variance": 0.5, "covariance": 25.0, "adversarial": 3.0, "activity": 99.0}
    terms = {name: torch.tensor(value) for name, value in values.items()}
    run: Any = Run
    whole = step._total_loss(run, terms, torch.tensor(1.0))
    assert whole.item() == pytest.approx(10 + 1.0 * 0.5 + 0.004 * 25 + 2.0 * 3)
    assert step._total_loss(run, terms, torch.tensor(0.0)).item() == 10


def test_encoder_and_discriminator_learn_in_every_step_each_by_its_own_adamw(tmp_path: Path) -> None:
    """A3 and A4; both rates follow one schedule: half of the peak in the first of two steps of warm-up."""
    settings = changed(iterations=1, learning_rate=1e-3, discriminator_learning_rate=1e-4)
    train(tmp_path / "run", settings)
    state = load_state(tmp_path / "run" / "last" / "state.pt")
    groups = state["optimiser"]["param_groups"]
    assert {(tuple(group["betas"]), group["weight_decay"]) for group in groups} == {
        ((0.9, 0.95), 0.5),
        ((0.9, 0.95), 0),
    }
    assert max(float(group["lr"]) for group in groups) == pytest.approx(1e-3 / 2)
    (group,) = state["discriminator_optimiser"]["param_groups"]
    assert (tuple(group["betas"]), group["weight_decay"]) == ((0.5, 0.9), 1e-3)
    assert float(group["lr"]) == pytest.approx(1e-4 / 2)
    for part in ("optimiser", "discriminator_optimiser"):
        assert {int(values["step"]) for values in state[part]["state"].values()} == {1}


def test_styles_are_matched_within_a_video_and_unmatched_across() -> None:
    class Run:
        class fabric:  # noqa: N801
            world_size = 1

    styles = torch.randn(6, 5)
    videos = torch.tensor([0, 0, 1, 1, 0, 0])  # one video twice in the batch
    for seed in range(20):
        choice = torch.rand(6, 6, generator=torch.Generator().manual_seed(seed))
        matched, unmatched = step._paired_styles(Run, styles, videos, choice)  # type: ignore[arg-type]
        assert torch.equal(matched, styles[[1, 0, 3, 2, 5, 4]])
        origin = [int((styles == row).all(1).nonzero()[0, 0]) for row in unmatched]
        assert all(videos[o] != videos[i] for i, o in enumerate(origin))


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A subset of the priors: the others are reported, and their heads get no gradient, which DDP must not await."""
    monkeypatch.undo()  # spawned processes know the real presets only
    priors: list[Prior] = ["body_angles", "right_angles"]
    slow = {"learning_rate": 1e-6, "discriminator_learning_rate": 1e-6}  # AdamW amplifies roundings of small gradients
    settings = changed(iterations=2, batch_size=4, log_every=1, validate_every=2, priors=priors, **slow)  # a video each
    for devices in (1, 2):
        train(tmp_path / str(devices), settings, devices=Devices("cpu", devices))
    one, two = (metrics(tmp_path / str(devices) / "metrics.csv") for devices in (1, 2))
    for a, b in zip(one[1:], two[1:], strict=True):
        for name in (*step.TERMS, "grad_norm"):
            assert float(b[name]) == pytest.approx(float(a[name]), abs=1e-4, rel=1e-4), (a["step"], name)
    assert two[-1]["retrieval_DCG"] == one[-1]["retrieval_DCG"] != ""
    states = [load_state(tmp_path / str(devices) / "last/state.pt") for devices in (1, 2)]
    for name in ("optimiser", "discriminator_optimiser"):
        (alone, both) = ([v["exp_avg"] for v in state[name]["state"].values()] for state in states)
        for a_mean, b_mean in zip(alone, both, strict=True):  # of the gradients
            assert (a_mean - b_mean).norm() < 1e-3 * a_mean.norm()
