"""CSL-Daily's pickle, splits and frame folders."""

import pickle

import pytest

from signrep_core.errors import SourceError
from signrep_core.sources.csl_daily import list_csl_daily
from signrep_core.sources.sheet import Row
from tests.sources.files import pictures, touch, write


def annotation(name, **changes):
    return {
        "name": name, "length": 55, "label_gloss": ["他", "谁"], "label_char": ["他", "是", "谁", "？"],
        "label_word": ["他", "是", "谁", "？"], "label_postag": ["r", "v", "v", "w"], "signer": 3, "time": 0, **changes,
    }  # fmt: skip


def corpus(root, info, splits):
    labels = root / "sentence_label"
    touch(labels / "csl2020ct_v2.pkl")
    (labels / "csl2020ct_v2.pkl").write_bytes(pickle.dumps({"info": info, "gloss_map": ["他", "谁"]}))
    write(labels / "split_1.txt", "name|split\n" + "".join(f"{name}|{split}\n" for name, split in splits))


def test_sentences_are_frame_folders_at_30_fps_and_every_name_is_accounted_for(tmp_path):
    corpus(
        tmp_path,
        [annotation("S1"), annotation("S2", signer=0), annotation("S7")],
        [("S1", "train"), ("S2", "dev"), ("S5", "train")],
    )
    frames = tmp_path / "sentence" / "frames_512x512"
    pictures(frames / "S1")
    listing = list_csl_daily(tmp_path)
    assert listing.rows == [
        Row("S1", str(frames / "S1"), "csl_daily", "train", "他 谁", "csl", "3", fps=30, text="他是谁？")
    ]
    assert [tuple(entry) for entry in listing.missing] == [
        ("S2", "val", "他 谁", f"no folder {frames / 'S2'}"),
        ("S5", "train", "", "no annotation with this name"),
        ("S7", "no split", "", "not in split_1.txt"),
    ]


def test_without_the_pickle_the_text_is_read_and_its_signers_are_not_known(tmp_path):
    labels, frames = tmp_path / "sentence_label", tmp_path / "sentence" / "frames_512x512"
    pictures(frames / "S1")
    write(labels / "split_1.txt", "name|split\nS1|train\n")
    write(
        labels / "video_map.txt",
        "index|name|length|gloss|char|word|postag\n0|S1|55|他 谁|他 是 谁 ？|他 是 谁 ？|r v r w\n",
    )
    assert list_csl_daily(tmp_path).rows == [
        Row("S1", str(frames / "S1"), "csl_daily", "train", "他 谁", "csl", "", fps=30, text="他是谁？")
    ]
    (labels / "video_map.txt").unlink()
    with pytest.raises(SourceError, match=r"csl2020ct_v2.pkl: cannot be read"):
        list_csl_daily(tmp_path)


@pytest.mark.parametrize(
    ("info", "said"),
    [
        ("none", "expected a mapping with a list `info`, found a mapping of 'info', 'gloss_map'"),
        ([annotation("S1"), annotation("S2", signer="x")], "info 1: expected 'signer' to be int"),
        (["S1"], "info 0: expected 'name' to be str, found str"),
    ],
)
def test_a_pickle_of_another_form_is_refused(tmp_path, info, said):
    pictures(tmp_path / "frames_512x512" / "S1")
    corpus(tmp_path, info, [("S1", "train")])
    with pytest.raises(SourceError, match=said):
        list_csl_daily(tmp_path)
