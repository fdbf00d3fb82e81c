"""The data sets that a run evaluates, and how: chosen by the sheet's rows and the configuration."""

import importlib.util
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from signrep_core.config import Config, may_be_base
from signrep_core.errors import ConfigError
from signrep_core.extras import missing_package
from signrep_core.sources.sheet import Row


@dataclass(frozen=True)
class Evaluated:
    """Names of data sets, sorted."""

    all: list[str]  # of which any task needs features
    translated: list[str]  # those named in the configuration, or all with texts to train on
    retrieved: list[str]  # all others: the glosses of a translated data set are whole sentences
    recognised: list[str]  # those named, or those retrieved whose test glosses are mostly trained on
    notes: list[str]  # why a retrieved data set with glosses is not recognised, a line each


def choose_evaluated(rows: Sequence[Row], config: Config) -> Evaluated:
    """Choose the data sets of a sheet that are translated, retrieved and recognised.

    Raises:
        ConfigError: the configuration names a data set that the sheet lacks, or that has no text to train on, or the
            folder of a language model that does not exist.
        SignRepError: a data set is translated by a language model, and the extra [translation] is not installed.
    """
    names = sorted({row.dataset for row in rows})
    with_text = sorted({row.dataset for row in rows if row.text and row.split == "train"})
    translated = with_text if config.translation.datasets is None else config.translation.datasets
    where = f"no row of {config.sheet or 'the demo'} has the data set"
    for name in translated:
        if name not in with_text:
            raise ConfigError(
                f"translation.datasets: {where} {name!r}, the split 'train' and a text; "
                f"data sets that can be translated: {', '.join(with_text) or 'none'}"
            )
    _check_language_model(translated, config)
    others = [name for name in names if name not in translated]
    retrieved = others if config.retrieval.datasets is None else config.retrieval.datasets
    trained = {name: _trained_glosses([row for row in rows if row.dataset == name]) for name in others}
    able = [name for name, (known, total) in trained.items() if 2 * known > total]
    recognised = able if config.recognition.datasets is None else config.recognition.datasets
    for task, chosen, can in (("retrieval", retrieved, others), ("recognition", recognised, able)):
        for name in chosen:
            if name not in names:
                raise ConfigError(
                    f"{task}.datasets: {where} {name!r}; data sets for {task}: {', '.join(can) or 'none'}"
                )
    notes = [
        f"data set {name!r}: no recogniser is trained, because only {known} of its {total} test videos have a gloss of "
        "the split train (retrieval compares them all the same)"
        for name, (known, total) in trained.items()
        if total and name not in able and config.recognition.datasets is None
    ]
    return Evaluated(sorted({*translated, *retrieved, *recognised}), translated, retrieved, recognised, notes)


def check_pretraining(rows: Sequence[Row], config: Config) -> None:
    """Check that the sheet has the data sets that the pretraining names.

    Raises:
        ConfigError: it lacks one, or the data set of the validation has no gloss in both its splits train and val.
    """
    splits, sheet = config.pretrain.splits, config.sheet or "the demo"
    able = {row.dataset for row in rows if row.split in splits}
    for name in config.pretrain.datasets or ():
        if name not in able:
            raise ConfigError(
                f"pretrain.datasets: no row of {sheet} has the data set {name!r} and a split of {splits}; data sets "
                f"that have: {', '.join(sorted(able)) or 'none'}; name one of these, or write null for all"
            )
    validation = config.pretrain.validation
    glosses: dict[str, set[str]] = {"train": set(), "val": set()}
    for row in rows:
        if row.dataset == validation and row.split in glosses and row.gloss and not row.text:
            glosses[row.split].add(row.gloss)
    if validation is not None and not glosses["train"] & glosses["val"]:
        raise ConfigError(
            f"pretrain.validation: the rows of {sheet} with the data set {validation!r} have no gloss in both splits "
            "'train' and 'val'; add them, name another data set, or write null"
        )


def _check_language_model(translated: Sequence[str], config: Config) -> None:
    """Check before the first job, not days later, that a language model can be loaded if a data set needs one."""
    if not set(translated) & set(config.language_model.datasets):
        return
    if not may_be_base(config.language_model.base):
        raise ConfigError(
            f"language_model.base: expected a folder with a language model or a name on the Hugging Face hub, found no "
            f"folder {config.language_model.base}"
        )
    for package in ("transformers", "peft"):
        if importlib.util.find_spec(package) is None:
            raise missing_package(package)


def _trained_glosses(rows: Iterable[Row]) -> tuple[int, int]:
    """Number of test videos whose gloss the train split has too, and of all test videos with a gloss."""
    glosses: dict[str, list[str]] = {"train": [], "test": []}
    for row in rows:
        if row.gloss and row.split in glosses:
            glosses[row.split].append(row.gloss)
    trained = set(glosses["train"])
    return sum(gloss in trained for gloss in glosses["test"]), len(glosses["test"])
