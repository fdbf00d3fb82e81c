"""Training of a translator on frozen features (method section 6, Tarrés et al. 2023).

The best weights are selected by BLEU-4 of the validation split, or by the training loss if that split is empty.

Legend: B sentences, N windows, F values of a window, L word pieces, V vocabulary.
"""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

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
from signrep_core.evaluate.translation import Scorer, translate
from signrep_core.model.translator import PRESETS, Translator, TranslatorConfig
from signrep_core.model.vocabulary import END, START, Vocabulary, clean_text, train_vocabulary
from signrep_core.store.feature_table import FeatureTable
from signrep_core.train.loop import (
    Run,
    RunSetup,
    Score,
    TrainResult,
    as_numbers,
    described_settings,
    launch,
    log_departures,
    mean_over_ranks,
    seed_step,
    share_of,
    train,
    update,
    write_placeholder,
)
from signrep_core.train.optimiser import learning_rate_at, make_adamw, parameter_groups, set_learning_rate

log = logging.getLogger(__name__)

METRICS = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L")
COLUMNS = ["step", "epoch", "learning_rate", "loss", "accuracy", "grad_norm", "clips_per_s", "data_wait", "broken",
           "selection", *METRICS]  # fmt: skip
BY_BLEU = "BLEU-4 of the validation split"
BY_LOSS = "the negative training loss (no sentence of the validation split has features and a text)"
IGNORED = -100  # target of padding


@dataclass(kw_only=True)
class TranslationRun(Run):
    """State of a translator's training while it runs."""

    dataset: TrainingBatches
    validation: Sentences
    scorer: Scorer


def train_translation(
    features: Path, index: Mapping[str, Any], settings: Translation, setup: RunSetup, dataset: str
) -> TrainResult:
    """Train, or resume training, the translator in the folder `setup.out`, on the `train` split of a data set.

    Writes `last/` there while it runs, and `best.safetensors` (with the vocabulary inside) and `metrics.csv` when it is
    finished; for a data set without training data placeholders of these two. Another call with the same settings and
    data resumes a stopped run.

    Args:
        features: a features table, of a representation or of raw poses.
        index: columns `video_id`, `dataset`, `split` and `text` of the sequences.

    Raises:
        TrainingError: a loss is not finite, or the folder contains a run with other settings.
    """
    log_departures(settings)
    clean = partial(clean_text, lowercase=settings.lowercase)
    table = FeatureTable(features)
    training, validation = (
        select_sentences(table, index, dataset, split, clean, settings.max_windows) for split in ("train", "val")
    )
    if not len(training):
        counts = ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in training.counts.items())
        why = (
            f"{features}: no training sentence of data set {dataset!r} has features and a text ({counts}); fill "
            "dataset, split and text in the sheet, or name other data sets (translation.datasets)"
        )
        return write_placeholder(setup, settings, COLUMNS, why)
    job = partial(_train, training=training, validation=validation, settings=settings, setup=setup)
    return launch(job, setup.devices)


def _train(
    fabric: Fabric, training: Sentences, validation: Sentences, settings: Translation, setup: RunSetup
) -> TrainResult:
    run = _start(fabric, training, validation, settings, setup)
    return train(run, partial(load_batches, run.dataset), train_step, _report, _validate)


def _start(
    fabric: Fabric, training: Sentences, validation: Sentences, settings: Translation, setup: RunSetup
) -> TranslationRun:
    vocabulary = train_vocabulary(training.texts, settings.vocabulary)
    pieces = [[START, *vocabulary.encode(text), END] for text in training.texts]
    dataset = TrainingBatches(
        training, pieces, settings.batch_size, setup.seed, settings.max_windows, share_of(fabric, settings.workers)
    )  # fmt: skip
    model = _make_model(training, vocabulary, settings, setup.seed)
    run = TranslationRun(
        kind="train_translation",
        fabric=fabric,
        setup=setup,
        settings=settings,
        values=described_settings(settings, setup.seed),
        data={"width": training.table.width, "sentences": _digest(training, validation)},
        iterations=settings.iterations,
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


def _make_model(training: Sentences, vocabulary: Vocabulary, settings: Translation, seed: int) -> Translator:
    torch.manual_seed(seed)  # the same initial weights on every rank
    config = TranslatorConfig(training.table.width, len(vocabulary), **PRESETS[settings.preset])
    model = Translator(config, vocabulary.model)
    model.standardise(*feature_statistics(training, seed=seed))
    return model


def train_step(run: TranslationRun, batch: SentenceBatch) -> dict[str, float]:
    """Run forward, backward and update with one batch; return all terms as numbers.

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
    # The mean over the ranks, so that every piece of the whole batch has the same weight.
    counts = mean_over_ranks(run.fabric, (targets != IGNORED).sum().float())
    loss = translation_loss(logits, targets, settings.label_smoothing) / counts
    terms = {
        "loss": loss,
        "accuracy": (logits.argmax(2) == targets).sum() / counts,
        "grad_norm": update(run, loss),
    }
    return as_numbers(run, terms, batch.video_ids) | {"learning_rate": lr}


def next_pieces(pieces: Tensor, n_pieces: Tensor) -> Tensor:
    """Target of each piece but the last: (B, L) → (B, L - 1), IGNORED after the end."""
    place = torch.arange(1, pieces.shape[1], device=pieces.device)
    return pieces[:, 1:].masked_fill(place >= n_pieces[:, None], IGNORED)


def translation_loss(logits: Tensor, targets: Tensor, label_smoothing: float) -> Tensor:
    """Cross entropy with label smoothing, summed over all pieces but padding: (B, L, V), (B, L) → ()."""
    return F.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, label_smoothing=label_smoothing, reduction="sum"
    )


def _report(run: TranslationRun) -> dict[str, float]:
    return {"epoch": run.step / run.dataset.per_epoch}


def _validate(run: TranslationRun) -> Score:
    """Score by BLEU-4 of the validation split; without one by the negative training loss since the last time."""
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
    """Digest of the sentences, for the identity of a run."""
    rows = [
        f"{video}\t{n}\t{text}"
        for part in parts
        for video, n, text in zip(part.video_ids, part.n_windows, part.texts, strict=True)
    ]
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]
