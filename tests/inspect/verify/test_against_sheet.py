"""verify, status and explain against the sheet as it is now."""

import shutil
from pathlib import Path

import pytest

from signrep_core.__main__ import main
from signrep_core.inspect.verify.corpus import verify
from signrep_core.inspect.verify.problems import open_results
from signrep_core.inspect.verify.repair import repair
from signrep_core.inspect.wanted import Wanted
from signrep_core.store.records import record_path
from tests.inspect.verify.conftest import change_json


def found(results: Path, wanted: Wanted) -> set[tuple[str, str]]:
    return {(problem.file, problem.what) for problem in verify(results, wanted=wanted).problems}


def test_a_finished_run_is_as_its_sheet_wants_it(scratch: Path, wanted: Wanted) -> None:
    assert found(scratch, wanted) == set()


def test_an_appended_row_is_missing_everywhere(scratch: Path, wanted: Wanted) -> None:
    new = wanted.rows[0]._replace(video_id="new")
    problems = found(scratch, Wanted(wanted.config, [*wanted.rows, new]))
    assert {("videos/00002.parquet", "missing"), ("summary.json", "counts differ from the sheet")} <= problems
    assert ("shards/index.parquet", "made from other shards") in problems


def test_an_unfinished_run_has_files_to_come_and_no_problems(scratch: Path, wanted: Wanted) -> None:
    for name in ("summary.json", "summary.txt", "report.html", "README.md"):
        (scratch / name).unlink()
        record_path(scratch / name).unlink()
    report = verify(scratch, wanted=wanted)
    assert (report.problems, report.to_come) == ([], 4)


def test_a_removed_row_leaves_files_that_are_named_and_removed(scratch: Path, wanted: Wanted) -> None:
    fewer = Wanted(wanted.config, wanted.rows[:3])
    problems = verify(scratch, wanted=fewer).problems
    assert ("pose/00001.parquet", "not in the sheet any more") in {(p.file, p.what) for p in problems}
    removed = repair(open_results(scratch), problems)
    assert "shards/00001.mp4" in removed
    assert "shards/00000.mp4" not in removed
    assert not any("00000" in name for name in removed)


def test_videos_in_the_tables_are_those_of_the_sheet(scratch: Path, wanted: Wanted) -> None:
    rows = [*wanted.rows[:2], wanted.rows[2]._replace(video_id="other"), *wanted.rows[3:]]
    problems = [p for p in verify(scratch, wanted=Wanted(wanted.config, rows)).problems if "videos differ" in p.what]
    assert [(p.file, p.found) for p in problems] == [
        ("videos/00000.parquet", f"['other'] missing, ['{wanted.rows[2].video_id}'] not in the sheet")
    ]


def test_the_summary_counts_the_sheet(scratch: Path, wanted: Wanted) -> None:
    change_json(scratch, "summary.json", videos=5)
    assert ("summary.json", "counts differ from the sheet") in found(scratch, wanted)


def test_the_commands_compare_with_the_sheet_and_say_where_it_is_gone(
    scratch: Path, tmp_path: Path, wanted: Wanted, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "mine.tsv"
    shutil.copy(str(wanted.config.sheet), sheet)
    assert main(["verify", str(scratch)]) == 0
    assert f"compared with the sheet: 6 videos in {wanted.config.sheet}" in capsys.readouterr().out
    text = sheet.read_text().splitlines()
    sheet.write_text("\n".join([*text[:-1], text[-1].replace("HOUSE", "HOME"), ""]))
    assert main(["verify", str(scratch), "--sheet", str(sheet)]) == 1
    said = capsys.readouterr().out
    assert "video_status/probe/00001.parquet: made with other settings" in said
    main(["status", str(scratch), "--sheet", str(sheet)])
    said = capsys.readouterr().out
    assert "Out of date: probe: made with other settings: video_status/probe/00001.parquet" in said
    assert "all shards are finished" not in said
    main(["explain", str(scratch / "video_status/probe/00001.parquet"), "--sheet", str(sheet)])
    assert "wanted     made with other settings: wanted rows: " in capsys.readouterr().out
    config = tmp_path / "gone.yaml"
    config.write_text(f"sheet: {tmp_path}/gone.tsv\nvideos_per_shard: 3\n")
    for command in (["verify", str(scratch)], ["status", str(scratch)], ["explain", str(scratch / "bones.json")]):
        main([*command, "--configfile", str(config)])
        assert (
            f"the sheet {tmp_path}/gone.tsv is gone; if it was moved, give it with --sheet" in capsys.readouterr().out
        )
