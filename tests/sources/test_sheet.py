"""Reading and writing of sheets, and errors with line and column."""

import os
import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signrep_core.config import Config, load_config
from signrep_core.errors import SheetError
from signrep_core.sources.sheet import (
    COLUMNS,
    Row,
    current_paths,
    cut_shards,
    open_sheet,
    read_sheet,
    shard_digest,
    write_sheet,
)
from signrep_core.text import SPLIT_WORDS, compose, fold, normalise, to_split

HEADER = "video_id\tpath\tdataset\tsplit\tgloss\tlanguage\tsigner\tstart\tend\tfps\ttext\n"


@pytest.fixture
def sheet(tmp_path: Path):
    """A function that writes a sheet from text or bytes."""

    def write(content: str | bytes) -> Path:
        path = tmp_path / "videos.tsv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def refusal(path: Path) -> str:
    with pytest.raises(SheetError) as caught:
        read_sheet(path)
    return str(caught.value)


# ---------------------------------------------------------------- what is read
def test_a_row_has_every_column(sheet, tmp_path):
    path = sheet(HEADER + "a\tclips/a b\tyt\ttrain\tHELLO\tase\tS1\t1.5\t20\t29.97\tHello, you.\n")
    row = Row("a", f"{tmp_path}/clips/a b", "yt", "train", "HELLO", "ase", "S1", 1.5, 20.0, 29.97, "Hello, you.")
    assert read_sheet(path) == [row]


def test_missing_columns_have_defaults_and_unknown_ones_are_ignored(sheet):
    path = sheet("notes\tpath\tvideo_id\nA line of\u2028text\t/videos/ä.mp4\tä\n")
    assert read_sheet(path) == [Row("ä", "/videos/ä.mp4", dataset="videos", split="train")]


def test_byte_order_mark_crlf_blank_lines_and_a_missing_last_line_end_are_accepted(sheet):
    path = sheet(b"\xef\xbb\xbfvideo_id\tpath\tsplit\r\na\t/a.mp4\ttrain\r\n\r\nb\t/b.mp4\t\r\n\r\nc\t/c.mp4\ttest")
    assert [(row.video_id, row.split) for row in read_sheet(path)] == [("a", "train"), ("b", "train"), ("c", "test")]


def test_relative_paths_are_relative_to_the_sheets_folder(sheet, monkeypatch):
    path = sheet("video_id\tpath\na\tclips/a.mp4\nb\t/abs/b.mp4\n")
    monkeypatch.chdir(path.parent.parent)
    assert [row.path for row in read_sheet(f"{path.parent.name}/videos.tsv")] == [
        f"{path.parent.name}/clips/a.mp4",
        "/abs/b.mp4",
    ]
    monkeypatch.chdir(path.parent)
    assert [row.path for row in read_sheet("videos.tsv")] == ["clips/a.mp4", "/abs/b.mp4"]


def test_a_sheet_written_by_pandas_is_read(tmp_path):
    frame = pd.DataFrame({"video_id": ["a", "b"], "path": ['/say "hi".mp4', '/"quoted" first.mp4'], "end": [2.5, None]})
    frame.to_csv(tmp_path / "videos.tsv", sep="\t", index=False)
    rows = read_sheet(tmp_path / "videos.tsv")
    assert [row.path for row in rows] == ['/say "hi".mp4', '/"quoted" first.mp4']
    assert [row.end for row in rows] == [2.5, None]


def test_a_written_sheet_is_read_by_pandas(tmp_path):
    write_sheet(tmp_path / "videos.tsv", [Row("a", '/"quoted" first.mp4', gloss='say "hi"', start=0.5)])
    frame = pd.read_csv(tmp_path / "videos.tsv", sep="\t", keep_default_na=False)
    assert tuple(frame.columns) == COLUMNS
    assert frame.loc[0, ["path", "gloss", "start"]].tolist() == ['/"quoted" first.mp4', 'say "hi"', 0.5]


def test_a_misspelt_column_name_gives_a_note(sheet):
    notes = open_sheet(sheet("video_id\tpath\tspilt\ttext\na\ta.mp4\ttrain\thello\n")).notes
    assert [note.split(": ")[1] for note in notes] == ["column 'spilt' is ignored; did you mean 'split'?"]


# ---------------------------------------------------------------- text in one form
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-8"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_what_spreadsheets_save_is_read(sheet, encoding, line_end):
    text = line_end.join(["video_id\tpath\tgloss", "a\t/a.mp4\tHELLO", "b\t/b.mp4\tä", ""])
    rows = read_sheet(sheet(text.encode(encoding)))
    assert [(row.video_id, row.path, row.gloss) for row in rows] == [("a", "/a.mp4", "HELLO"), ("b", "/b.mp4", "ä")]


@pytest.mark.parametrize(
    ("cell", "same"),
    [
        ("MA\u0308DCHEN", "MÄDCHEN"),  # macOS
        ("\u1112\u1161\u11ab", "한"),  # Hangul, letter by letter
        ("HELLO ", "HELLO"),
        ("\u00a0HELLO", "HELLO"),  # copied from a web page
        ("THANK  YOU", "THANK YOU"),
        ("THANK\u3000YOU", "THANK YOU"),
        ("HEL\u00adLO", "HELLO"),  # soft hyphen
        ("HELLO\u200b", "HELLO"),
        ("\ufeffHELLO", "HELLO"),
        ("\u200eHELLO\u202c", "HELLO"),
        ("\u212b", "Å"),  # the sign of the unit
    ],
)
@pytest.mark.parametrize("column", ["gloss", "signer", "language", "split", "dataset", "text"])
def test_texts_that_look_the_same_are_the_same(sheet, column, cell, same):
    rows = read_sheet(sheet(f"video_id\tpath\t{column}\na\ta.mp4\t{cell}\nb\tb.mp4\t{same}\n"))
    assert [getattr(row, column) for row in rows] == [same, same]


@pytest.mark.parametrize("gloss", ["می\u200cخواهم", "👩\u200d🦰", "ＨＥＬＬＯ", "½", "ﬁ"])
def test_joiners_width_and_compatible_characters_are_part_of_a_text(sheet, gloss):
    assert read_sheet(sheet(f"video_id\tpath\tgloss\na\ta.mp4\t{gloss}\n"))[0].gloss == gloss


def test_paths_are_never_changed_and_ids_only_composed(sheet):
    name = " a\u0308  b\u200b.mp4 "
    (row,) = read_sheet(sheet(f"video_id\tpath\n{name}\t/{name}\n"))
    assert row.path == f"/{name}"
    assert row.video_id == " ä  b\u200b.mp4 "


def test_text_is_written_in_the_form_in_which_it_is_read(tmp_path):
    write_sheet(tmp_path / "videos.tsv", [Row("a", "/a\u0308.mp4", "d", "Dev", "a\u0308 ")])
    line = (tmp_path / "videos.tsv").read_text(encoding="utf-8").splitlines()[1]
    assert line.split("\t")[:5] == ["a", "/a\u0308.mp4", "d", "val", "ä"]


def test_the_name_of_a_sheet_is_checked_as_a_data_set(tmp_path):
    path = tmp_path / "my {x}.tsv"
    path.write_text("video_id\tpath\na\ta.mp4\n")
    assert "line 2, column dataset: 'my {x}' holds '{'" in refusal(path)


def test_numbers_may_have_invisible_characters_but_only_plain_digits(sheet):
    assert read_sheet(sheet("video_id\tpath\tend\na\ta.mp4\t\u00a02.5\u200b\n"))[0].end == 2.5
    assert "found '２.５'" in refusal(sheet("video_id\tpath\tend\na\ta.mp4\t２.５\n"))


def test_glosses_that_differ_only_in_case_or_width_are_noted(sheet):
    path = sheet(HEADER + "".join(
        f"{n}\t{n}.mp4\t{dataset}\ttrain\t{gloss}\t\t\t\t\t\t\n"
        for n, (dataset, gloss) in enumerate([("d", "HELLO"), ("d", "Hello"), ("d", "UP"), ("e", "up"), ("e", "ＵＰ")])
    ))  # fmt: skip
    rows, notes = open_sheet(path)
    assert [row.gloss for row in rows] == ["HELLO", "Hello", "UP", "up", "ＵＰ"]
    assert [note.split(": ", 1)[1].split(" differ")[0] for note in notes] == [
        "data set 'd': 'HELLO', 'Hello'", "data set 'e': 'up', 'ＵＰ'",
    ]  # fmt: skip


# ---------------------------------------------------------------- splits
@pytest.mark.parametrize(
    ("word", "split"),
    [
        *((word, split) for split, words in SPLIT_WORDS.items() for word in words),
        ("Train", "train"), (" TEST", "test"), ("Dev", "val"), ("ｖａｌ", "val"), ("VALIDATION", "val"), ("", "train"),
    ],
)  # fmt: skip
def test_common_words_for_splits_are_read_as_ours_and_noted(sheet, word, split):
    rows, notes = open_sheet(sheet(f"video_id\tpath\tsplit\na\ta.mp4\t{word}\nb\tb.mp4\ttest\n"), Config().splits)
    assert [row.split for row in rows] == [split, "test"]
    said = [f"splits are read as ours: {word!r} as {split!r} (1 rows)"] if word not in ("", split) else []
    assert [note.split("tsv: ")[1] for note in notes] == said


@pytest.mark.parametrize("split", ["trian", "public-test", "train/val", "0", "evaluation"])
def test_a_split_that_nothing_uses_is_refused_at_the_start(sheet, split):
    path = sheet(f"video_id\tpath\tsplit\na\ta.mp4\ttrain\nb\tb.mp4\t{split}\n")
    with pytest.raises(
        SheetError, match=rf"line 3, column split: expected train .*; found '{split}', which no setting"
    ):
        open_sheet(path, Config().splits)
    named = load_config({"pretrain": {"splits": ["Training", split]}}).splits
    assert [row.split for row in open_sheet(path, named).rows] == ["train", split]


# ---------------------------------------------------------------- what is refused
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the sheet is empty; it needs a header line with at least video_id and path"),
        ("\ufeff\n \n", "the sheet is empty"),
        (HEADER, "has a header and no rows"),
        ("video_id\tdataset\na\tyt\n", "line 1: needed column 'path' is missing; the header has 'video_id', 'dataset'"),
        ("Video_ID\tpath\na\ta.mp4\n", "line 1: needed column 'video_id' .*; rename 'Video_ID' to 'video_id'"),
        ("id\tpath\na\ta.mp4\n", "line 1: needed column 'video_id' is missing; the header has 'id', 'path'; add it"),
        ("video_id,path\na,a.mp4\n", "line 1: needed column 'video_id' is missing; .*separate columns by tabs"),
        ("video_id\tpath\tpath\na\tb\tc\n", r"line 1: column 'path' occurs 2 times, at \[2, 3\]; keep one"),
        (
            "video_id\tpath\na\t1.mp4\nb\t2.mp4\na\t3.mp4\n",
            "line 4, column video_id: 'a' is already on line 2; give every row its own video_id",
        ),
        ("video_id\tpath\n\ta.mp4\n", "line 2, column video_id: the cell is empty"),
        ("video_id\tpath\na\t \n", "line 2, column path: the cell is empty"),
        ("video_id\tpath\na\ta.mp4\nb\n", "line 3: expected 2 cells as in the header, found 1"),
        ("video_id\tpath\na\ta.mp4\tb\n", "line 2: expected 2 cells as in the header, found 3"),
        ("video_id\tpath\nb\tb.mp4\na\tx\0y.mp4\n", r"line 3, column path: 'x\\x00y.mp4' holds '\\x00'"),
        ("video_id\tpath\na\x1b[0m\ta.mp4\n", r"line 2, column video_id: .* holds '\\x1b'"),
        ('video_id\tpath\n"a\tb"\ta.mp4\n', r"line 2, column video_id: 'a\\tb' holds '\\t'"),
        ('video_id\tpath\na\t"a.mp4\nb\tb.mp4"\n', "line 2, column path: .*is a quotation mark not closed"),
        ('video_id\tpath\na\t"a.mp4\nb\tb.mp4\n', "line 2: the quotation marks of a cell do not fit"),
        ('video_id\tpath\na\t"a" b.mp4\n', "line 2: the quotation marks of a cell do not fit"),
        ("video_id\tpath\tdataset\na\ta.mp4\tyt/sl\n", "line 2, column dataset: 'yt/sl' holds '/'"),
        (b"video_id\tpath\na\ta.mp4\nb\t\xe4.mp4\n", "line 3: expected UTF-8 text, found byte 0xe4; save it as UTF-8"),
        ("video_id\tpath\n".encode("utf-16-le"), "line 1: expected UTF-8 text, found zero bytes"),
        ("video_id\tpath\n".encode("utf-16-be"), "line 1: expected UTF-8 text, found zero bytes"),
        ("video_id;path;gloss\na;a.mp4;A\n", "line 1: needed column 'video_id' is missing; .*save as tab-delimited"),
        ("sep=;\nvideo_id;path\na;a.mp4\n", "line 1: needed column 'video_id' is missing; .*save as tab-delimited"),
        ("video_id\tpath\tdataset\na\ta.mp4\ta<b\n", "line 2, column dataset: 'a<b' holds '<'"),
        (f"video_id\tpath\tdataset\na\ta.mp4\t{'é' * 61}\n", "line 2, column dataset: .* longer than 120 bytes"),
        (
            "video_id\tpath\tdataset\na\ta.mp4\tWLASL\nb\tb.mp4\twlasl\n",
            "line 3, column dataset: 'wlasl' and 'WLASL' differ only in case or width",
        ),
        ("video_id\tpath\n\u200b \u00a0\ta.mp4\n", "line 2, column video_id: the cell is empty"),
        (
            "video_id\tpath\n\u00e4\ta.mp4\na\u0308\tb.mp4\n",
            "line 3, column video_id: 'ä' is already on line 2",
        ),
    ],
)  # fmt: skip
def test_a_broken_sheet_is_refused_with_line_and_column(sheet, content, said):
    path = sheet(content)
    assert re.match(f"{re.escape(str(path))}(, |: ).*({said})", refusal(path))


@pytest.mark.parametrize("cell", ["x", "nan", "inf", "1_0", "1,5", "-1", "0x1", "1e999", "00:12"])
@pytest.mark.parametrize("column", ["start", "end"])
def test_a_time_that_is_not_a_number_of_seconds_is_refused(sheet, column, cell):
    path = sheet(f"video_id\tpath\t{column}\na\ta.mp4\t\nb\tb.mp4\t{cell}\n")
    assert f"line 3, column {column}: expected seconds such as 12.5" in refusal(path)
    assert f"found {cell!r}" in refusal(path)


@pytest.mark.parametrize("cell", ["0", "-25", "25 fps", "nan"])
def test_an_invalid_frame_rate_is_refused(sheet, cell):
    path = sheet(f"video_id\tpath\tfps\na\ta\t25\nb\tb\t{cell}\n")
    assert (
        f"line 3, column fps: expected frames per second such as 25, more than 0, or an empty cell, found {cell!r}"
        in (refusal(path))
    )


@pytest.mark.parametrize(("start", "end"), [("2", "2"), ("2", "1.5"), ("", "0")])
def test_a_span_that_ends_before_it_starts_is_refused(sheet, start, end):
    path = sheet(f"video_id\tpath\tstart\tend\na\ta.mp4\t{start}\t{end}\n")
    assert f"line 2, column end: expected seconds after the start at {start or 0}, found {end}" in refusal(path)


def test_a_missing_sheet_says_how_to_make_one(tmp_path):
    assert "signrep sheet folder DIR --out" in refusal(tmp_path / "none.tsv")
    assert "cannot be read" in refusal(tmp_path)


def test_writing_refuses_an_invalid_sheet_and_keeps_the_old_one(tmp_path):
    path = tmp_path / "videos.tsv"
    write_sheet(path, [Row("a", "/a.mp4")])
    before = path.read_bytes()
    for rows in (
        [Row("a", "/a.mp4"), Row("a", "/b.mp4")],
        [Row("a", "")],
        [Row("a\nb", "/a.mp4")],
        [Row("a", "/\udcff.mp4")],
        [Row("a", "/a.mp4", end=float("nan"))],
        [],
    ):
        with pytest.raises(SheetError):
            write_sheet(path, rows)
    assert path.read_bytes() == before


# ---------------------------------------------------------------- write and read again
CELLS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")), max_size=12)
NAMES = CELLS.filter(normalise)
SECONDS = st.floats(0, 1e6, allow_nan=False)
ROWS = st.builds(
    Row,
    NAMES,
    NAMES.map(lambda name: f"/videos/{name.replace('/', '')}x"),
    CELLS.map(lambda text: re.sub(r"[/\\{}<>]", "", text)),
    *[CELLS] * 4,
    st.none() | SECONDS,
    st.none() | SECONDS.map(lambda seconds: 1e6 + 1 + seconds),
    st.none() | st.floats(1e-3, 1e3),
    CELLS,
)


@given(
    st.lists(ROWS, min_size=1, max_size=5, unique_by=(lambda row: compose(row.video_id), lambda row: fold(row.dataset)))
)
def test_any_rows_are_read_as_they_were_written(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("sheets") / "videos.tsv"
    write_sheet(path, rows)
    expected = [
        Row(
            compose(row.video_id), row.path, normalise(row.dataset) or "videos", to_split(row.split) or "train",
            *map(normalise, row[4:7]), *row[7:10], normalise(row.text),
        )
        for row in rows
    ]  # fmt: skip
    assert read_sheet(path) == expected
    write_sheet(path, expected)
    assert read_sheet(path) == expected, "what is read once stays as it is"


def test_videos_below_the_sheets_folder_are_written_relative_and_others_absolute(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    rows = [Row("a", "clips/a.mp4"), Row("b", "../b.mp4"), Row("c", f"{tmp_path}/work/c.mp4")]
    write_sheet("videos.tsv", rows)
    lines = Path("videos.tsv").read_text().splitlines()[1:]
    assert [line.split("\t")[1] for line in lines] == ["clips/a.mp4", f"{tmp_path}/b.mp4", "c.mp4"]
    assert [row.path for row in read_sheet("videos.tsv")] == ["clips/a.mp4", f"{tmp_path}/b.mp4", "c.mp4"]


def test_a_path_through_a_link_and_up_again_leads_to_the_same_file(tmp_path, monkeypatch):
    (tmp_path / "disk/videos").mkdir(parents=True)
    (tmp_path / "disk/b.mp4").touch()
    (tmp_path / "link").symlink_to("disk/videos")
    monkeypatch.chdir(tmp_path)
    write_sheet("videos.tsv", [Row("b", "link/../b.mp4")])
    assert [os.path.samefile(row.path, "disk/b.mp4") for row in read_sheet("videos.tsv")] == [True]


# ---------------------------------------------------------------- shards
def numbered(count: int) -> list[Row]:
    return [Row(f"v{n}", f"/{n}.mp4") for n in range(count)]


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (64, [64]), (65, [64, 1]), (150, [64, 64, 22])])
def test_shards_are_cut_in_order_and_numbered_in_five_digits(count, sizes):
    shards = cut_shards(numbered(count))
    assert [len(rows) for _, rows in shards] == sizes
    assert [name for name, _ in shards] == [f"0000{n}" for n in range(len(sizes))]
    assert [row for _, rows in shards for row in rows] == numbered(count)


def test_a_shard_holds_at_least_one_video():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        cut_shards(numbered(3), 0)


def test_appended_rows_change_the_digest_of_the_unfinished_shard_only():
    def digests(count: int) -> list[str]:
        return [shard_digest(rows) for _, rows in cut_shards(numbered(count), 4)]

    before, after = digests(10), digests(13)
    assert after[:2] == before[:2]
    assert after[2] != before[2]
    assert len(after) == 4


@pytest.mark.parametrize("column", COLUMNS)
def test_the_digest_depends_on_every_column(column):
    row = Row("a", "/a.mp4", "d", "train", "g", "ase", "s", 1.0, 2.0, 25.0, "Hello")
    other = row._replace(**{column: 1.5 if column in ("start", "end", "fps") else "other"})
    assert shard_digest([row]) != shard_digest([other])


def test_the_digest_keeps_neighbouring_cells_apart_and_never_changes():
    assert shard_digest([Row("ab", "c")]) != shard_digest([Row("a", "bc")])
    # sha256sum of: [["a", "/\u00e4.mp4", "", "", "", "", "", null, 2.5, null, ""]]
    assert (
        shard_digest([Row("a", "/ä.mp4", end=2.5)])
        == "a6759939de3be3870a9af6a55e6cc501c1b3b62f84561ce34f384221e3a51d57"
    )


def test_videos_are_found_by_the_sheet_as_it_is_now(tmp_path):
    sheet = tmp_path / "videos.tsv"
    sheet.write_text("video_id\tpath\na\tclips/a.mp4\nb\t/far/b.mp4\n")
    videos = {"video_id": ["b", "a", "gone"], "path": ["/far/b.mp4", "clips/a.mp4", "x.mp4"], "status": ["ok"] * 3}
    found = current_paths(videos, sheet)
    assert found == {**videos, "path": ["/far/b.mp4", f"{tmp_path}/clips/a.mp4", "x.mp4"]}
