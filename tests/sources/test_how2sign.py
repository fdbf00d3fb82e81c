"""How2Sign's re-aligned spans."""

import pytest

from signrep_core.errors import SourceError
from signrep_core.sources.how2sign import list_how2sign
from signrep_core.sources.sheet import Row
from tests.sources.files import touch, write

HEADER = "VIDEO_ID\tVIDEO_NAME\tSENTENCE_ID\tSENTENCE_NAME\tSTART_REALIGNED\tEND_REALIGNED\tSENTENCE\n"
LINE = "-d5\t-d5-1-rgb_front\t-d5_{0}\t-d5_{0}-1-rgb_front\t{1}\t{2}\t{3}\n"


def test_each_sentence_is_a_span_of_its_uncut_video(tmp_path, caplog):
    text = 'I call it "painting the wall.'
    write(tmp_path / "how2sign_realigned_val.csv", HEADER + LINE.format(0, 12.97, 19.52, text))
    touch(tmp_path / "raw" / "deep" / "-d5-1-rgb_front.mp4")
    listing = list_how2sign(tmp_path, tmp_path / "raw")
    path = f"{tmp_path}/raw/deep/-d5-1-rgb_front.mp4"
    assert listing.rows == [
        Row("-d5_0-1-rgb_front", path, "how2sign", "val", language="ase", start=12.97, end=19.52, text=text)
    ]
    assert "the sheet has no split 'train'" in caplog.text


def test_the_name_within_a_longer_one_is_found_and_a_clip_is_not(tmp_path):
    write(tmp_path / "how2sign_realigned_test.csv", HEADER + LINE.format(3, 1, 2, "a"))
    touch(tmp_path / "v" / "-d5_3-1-rgb_front.mp4")
    assert not list_how2sign(tmp_path, tmp_path / "v").rows
    touch(tmp_path / "v" / "raw -d5-1-rgb_front.mkv")
    (row,) = list_how2sign(tmp_path, tmp_path / "v").rows
    assert row.path == f"{tmp_path}/v/raw -d5-1-rgb_front.mkv"


def test_missing_videos_and_empty_spans_are_counted(tmp_path):
    lines = LINE.format(0, 3, 3, "a") + LINE.replace("-d5", "xyz").format(1, 1, 2, "b") + LINE.format(2, 1, 2, "c")
    write(tmp_path / "how2sign_realigned_test.csv", HEADER + lines)
    touch(tmp_path / "-d5-1-rgb_front.mp4")
    listing = list_how2sign(tmp_path, tmp_path)
    assert listing.coverage() == {"test": (1, 3)}
    assert [entry.why for entry in listing.missing] == [
        "its span 3..3 s is empty", f"no video xyz-1-rgb_front below {tmp_path}"
    ]  # fmt: skip


def test_broken_tables_are_refused_naming_the_line(tmp_path):
    with pytest.raises(SourceError, match=r"expected how2sign_realigned_train\.csv"):
        list_how2sign(tmp_path, tmp_path)
    write(tmp_path / "how2sign_realigned_train.csv", HEADER + LINE.format(0, "soon", 2, "a"))
    with pytest.raises(SourceError, match=r"train.csv, line 2: expected seconds such as 12.97, found 'soon'"):
        list_how2sign(tmp_path, tmp_path)
