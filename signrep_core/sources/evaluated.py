"""The data sets that a run evaluates, and how: chosen by the sheet's rows and the configuration."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from signrep_core.config import Config
from signrep_core.errors import ConfigError
from signrep_core.sources.sheet import Row


@dataclass(frozen=True)
class Evaluated:
    """Names of data sets, sorted."""

    all: list[str]
    translated: list[str]  # those named in the configuration, or all with texts to train on
    retrieved: list[str]  # all others: the glosses of a translated data set are whole sentences
    recognised: list[str]  # those named, or those retrieved whose test glosses are mostly trained on


def choose_evaluated(rows: Sequence[Row], config: Config) -> Evaluated:
    """Choose the data sets of a sheet that are translated, retrieved and recognised.

    Raises:
        ConfigError: the configuration names a data set that the sheet lacks, or that has no text to train on.
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
    retrieved = [name for name in names if name not in translated]
    able = [name for name in retrieved if _is_recognisable([row for row in rows if row.dataset == name])]
    recognised = able if config.recognition.datasets is None else config.recognition.datasets
    for name in recognised:
        if name not in names:
            raise ConfigError(
                f"recognition.datasets: {where} {name!r}; data sets that can be recognised: {', '.join(able) or 'none'}"
            )
    return Evaluated(names, translated, retrieved, recognised)


def _is_recognisable(rows: Iterable[Row]) -> bool:
    """Whether most videos of the test split have a gloss that the train split has too."""
    glosses: dict[str, list[str]] = {"train": [], "test": []}
    for row in rows:
        if row.gloss and row.split in glosses:
            glosses[row.split].append(row.gloss)
    trained = set(glosses["train"])
    known = sum(gloss in trained for gloss in glosses["test"])
    return 2 * known > len(glosses["test"])
