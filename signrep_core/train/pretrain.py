"""Self-supervised pretraining: one loop for the tiny preset on a CPU and the paper's model on many GPUs.

Method section 5 (A3, A4). A run goes on bit for bit where it was killed: the state holds weights, optimisers and the
step, and everything random follows from (seed, step).

Legend: P pairs (videos) of a batch, W = 2P windows.
"""

import dataclasses
import hashlib
import json
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric

from signrep_core.data.windows import Batch, WindowPairs, WindowReader, load_batches
from signrep_core.errors import CheckpointError, TrainingError
from signrep_core.evaluate.features import select_rows, video_features
from signrep_core.evaluate.retrieval import evaluate_retrieval
from signrep_core.model import losses
from signrep_core.model.discriminator import Discriminator, style_width
from signrep_core.model.signrep import PRESETS, SignRep, load_weights
from signrep_core.progress import Progress
from signrep_core.store.files import atomic_path
from signrep_core.store.shards import ShardReader
from signrep_core.train.checkpoint import load_state, save_state
from signrep_core.train.metrics import MetricLog
from signrep_core.train.optimiser import make_adamw, parameter_groups
from signrep_core.train.step import TERMS, PretrainSettings, Run, any_rank, train_step, unwrapped

log = logging.getLogger(__name__)

RETRIEVAL_COLUMNS = ("retrieval_DCG", "retrieval_MRR", "retrieval_R@1", "retrieval_R@5", "retrieval_R@10")
COLUMNS = ["step", "epoch", "learning_rate", *TERMS, "discriminator_accuracy", "grad_norm", "std_z", "effective_rank",
           "clips_per_s", "data_wait", "broken", "selection", *RETRIEVAL_COLUMNS]  # fmt: skip


class PretrainResult(NamedTuple):
    """How a run ended: `finished`, or stopped by SIGTERM with its state saved; `best` is the selected score."""

    finished: bool
    step: int
    best: float | None
    weights: Path


def pretrain(
    shards: Path,
    out: Path,
    settings: PretrainSettings,
    *,
    workers: int = 0,
    accelerator: str = "auto",
    devices: int | str = 1,
    nodes: int = 1,
    precision: str | None = None,
    validation: Path | None = None,
    open_reader: Callable[[Path], WindowReader] = ShardReader,
) -> PretrainResult:
    """Train, or go on training, the run whose folder is `out`.

    Writes `out/last/` while it runs (state, selected weights, metrics) and `out/best.safetensors`, `out/metrics.csv`
    when it is finished. SIGTERM saves the state and returns; calling it again with the same settings goes on.

    Args:
        shards: folder of the packed shards.
        workers: loader processes per device.
        accelerator, devices, nodes, precision: as Lightning Fabric takes them; precision None = bf16 on a GPU.
        validation: folder of shards with labelled `train` and `val` splits (the paper: WLASL) that the best weights
            are selected on; None = `shards`. Without such labels the lowest training loss selects.
        open_reader: what reads the shards.

    Raises:
        TrainingError: a loss is not finite, the data do not suffice, or `out` holds a run with other settings.
        CheckpointError: the resume state or the initial weights cannot be used.
    """
    launched = "WORLD_SIZE" in os.environ or "SLURM_NTASKS" in os.environ  # by torchrun or srun: Fabric joins them
    gpu = accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available())
    fabric = Fabric(
        accelerator=accelerator,
        devices=devices,
        num_nodes=nodes,
        strategy="auto" if launched or devices in (1, "1") else "ddp_spawn",
        precision=precision or ("bf16-mixed" if gpu else "32-true"),
    )
    # A partial, since Fabric looks into the arguments of what it launches and refuses frozen dataclasses.
    job = partial(
        _pretrain,
        open_reader=partial(open_reader, Path(shards)),
        open_validation=partial(open_reader, Path(validation or shards)),
        out=Path(out),
        settings=settings,
        workers=workers,
    )
    return fabric.launch(job)


def _pretrain(
    fabric: Fabric,
    open_reader: Callable[[], WindowReader],
    open_validation: Callable[[], WindowReader],
    out: Path,
    settings: PretrainSettings,
    workers: int,
) -> PretrainResult:
    dataset = WindowPairs(open_reader, settings.splits, settings.seed)
    # Gathered gradients add up in the threads' order otherwise; on a GPU the price would be too high.
    torch.use_deterministic_algorithms(fabric.device.type == "cpu")
    run = _start(fabric, dataset, open_validation, out / "last", settings)
    _resume(run)
    batches = load_batches(
        run.dataset, range(run.step, settings.iterations), settings.batch_size // 2, rank=fabric.global_rank,
        ranks=fabric.world_size, workers=workers, pin_memory=fabric.device.type == "cuda",
    )  # fmt: skip
    remaining = settings.iterations - run.step
    with (
        _terminations() as stop,
        _metrics(run) as metrics,
        Progress(f"pretrain {out.name}", remaining, "steps") as progress,
    ):
        waiting = time.perf_counter()
        for batch in batches:
            waited = time.perf_counter() - waiting
            terms = train_step(run, batch)
            run.step += 1
            _count(run, batch, terms, waited)
            _report(run, metrics)
            progress.advance(1, note=f"loss {terms['loss']:.3f}")
            stopping = any_rank(fabric, stop.is_set())
            if stopping or run.step % settings.save_every == 0:
                _save(run)
            if stopping:
                log.warning("stopped by SIGTERM after step %d; the same command goes on from there", run.step)
                return PretrainResult(False, run.step, run.best, run.folder / "best.safetensors")
            waiting = time.perf_counter()
    _publish(run, out)
    return PretrainResult(True, run.step, run.best, out / "best.safetensors")


# ---------------------------------------------------------------- begin, report, select, end


def _start(
    fabric: Fabric,
    dataset: WindowPairs,
    open_validation: Callable[[], WindowReader],
    folder: Path,
    settings: PretrainSettings,
) -> Run:
    torch.manual_seed(settings.seed)  # the same initial weights on every rank
    model = SignRep(PRESETS[settings.preset])
    if settings.initial_weights:
        _load_initial(model, Path(settings.initial_weights))
    judge = Discriminator(model.n_features, style_width(stage1_channels(model)), model.n_features)
    groups = parameter_groups(model, len(model.encoder.blocks), settings.layer_decay, settings.weight_decay)
    device = fabric.device
    run = Run(
        fabric=fabric,
        settings=settings,
        identity=_identity(settings, dataset.reader.index),
        dataset=dataset,
        open_validation=open_validation,
        validation=open_validation().index,
        signrep=model,
        folder=folder,
        optimiser=make_adamw(groups, settings.betas, settings.weight_decay, device),
        discriminator_optimiser=make_adamw(
            judge.parameters(), settings.discriminator_betas, settings.discriminator_weight_decay, device
        ),
        model=None,
        discriminator=None,
    )
    run.model, run.optimiser = fabric.setup(model, run.optimiser)
    run.discriminator, run.discriminator_optimiser = fabric.setup(judge, run.discriminator_optimiser)
    run.by_retrieval = _has_glosses(run.validation)
    log.info(
        "%d videos, %d sequences; the best weights are selected by %s",
        len(dataset.videos), len(dataset.videos.rows), _selection(run),
    )  # fmt: skip
    return run


def stage1_channels(model: SignRep) -> int:
    """Channels of the encoder's first stage, which the style is taken from."""
    return int(model.encoder.feature_info[0]["num_chs"])


def _load_initial(model: SignRep, path: Path) -> None:
    weights, _ = load_weights(path)
    encoder = {name.removeprefix("encoder."): w for name, w in weights.items() if name.startswith("encoder.")}
    try:
        model.encoder.load_state_dict(encoder, strict=True)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: its encoder does not fit the preset: {error}") from error
    log.info("%s: encoder weights loaded (mind the licence of the checkpoint they come from)", path)


def _count(run: Run, batch: Batch, terms: dict[str, float], waited: float) -> None:
    for line in batch.broken:
        run.broken += 1
        log.warning("step %d: a video could not be read and another took its place (%d so far): %s",
                    run.step, run.broken, line)  # fmt: skip
    run.meter.add(terms, clips=len(batch.windows) * run.fabric.world_size, waited=waited)
    run.reconstruction += terms["reconstruction"]
    run.since_validation += 1


def _report(run: Run, metrics: MetricLog | None) -> None:
    """A row of metrics every `log_every` steps; validation every `validate_every`; both at the end."""
    settings, step = run.settings, run.step
    last = step == settings.iterations
    validating = last or step % settings.validate_every == 0
    if not validating and step % settings.log_every:
        return
    values = run.meter.take()
    values["epoch"] = (step * settings.batch_size // 2) / len(run.dataset.videos)
    values["effective_rank"] = float(losses.effective_rank(run.last_z))
    values["broken"] = run.broken
    if validating:
        values |= _validate(run)
    if metrics is not None:
        metrics.write(step, values)


def _validate(run: Run) -> dict[str, float]:
    """Score the weights, keep them if they are the best so far; what to report."""
    values = {}
    if run.fabric.is_global_zero:
        values = _retrieve(run) if run.by_retrieval else {}
        score = values["retrieval_DCG"] if run.by_retrieval else -run.reconstruction / run.since_validation
        values["selection"] = score
        if run.best is None or score > run.best:
            run.best = score
            notes = {"step": str(run.step), "selected_by": _selection(run), "score": f"{score:.6g}",
                     "settings": json.dumps(_plain(run.settings))}  # fmt: skip
            run.signrep.save(run.folder / "best.safetensors", notes)
        log.info("step %d: %s %.4g (best %.4g)", run.step, _selection(run), score, run.best)
    run.reconstruction, run.since_validation = 0.0, 0
    run.fabric.barrier()
    return values


def _retrieve(run: Run) -> dict[str, float]:
    """Retrieval of the validation split's glosses from the training split's; unlabelled videos are left out."""
    rows = select_rows(run.validation, ("train", "val"))
    rows = np.array([row for row in rows if run.validation["gloss"][row]])
    run.signrep.eval()
    try:
        videos = video_features(run.signrep, run.open_validation, rows)
        found = evaluate_retrieval(videos, run.validation, gallery="train", queries="val")
    finally:
        run.signrep.train()
    if found["metrics"] is None:
        raise TrainingError("no validation video could be read, though the index lists them: look at the log above")
    return {f"retrieval_{name}": value for name, value in found["metrics"].items()}


def _has_glosses(index: Any) -> bool:
    """Some gloss of the validation split is in the training split too."""
    glosses: dict[str, set[str]] = {"train": set(), "val": set()}
    for split, gloss in zip(index["split"], index["gloss"], strict=True):
        if split in glosses and gloss:
            glosses[split].add(gloss)
    return bool(glosses["train"] & glosses["val"])


def _selection(run: Run) -> str:
    if run.by_retrieval:
        return "retrieval on the validation split (DCG)"
    return "the negative training loss (there is no validation split whose glosses are trained on)"


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
    return MetricLog(run.folder / "metrics.csv", run.folder.parent / "tensorboard", COLUMNS, run.step)


# ---------------------------------------------------------------- resume state


def _save(run: Run) -> None:
    """Write the resume state, so that the next step would be the same as without the interruption."""
    if run.fabric.is_global_zero:
        save_state(
            run.folder / "state.pt",
            {
                "identity": run.identity,
                "step": run.step,
                "best": run.best,
                "broken": run.broken,
                "meter": run.meter.state(),
                "since_validation": [run.reconstruction, run.since_validation],
                **{name: part.state_dict() for name, part in _parts(run).items()},
            },
        )
    run.fabric.barrier()


def _resume(run: Run) -> None:
    """Go on from the resume state, if the folder holds one of an unfinished run.

    Raises:
        TrainingError: it belongs to a run with other settings or other data.
    """
    path = run.folder / "state.pt"
    if not path.exists():
        return
    state = load_state(path, run.fabric.device)
    here, there = run.identity, state["identity"]
    if state["step"] >= there["iterations"]:
        log.info("%s: that run is finished; training afresh", path)
        return
    if changed := [key for key in here if here[key] != there.get(key)]:
        raise TrainingError(
            f"{path}: an unfinished run with other settings: "
            + ", ".join(f"{key} was {there.get(key)!r} and is {here[key]!r}" for key in changed)
            + f"; set them back to go on, or delete {run.folder} to start afresh"
        )
    for name, part in _parts(run).items():
        part.load_state_dict(state[name])
    run.step, run.best, run.broken = state["step"], state["best"], state["broken"]
    run.meter.load_state(state["meter"])
    run.reconstruction, run.since_validation = state["since_validation"]
    log.info("%s: going on after step %d", path, run.step)


def _publish(run: Run, out: Path) -> None:
    """Put the finished run's weights and metrics under their names, then mark it finished."""
    if run.fabric.is_global_zero:
        for name in ("metrics.csv", "best.safetensors"):
            with atomic_path(out / name) as partial:
                shutil.copyfile(run.folder / name, partial)
    _save(run)


def _parts(run: Run) -> dict[str, Any]:
    """What has a state of its own."""
    return {
        "model": unwrapped(run.model),
        "discriminator": unwrapped(run.discriminator),
        "optimiser": run.optimiser,
        "discriminator_optimiser": run.discriminator_optimiser,
    }


def _identity(settings: PretrainSettings, index: Any) -> dict[str, Any]:
    """What must be the same for a run to go on: its settings and its data."""
    rows = "\n".join(
        f"{v} {s} {n}" for v, s, n in zip(index["video_id"], index["split"], index["n_frames"], strict=True)
    )
    return _plain(settings) | {"shards": hashlib.sha256(rows.encode()).hexdigest()[:16]}


def _plain(settings: PretrainSettings) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(settings).items()}
