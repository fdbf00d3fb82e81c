"""Self-supervised pretraining: one loop for the tiny preset on a CPU and the paper's model on many GPUs.

Supplement A3 and A4.
"""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from signrep_core.config import Pretrain, describe_pretraining
from signrep_core.data.windows import WindowPairs, WindowReader, load_batches
from signrep_core.errors import CheckpointError, TrainingError
from signrep_core.evaluate.features import Inference, video_features
from signrep_core.evaluate.retrieval import evaluate_retrieval, pool
from signrep_core.evaluate.windows import VideoFeatures
from signrep_core.model import losses
from signrep_core.model.discriminator import Discriminator, style_width
from signrep_core.model.signrep import PRESETS, SignRep, load_weights
from signrep_core.store.shards import ShardReader
from signrep_core.train.execution import choose_execution
from signrep_core.train.initialise import start_decoder, start_encoder
from signrep_core.train.launch import check_shares, launch
from signrep_core.train.loop import (
    RunSetup,
    Score,
    TrainResult,
    data_digest,
    described_settings,
    log_departures,
    share_of,
    train,
)
from signrep_core.train.optimiser import make_adamw, parameter_groups
from signrep_core.train.ranks import gather_objects
from signrep_core.train.step import TERMS, PretrainRun, train_step

log = logging.getLogger(__name__)

RETRIEVAL_COLUMNS = ("retrieval_DCG", "retrieval_MRR", "retrieval_R@1", "retrieval_R@5", "retrieval_R@10")
COLUMNS = ["step", "epoch", "learning_rate", *TERMS, "discriminator_accuracy", "grad_norm", "std_z", "effective_rank",
           "clips_per_s", "data_wait", "broken", "selection", *RETRIEVAL_COLUMNS]  # fmt: skip
ONE_ACTIVE = np.ones((1, 2), np.float32)
BY_LOSS = "the negative training loss (no gloss is in both the train and the val split)"


def pretrain(shards: Path, settings: Pretrain, setup: RunSetup, validation: Path | None = None) -> TrainResult:
    """Train, or resume training, the run in the folder `setup.out`.

    Writes `last/` there while it runs (state, selected weights, metrics) and `best.safetensors`, `metrics.csv` when it
    is finished. SIGTERM saves the state and returns; another call with the same settings resumes the run.

    Args:
        shards: folder of the packed shards.
        validation: folder of the shards that hold the data set of `settings.validation`; None = `shards`.

    Raises:
        ConfigError: there are no initial weights, and the settings do not say `scratch`.
        TrainingError: a loss is not finite, there are too few videos, the data set of the validation has no gloss in
            both its train and its val split, or the folder contains a run with other settings.
        CheckpointError: the resume state or the initial weights cannot be used.
    """
    settings.find_start()
    check_shares(settings.batch_size // 2, "videos", "pretrain.batch_size", setup.devices, scale=2)
    log.info("%s", describe_pretraining(settings))
    log_departures(settings)
    open_reader, open_validation = (partial(ShardReader, Path(folder)) for folder in (shards, validation or shards))
    job = partial(
        _pretrain, open_reader=open_reader, open_validation=open_validation, settings=settings, setup=setup
    )  # fmt: skip
    return launch(job, setup.devices)


def _pretrain(
    fabric: Fabric,
    open_reader: Callable[[], WindowReader],
    open_validation: Callable[[], WindowReader],
    settings: Pretrain,
    setup: RunSetup,
) -> TrainResult:
    dataset = WindowPairs(open_reader, settings.splits, setup.seed, settings.datasets)
    run = _start(fabric, dataset, open_validation, settings, setup)
    loading = share_of(fabric, settings.workers)
    load = partial(load_batches, dataset, pairs=settings.batch_size // 2, loading=loading)
    return train(run, load, train_step, _report, _validate)


# ---------------------------------------------------------------- begin, report, select


def _start(
    fabric: Fabric,
    dataset: WindowPairs,
    open_validation: Callable[[], WindowReader],
    settings: Pretrain,
    setup: RunSetup,
) -> PretrainRun:
    model = _make_model(settings, setup.seed, dataset)
    validation = open_validation().index
    rows = _validation_rows(validation, settings.validation)
    run = PretrainRun(
        kind="pretrain",
        fabric=fabric,
        setup=setup,
        settings=settings,
        values=described_settings(settings, setup.seed),
        data={"shards": data_digest(dataset.reader.index)},
        iterations=settings.iterations,
        max_broken=settings.max_broken,
        baseline=len(rows) > 0,
        columns=COLUMNS,
        selection=_by_retrieval(settings.validation) if len(rows) else BY_LOSS,
        network=model,
        execution=choose_execution(settings.compile, fabric.device, fabric.world_size),
        dataset=dataset,
        open_validation=open_validation,
        validation=validation,
        validation_rows=rows,
    )
    add_optimisers(run, model)
    log.info(
        "%d videos, %d sequences; the best weights are selected by %s",
        len(dataset.videos), len(dataset.videos.rows), run.selection,
    )  # fmt: skip
    return run


def add_optimisers(run: PretrainRun, model: SignRep) -> None:
    """Add the model, the discriminator and both optimisers, on the run's devices, for `train_step`."""
    settings = run.settings
    for name, head in model.decoder.heads.items():
        head.requires_grad_(name in settings.priors)  # DDP expects a gradient of everything that learns
    style = style_width(stage_channels(model, settings.style_stage), settings.style_triangle)
    discriminator = Discriminator(model.n_features, style, model.n_features)
    groups = parameter_groups(model, len(model.encoder.blocks), settings.layer_decay, settings.weight_decay)
    optimiser = make_adamw(groups, settings.betas, settings.weight_decay)
    its_optimiser = make_adamw(
        discriminator.parameters(), settings.discriminator_betas, settings.discriminator_weight_decay
    )
    run.model, run.optimiser = run.fabric.setup(model, optimiser)
    run.discriminator, run.discriminator_optimiser = run.fabric.setup(discriminator, its_optimiser)


def start_model(settings: Pretrain, seed: int, shards: Path) -> SignRep:
    """The model with the initial weights of a pretraining on these shards."""
    dataset = WindowPairs(partial(ShardReader, shards), settings.splits, seed, settings.datasets)
    return _make_model(settings, seed, dataset)


def _make_model(settings: Pretrain, seed: int, dataset: WindowPairs) -> SignRep:
    torch.manual_seed(seed)  # the same initial weights on every rank
    model = SignRep(PRESETS[settings.preset])
    if start := settings.find_start():
        _load_initial(model, start)
    elif settings.initialise_from_data:
        start_encoder(model, dataset, torch.Generator().manual_seed(seed))
    if settings.initialise_from_data:
        start_decoder(model, dataset)
    return model


def stage_channels(model: SignRep, stage: int) -> int:
    """Channels of a stage of the encoder, from 1, from which the style is computed."""
    return int(model.encoder.feature_info[stage - 1]["num_chs"])


def _load_initial(model: SignRep, path: Path) -> None:
    weights, _ = load_weights(path)
    encoder = {name.removeprefix("encoder."): w for name, w in weights.items() if name.startswith("encoder.")}
    try:
        model.encoder.load_state_dict(encoder, strict=True)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: its encoder does not fit the preset: {error}") from error
    log.info("%s: encoder weights loaded (the licence of their checkpoint applies)", path)


def _report(run: PretrainRun) -> dict[str, float]:
    return {
        "epoch": (run.step * run.settings.batch_size // 2) / len(run.dataset.videos),
        "effective_rank": float(losses.effective_rank(run.last_z)),
    }


def _validate(run: PretrainRun) -> Score:
    """Score by retrieval on the validation split; without labels by the negative training loss since the last time."""
    if not len(run.validation_rows):
        return -run.since_validation.mean("reconstruction"), {}
    values = _retrieve(run)
    return values["retrieval_DCG"], values


def _retrieve(run: PretrainRun) -> dict[str, float]:
    """Retrieve the validation split's glosses from the training split, with labelled signs only."""
    videos = _pooled_videos(run, run.validation_rows)
    found = evaluate_retrieval(videos, run.validation, gallery="train", queries="val")
    if found["metrics"] is None:
        raise TrainingError("no validation video can be read, although the index lists some: see the log above")
    return {f"retrieval_{name}": value for name, value in found["metrics"].items()}


def _pooled_videos(run: PretrainRun, rows: NDArray[np.int64]) -> list[VideoFeatures]:
    """One pooled vector per video, as its only window; the ranks share the work, and every rank gets all videos."""
    fabric, settings = run.fabric, run.settings
    _, video = np.unique(np.asarray(run.validation["video_id"], dtype=str)[rows], return_inverse=True)
    own = rows[video % fabric.world_size == fabric.global_rank]
    inference = Inference(workers=settings.workers, stride=settings.validation_stride)
    run.network.eval()
    try:
        found = [
            VideoFeatures(v.video_id, v.start_frame[:1], pool(v.features, v.activity, "weighted")[None], ONE_ACTIVE)
            for v in video_features(run.network, run.open_validation, own, inference)
        ]
    finally:
        run.network.train()
    return [video for share in gather_objects(fabric, found) for video in share]


def _by_retrieval(dataset: str | None) -> str:
    """Criterion of the best weights, in words."""
    return f"retrieval on the validation split{f' of {dataset}' if dataset else ''} (DCG)"


def _validation_rows(index: Any, dataset: str | None) -> NDArray[np.int64]:
    """Rows of the signs in the splits train and val of a data set (None = all), those of one video together.

    A sequence with a text is a sentence, no sign. Without a gloss in both splits there are no rows.

    Raises:
        TrainingError: a data set is named that has no such gloss.
    """
    names, split, gloss, text = (
        np.asarray(index[name], dtype=object) for name in ("dataset", "split", "gloss", "text")
    )
    own = (gloss != "") & (text == "") & (True if dataset is None else names == dataset)
    train, val = (own & (split == part) for part in ("train", "val"))
    if not set(gloss[train]) & set(gloss[val]):
        if dataset is not None:
            raise TrainingError(
                f"pretrain.validation: in the shards the data set {dataset!r} has no gloss in both splits 'train' and "
                f"'val' (labelled sequences: {train.sum()} and {val.sum()}); pack them, give the shards that hold them "
                "(--validation-shards), or name another data set"
            )
        return np.zeros(0, np.int64)
    rows = np.flatnonzero(train | val)
    return rows[np.argsort(np.asarray(index["video_id"], dtype=object)[rows].astype(str), kind="stable")]
