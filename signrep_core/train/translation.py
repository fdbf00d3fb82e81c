"""Training a translator on frozen features: method section 6, with the settings of Tarrés et al. 2023.

Weights are selected by BLEU-4 of the validation split, or by the training loss where it is empty.

Legend: B sentences, N windows, F values of a window, L word pieces, V vocabulary.
"""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor

from signrep_core.config import Translation
from signrep_core.data.sentences import (
    SentenceBatch,
    Sentences,
    TrainingBatches,
    feature_statistics,
    load_batches,
    select_sentences,
)
from signrep_core.errors import NoTrainingDataError
from signrep_core.evaluate.translation import Scorer, Tokenizer, translate
from signrep_core.model.translator import PRESETS, Translator, TranslatorConfig
from signrep_core.model.vocabulary import END, START, Vocabulary, clean_text, train_vocabulary
from signrep_core.store.feature_table import FeatureTable
from signrep_core.train.loop import Run, Score, TrainResult, as_numbers, launch, plain, seed_step, train, update
from signrep_core.train.optimiser import learning_rate_at, make_adamw, parameter_groups, set_learning_rate

log = logging.getLogger(__name__)

METRICS = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L")
COLUMNS = ["step", "epoch", "learning_rate", "loss", "accuracy", "grad_norm", "clips_per_s", "data_wait", "broken",
           "selection", *METRICS]  # fmt: skip
BY_BLEU = "BLEU-4 of the validation split"
BY_LOSS = "the negative training loss (no sentence of the validation split has features and a text)"
IGNORED = -100  # a target that does not count


@dataclass(frozen=True)
class TranslationSettings:
    """Everything that decides what a run computes; the defaults are the published ones."""

    preset: Literal["tiny", "base"] = "base"
    vocabulary: int = 7000
    lowercase: bool = True
    tokenizer: Tokenizer = "13a"
    iterations: int = 100_000
    batch_size: int = 32
    learning_rate: float = 1e-3
    warmup: int = 2000
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.1
    label_smoothing: float = 0.1
    clip: float = 1.0  # gradient norm
    max_windows: int = 1024
    max_pieces: int = 200
    beam: int = 5
    length_penalty: float = 1.0
    validate_every: int = 2000  # about every other epoch of How2Sign
    save_every: int = 1000  # D
    log_every: int = 10  # D
    seed: int = 0

    @classmethod
    def from_config(cls, config: Translation, seed: int) -> "TranslationSettings":
        """The settings of a configuration's section; what it does not name is as published."""
        return cls(**config.model_dump(exclude={"datasets", "baselines", "workers"}), seed=seed)

    def search(self) -> dict[str, Any]:
        """How translations are looked for, as arguments of `evaluate.translation.translate`."""
        return {name: getattr(self, name) for name in ("beam", "length_penalty", "max_pieces", "max_windows")}


@dataclass(kw_only=True)
class TranslationRun(Run):
    """A run that translates."""

    dataset: TrainingBatches
    validation: Sentences
    scorer: Scorer


def train_translation(
    features: Path,
    index: Mapping[str, Any],
    out: Path,
    settings: TranslationSettings,
    *,
    dataset: str,
    workers: int = 0,
    accelerator: str = "auto",
    devices: int | str = 1,
    nodes: int = 1,
    precision: str | None = None,
    provenance: Mapping[str, str] | None = None,
) -> TrainResult:
    """Train, or go on training, the translator whose folder is `out`, on the `train` split of a data set.

    Writes `out/last/` while it runs, and `out/best.safetensors` (with the vocabulary inside) and `out/metrics.csv` when
    it is finished; a stopped run goes on when it is called again with the same settings and data.

    Args:
        features: a features table, of a representation or of raw poses.
        index: columns `video_id`, `dataset`, `split` and `text` of the sequences.
        workers: loader processes per device.
        accelerator, devices, nodes, precision: as Lightning Fabric takes them; precision None = bf16 on a GPU.
        provenance: what the weights' notes are to say of their origin.

    Raises:
        NoTrainingDataError: no sentence can be trained on.
        TrainingError: a loss is not finite, or `out` holds a run with other settings.
    """
    job = partial(
        _train, features=Path(features), index=index, folder=Path(out) / "last", settings=settings, dataset=dataset,
        workers=workers, provenance=dict(provenance or {}),
    )  # fmt: skip
    return launch(job, accelerator, devices, nodes, precision)


def _train(
    fabric: Fabric,
    features: Path,
    index: Mapping[str, Any],
    folder: Path,
    settings: TranslationSettings,
    dataset: str,
    workers: int,
    provenance: dict[str, str],
) -> TrainResult:
    clean = partial(clean_text, lowercase=settings.lowercase)
    table = FeatureTable(features)
    training, validation = (
        select_sentences(table, index, dataset, split, clean, settings.max_windows) for split in ("train", "val")
    )
    if not len(training):
        raise NoTrainingDataError(
            f"{features}: no training sentence of data set {dataset!r} has features and a text ("
            + ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in training.counts.items())
            + "); fill dataset, split and text in the sheet, or name other data sets (translation.datasets)"
        )
    run = _start(fabric, training, validation, folder, settings)
    run.provenance = provenance
    load = partial(load_batches, run.dataset, workers=workers, pin_memory=fabric.device.type == "cuda")
    return train(run, load, train_step, _report, _validate)


def _start(
    fabric: Fabric, training: Sentences, validation: Sentences, folder: Path, settings: TranslationSettings
) -> TranslationRun:
    vocabulary = train_vocabulary(training.texts, settings.vocabulary)
    pieces = [[START, *vocabulary.encode(text), END] for text in training.texts]
    dataset = TrainingBatches(
        training, pieces, settings.batch_size, settings.seed, settings.max_windows,
        rank=fabric.global_rank, ranks=fabric.world_size,
    )  # fmt: skip
    model = _make_model(training, vocabulary, settings)
    run = TranslationRun(
        kind="train_translation",
        fabric=fabric,
        settings=settings,
        identity=plain(settings) | {"width": training.table.width, "sentences": _digest(training, validation)},
        iterations=settings.iterations,
        folder=folder,
        columns=COLUMNS,
        selection=BY_BLEU if len(validation) else BY_LOSS,
        network=model,
        dataset=dataset,
        validation=validation,
        scorer=Scorer(settings.tokenizer, settings.lowercase),
    )
    groups = parameter_groups(model, 0, 1.0, settings.weight_decay)
    optimiser = make_adamw(groups, settings.betas, settings.weight_decay, fabric.device)
    run.model, run.optimiser = fabric.setup(model, optimiser)
    log.info("%d sentences, %d word pieces, windows of %d values; the best weights are selected by %s",
             len(training), len(vocabulary), training.table.width, run.selection)  # fmt: skip
    return run


def _make_model(training: Sentences, vocabulary: Vocabulary, settings: TranslationSettings) -> Translator:
    torch.manual_seed(settings.seed)  # the same initial weights on every rank
    config = TranslatorConfig(training.table.width, len(vocabulary), **PRESETS[settings.preset])
    model = Translator(config, vocabulary.model)
    model.standardise(*feature_statistics(training, seed=settings.seed))
    return model


def train_step(run: TranslationRun, batch: SentenceBatch) -> dict[str, float]:
    """Forward, backward and update with one batch; all terms as numbers.

    Raises:
        TrainingError: a term is not finite.
    """
    settings = run.settings
    lr = learning_rate_at(run.step, settings.learning_rate, settings.warmup, settings.iterations)
    set_learning_rate(run.optimiser, lr)
    seed_step(run)  # dropout
    batch = batch.to(run.fabric.device)
    targets = next_pieces(batch.pieces, batch.n_pieces)
    logits = run.model(batch.features, batch.n_windows, batch.pieces[:, :-1]).float()
    counts = (targets != IGNORED).sum().float()
    if run.fabric.world_size > 1:  # so that every piece of the whole batch weighs the same
        counts = run.fabric.all_reduce(counts, reduce_op="mean")
    loss = translation_loss(logits, targets, settings.label_smoothing) / counts
    terms = {
        "loss": loss,
        "accuracy": (logits.argmax(2) == targets).sum() / counts,
        "grad_norm": update(run, loss),
    }
    return as_numbers(run, terms, batch.video_ids) | {"learning_rate": lr}


def next_pieces(pieces: Tensor, n_pieces: Tensor) -> Tensor:
    """What should follow each piece but the last (B, L) → (B, L - 1), IGNORED behind the end."""
    place = torch.arange(1, pieces.shape[1], device=pieces.device)
    return pieces[:, 1:].masked_fill(place >= n_pieces[:, None], IGNORED)


def translation_loss(logits: Tensor, targets: Tensor, label_smoothing: float) -> Tensor:
    """Cross entropy with label smoothing, summed over the pieces that count: (B, L, V), (B, L) → ()."""
    return F.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, label_smoothing=label_smoothing, reduction="sum"
    )


def _report(run: TranslationRun) -> dict[str, float]:
    return {"epoch": run.step / run.dataset.per_epoch}


def _validate(run: TranslationRun) -> Score:
    """BLEU-4 of the validation split, or the negative training loss since the last validation."""
    if not len(run.validation):
        return -run.since_validation.mean("loss"), {}
    run.network.eval()
    try:
        found = list(translate(run.network, run.validation, **run.settings.search()))
    finally:
        run.network.train()
    values = run.scorer([each.hypothesis for each in found], [each.reference for each in found])
    log.info("step %d: %r should be %r", run.step, found[-1].hypothesis, found[-1].reference)
    return values["BLEU-4"], values


def _digest(*parts: Sentences) -> str:
    """A digest of the sentences, for the identity of a run."""
    rows = [
        f"{video}\t{n}\t{text}"
        for part in parts
        for video, n, text in zip(part.video_ids, part.n_windows, part.texts, strict=True)
    ]
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]
