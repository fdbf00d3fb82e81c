"""Self-supervised pretraining: one loop for the tiny preset on a CPU and the paper's model on many GPUs.

Method sections 3-5 (supplement A2-A4, A8, Table 9). Everything random in step s is drawn for the whole batch from
(seed, s), and each rank takes its rows: a run goes on bit for bit where it was killed, and does not depend on how many
devices share it.

Legend: W windows of a batch (two of each video, side by side), P = W/2, D features, U mask units, S style values.
"""

import dataclasses
import hashlib
import json
import logging
import math
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from signrep_core.body.targets import PRIORS, prior_targets
from signrep_core.data.augment import augment, draw_augmentations
from signrep_core.data.windows import TARGETS, Batch, WindowPairs, WindowReader, load_batches
from signrep_core.errors import CheckpointError, TrainingError
from signrep_core.evaluate.features import select_rows, video_features
from signrep_core.evaluate.retrieval import evaluate_retrieval
from signrep_core.model import losses
from signrep_core.model.discriminator import Discriminator, accuracy, style_of, style_width
from signrep_core.model.encoder import random_units
from signrep_core.model.signrep import PRESETS, SignRep, SignRepOutput, load_weights
from signrep_core.progress import Progress
from signrep_core.store.files import atomic_path
from signrep_core.store.shards import ShardReader
from signrep_core.train.checkpoint import load_state, save_state
from signrep_core.train.metrics import Meter, MetricLog
from signrep_core.train.optimiser import learning_rate_at, make_adamw, parameter_groups, set_learning_rate

log = logging.getLogger(__name__)

RETRIEVAL_COLUMNS = ("retrieval_DCG", "retrieval_MRR", "retrieval_R@1", "retrieval_R@5", "retrieval_R@10")
TERMS = (*PRIORS, "activity", "reconstruction", "variance", "covariance", "adversarial", "loss", "discriminator")
COLUMNS = ["step", "epoch", "learning_rate", *TERMS, "discriminator_accuracy", "grad_norm", "std_z", "effective_rank",
           "clips_per_s", "data_wait", "broken", "selection", *RETRIEVAL_COLUMNS]  # fmt: skip


@dataclass(frozen=True)
class PretrainSettings:
    """Everything that decides what a run computes; the defaults are the paper's."""

    preset: Literal["tiny", "base"] = "base"
    splits: tuple[str, ...] = ("train",)
    iterations: int = 500_000  # A3
    batch_size: int = 20  # A2: windows, two of each video
    mask_ratio: float = 0.8  # section 2
    learning_rate: float = 1e-4  # A3
    warmup: int = 50_000  # A3
    betas: tuple[float, float] = (0.9, 0.95)  # A3
    weight_decay: float = 0.5  # A3
    layer_decay: float = 0.85  # A3
    clip: float = 1.0  # A3: gradient norm
    discriminator_learning_rate: float = 1e-4  # A4
    discriminator_betas: tuple[float, float] = (0.5, 0.9)  # A4
    discriminator_weight_decay: float = 1e-3  # A4
    momentum: float = 0.1  # A4: of the discriminator's running means
    prior_loss: losses.PriorLoss = "l1"  # D
    priors: tuple[str, ...] = tuple(PRIORS)  # that are trained on; the ablation leaves some out
    variance_weight: float = losses.VARIANCE_WEIGHT  # Table 9
    covariance_weight: float = losses.COVARIANCE_WEIGHT  # Table 9
    adversarial_weight: float = losses.ADVERSARIAL_WEIGHT  # Table 9; 0 = no discriminator
    divide_by_width: bool = True  # D: variance and covariance over D, as VICReg
    validate_every: int = 25_000  # A3
    save_every: int = 1_000  # D
    log_every: int = 10  # D
    initial_weights: str | None = None  # converted Kinetics-400 MAE (section 2); None = from scratch
    seed: int = 0


class PretrainResult(NamedTuple):
    """How a run ended: `finished`, or stopped by SIGTERM with its state saved; `best` is the selected score."""

    finished: bool
    step: int
    best: float | None
    weights: Path


@dataclass
class _Run:
    """What a run consists of while it goes on."""

    fabric: Fabric
    settings: PretrainSettings
    identity: dict[str, Any]  # what must be the same for a run to go on
    dataset: WindowPairs
    open_validation: Callable[[], WindowReader]
    validation: Any  # index of the shards that the weights are selected on
    signrep: SignRep  # the model itself; `model` is what Fabric wraps around it
    model: Any
    discriminator: Any
    optimiser: Any
    discriminator_optimiser: Any
    folder: Path  # last/
    step: int = 0  # steps done
    best: float | None = None
    broken: int = 0  # videos that could not be read
    reconstruction: float = 0.0  # sum of the loss since the last validation
    since_validation: int = 0
    by_retrieval: bool = False
    meter: Meter = field(default_factory=Meter)
    last_z: Tensor = field(default_factory=lambda: torch.zeros(1, 1))


def pretrain(
    shards: Path,
    out: Path,
    settings: PretrainSettings = PretrainSettings(),
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
            terms = _step(run, batch)
            run.step += 1
            _count(run, batch, terms, waited)
            _report(run, metrics)
            progress.advance(1, note=f"loss {terms['loss']:.3f}")
            stopping = _any_rank(fabric, stop.is_set())
            if stopping or run.step % settings.save_every == 0:
                _save(run)
            if stopping:
                log.warning("stopped by SIGTERM after step %d; the same command goes on from there", run.step)
                return PretrainResult(False, run.step, run.best, run.folder / "best.safetensors")
            waiting = time.perf_counter()
    _publish(run, out)
    return PretrainResult(True, run.step, run.best, out / "best.safetensors")


# ---------------------------------------------------------------- one step


def _step(run: _Run, batch: Batch) -> dict[str, float]:
    """Forward, backward and update of encoder and discriminator; all terms as numbers.

    Raises:
        TrainingError: a term is not finite.
    """
    settings, fabric = run.settings, run.fabric
    lr = learning_rate_at(run.step, settings.learning_rate, settings.warmup, settings.iterations)
    set_learning_rate(run.optimiser, lr)
    batch = batch.to(fabric.device)
    video, visible, choice = _draw(run, batch)
    output = run.model(video, visible)

    terms = _model_terms(run, batch, output)
    styles = None
    if settings.adversarial_weight:
        styles = _paired_styles(fabric, output.stage1, batch.videos, choice)
        terms["adversarial"] = _adversarial(run, output.features, *styles)
        terms["loss"] = terms["loss"] + settings.adversarial_weight * terms["adversarial"]
    run.optimiser.zero_grad(set_to_none=True)
    fabric.backward(terms["loss"])
    norm = fabric.clip_gradients(run.model, run.optimiser, max_norm=settings.clip, error_if_nonfinite=False)
    run.optimiser.step()
    terms["grad_norm"] = torch.as_tensor(norm)
    if styles is not None:
        terms |= _train_discriminator(run, output.features.detach(), *styles)

    run.last_z = output.features.detach()
    terms["std_z"] = run.last_z.std(0).mean()
    numbers = torch.stack([term.detach().float() for term in terms.values()])
    if fabric.world_size > 1:
        numbers = fabric.all_reduce(numbers, reduce_op="mean")  # so that all ranks report, and stop at, the same
    values = dict(zip(terms, numbers.tolist(), strict=True))
    _check_finite(values, run.step, batch.windows)
    return values | {"learning_rate": lr}


def _draw(run: _Run, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Augmented video (w, 3, T, S, S), visible units (w, U), and chances (w, W) that choose the unmatched style.

    w are the windows of this rank, W those of all.
    """
    fabric, settings = run.fabric, run.settings
    encoder, own = run.signrep.encoder, len(batch.windows)
    total = own * fabric.world_size
    rows = slice(fabric.global_rank * own, (fabric.global_rank + 1) * own)
    seed = int(np.random.SeedSequence((settings.seed, 2, run.step)).generate_state(1, np.uint64)[0]) >> 1
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed + fabric.global_rank)  # drop path
    visible = random_units(total, encoder.n_units, settings.mask_ratio, generator)[rows]
    draws = draw_augmentations(total, generator)[rows]
    choice = torch.rand(total, total, generator=generator)[rows]
    device = fabric.device
    video = augment(batch.tensors["frames"], draws, run.signrep.config.encoder.image_size)
    return video, visible.to(device, non_blocking=True), choice.to(device, non_blocking=True)


def _model_terms(run: _Run, batch: Batch, output: SignRepOutput) -> dict[str, Tensor]:
    """Every loss of the model but the adversarial one; `loss` is their weighted sum."""
    settings = run.settings
    mean = partial(run.fabric.all_reduce, reduce_op="mean") if run.fabric.world_size > 1 else None
    targets = prior_targets(*(batch.tensors[name] for name in TARGETS))
    terms = losses.prior_losses(output.priors, targets, settings.prior_loss, mean)
    terms["activity"] = losses.activity_loss(
        output.activity, batch.tensors["active"], batch.tensors["active_known"], mean
    )
    chosen = {name: term for name, term in terms.items() if name in settings.priors or name == "activity"}
    terms["reconstruction"] = losses.reconstruction_loss(chosen)
    z = _gather(run.fabric, output.features, sync_grads=True)
    terms["variance"] = losses.variance_loss(z, settings.divide_by_width)
    terms["covariance"] = losses.covariance_loss(z, settings.divide_by_width)
    terms["loss"] = (
        terms["reconstruction"]
        + settings.variance_weight * terms["variance"]
        + settings.covariance_weight * terms["covariance"]
    )
    return terms


def _paired_styles(fabric: Fabric, stage1: Tensor, videos: Tensor, choice: Tensor) -> tuple[Tensor, Tensor]:
    """Each window's matched style, of the other window of its video, and an unmatched one, of another video (w, S)."""
    own = style_of(stage1)
    matched = own.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)
    same = videos[:, None] == _gather(fabric, videos)[None, :]
    return matched, _gather(fabric, own)[choice.masked_fill(same, -1).argmax(1)]


def _adversarial(run: _Run, z: Tensor, matched: Tensor, unmatched: Tensor) -> Tensor:
    """The encoder's adversarial loss; the discriminator is held still."""
    judge = _inner(run.discriminator)
    judge.requires_grad_(False)
    logits = judge(torch.cat((z, z)), torch.cat((matched, unmatched)))
    judge.requires_grad_(True)
    return losses.adversarial_loss(*logits.chunk(2), judge.mean_matched.clone(), judge.mean_unmatched.clone())


def _train_discriminator(run: _Run, z: Tensor, matched: Tensor, unmatched: Tensor) -> dict[str, Tensor]:
    settings, fabric = run.settings, run.fabric
    lr = learning_rate_at(run.step, settings.discriminator_learning_rate, settings.warmup, settings.iterations)
    set_learning_rate(run.discriminator_optimiser, lr)
    on_matched, on_unmatched = run.discriminator(torch.cat((z, z)), torch.cat((matched, unmatched))).chunk(2)
    loss = losses.discriminator_loss(on_matched, on_unmatched)
    run.discriminator_optimiser.zero_grad(set_to_none=True)
    fabric.backward(loss)
    run.discriminator_optimiser.step()
    on_matched, on_unmatched = _gather(fabric, on_matched.detach()), _gather(fabric, on_unmatched.detach())
    _inner(run.discriminator).update_means(on_matched, on_unmatched, settings.momentum)
    return {"discriminator": loss, "discriminator_accuracy": accuracy(on_matched, on_unmatched)}


def _check_finite(values: dict[str, float], step: int, windows: list[str]) -> None:
    wrong = [name for name, value in values.items() if not math.isfinite(value)]
    if wrong:
        raise TrainingError(
            f"step {step}: {', '.join(wrong)} became {values[wrong[0]]}; the batch's windows: {'; '.join(windows)}; "
            "look at these windows and their targets, or lower the learning rate; last/ holds the state before"
        )


def _gather(fabric: Fabric, x: Tensor, sync_grads: bool = False) -> Tensor:
    """The rows of all ranks, in the order of the ranks."""
    return x if fabric.world_size == 1 else fabric.all_gather(x, sync_grads=sync_grads).flatten(0, 1)


def _any_rank(fabric: Fabric, flag: bool) -> bool:
    """Whether it is so on some rank."""
    if fabric.world_size == 1:
        return flag
    return bool(fabric.all_reduce(torch.tensor(float(flag), device=fabric.device), reduce_op="sum") > 0)


def _inner(module: Any) -> Any:
    """The module that Fabric (and DDP in it) wraps."""
    return module.module


# ---------------------------------------------------------------- begin, report, select, end


def _start(
    fabric: Fabric,
    dataset: WindowPairs,
    open_validation: Callable[[], WindowReader],
    folder: Path,
    settings: PretrainSettings,
) -> _Run:
    torch.manual_seed(settings.seed)  # the same initial weights on every rank
    model = SignRep(PRESETS[settings.preset])
    if settings.initial_weights:
        _load_initial(model, Path(settings.initial_weights))
    judge = Discriminator(model.n_features, style_width(stage1_channels(model)), model.n_features)
    groups = parameter_groups(model, len(model.encoder.blocks), settings.layer_decay, settings.weight_decay)
    device = fabric.device
    run = _Run(
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


def _count(run: _Run, batch: Batch, terms: dict[str, float], waited: float) -> None:
    for line in batch.broken:
        run.broken += 1
        log.warning("step %d: a video could not be read and another took its place (%d so far): %s",
                    run.step, run.broken, line)  # fmt: skip
    run.meter.add(terms, clips=len(batch.windows) * run.fabric.world_size, waited=waited)
    run.reconstruction += terms["reconstruction"]
    run.since_validation += 1


def _report(run: _Run, metrics: MetricLog | None) -> None:
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


def _validate(run: _Run) -> dict[str, float]:
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


def _retrieve(run: _Run) -> dict[str, float]:
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


def _selection(run: _Run) -> str:
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


def _metrics(run: _Run) -> AbstractContextManager[MetricLog | None]:
    if not run.fabric.is_global_zero:
        return nullcontext()
    return MetricLog(run.folder / "metrics.csv", run.folder.parent / "tensorboard", COLUMNS, run.step)


# ---------------------------------------------------------------- resume state


def _save(run: _Run) -> None:
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


def _resume(run: _Run) -> None:
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


def _publish(run: _Run, out: Path) -> None:
    """Put the finished run's weights and metrics under their names, then mark it finished."""
    if run.fabric.is_global_zero:
        for name in ("metrics.csv", "best.safetensors"):
            with atomic_path(out / name) as partial:
                shutil.copyfile(run.folder / name, partial)
    _save(run)


def _parts(run: _Run) -> dict[str, Any]:
    """What has a state of its own."""
    return {
        "model": _inner(run.model),
        "discriminator": _inner(run.discriminator),
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
