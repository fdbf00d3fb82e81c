"""Training of a translator on frozen features (supplement A3).

It is a Transformer (Tarrés et al. 2023), or a pretrained language model with adapters (Sign2GPT, Wong et al. 2024). The
best weights are selected by BLEU-4 of the validation split, or by the training loss if that split is empty.

Legend: B sentences, N windows, F values of a window, L word pieces, V vocabulary.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor

from signrep_core.config import AnyTranslation, LanguageModel, Translation
from signrep_core.data.sentences import (
    SentenceBatch,
    Sentences,
    TrainingBatches,
    feature_statistics,
    load_batches,
    select_sentences,
)
from signrep_core.errors import TrainingError
from signrep_core.evaluate.translation import AnyTranslator, Scorer, translate
from signrep_core.model.language_translator import LanguageTranslator
from signrep_core.model.translator import PRESETS, Translator, TranslatorConfig
from signrep_core.model.vocabulary import clean_text, train_vocabulary
from signrep_core.store.feature_table import FeatureTable
from signrep_core.train.launch import check_shares, launch
from signrep_core.train.loop import (
    Run,
    RunSetup,
    Score,
    StepTerms,
    TrainResult,
    described_settings,
    log_departures,
    seed_step,
    share_of,
    train,
    update,
    write_placeholder,
)
from signrep_core.train.optimiser import learning_rate_at, make_adamw, parameter_groups, set_learning_rate
from signrep_core.train.ranks import gather_objects, mean_over_ranks

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
    rate: Callable[[int], float]  # learning rate of a step


def train_translation(
    features: Path, index: Mapping[str, Any], settings: AnyTranslation, setup: RunSetup, dataset: str
) -> TrainResult:
    """Train, or resume training, the translator in the folder `setup.out`, on the `train` split of a data set.

    Writes `last/` there while it runs, and `best.safetensors` (with the vocabulary inside) and `metrics.csv` when it is
    finished; for a data set without training data placeholders of these two. Another call with the same settings and
    data resumes a stopped run.

    Args:
        features: a features table, of a representation or of raw poses.
        index: columns `video_id`, `dataset`, `split` and `text` of the sequences.
        settings: of a Transformer, or of a language model (`Config.translator` chooses by data set).

    Raises:
        TrainingError: a loss is not finite, the folder contains a run with other settings, or the language model lacks
            the layers of the adapters or has too few positions.
        CheckpointError: the language model cannot be loaded.
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
    section = "language_model" if isinstance(settings, LanguageModel) else "translation"
    check_shares(settings.batch_size, "sentences", f"{section}.batch_size", setup.devices)
    job = partial(_train, training=training, validation=validation, settings=settings, setup=setup)
    return launch(job, setup.devices)


def _train(
    fabric: Fabric, training: Sentences, validation: Sentences, settings: AnyTranslation, setup: RunSetup
) -> TrainResult:
    run = _start(fabric, training, validation, settings, setup)
    return train(run, partial(load_batches, run.dataset), train_step, _report, _validate)


def _start(
    fabric: Fabric, training: Sentences, validation: Sentences, settings: AnyTranslation, setup: RunSetup
) -> TranslationRun:
    model = _make_model(training, settings, setup.seed, fabric.device)
    pieces = [model.to_pieces(text) for text in training.texts]
    dataset = TrainingBatches(
        training, pieces, settings.batch_size, setup.seed, settings.max_windows, share_of(fabric, settings.workers)
    )  # fmt: skip
    base: dict[str, str] = {}
    if isinstance(model, LanguageTranslator):
        _check_base(model, settings, pieces)
        base = {"base_files": model.config.origin}
    rate, iterations = _schedule(settings, dataset.per_epoch)
    run = TranslationRun(
        kind="train_translation",
        fabric=fabric,
        setup=setup,
        settings=settings,
        values=described_settings(settings, setup.seed),
        data={"width": training.table.width, "sentences": _digest(training, validation), **base},
        iterations=iterations,
        steps_per_epoch=dataset.per_epoch,
        columns=COLUMNS,
        selection=BY_BLEU if len(validation) else BY_LOSS,
        network=model,
        dataset=dataset,
        validation=validation,
        scorer=Scorer(settings.tokenizer, settings.lowercase),
        rate=rate,
    )
    groups = parameter_groups(model, 0, 1.0, settings.weight_decay)
    optimiser = make_adamw(groups, settings.betas, settings.weight_decay)
    run.model, run.optimiser = fabric.setup(model, optimiser)
    log.info("%d sentences, %d word pieces, windows of %d values, %d learned weights; the best are selected by %s",
             len(training), model.config.vocabulary, training.table.width,
             sum(weight.numel() for weight in model.parameters() if weight.requires_grad), run.selection)  # fmt: skip
    return run


def _make_model(training: Sentences, settings: AnyTranslation, seed: int, device: torch.device) -> AnyTranslator:
    torch.manual_seed(seed)  # the same initial weights on every rank
    width = training.table.width
    model: AnyTranslator
    if isinstance(settings, LanguageModel):
        model = LanguageTranslator.build(width, settings, device)
    else:
        vocabulary = train_vocabulary(training.texts, settings.vocabulary)
        model = Translator(TranslatorConfig(width, len(vocabulary), **PRESETS[settings.preset]), vocabulary.model)
    model.standardise(*feature_statistics(training, seed=seed))
    return model


def _check_base(model: LanguageTranslator, settings: AnyTranslation, texts: list[list[int]]) -> None:
    """Check that the base can read the longest sentence; log how much of the text its tokeniser does not know.

    Raises:
        TrainingError: it has too few positions.
    """
    if unknown := sum(text.count(model.unknown) for text in texts if model.unknown is not None):
        log.warning("%d of %d pieces of the training text are unknown to the tokeniser of %s and cannot be learned",
                    unknown, sum(map(len, texts)), model.config.base)  # fmt: skip
    needed = settings.max_windows + max(*map(len, texts), settings.max_pieces + 1)
    if model.positions is not None and needed > model.positions:
        raise TrainingError(
            f"{model.config.base}: has {model.positions} positions, but {settings.max_windows} windows and a text take "
            f"up to {needed}; lower language_model.max_windows, or take another base"
        )


def _schedule(settings: AnyTranslation, per_epoch: int) -> tuple[Callable[[int], float], int]:
    """Learning rate of each step, and the number of steps."""
    rate = partial(learning_rate_at, peak=settings.learning_rate, end=settings.learning_rate_end)
    if isinstance(settings, Translation):
        steps, warmup, period = settings.iterations, settings.warmup, settings.restart_every
    else:
        steps, warmup, period = settings.epochs * per_epoch, settings.warmup_epochs * per_epoch, None
    return partial(rate, warmup=warmup, iterations=steps, period=period), steps


def train_step(run: TranslationRun, batch: SentenceBatch) -> StepTerms:
    """Start forward, backward and update with one batch; return all terms, perhaps not yet computed."""
    settings = run.settings
    lr = run.rate(run.step)
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
    return StepTerms(run, terms, batch.video_ids, {"learning_rate": lr})


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
    """Score by BLEU-4 of the validation split, which the ranks share; without one by the negative training loss."""
    if not len(run.validation):
        return -run.since_validation.mean("loss"), {}
    own = run.validation.share(run.fabric.global_rank, run.fabric.world_size)
    run.network.eval()
    try:
        translated = list(translate(run.network, own, **run.settings.search()))
    finally:
        run.network.train()
    found = [each for share in gather_objects(run.fabric, translated) for each in share]
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
