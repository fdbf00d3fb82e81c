"""The choice of data sets to translate, retrieve and recognise."""

import pytest

from signrep_core.config import load_config
from signrep_core.errors import ConfigError
from signrep_core.sources.evaluated import choose_evaluated
from signrep_core.sources.sheet import Row


def row(dataset: str, split: str, gloss: str = "", text: str = "") -> Row:
    return Row(f"{dataset}-{split}-{gloss}-{text}", "v.mp4", dataset, split, gloss, text=text)


ROWS = [
    row("signs", "train", "A"), row("signs", "train", "B"), row("signs", "test", "A"), row("signs", "test", "B"),
    row("signs", "test", "C"),
    row("new signs", "train", "A"), row("new signs", "test", "B"),
    row("sentences", "train", "A B", "a and b"), row("sentences", "test", "A B", "b and a"),
    row("untrained", "test", "", "text without training"),
]  # fmt: skip


def choose(**values):
    return choose_evaluated(ROWS, load_config({"sheet": "videos.tsv", **values}))


def test_by_default_the_sheet_decides():
    chosen = choose()
    assert chosen.all == ["new signs", "sentences", "signs", "untrained"]
    assert chosen.translated == ["sentences"]
    assert chosen.retrieved == ["new signs", "signs", "untrained"]
    assert chosen.recognised == ["signs"], "most of its test glosses are trained on"


def test_the_configuration_can_name_data_sets():
    chosen = choose(translation={"datasets": []}, recognition={"datasets": ["new signs"]})
    assert chosen.translated == []
    assert chosen.retrieved == chosen.all
    assert chosen.recognised == ["new signs"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"translation": {"datasets": ["signs"]}},
            "no row of videos.tsv has the data set 'signs', .* translated: sent",
        ),
        ({"recognition": {"datasets": ["wlasl"]}}, "has the data set 'wlasl'; data sets that can be recognised: signs"),
    ],
)
def test_a_data_set_that_cannot_be_used_is_refused(values, said):
    with pytest.raises(ConfigError, match=said):
        choose(**values)
