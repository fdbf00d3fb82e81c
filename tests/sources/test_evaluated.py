"""The choice of data sets to translate, retrieve and recognise."""

import pytest

from signrep_core.config import load_config
from signrep_core.errors import ConfigError, SignRepError
from signrep_core.sources.evaluated import check_pretraining, choose_evaluated
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


def test_a_data_set_that_is_not_recognised_is_named_with_the_reason():
    (note,) = choose().notes
    assert note.startswith("data set 'new signs': no recogniser is trained, because only 0 of its 1 test videos")
    assert choose(recognition={"datasets": []}).notes == []


def test_the_configuration_can_name_data_sets():
    chosen = choose(translation={"datasets": []}, recognition={"datasets": ["new signs"]})
    assert chosen.translated == []
    assert chosen.retrieved == chosen.all
    assert chosen.recognised == ["new signs"]
    chosen = choose(retrieval={"datasets": ["signs"]}, recognition={"datasets": []})
    assert chosen.retrieved == ["signs"]
    assert chosen.all == ["sentences", "signs"], "no features of data sets that no task needs"


def check(rows=None, **pretrain):
    validated = [*ROWS, row("signs", "val", "B"), row("sentences", "val", "A B", "a and b")]
    check_pretraining(rows or validated, load_config({"sheet": "videos.tsv", "pretrain": pretrain}))


def test_the_pretraining_can_name_data_sets_of_the_sheet():
    check()
    check(datasets=["new signs"], validation="signs")


@pytest.mark.parametrize(
    ("pretrain", "said"),
    [
        (
            {"datasets": ["untrained"]},
            r"pretrain.datasets: no row of videos.tsv has the data set 'untrained' and a split of \['train'\]; "
            "data sets that have: new signs, sentences, signs",
        ),
        ({"validation": "wlasl"}, "pretrain.validation: .* the data set 'wlasl' have no gloss in both splits"),
        ({"validation": "sentences"}, "data set 'sentences' have no gloss in both splits 'train' and 'val'"),
        ({"validation": "new signs"}, "data set 'new signs' have no gloss in both splits"),
    ],
)
def test_a_pretraining_on_data_that_the_sheet_lacks_is_refused(pretrain, said):
    with pytest.raises(ConfigError, match=said):
        check(**pretrain)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"translation": {"datasets": ["signs"]}},
            "no row of videos.tsv has the data set 'signs', .* translated: sent",
        ),
        ({"recognition": {"datasets": ["wlasl"]}}, "has the data set 'wlasl'; data sets for recognition: signs"),
        (
            {"retrieval": {"datasets": ["wlasl"]}},
            r"retrieval.datasets: .* 'wlasl'; data sets for retrieval: new signs, signs, untrained",
        ),
    ],
)
def test_a_data_set_that_cannot_be_used_is_refused(values, said):
    with pytest.raises(ConfigError, match=said):
        choose(**values)


def test_a_language_model_that_is_missing_is_found_before_the_first_job(monkeypatch):
    used = {"datasets": ["sentences"], "base": "/nowhere/xglm"}
    with pytest.raises(ConfigError, match=r"language_model\.base: expected .*, found no folder /nowhere/xglm"):
        choose(language_model=used)
    assert choose(language_model=used | {"datasets": ["phoenix14t"]}).translated == ["sentences"]
    assert choose(language_model=used | {"base": "facebook/xglm-1.7B"}).translated == ["sentences"]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SignRepError, match=r"it needs the extra \[translation\]"):
        choose(language_model=used | {"base": "facebook/xglm-1.7B"})
