"""Fine-tuning for recognition: a linear classifier on z of whole videos, and a network on keypoints for comparison.

Supplement A3, A5 and A6. The loop with its resume state and selection is the same as in pretraining.

Legend: B clips of a batch, G glosses.
"""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from signrep_core.config import Recognition
from signrep_core.data.augment import draw_augmentations
from signrep_core.data.clips import Clips, Inputs, LabelledVideos, select_labelled
from signrep_core.data.stream import WindowReader, load_items
from signrep_core.data.windows import Batch, collate
from signrep_core.errors import CheckpointError, TrainingError
from signrep_core.evaluate.distribution import class_distribution, mean_features
from signrep_core.evaluate.features import Inference, video_features
from signrep_core.evaluate.recognition import (
    Predictions,
    accuracies,
    clip_inputs,
    join_predictions,
    no_labelled,
    predict,
)
from signrep_core.evaluate.retrieval import read_features
from signrep_core.model.inflate import CLIP
from signrep_core.model.losses import recognition_loss
from signrep_core.model.recogniser import AnyRecogniser, KeypointRecogniser, Recogniser
from signrep_core.model.signrep import SignRep
from signrep_core.store.feature_table import features_width
from signrep_core.store.files import file_digest
from signrep_core.store.shards import ShardReader
from signrep_core.train.launch import check_shares, count_processes, launch
from signrep_core.train.loop import (
    Run,
    RunSetup,
    Score,
    StepTerms,
    TrainResult,
    data_digest,
    described_settings,
    log_departures,
    seed_step,
    share_of,
    train,
    update,
    write_placeholder,
)
from signrep_core.train.optimiser import learning_rate_at, make_adamw, parameter_groups, set_learning_rate
from signrep_core.train.ranks import gather_objects

log = logging.getLogger(__name__)

COLUMNS: Final = ("step", "epoch", "learning_rate", "loss", "divergence", "accuracy", "grad_norm", "clips_per_s",
                  "data_wait", "broken", "selection", "val_top1", "val_top5", "val_probability")  # fmt: skip
BY_ACCURACY: Final = "top-1 on the validation split, ties by the mean probability of the right gloss"
BY_LOSS: Final = "the negative training loss (no validation video has a gloss that is trained on)"


@dataclass(frozen=True)
class Origin:
    """Data set and starting weights of a recogniser."""

    dataset: str  # learned from its `train` videos, selected on its `val` videos
    weights: Path | None = None  # of the pretrained SignRep; None = the network on keypoints and angles instead
    features: Path | None = None  # of the data set under these weights; None = they are computed first


@dataclass(kw_only=True)
class RecognitionRun(Run):
    """State of a fine-tuning while it runs."""

    clips: Clips
    validation: LabelledVideos
    open_reader: Callable[[], WindowReader]
    distribution: Tensor | None  # φ (G, G) on the device


def train_recognition(shards: Path, settings: Recognition, setup: RunSetup, origin: Origin) -> TrainResult:
    """Train, or resume training, the recogniser in the folder `setup.out`.

    Writes the same files as pretraining: `last/`, then `best.safetensors` and `metrics.csv`; for a data set without
    training data placeholders of these two.

    Args:
        shards: folder of the packed shards.
        settings: of the recogniser on video; the network on keypoints has its own learning rate among them.

    Raises:
        TrainingError: a loss is not finite, or the folder contains another run.
        CheckpointError: the weights, the features or the resume state cannot be used.
    """
    if origin.weights is None:
        settings = settings.for_keypoints()
    else:
        log_departures(settings)
    open_reader = partial(ShardReader, Path(shards))
    index = open_reader().index
    labelled = select_labelled(index, origin.dataset, ["train"])
    if why := _untrainable(index, origin.dataset, labelled):
        return write_placeholder(setup, settings, COLUMNS, why)
    check_shares(settings.batch_size, "clips", "recognition.batch_size", setup.devices)
    if origin.weights is None and count_processes(setup.devices) > 1:
        raise TrainingError(
            "the network on keypoints normalises by the whole batch, which devices cannot share: give one device"
        )
    job = partial(
        _train_recognition, open_reader=open_reader, labelled=labelled, settings=settings, setup=setup, origin=origin
    )
    return launch(job, setup.devices)


def _train_recognition(
    fabric: Fabric,
    open_reader: Callable[[], WindowReader],
    labelled: LabelledVideos,
    settings: Recognition,
    setup: RunSetup,
    origin: Origin,
) -> TrainResult:
    run = _start(fabric, open_reader, labelled, settings, setup, origin)
    loading = share_of(fabric, settings.workers)
    load = partial(load_items, run.clips, collate, items=settings.batch_size, loading=loading)
    return train(run, load, _train_step, _report, _validate)


# ---------------------------------------------------------------- begin


def _start(
    fabric: Fabric,
    open_reader: Callable[[], WindowReader],
    labelled: LabelledVideos,
    settings: Recognition,
    setup: RunSetup,
    origin: Origin,
) -> RecognitionRun:
    torch.manual_seed(setup.seed)  # the same classifier on every rank
    index = open_reader().index
    glosses = sorted(set(labelled.glosses))
    validation = select_labelled(index, origin.dataset, ["val"], glosses, only_these=True)
    model: AnyRecogniser = KeypointRecogniser(glosses)
    phi = None
    if origin.weights is not None:
        signrep = SignRep.load(origin.weights)
        model = Recogniser.from_signrep(signrep, glosses)
        model.encoder.requires_grad_(settings.freeze == "nothing")
        if settings.kappa:
            phi = _distribution(signrep.to(fabric.device), labelled, glosses, open_reader, origin.features)
    inputs: Inputs = "keypoints" if origin.weights is None else "video"
    run = RecognitionRun(
        kind="recognition",
        fabric=fabric,
        setup=setup,
        settings=settings,
        values=described_settings(settings, setup.seed),
        data=_identify_data(index, origin),
        iterations=max(1, settings.epochs * len(labelled) // settings.batch_size),
        steps_per_epoch=-(-len(labelled) // settings.batch_size),
        columns=COLUMNS,
        selection=BY_ACCURACY if len(validation) else BY_LOSS,
        network=model,
        clips=Clips(open_reader, labelled, setup.seed, CLIP, inputs),
        validation=validation,
        open_reader=open_reader,
        distribution=None if phi is None else phi.to(fabric.device),
    )
    _add_optimiser(run, model)
    log.info("%s: %d training videos of %d glosses, %d steps; the best weights are selected by %s",
             origin.dataset, len(labelled), len(glosses), run.iterations, run.selection)  # fmt: skip
    return run


def _identify_data(index: Any, origin: Origin) -> dict[str, Any]:
    """Identity of a run's data and starting weights."""
    weights = file_digest(origin.weights) if origin.weights else "none"
    return {"dataset": origin.dataset, "shards": data_digest(index), "weights": weights}


def _add_optimiser(run: RecognitionRun, model: AnyRecogniser) -> None:
    """Add the optimiser, on the run's devices."""
    settings = run.settings
    blocks = len(model.encoder.blocks) if isinstance(model, Recogniser) else 0
    groups = parameter_groups(model, blocks, settings.layer_decay, settings.weight_decay)
    optimiser = make_adamw(groups, settings.betas, settings.weight_decay)
    run.model, run.optimiser = run.fabric.setup(model, optimiser)


def _untrainable(index: Any, dataset: str, labelled: LabelledVideos) -> str:
    """Why nothing can be learned from these training videos; empty if it can. Glosses with one video are logged."""
    counts = Counter(labelled.glosses)
    if not counts:
        return no_labelled(index, dataset, "train")
    if len(counts) < 2:
        return (
            f"data set {dataset!r}: all {len(labelled)} training videos have the gloss {labelled.glosses[0]!r}; "
            "recognition needs at least two glosses; leave the data set out (recognition.datasets)"
        )
    if once := [gloss for gloss, n in counts.items() if n == 1]:
        log.warning("%s: %d of %d glosses have one training video only (%s, ...)", dataset, len(once), len(counts),
                    once[0])  # fmt: skip
    return ""


def _distribution(
    signrep: SignRep,
    labelled: LabelledVideos,
    glosses: list[str],
    open_reader: Callable[[], WindowReader],
    features: Path | None,
) -> Tensor | None:
    """Class distribution φ (G, G) of the training videos' features under the weights that the run begins with."""
    if features is None:
        videos = video_features(signrep, open_reader, labelled.videos.rows)
    elif (width := features_width(features)) == signrep.n_features:
        videos = iter(read_features(features))
    else:
        raise CheckpointError(
            f"{features}: vectors of {width} values, the weights give {signrep.n_features}: they are of another "
            "checkpoint; give the features of these weights, or none"
        )
    labels = dict(zip(labelled.video_ids, labelled.labels.tolist(), strict=True))
    means, _ = mean_features(videos, labels, len(glosses))
    found = class_distribution(means, glosses)
    if found is None:
        return None
    log.info("class distribution: largest values %.3f to %.3f (median %.3f), temperatures %.3g to %.3g",
             *(float(v) for v in (found.peak.min(), found.peak.max(), found.peak.median())),
             *(float(v) for v in (found.tau.min(), found.tau.max())))  # fmt: skip
    return found.phi


# ---------------------------------------------------------------- step, report, select


def _train_step(run: RecognitionRun, batch: Batch) -> StepTerms:
    """Start forward, backward and update; return all terms, perhaps not yet computed."""
    settings, fabric = run.settings, run.fabric
    lr = learning_rate_at(run.step, settings.learning_rate, settings.warmup, run.iterations, settings.learning_rate_end)
    set_learning_rate(run.optimiser, lr)
    batch = batch.to(fabric.device)
    own = len(batch)
    draws = draw_augmentations(own * fabric.world_size, seed_step(run), settings.crop_area, settings.crop_ratio)
    rows = slice(fabric.global_rank * own, (fabric.global_rank + 1) * own)
    logits = run.model(clip_inputs(run.network, batch.tensors, draws[rows]))
    labels = batch.tensors["label"]
    loss, divergence = recognition_loss(logits, labels, run.distribution, settings.label_smoothing, settings.kappa)
    terms = {"loss": loss, "divergence": divergence, "accuracy": (logits.argmax(1) == labels).float().mean()}
    terms["grad_norm"] = update(run, loss)
    return StepTerms(run, terms, batch.windows, {"learning_rate": lr})


def _report(run: RecognitionRun) -> dict[str, float]:
    return {"epoch": run.step * run.settings.batch_size / len(run.clips)}


def _validate(run: RecognitionRun) -> Score:
    """Score by top-1 on the validation split, which the ranks share; without one by the negative training loss."""
    if not len(run.validation):
        return -run.since_validation.mean("loss"), {}
    fabric, settings = run.fabric, run.settings
    own = range(fabric.global_rank, len(run.validation), fabric.world_size)
    inference = Inference(batch_size=settings.batch_size, workers=settings.workers)
    run.network.eval()
    try:
        found = predict(run.network, run.open_reader, run.validation, inference, videos=own)
    finally:
        run.network.train()
    found = join_predictions(gather_objects(fabric, found))
    metrics = accuracies(found)
    if metrics is None:
        raise TrainingError("no validation video can be read, although the index lists some: see the log above")
    return _score(found), {
        "val_top1": metrics["top1_instance"],
        "val_top5": metrics["top5_instance"],
        "val_probability": float(found.right.mean()),
    }


def _score(found: Predictions) -> float:
    """Top-1 in percent plus a small term for the probability of the right gloss, less than one video's worth."""
    return 100 * float(np.mean(found.rank == 0)) + min(0.01, 50 / len(found)) * float(np.mean(found.right))
