"""Training loop shared by all trainings: steps, metrics, selection of the best weights, resume, a clean end on SIGTERM.

Supplement A3. Each kind of training (pretraining, recognition, ...) supplies a `Run` of its own and three
functions: a training step, additional metrics, and a score of the weights. A killed run continues as if it had not been
interrupted: the resume state contains the run's parts and the step, and all random numbers follow from (seed, step).
"""

import hashlib
import json
import logging
import math
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from signrep_core.config import Training, describe_departures
from signrep_core.data.stream import Loading
from signrep_core.errors import TrainingError
from signrep_core.model.weights import UNTRAINED, write_weights
from signrep_core.progress import Progress
from signrep_core.store.files import atomic_path
from signrep_core.store.job import is_first_process
from signrep_core.store.layout import METRICS, WEIGHTS
from signrep_core.train.checkpoint import StateWriter, load_state
from signrep_core.train.launch import Devices, Terminated, Termination, terminations
from signrep_core.train.metrics import Meter, MetricLog
from signrep_core.train.ranks import mean_over_ranks, sum_ranks

log = logging.getLogger(__name__)

FEW_BROKEN: Final = 10  # D: up to so many unreadable videos never stop a run


class Examples(Protocol):
    """A batch as the loop uses it; its length is the number of this rank's examples."""

    @property
    def broken(self) -> Sequence[str]:
        """Videos that could not be read and were replaced, with the reasons."""

    def __len__(self) -> int: ...


class TrainResult(NamedTuple):
    """End of a run: `finished`, or stopped by SIGTERM with its state saved; `best` is the selected score."""

    finished: bool
    step: int
    best: float | None
    weights: Path


@dataclass(frozen=True)
class RunSetup:
    """Folder, seed, devices and provenance of a run: everything that defines it except its settings and data."""

    out: Path  # contains last/ during the run, then best.safetensors and metrics.csv
    seed: int = 0
    devices: Devices = field(default_factory=Devices)
    provenance: Mapping[str, str] = field(default_factory=dict)  # of the weights, for their notes

    @property
    def folder(self) -> Path:
        """Folder of the unfinished run's resume state, weights and metrics."""
        return self.out / "last"


@dataclass(kw_only=True)
class Run:
    """State of a training while it runs."""

    kind: str  # of training, the name of its command
    fabric: Fabric
    setup: RunSetup
    settings: Any  # has clip, clip_by, validate_every, save_every, save_minutes and log_every
    values: dict[str, Any]  # settings and seed that determine the result, as numbers, text and lists
    data: dict[str, Any]  # digests and names that identify the data
    iterations: int
    columns: Sequence[str]  # of metrics.csv
    selection: str  # criterion of the best weights, in words
    network: Any  # the module itself, with `save(path, notes)`; `model` is its wrapper by Fabric
    model: Any = None
    optimiser: Any = None
    step: int = 0  # steps done
    best: float | None = None
    broken: int = 0  # videos that could not be read, on all ranks
    unreported: dict[str, float] | None = None  # metrics of the last step, until they are written
    steps_per_epoch: int = 1  # for a validation once an epoch
    max_broken: float = 0.05  # D: unreadable videos per example, above which the run stops
    baseline: bool = False  # whether to score the weights before the first step, as step 0 of the metrics
    meter: Meter = field(default_factory=Meter)  # since the last report
    since_validation: Meter = field(default_factory=Meter)
    started: list[tuple["StepTerms", int, float]] = field(default_factory=list)  # not read; clips, seconds waited

    @property
    def folder(self) -> Path:
        """Folder of the unfinished run's resume state, weights and metrics."""
        return self.setup.folder

    @property
    def identity(self) -> dict[str, Any]:
        """Values that must be equal for a run to be resumed."""
        return self.values | self.data

    @property
    def validates(self) -> bool:
        """Whether the weights are scored after this step: every `validate_every` steps, and after the last one."""
        every = self.settings.validate_every
        return self.step == self.iterations or self.step % (self.steps_per_epoch if every == "epoch" else every) == 0

    @property
    def reports(self) -> bool:
        """Whether metrics are written after this step: every `log_every` steps, and where the weights are scored."""
        return self.validates or self.step % int(self.settings.log_every) == 0

    def parts(self) -> dict[str, Any]:
        """Objects with a state of their own, by their names in the resume state."""
        return {
            "model": self.network,
            "optimiser": self.optimiser,
            "meter": self.meter,
            "since_validation": self.since_validation,
        }


class StepTerms:
    """Terms of a step, averaged over the ranks, so that all ranks report the same values and stop together.

    On a GPU they are copied to page-locked memory when the device has computed them; `read` waits for them, so the
    next step can be started first.

    Args:
        terms: () each, on the device.
        examples: names of the batch's examples, for messages.
        known: values that are known on the host.
    """

    def __init__(
        self, run: Run, terms: Mapping[str, Tensor], examples: Sequence[str], known: Mapping[str, float]
    ) -> None:
        self._step, self._names, self._examples, self._known = run.step, list(terms), examples, known
        numbers = mean_over_ranks(run.fabric, torch.stack([term.detach().float() for term in terms.values()]))
        self._copied = None
        if numbers.is_cuda:
            self._numbers = torch.empty(numbers.shape, pin_memory=True).copy_(numbers, non_blocking=True)
            self._copied = torch.cuda.current_stream(numbers.device).record_event()
        else:
            self._numbers = numbers

    def read(self) -> dict[str, float]:
        """All terms as numbers.

        Raises:
            TrainingError: a term is not finite; the message names the step and the batch's examples.
        """
        if self._copied is not None:
            self._copied.synchronize()
        values = dict(zip(self._names, self._numbers.tolist(), strict=True))
        if wrong := [name for name, value in values.items() if not math.isfinite(value)]:
            raise TrainingError(
                f"step {self._step}: {', '.join(wrong)} became {values[wrong[0]]}; the batch: "
                f"{'; '.join(self._examples)}; check these and their targets, or lower the learning rate; "
                "last/ contains the state before"
            )
        return {**values, **self._known}


AnyRun = TypeVar("AnyRun", bound=Run)
AnyExamples = TypeVar("AnyExamples", bound=Examples)
Score = tuple[float, dict[str, float]]  # of the weights: what selects them (higher is better), and what to report


def share_of(fabric: Fabric, workers: int) -> Loading:
    """Settings for loading this rank's share of each batch."""
    return Loading(fabric.global_rank, fabric.world_size, workers, fabric.device)


def train(
    run: AnyRun,
    load: Callable[[range], Iterable[AnyExamples]],
    train_step: Callable[[AnyRun, AnyExamples], StepTerms],
    report: Callable[[AnyRun], dict[str, float]],
    validate: Callable[[AnyRun], Score],
) -> TrainResult:
    """Start or resume a run, until it is finished or SIGTERM arrives.

    Args:
        load: yields the batches of the given steps, in order.
        train_step: starts forward, backward and update with one batch; returns all terms, including `loss`. They are
            read when the next step has been started, or when they are reported or a state is saved.
        report: returns values that a row of metrics contains besides the means of the terms.
        validate: scores the weights; called on every rank, so that they can share the work; returns the same on all.

    Raises:
        TrainingError: the folder contains an unfinished run with other settings or data, or too many videos cannot be
            read.
        CheckpointError: its state cannot be read.
    """
    # Otherwise gathered gradients are summed in the order of the threads; on a GPU this would be too slow.
    torch.use_deterministic_algorithms(run.fabric.device.type == "cpu")
    _resume(run)
    with terminations() as stop:
        try:
            finished = _train(run, load, train_step, _Scoring(report, validate, stop))
        except Terminated:
            finished = False
    out = run.folder.parent
    if finished:
        log.info("%s %s: finished after %d steps; %d videos could not be read and were replaced; best: %s %s",
                 run.kind, out.name, run.step, run.broken, run.selection, run.best)  # fmt: skip
    elif run.fabric.is_global_zero:
        log.warning("stopped by SIGTERM after step %d; run the same command again to continue", run.step)
    return TrainResult(finished, run.step, run.best, (out if finished else run.folder) / WEIGHTS)


@dataclass(frozen=True)
class _Scoring:
    """Functions that report on a run and score its weights, and the signal that stops them."""

    report: Callable[[Any], dict[str, float]]
    validate: Callable[[Any], Score]
    stop: Termination

    def score(self, run: Run) -> Score:
        """Score the weights, unless SIGTERM arrives."""
        with self.stop.raising():
            return self.validate(run)


def _train(
    run: AnyRun,
    load: Callable[[range], Iterable[AnyExamples]],
    train_step: Callable[[AnyRun, AnyExamples], StepTerms],
    scoring: _Scoring,
) -> bool:
    """Run the steps that are left; return whether the run is finished.

    Raises:
        Terminated: SIGTERM arrived while the weights were scored; the state before is saved.
    """
    out = run.folder.parent
    terminal = None if run.fabric.is_global_zero else False  # the first rank shows the progress of all
    with (
        _metrics(run) as metrics,
        _states(run, metrics) as states,
        Progress(f"{run.kind} {out.name}", run.iterations - run.step, "steps", terminal=terminal) as progress,
    ):
        if run.baseline and run.step == 0:
            _score_untrained(run, metrics, scoring)
        _report(run, metrics, scoring)  # of the step after which the state was saved
        waiting = time.perf_counter()
        for batch in load(range(run.step, run.iterations)):
            waited = time.perf_counter() - waiting
            run.started.append((train_step(run, batch), len(batch) * run.fabric.world_size, waited))
            run.step += 1
            stopping, n_broken = sum_ranks(run.fabric, scoring.stop.is_set(), len(batch.broken))
            _count_broken(run, batch, int(n_broken))
            saving = bool(stopping) or (states is not None and _is_due(run, states))
            terms = _read_terms(run, 0 if saving or run.reports else 1)
            if run.reports:
                run.unreported = run.meter.take() | scoring.report(run) | {"broken": run.broken}
            if states is not None and (saving or run.validates):  # before the weights are scored, which takes long
                states.write(_state(run))
            if stopping:
                return False
            _report(run, metrics, scoring)
            progress.advance(1, note=f"loss {terms['loss']:.3f}" if terms else "")
            waiting = time.perf_counter()
        if states is not None:
            _publish(run, out, states)
    return True


def write_placeholder(setup: RunSetup, settings: Training, columns: Sequence[str], why: str) -> TrainResult:
    """Write placeholder outputs for a data set without training data: weights without a tensor that note the reason,
    and metrics without a row."""
    log.warning("nothing is trained: %s", why)
    if not is_first_process():
        return TrainResult(True, 0, None, setup.out / WEIGHTS)
    out, values = setup.out, json.dumps(described_settings(settings, setup.seed))
    notes = {"step": "0", "selected_by": "", "settings": values, UNTRAINED: why, **setup.provenance}
    write_weights(out / WEIGHTS, {}, {"format": UNTRAINED, "notes": notes})
    with atomic_path(out / METRICS) as partial:
        partial.write_text(",".join(columns) + "\n", encoding="utf-8")
    return TrainResult(True, 0, None, out / WEIGHTS)


# ---------------------------------------------------------------- within a step


def seed_step(run: Run) -> torch.Generator:
    """Random generator of this step, a pure function of (seed, step), the same on every rank.

    Torch's global generator (drop path, dropout) is seeded as well, differently on every rank.
    """
    key = (run.setup.seed, 2, run.step)
    seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]) >> 1
    torch.manual_seed(seed + run.fabric.global_rank)
    return torch.Generator().manual_seed(seed)


def update(run: Run, loss: Tensor) -> Tensor:
    """Run backward and one step of the optimiser; return the gradient's norm before clipping. No gradient is left."""
    run.fabric.backward(loss)
    clip, by_value = run.settings.clip, run.settings.clip_by == "value"
    clip_gradients = partial(run.fabric.clip_gradients, run.model, run.optimiser)
    norm = clip_gradients(max_norm=math.inf if by_value else clip, error_if_nonfinite=False)
    if by_value:
        clip_gradients(clip_val=clip)
    run.optimiser.step()
    run.optimiser.zero_grad(set_to_none=True)
    return torch.as_tensor(norm)


def log_departures(settings: Training) -> None:
    """Log once how a training departs from the paper."""
    if departures := describe_departures(settings):
        log.info("%s", departures)


def unwrapped(module: Any) -> Any:
    """The module inside the wrappers of Fabric and DDP."""
    return module.module


# ---------------------------------------------------------------- report and select


def _read_terms(run: Run, late: int) -> dict[str, float] | None:
    """Read the terms of all started steps but the last `late`, and count them; return the last ones that were read."""
    terms = None
    while len(run.started) > late:
        step, clips, waited = run.started.pop(0)
        terms = step.read()
        run.meter.add(terms, clips, waited)
        run.since_validation.add(terms, clips, waited)
    return terms


def _count_broken(run: Run, batch: Examples, n_broken: int) -> None:
    """Count the videos that were unreadable on any rank.

    Raises:
        TrainingError: there are more of these than `max_broken` allows.
    """
    run.broken += n_broken
    for line in batch.broken:
        log.warning("step %d: a video could not be read and was replaced by another (%d so far): %s",
                    run.step, run.broken, line)  # fmt: skip
    clips = len(batch) * run.fabric.world_size
    if run.broken > max(FEW_BROKEN, run.max_broken * clips * run.step):
        raise TrainingError(
            f"step {run.step}: {run.broken} videos could not be read in {clips * run.step} examples, more than the "
            f"{run.max_broken:.0%} that max_broken allows: the log names them; pack them again"
        )


def _report(run: Run, metrics: MetricLog | None, scoring: _Scoring) -> None:
    """Write the metrics of the last step where there are any, after scoring its weights where they are to be."""
    if run.unreported is None:
        return
    values = run.unreported | (_select(run, scoring) if run.validates else {})
    if metrics is not None:
        metrics.write(run.step, values)
    run.unreported = None


def _score_untrained(run: Run, metrics: MetricLog | None, scoring: _Scoring) -> None:
    """Score the weights before training, for comparison; they are never selected."""
    score, values = scoring.score(run)
    log.info("untrained: %s %.4g", run.selection, score)
    if metrics is not None:
        metrics.write(0, values | {"selection": score})


def _select(run: Run, scoring: _Scoring) -> dict[str, float]:
    """Score the weights and keep them if they are the best so far; return values for the metrics."""
    score, values = scoring.score(run)
    if run.best is None or score > run.best:
        run.best = score
        if run.fabric.is_global_zero:
            notes = {"step": str(run.step), "selected_by": run.selection, "score": f"{score:.6g}",
                     "settings": json.dumps(run.values), **run.setup.provenance}  # fmt: skip
            run.network.save(run.folder / WEIGHTS, notes)
    log.info("step %d: %s %.4g (best %.4g)", run.step, run.selection, score, run.best)
    run.since_validation.take()
    return values | {"selection": score}


def _metrics(run: Run) -> AbstractContextManager[MetricLog | None]:
    if not run.fabric.is_global_zero:
        return nullcontext()
    kept = run.step if run.unreported is None else run.step - 1
    return MetricLog(run.folder / METRICS, run.folder.parent / "tensorboard", list(run.columns), kept)


# ---------------------------------------------------------------- resume state


def described_settings(settings: Training, seed: int) -> dict[str, Any]:
    """Settings and seed that determine the results of a run, as numbers, text and lists."""
    return settings.identity() | {"seed": seed}


def data_digest(index: Mapping[str, Any]) -> str:
    """Digest of the sequences of an index, for the identity of a run."""
    columns = (index[name] for name in ("video_id", "dataset", "split", "n_frames"))
    rows = "\n".join(" ".join(map(str, row)) for row in zip(*columns, strict=True))
    return hashlib.sha256(rows.encode()).hexdigest()[:16]


def _states(run: Run, metrics: MetricLog | None) -> AbstractContextManager[StateWriter | None]:
    """Writer of resume states, on the first rank; all ranks have the same state."""
    if metrics is None:
        return nullcontext()
    return StateWriter(run.folder / "state.pt", metrics.sync)


def _is_due(run: Run, states: StateWriter) -> bool:
    return run.step % run.settings.save_every == 0 or states.seconds >= 60 * run.settings.save_minutes


def _state(run: Run, finished: bool = False) -> dict[str, Any]:
    """Resume state, from which the next step is the same as without an interruption.

    A run is finished when its weights are published, not with its last step: a kill in between loses no step.
    """
    return {
        "identity": run.identity,
        "provenance": dict(run.setup.provenance),
        "finished": finished,
        "unreported": run.unreported,
        "step": run.step,
        "best": run.best,
        "broken": run.broken,
        **{name: part.state_dict() for name, part in run.parts().items()},
    }


def _resume(run: Run) -> None:
    """Load the resume state if the folder contains one of an unfinished run; log whether its inputs have changed.

    Raises:
        TrainingError: the state belongs to a run with other settings or data.
    """
    path = run.folder / "state.pt"
    if not path.exists():
        return
    state = load_state(path, run.fabric.device)
    here, there = run.identity, state["identity"]
    if state["finished"]:
        log.info("%s: this run is finished; a new one starts", path)
        return
    if changed := [key for key in here if here[key] != there.get(key)]:
        raise TrainingError(
            f"{path}: contains an unfinished run with other settings: "
            + ", ".join(f"{key} was {there.get(key)!r} and is {here[key]!r}" for key in changed)
            + f"; set them back to continue it, or delete {run.folder} to start again"
        )
    before, now = (made.get("inputs") for made in (state.get("provenance", {}), run.setup.provenance))
    if before and now and before != now:
        log.warning("%s: the run's inputs have changed since step %d; it continues with the new ones; "
                    "delete %s to start again", path, state["step"], run.folder)  # fmt: skip
    for name, part in run.parts().items():
        part.load_state_dict(state[name])
    run.step, run.best, run.broken = state["step"], state["best"], state["broken"]
    run.unreported = state.get("unreported")
    log.info("%s: continuing after step %d", path, run.step)


def _publish(run: Run, out: Path, states: StateWriter) -> None:
    """Copy the finished run's weights and metrics to their final names, then mark the run as finished."""
    states.write(_state(run))
    states.wait()
    for name in (METRICS, WEIGHTS):
        with atomic_path(out / name) as partial:
            shutil.copyfile(run.folder / name, partial)
    states.write(_state(run, finished=True))
