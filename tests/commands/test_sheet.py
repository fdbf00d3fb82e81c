"""Joining of sheets."""

from pathlib import Path

import pytest

from signrep_core.__main__ import main
from signrep_core.sources.sheet import Row, read_sheet, write_sheet


def test_sheets_are_joined_in_order_and_each_data_set_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        Row("a", "/a.mp4", "one", "train"),
        Row("b", "/b.mp4", "two", "val", text="Hello."),
        Row("c", "/c.mp4", "one", "test"),
    ]
    write_sheet(tmp_path / "1.tsv", rows[:1])
    write_sheet(tmp_path / "2.tsv", rows[1:])
    sheets = [str(tmp_path / name) for name in ("1.tsv", "2.tsv", "all.tsv")]
    assert main(["sheet", "join", *sheets[:2], "--out", sheets[2]]) == 0
    assert read_sheet(sheets[2]) == rows
    assert capsys.readouterr().out == f"{sheets[2]}: 3 rows: one 2, two 1\n"


def test_an_id_that_two_sheets_have_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sheet(tmp_path / "1.tsv", [Row("a", "/a.mp4", "one", "train")])
    sheet = str(tmp_path / "1.tsv")
    assert main(["sheet", "join", sheet, sheet, "--out", str(tmp_path / "all.tsv")]) == 2
    assert "'a' is already on line 2; give every row its own video_id" in capsys.readouterr().err
    assert not (tmp_path / "all.tsv").exists()
