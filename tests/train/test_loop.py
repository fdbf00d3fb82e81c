"""Updates of the weights, and the steps after which they are scored."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from lightning_fabric import Fabric

from signrep_core.config import ClipBy, Pretrain, Recognition
from signrep_core.errors import TrainingError
from signrep_core.train import loop
from signrep_core.train.loop import Run, RunSetup, StepTerms, TrainResult, _is_due, train, update, write_placeholder


def make_run(settings: Any, **values: Any) -> Run:
    unused: Any = None
    fabric = Fabric(accelerator="cpu", devices=1)
    return Run(
        kind="", fabric=fabric, setup=RunSetup(unused), settings=settings, values={}, data={}, iterations=10,
        columns=(), selection="", network=unused, **values,
    )  # fmt: skip


@pytest.mark.parametrize(("clip_by", "expected"), [("norm", [-0.6, -0.8]), ("value", [-1.0, -1.0])])
def test_the_gradient_is_clipped_by_its_norm_or_by_value(clip_by: ClipBy, expected: list[float]) -> None:
    """The gradient (3, 4) has the norm 5; a step of rate 1 goes against it."""
    run = make_run(Pretrain(clip=1.0, clip_by=clip_by))
    layer = torch.nn.Linear(2, 1, bias=False)
    torch.nn.init.zeros_(layer.weight)
    run.model, run.optimiser = run.fabric.setup(layer, torch.optim.SGD(layer.parameters(), lr=1.0))
    norm = update(run, run.model(torch.tensor([[3.0, 4.0]])).sum())
    assert norm.item() == pytest.approx(5)
    assert layer.weight[0].tolist() == pytest.approx(expected)


def test_only_the_first_process_writes_placeholders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for rank, written in (("1", False), ("0", True)):
        monkeypatch.setenv("RANK", rank)
        result = write_placeholder(RunSetup(tmp_path), Recognition(), ["step"], "no data")
        assert (result.finished, result.weights.exists()) == (True, written)


def test_a_state_is_due_after_a_number_of_steps_and_after_a_time() -> None:
    class States:
        seconds = 0.0

    run = make_run(Pretrain(save_every=4, save_minutes=2))
    due = []
    for run.step, States.seconds in ((3, 119), (4, 0), (5, 120)):
        due.append(_is_due(run, States()))  # type: ignore[arg-type]
    assert due == [False, True, True]


@pytest.mark.parametrize(
    ("every", "scored"), [(4, [4, 8, 10]), ("epoch", [3, 6, 9, 10])]
)  # an epoch is of 3 steps, and the last step is scored in any case
def test_weights_are_scored_after_a_number_of_steps_or_once_an_epoch(every: int | str, scored: list[int]) -> None:
    run = make_run(Recognition.model_validate({"validate_every": every}), steps_per_epoch=3)
    steps = []
    for run.step in range(1, 11):
        steps += [run.step] if run.validates else []
    assert steps == scored


def test_terms_are_read_when_the_next_step_has_been_started() -> None:
    run = make_run(Pretrain())
    for k in range(3):
        terms = StepTerms(run, {"loss": torch.tensor(float(k))}, ["a window"], {"learning_rate": 0.5})
        run.started.append((terms, 4, 0.0))
    assert loop._read_terms(run, 1) == {"loss": 1.0, "learning_rate": 0.5}
    assert (run.meter.mean("loss"), len(run.started)) == (0.5, 1)
    assert loop._read_terms(run, 0) == {"loss": 2.0, "learning_rate": 0.5}
    assert loop._read_terms(run, 0) is None


def test_a_loss_that_is_not_finite_names_its_own_step() -> None:
    run = make_run(Pretrain())
    run.step = 7
    terms = StepTerms(run, {"loss": torch.tensor(float("nan"))}, ["video 3"], {})
    run.step = 8
    with pytest.raises(TrainingError, match="step 7: loss became nan; the batch: video 3"):
        terms.read()


class Steps(list[int]):
    """A batch of one step's number; no video of it was unreadable."""

    broken: tuple[str, ...] = ()


class Scaled(torch.nn.Linear):
    def save(self, path: Path, notes: dict[str, str]) -> None:
        torch.save(self.state_dict(), path)


def run_steps(out: Path, kill_at: int | None) -> tuple[TrainResult, list[int], Run]:
    """Train four steps that are scored after every second one; SIGTERM arrives while the weights are scored."""
    torch.manual_seed(0)
    settings = Pretrain(validate_every=2, log_every=1, warmup=0)
    run = make_run(settings)
    run.setup, run.iterations, run.columns = RunSetup(out), 4, (
        "step", "loss", "broken", "clips_per_s", "data_wait", "selection",
    )  # fmt: skip
    run.network = Scaled(1, 1)
    run.model, run.optimiser = run.fabric.setup(run.network, torch.optim.SGD(run.network.parameters(), lr=0.1))
    scored = []

    def train_step(run: Run, batch: Steps) -> StepTerms:
        loss = run.model(torch.tensor([[float(batch[0])]])).square().sum()
        update(run, loss)
        return StepTerms(run, {"loss": loss}, ["x"], {})

    def validate(run: Run) -> tuple[float, dict[str, float]]:
        scored.append(run.step)
        if run.step == kill_at:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(20)
        return float(run.step), {}

    def load(steps: range) -> Iterator[Steps]:
        return (Steps([step]) for step in steps)

    def report(run: Run) -> dict[str, float]:
        return {}

    return train(run, load, train_step, report, validate), scored, run


def test_a_stop_while_weights_are_scored_costs_only_the_scoring(tmp_path: Path) -> None:
    expected, _, undisturbed = run_steps(tmp_path / "a", None)
    stopped, first, _ = run_steps(tmp_path / "b", kill_at=2)
    assert (stopped.finished, stopped.step, first) == (False, 2, [2])
    found, second, continued = run_steps(tmp_path / "b", None)
    assert (found.finished, found.best, second) == (True, expected.best, [2, 4])
    assert continued.network.weight.item() == pytest.approx(undisturbed.network.weight.item(), abs=1e-7)
    metrics = [pd.read_csv(tmp_path / name / "metrics.csv")[["step", "loss", "selection"]] for name in ("a", "b")]
    pd.testing.assert_frame_equal(*metrics)
