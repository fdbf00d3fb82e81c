"""The loop that every training shares: steps, reports, selection of the best weights, resume, a clean end on SIGTERM.

Method section 5 (A3). A kind of training (pretraining, recognition, ...) gives a `Run` of its own and three functions:
a step, what a report adds, and a score of the weights. A run goes on bit for bit where it was killed: the state holds
the run's parts and the step, and everything random follows from (seed, step).
"""

import hashlib
import json
import logging
import math
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeVar

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
from signrep_core.train.checkpoint import load_state, save_state
from signrep_core.train.metrics import Meter, MetricLog

log = logging.getLogger(__name__)

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]

FEW_BROKEN: Final = 10  # D: unreadable videos that stop no run, however short


class Examples(Protocol):
    """What the loop looks at of a batch; its length counts this rank's examples."""

    @property
    def broken(self) -> Sequence[str]:
        """What could not be read and was replaced."""

    def __len__(self) -> int: ...


class TrainResult(NamedTuple):
    """How a run ended: `finished`, or stopped by SIGTERM with its state saved; `best` is the selected score."""

    finished: bool
    step: int
    best: float | None
    weights: Path


@dataclass(frozen=True)
class Devices:
    """Where a training runs, as Lightning Fabric takes it."""

    accelerator: str = "auto"
    count: int | str = 1  # devices of each node: GPUs, or processes on a CPU
    nodes: int = 1
    precision: Precision | None = None  # None = bf16 on a GPU, single precision on a CPU


@dataclass(frozen=True)
class RunSetup:
    """A run's folder, seed, devices and origin: all that defines it but its settings and data."""

    out: Path  # holds last/ while the run is going on, then best.safetensors and metrics.csv
    seed: int = 0
    devices: Devices = Devices()
    provenance: Mapping[str, str] = field(default_factory=dict)  # noted in the weights: how they were made

    @property
    def folder(self) -> Path:
        """Resume state, weights and metrics of the unfinished run."""
        return self.out / "last"


@dataclass(kw_only=True)
class Run:
    """State of a training while it runs."""

    kind: str  # of training, as the command is called
    fabric: Fabric
    setup: RunSetup
    settings: Any  # has clip, validate_every, save_every and log_every
    values: dict[str, Any]  # settings and seed that decide the result, as plain values
    data: dict[str, Any]  # what identifies the data, by name
    iterations: int
    columns: Sequence[str]  # of metrics.csv
    selection: str  # what the best weights are selected by, for people
    network: Any  # the module itself, with `save(path, notes)`; `model` is what Fabric wraps around it
    model: Any = None
    optimiser: Any = None
    step: int = 0  # steps done
    best: float | None = None
    broken: int = 0  # videos that could not be read, on all ranks
    max_broken: float = 0.05  # D: of them per example, above which the run stops
    baseline: bool = False  # whether the weights are scored before the first step, as step 0 of the metrics
    meter: Meter = field(default_factory=Meter)  # since the last report
    since_validation: Meter = field(default_factory=Meter)

    @property
    def folder(self) -> Path:
        """Resume state, weights and metrics of the unfinished run."""
        return self.setup.folder

    @property
    def identity(self) -> dict[str, Any]:
        """What must be equal for a run to be resumed."""
        return self.values | self.data

    def parts(self) -> dict[str, Any]:
        """Objects with a state of their own, by the name that the resume state has for them."""
        return {
            "model": self.network,
            "optimiser": self.optimiser,
            "meter": self.meter,
            "since_validation": self.since_validation,
        }


AnyRun = TypeVar("AnyRun", bound=Run)
AnyExamples = TypeVar("AnyExamples", bound=Examples)
Score = tuple[float, dict[str, float]]  # of the weights: what selects them (higher is better), and what to report


def launch(job: Callable[[Fabric], TrainResult], devices: Devices) -> TrainResult:
    """Run a job on every device.

    `job` must be a partial: Fabric looks into the arguments of what it launches and refuses frozen dataclasses.
    """
    accelerator = devices.accelerator
    launched = "WORLD_SIZE" in os.environ or "SLURM_NTASKS" in os.environ  # by torchrun or srun: Fabric joins them
    gpu = accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available())
    fabric = Fabric(
        accelerator=accelerator,
        devices=devices.count,
        num_nodes=devices.nodes,
        strategy="auto" if launched or devices.count in (1, "1") else "ddp_spawn",
        precision=devices.precision or ("bf16-mixed" if gpu else "32-true"),
    )
    return fabric.launch(job)


def share_of(fabric: Fabric, workers: int) -> Loading:
    """How this rank loads its share of each batch."""
    return Loading(fabric.global_rank, fabric.world_size, workers, fabric.device.type == "cuda")


def train(
    run: AnyRun,
    load: Callable[[range], Iterable[AnyExamples]],
    train_step: Callable[[AnyRun, AnyExamples], dict[str, float]],
    report: Callable[[AnyRun], dict[str, float]],
    validate: Callable[[AnyRun], Score],
) -> TrainResult:
    """Train, or go on with, a run until it is finished or SIGTERM comes.

    Args:
        load: gives the batches of the given steps, in order.
        train_step: forward, backward and update with one batch; all terms as numbers, `loss` among them.
        report: what a row of metrics adds to the means of the terms.
        validate: scores the weights; called on every rank, so that they can share the work, and equal on all of them.

    Raises:
        TrainingError: the folder holds an unfinished run with other settings or data, or too much cannot be read.
        CheckpointError: its state cannot be read.
    """
    # Gathered gradients add up in the threads' order otherwise; on a GPU the price would be too high.
    torch.use_deterministic_algorithms(run.fabric.device.type == "cpu")
    _resume(run)
    out = run.folder.parent
    with (
        _terminations() as stop,
        _metrics(run) as metrics,
        Progress(f"{run.kind} {out.name}", run.iterations - run.step, "steps") as progress,
    ):
        if run.baseline and run.step == 0:
            _score_untrained(run, metrics, validate)
        waiting = time.perf_counter()
        for batch in load(range(run.step, run.iterations)):
            waited = time.perf_counter() - waiting
            terms = train_step(run, batch)
            run.step += 1
            stopping, n_broken = sum_ranks(run.fabric, stop.is_set(), len(batch.broken))
            _count(run, batch, terms, waited, int(n_broken))
            _report(run, metrics, report, validate)
            progress.advance(1, note=f"loss {terms['loss']:.3f}")
            if stopping or run.step % run.settings.save_every == 0:
                _save(run)
            if stopping:
                log.warning("stopped by SIGTERM after step %d; the same command goes on from there", run.step)
                return TrainResult(False, run.step, run.best, run.folder / "best.safetensors")
            waiting = time.perf_counter()
    _publish(run, out)
    log.info("%s %s: finished after %d steps; %d videos could not be read and were replaced; best: %s %s",
             run.kind, out.name, run.step, run.broken, run.selection, run.best)  # fmt: skip
    return TrainResult(True, run.step, run.best, out / "best.safetensors")


def write_placeholder(setup: RunSetup, settings: Training, columns: Sequence[str], why: str) -> TrainResult:
    """Write placeholder outputs for a data set without training data: weights without a tensor that note the reason,
    and metrics without a row."""
    log.warning("nothing is trained: %s", why)
    out, values = setup.out, json.dumps(described_settings(settings, setup.seed))
    notes = {"step": "0", "selected_by": "", "settings": values, UNTRAINED: why, **setup.provenance}
    write_weights(out / "best.safetensors", {}, {"format": UNTRAINED, "notes": notes})
    with atomic_path(out / "metrics.csv") as partial:
        partial.write_text(",".join(columns) + "\n", encoding="utf-8")
    return TrainResult(True, 0, None, out / "best.safetensors")


# ---------------------------------------------------------------- within a step


def seed_step(run: Run) -> torch.Generator:
    """What this step's random numbers come from, a pure function of (seed, step), the same on every rank.

    Torch's own generator (drop path, dropout) is seeded too, differently on every rank.
    """
    key = (run.setup.seed, 2, run.step)
    seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]) >> 1
    torch.manual_seed(seed + run.fabric.global_rank)
    return torch.Generator().manual_seed(seed)


def update(run: Run, loss: Tensor) -> Tensor:
    """Backward and one step of the optimiser; the norm of the gradient before it was clipped."""
    run.optimiser.zero_grad(set_to_none=True)
    run.fabric.backward(loss)
    norm = run.fabric.clip_gradients(run.model, run.optimiser, max_norm=run.settings.clip, error_if_nonfinite=False)
    run.optimiser.step()
    return torch.as_tensor(norm)


def as_numbers(run: Run, terms: Mapping[str, Tensor], examples: Sequence[str]) -> dict[str, float]:
    """The terms of a step, averaged over the ranks, so that all report, and stop at, the same.

    Raises:
        TrainingError: a term is not finite; names the step and the batch's examples.
    """
    numbers = torch.stack([term.detach().float() for term in terms.values()])
    numbers = mean_over_ranks(run.fabric, numbers)
    values = dict(zip(terms, numbers.tolist(), strict=True))
    if wrong := [name for name, value in values.items() if not math.isfinite(value)]:
        raise TrainingError(
            f"step {run.step}: {', '.join(wrong)} became {values[wrong[0]]}; the batch: "
            f"{'; '.join(examples)}; look at these and their targets, or lower the learning rate; "
            "last/ holds the state before"
        )
    return values


def log_departures(settings: Training) -> None:
    """Log once how a training departs from the paper."""
    if departures := describe_departures(settings):
        log.info("%s", departures)


def sum_ranks(fabric: Fabric, *numbers: float) -> list[float]:
    """Each number's sum over the ranks."""
    if fabric.world_size == 1:
        return list(numbers)
    total = fabric.all_reduce(torch.tensor(numbers, dtype=torch.float64, device=fabric.device), reduce_op="sum")
    assert isinstance(total, Tensor)
    return [float(number) for number in total]


def mean_over_ranks(fabric: Fabric, values: Tensor) -> Tensor:
    """Mean of a tensor over the ranks, value by value."""
    if fabric.world_size == 1:
        return values
    mean = fabric.all_reduce(values, reduce_op="mean")
    assert isinstance(mean, Tensor)
    return mean


def gather_ranks(fabric: Fabric, rows: Tensor, sync_grads: bool = False) -> Tensor:
    """Rows of all ranks, in the order of the ranks."""
    if fabric.world_size == 1:
        return rows
    gathered = fabric.all_gather(rows, sync_grads=sync_grads)
    assert isinstance(gathered, Tensor)
    return gathered.flatten(0, 1)


def unwrapped(module: Any) -> Any:
    """The module that Fabric (and DDP in it) wraps."""
    return module.module


# ---------------------------------------------------------------- report and select


def _count(run: Run, batch: Examples, terms: Mapping[str, float], waited: float, n_broken: int) -> None:
    """Count a step and the videos that some rank could not read.

    Raises:
        TrainingError: there are more of them than `max_broken` allows.
    """
    run.broken += n_broken
    for line in batch.broken:
        log.warning("step %d: a video could not be read and another took its place (%d so far): %s",
                    run.step, run.broken, line)  # fmt: skip
    clips = len(batch) * run.fabric.world_size
    if run.broken > max(FEW_BROKEN, run.max_broken * clips * run.step):
        raise TrainingError(
            f"step {run.step}: {run.broken} videos could not be read in {clips * run.step} examples, more than the "
            f"{run.max_broken:.0%} that max_broken allows: look at the log for their names and pack them again"
        )
    run.meter.add(terms, clips, waited)
    run.since_validation.add(terms, clips, waited)


def _report(
    run: AnyRun,
    metrics: MetricLog | None,
    report: Callable[[AnyRun], dict[str, float]],
    validate: Callable[[AnyRun], Score],
) -> None:
    """A row of metrics every `log_every` steps; validation every `validate_every`; both at the end."""
    settings, step = run.settings, run.step
    validating = step == run.iterations or step % settings.validate_every == 0
    if not validating and step % settings.log_every:
        return
    values = run.meter.take() | report(run) | {"broken": run.broken}
    if validating:
        values |= _select(run, validate)
    if metrics is not None:
        metrics.write(step, values)


def _score_untrained(run: AnyRun, metrics: MetricLog | None, validate: Callable[[AnyRun], Score]) -> None:
    """What the weights are worth before any training, to compare with; they are never selected."""
    score, values = validate(run)
    log.info("untrained: %s %.4g", run.selection, score)
    if metrics is not None:
        metrics.write(0, values | {"selection": score})


def _select(run: AnyRun, validate: Callable[[AnyRun], Score]) -> dict[str, float]:
    """Score the weights, keep them if they are the best so far; what to report."""
    score, values = validate(run)
    if run.best is None or score > run.best:
        run.best = score
        if run.fabric.is_global_zero:
            notes = {"step": str(run.step), "selected_by": run.selection, "score": f"{score:.6g}",
                     "settings": json.dumps(run.values), **run.setup.provenance}  # fmt: skip
            run.network.save(run.folder / "best.safetensors", notes)
    log.info("step %d: %s %.4g (best %.4g)", run.step, run.selection, score, run.best)
    run.since_validation.take()
    run.fabric.barrier()
    return values | {"selection": score}


@contextmanager
def _terminations() -> Iterator[threading.Event]:
    """An event that SIGTERM sets while the block runs (in the main thread; elsewhere nothing can)."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = signal.signal(signal.SIGTERM, lambda *_: event.set())
    try:
        yield event
    finally:
        signal.signal(signal.SIGTERM, before)


def _metrics(run: Run) -> AbstractContextManager[MetricLog | None]:
    if not run.fabric.is_global_zero:
        return nullcontext()
    return MetricLog(run.folder / "metrics.csv", run.folder.parent / "tensorboard", list(run.columns), run.step)


# ---------------------------------------------------------------- resume state


def described_settings(settings: Training, seed: int) -> dict[str, Any]:
    """What decides the results of a run but its data, as plain values."""
    return settings.identity() | {"seed": seed}


def data_digest(index: Mapping[str, Any]) -> str:
    """A digest of the sequences of an index, for the identity of a run."""
    columns = (index[name] for name in ("video_id", "split", "n_frames"))
    rows = "\n".join(f"{video} {split} {n}" for video, split, n in zip(*columns, strict=True))
    return hashlib.sha256(rows.encode()).hexdigest()[:16]


def _save(run: Run, finished: bool = False) -> None:
    """Write the resume state, so that the next step would be the same as without the interruption.

    A run is finished when its weights are published, not with its last step: a kill in between costs no step.
    """
    if run.fabric.is_global_zero:
        save_state(
            run.folder / "state.pt",
            {
                "identity": run.identity,
                "provenance": dict(run.setup.provenance),
                "finished": finished,
                "step": run.step,
                "best": run.best,
                "broken": run.broken,
                **{name: part.state_dict() for name, part in run.parts().items()},
            },
        )
    run.fabric.barrier()


def _resume(run: Run) -> None:
    """Go on from the resume state, if the folder holds one of an unfinished run; inputs that changed are told.

    Raises:
        TrainingError: it belongs to a run with other settings or other data.
    """
    path = run.folder / "state.pt"
    if not path.exists():
        return
    state = load_state(path, run.fabric.device)
    here, there = run.identity, state["identity"]
    if state["finished"]:
        log.info("%s: that run is finished; training afresh", path)
        return
    if changed := [key for key in here if here[key] != there.get(key)]:
        raise TrainingError(
            f"{path}: an unfinished run with other settings: "
            + ", ".join(f"{key} was {there.get(key)!r} and is {here[key]!r}" for key in changed)
            + f"; set them back to go on, or delete {run.folder} to start afresh"
        )
    before, now = (made.get("inputs") for made in (state.get("provenance", {}), run.setup.provenance))
    if before and now and before != now:
        log.warning("%s: the run's inputs were made anew since step %d and are not the same; it goes on with them; "
                    "delete %s to start afresh", path, state["step"], run.folder)  # fmt: skip
    for name, part in run.parts().items():
        part.load_state_dict(state[name])
    run.step, run.best, run.broken = state["step"], state["best"], state["broken"]
    log.info("%s: going on after step %d", path, run.step)


def _publish(run: Run, out: Path) -> None:
    """Put the finished run's weights and metrics under their names, then mark it finished."""
    if run.fabric.is_global_zero:
        for name in ("metrics.csv", "best.safetensors"):
            with atomic_path(out / name) as partial:
                shutil.copyfile(run.folder / name, partial)
    _save(run, finished=True)
