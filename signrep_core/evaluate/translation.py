"""Metrics of translations: BLEU-1..4 and ROUGE-L, compared with the level that needs no video.

Supplement A3. BLEU is sacrebleu's, with its signature recorded; ROUGE-L is the F1 of rouge-score on the same tokens,
because its own tokeniser drops all letters outside ASCII. With the tokeniser `char` both count characters (Chinese).
"""

import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU

from signrep_core.config import Tokenizer, digest
from signrep_core.data.sentences import Sentences, evaluation_batches, select_sentences
from signrep_core.errors import CheckpointError
from signrep_core.evaluate.comparison import Comparison
from signrep_core.model import language_translator
from signrep_core.model.language_translator import LanguageTranslator
from signrep_core.model.translator import ADVICE, Translator
from signrep_core.model.vocabulary import clean_text
from signrep_core.model.weights import UNTRAINED, read_format, read_notes
from signrep_core.store.feature_table import FeatureTable
from signrep_core.store.files import file_digest, write_json
from signrep_core.store.schemas import TRANSLATIONS
from signrep_core.store.tables import Columns, write_table

log = logging.getLogger(__name__)

ORDERS: Final = (1, 2, 3, 4)
BATCH: Final = 16  # sentences translated together
SHOWN: Final = 5  # translations in the log

AnyTranslator = Translator | LanguageTranslator


class Translation(NamedTuple):
    """Translation of one sentence."""

    video_id: str
    reference: str
    hypothesis: str
    score: float  # of the beam


class Scorer:
    """Corpus metrics with one tokeniser.

    Args:
        tokenizer: sacrebleu's: `13a` for European languages, `char` or `zh` for Chinese, `none` for text with spaces.
        lowercase: ignore the case of letters.
    """

    def __init__(self, tokenizer: Tokenizer = "13a", lowercase: bool = False) -> None:
        self._bleu = {n: BLEU(max_ngram_order=n, tokenize=tokenizer, lowercase=lowercase) for n in ORDERS}
        self._lowercase = lowercase
        self._rouge = RougeScorer(["rougeL"], tokenizer=self)

    def tokenize(self, text: str) -> list[str]:
        """Tokens of a text."""
        tokens: list[str] = self._bleu[4].tokenizer(text.lower() if self._lowercase else text).split()
        return tokens

    def __call__(self, hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        """BLEU-1..4 of the corpus and the mean ROUGE-L of its sentences, × 100."""
        bleu = {f"BLEU-{n}": self._bleu[n].corpus_score(hypotheses, [references]).score for n in ORDERS}
        pairs = zip(references, hypotheses, strict=True)
        rouge = [self._rouge.score(reference, hypothesis)["rougeL"].fmeasure for reference, hypothesis in pairs]
        return bleu | {"ROUGE-L": 100 * float(np.mean(rouge))}

    def signature(self) -> str:
        """Signature of sacrebleu's settings; available after the first call."""
        return str(self._bleu[4].get_signature())


@torch.inference_mode()
def translate(
    model: AnyTranslator, sentences: Sentences, *, beam: int, length_penalty: float, max_pieces: int, max_windows: int
) -> Iterator[Translation]:
    """Translate every sentence, the longest first; an unreadable one is logged, and its translation is empty."""
    device = next(model.parameters()).device
    reference = dict(zip(sentences.video_ids, sentences.texts, strict=True))
    for batch in evaluation_batches(sentences, BATCH, max_windows):
        for video_id, why in batch.unread.items():
            log.warning("sentence %s is not translated: %s", video_id, why)
            yield Translation(video_id, reference[video_id], "", -np.inf)
        if not len(batch):
            continue
        found = model.translate(
            batch.features.to(device), batch.n_windows.to(device), beam=beam, length_penalty=length_penalty,
            max_pieces=max_pieces,
        )  # fmt: skip
        for video_id, (pieces, score) in zip(batch.video_ids, found, strict=True):
            yield Translation(video_id, reference[video_id], model.to_text(pieces), score)


def commonest_sentence(training: Sequence[str], references: Sequence[str]) -> list[str]:
    """Translations without any input: always the most common training sentence."""
    return [Counter(training).most_common(1)[0][0]] * len(references)


def shuffle_references(references: Sequence[str], seed: int = 0) -> list[str]:
    """Shuffle the references so that none keeps its place (if there are at least two)."""
    order = np.random.default_rng(seed).permutation(len(references))
    shuffled = [""] * len(references)
    for place, source in zip(order, np.roll(order, 1), strict=True):  # one cycle through all
        shuffled[place] = references[source]
    return shuffled


def evaluate_translator(
    weights: str | Path,
    features: str | Path,
    index: Mapping[str, Any],
    *,
    dataset: str,
    split: str = "test",
    accelerator: str = "auto",
) -> tuple[dict[str, Any], list[Translation]]:
    """Translate a split and evaluate it with the settings of the translator.

    Returns:
        `protocol`, `counts` per split, `note`, `metrics`, `chance`, `baselines` and `digests`, and the translations in
        the order of the index; metrics and chance are None if the split has no sentence or nothing was trained, and
        `note` gives the reason.

    Raises:
        CheckpointError: the weights cannot be used, or need windows of another width.
    """
    table = FeatureTable(features)
    model, notes = _load_translator(weights, table, accelerator)
    settings = json.loads(notes["settings"])
    clean = partial(clean_text, lowercase=settings["lowercase"])
    training, chosen = (
        select_sentences(table, index, dataset, name, clean, settings["max_windows"]) for name in ("train", split)
    )
    search = {name: settings[name] for name in ("beam", "length_penalty", "max_pieces", "max_windows")}
    found = {each.video_id: each for each in translate(model, chosen, **search)} if model else {}
    translations = [found[video_id] for video_id in chosen.video_ids] if model else []
    note = "" if translations else notes.get(UNTRAINED, f"no sentence of split {split!r} has features and a text")
    if note:
        log.warning("no metrics: %s", note)
    result = {"note": note} | compare(translations, training.texts, settings["tokenizer"], settings["lowercase"])
    result["protocol"] |= {
        "dataset": dataset, "split": split, **search, "vocabulary": model.config.vocabulary if model else None,
        "model": asdict(model.config) if model else None,
        "selected_by": notes["selected_by"], "selected_at_step": int(notes["step"]),
    }  # fmt: skip
    result["counts"] = {"train": training.counts, split: chosen.counts}
    result["digests"] = {
        "weights": file_digest(weights), "features": file_digest(features), "settings": digest(settings)
    }  # fmt: skip
    return result, translations


def _load_translator(
    weights: str | Path, table: FeatureTable, accelerator: str
) -> tuple[AnyTranslator | None, dict[str, str]]:
    """The translator, or None where nothing was trained, and the notes of its weights."""
    notes = read_notes(weights, ADVICE)
    if UNTRAINED in notes:
        return None, notes
    device = Fabric(accelerator=accelerator, devices=1).device
    by_language_model = read_format(weights, ADVICE) == language_translator.FORMAT
    model: AnyTranslator = (LanguageTranslator if by_language_model else Translator).load(weights, device)[0]
    if table.width != model.config.features:
        raise CheckpointError(
            f"{weights}: was trained on windows of {model.config.features} values, {table.path} has windows of "
            f"{table.width}; give the features that it was trained on, or train it again"
        )
    return model, notes


def write_evaluation(
    weights: str | Path,
    features: str | Path,
    index: Mapping[str, Any],
    dataset: str,
    out: tuple[str | Path, str | Path],
    comparison: Comparison,
) -> dict[str, Any]:
    """Evaluate a translator on the test split and write files.

    Args:
        out: of the metrics (JSON) and of the translations (Parquet).
    """
    result, found = evaluate_translator(weights, features, index, dataset=dataset)
    result["lost"] = comparison.lost(dataset, "text")
    result["baselines"] |= comparison.metrics()
    provenance = dict(comparison.provenance)
    metrics, translations = out
    columns, origin = translation_columns(found), {"weights_sha256": result["digests"]["weights"], **provenance}
    write_table(translations, TRANSLATIONS, columns, origin)
    write_json(metrics, {**result, "provenance": provenance})
    for each in found[:SHOWN]:
        log.info("%s: %r should be %r", each.video_id, each.hypothesis, each.reference)
    return result


def compare(
    translations: Sequence[Translation], training: Sequence[str], tokenizer: Tokenizer, lowercase: bool
) -> dict[str, Any]:
    """`protocol`, `metrics`, `chance` and `baselines` of translations; metrics are None without translations."""
    score = Scorer(tokenizer, lowercase)
    protocol: dict[str, Any] = {
        "rouge": "rouge-score rougeL, mean F1, tokens as for BLEU",
        "tokenizer": tokenizer,
        "lowercase": lowercase,
        "chance": "always the commonest training sentence",
    }
    if not translations:
        return {"protocol": protocol, "metrics": None, "chance": None, "baselines": {}}
    references = [translation.reference for translation in translations]
    metrics = score([translation.hypothesis for translation in translations], references)
    chance = score(commonest_sentence(training, references), references)
    others = score(shuffle_references(references), references)
    return {
        "protocol": {"bleu": score.signature(), **protocol}, "metrics": metrics, "chance": chance,
        "baselines": {"other_references": others},
    }  # fmt: skip


def translation_columns(translations: Sequence[Translation]) -> Columns:
    """The rows of the table of translations (store.schemas.TRANSLATIONS)."""
    columns = zip(*translations, strict=True) if translations else ((), (), (), ())
    values = dict(zip(Translation._fields, map(list, columns), strict=True))
    return {column.name: values[column.name] for column in TRANSLATIONS.columns}
