"""Comparison of what is wanted with what is there, by the records beside the outputs."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from signrep_core.config import Config, Deduplicate, Priors, Retrieval
from signrep_core.inspect.compare import Comparison, describe_outdated, differences
from signrep_core.inspect.status import config_of
from signrep_core.inspect.verify.problems import Results
from signrep_core.inspect.wanted import Wanted
from signrep_core.sources.sheet import Row, shard_digest
from signrep_core.store.records import read_record, record_path, write_record
from tests.inspect.verify.conftest import record_again

OVER_ALL = {"median_bones", "audit_overlap", "index_shards", "summarize", "write_card", "report"}


def outdated(results: Path, wanted: Wanted) -> set[tuple[str, str]]:
    """Files and kinds of problems."""
    return {(problem.file, problem.what) for problem in Comparison(Results(results)).outdated(wanted)}


def rules(results: Path, wanted: Wanted) -> set[str]:
    return {problem.rule for problem in Comparison(Results(results)).outdated(wanted)}


def changed(wanted: Wanted, rows: list[Row]) -> Wanted:
    return Wanted(wanted.config, rows)


def test_a_finished_run_is_up_to_date_also_as_a_copy_without_times(scratch: Path, wanted: Wanted) -> None:
    assert outdated(scratch, wanted) == set()
    assert list(Comparison(Results(scratch)).missing(wanted)) == []
    for k, path in enumerate(sorted(scratch.rglob("*"))):
        os.utime(path, (1_000_000_000 - k, 1_000_000_000 - k))
    assert outdated(scratch, wanted) == set()


@pytest.mark.parametrize(
    ("change", "shards"),
    [
        (lambda rows: [rows[0]._replace(gloss="OTHER"), *rows[1:]], {"00000"}),
        (lambda rows: [*rows[:5], rows[5]._replace(split="train")], {"00001"}),
        (lambda rows: [*rows[:5], rows[5]._replace(path="elsewhere.mp4")], {"00001"}),
        (lambda rows: [*rows[:4], rows[4]._replace(start=0.5), rows[5]], {"00001"}),
        (lambda rows: rows[:5], {"00001"}),
        (lambda rows: rows[1:], {"00000", "00001"}),
        (lambda rows: [rows[1], rows[0], *rows[2:]], {"00000"}),
        (lambda rows: [*rows[:2], rows[3], rows[2], *rows[4:]], {"00000", "00001"}),
        (lambda rows: [*rows[1:4], rows[0], *rows[4:]], {"00000", "00001"}),
    ],
    ids=["gloss", "split", "path", "span", "last removed", "first removed", "swapped", "moved across", "moved far"],
)  # fmt: skip
def test_changed_rows_make_their_shards_out_of_date(
    scratch: Path, wanted: Wanted, change: Callable[[list[Row]], list[Row]], shards: set[str]
) -> None:
    found = outdated(scratch, changed(wanted, change(list(wanted.rows))))
    names = {file for file, what in found if what == "made with other settings"}
    assert {name for name in names if name.startswith("video_status")} == {
        f"video_status/probe/{shard}.parquet" for shard in shards
    }


def test_an_appended_row_is_a_shard_to_make_and_what_reads_all_shards_is_out_of_date(
    scratch: Path, wanted: Wanted
) -> None:
    more = changed(wanted, [*wanted.rows, wanted.rows[0]._replace(video_id="new")])
    assert rules(scratch, more) <= OVER_ALL | {"pretrain", "evaluate_retrieval"}
    assert tuple(sorted(rules(scratch, more) & {"index_shards", "summarize"})) == ("index_shards", "summarize")
    missing = {problem.file for problem in Comparison(Results(scratch)).missing(more)}
    assert {"video_status/probe/00002.parquet", "shards/00002.mp4"} <= missing
    assert not any("00001" in name for name in missing)


def test_shards_that_the_sheet_no_longer_has_are_named(scratch: Path, wanted: Wanted) -> None:
    fewer = changed(wanted, list(wanted.rows[:3]))
    found = {problem.file for problem in Comparison(Results(scratch)).unwanted(fewer)}
    assert {"pose/00001.parquet", "shards/00001.mp4", "bones/00001.json"} <= found
    assert not any("00000" in name for name in found)
    assert {"index_shards", "median_bones"} <= rules(scratch, fewer)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"priors": Priors(activity_std=0.3)}, {"activity_labels"}),
        ({"retrieval": Retrieval(pooling="average")}, {"evaluate_retrieval"}),
        ({"seed": 5}, {"pretrain", "draw_augmented_windows", "evaluate_retrieval"}),
    ],
)
def test_a_changed_setting_makes_only_its_own_rules_out_of_date(
    scratch: Path, wanted: Wanted, config: dict[str, object], expected: set[str]
) -> None:
    assert rules(scratch, Wanted(wanted.config.model_copy(update=config), wanted.rows)) - {"summarize"} == expected


def test_settings_that_change_no_result_leave_a_training_alone(scratch: Path, wanted: Wanted) -> None:
    pretrain = wanted.config.pretrain.model_copy(update={"workers": 7, "save_every": 3})
    assert rules(scratch, Wanted(wanted.config.model_copy(update={"pretrain": pretrain}), wanted.rows)) == set()


def test_a_user_file_counts_by_its_content_and_not_by_its_path_or_time(
    scratch: Path, wanted: Wanted, tmp_path: Path
) -> None:
    listed = tmp_path / "WLASL.json"
    listed.write_text("[]")
    digest = {"wlasl": str(listed)}
    with_list = Wanted(wanted.config.model_copy(update={"deduplicate": Deduplicate(**digest)}), wanted.rows)
    before = with_list.params("deduplicate", {})
    assert rules(scratch, with_list) == {"deduplicate"}
    moved = shutil.move(listed, tmp_path / "moved.json")
    config = wanted.config.model_copy(update={"deduplicate": Deduplicate(wlasl=str(moved))})
    assert Wanted(config, wanted.rows).params("deduplicate", {}) == before
    Path(moved).write_text("[ ]")
    assert Wanted(config, wanted.rows).params("deduplicate", {}) != before
    Path(moved).unlink()
    assert rules(scratch, Wanted(config, wanted.rows)) == set()  # nobody can compare it; the workflow does not start


def test_an_output_that_its_record_does_not_describe_is_out_of_date(scratch: Path, wanted: Wanted) -> None:
    (scratch / "overlap/00000.tsv").write_bytes((scratch / "overlap/00000.tsv").read_bytes()[::-1])  # of equal size
    with open(scratch / "pose/00000.parquet", "ab") as file:
        file.write(b"more")
    record_path(scratch / "keypoints/00000.parquet").unlink()
    record_path(scratch / "activity/00000.parquet").write_text("{}")
    unfinished = read_record(scratch / "angles/00001.parquet")
    assert unfinished is not None
    write_record(scratch / "angles/00001.parquet", replace(unfinished, sha256="", host="another"))
    assert {(file, what) for file, what in outdated(scratch, wanted) if "inputs" not in what} == {
        ("overlap/00000.tsv", "changed since it was written"),
        ("pose/00000.parquet", "changed since it was written"),
        ("keypoints/00000.parquet", "not recorded"),
        ("activity/00000.parquet", "damaged record"),
        ("angles/00001.parquet", "job not finished"),
    }


def test_an_input_made_again_with_an_older_time_is_noticed(scratch: Path, wanted: Wanted) -> None:
    path = scratch / "bones.json"
    path.write_text(path.read_text() + "\n")
    record_again(path)
    os.utime(path, (1, 1))
    assert outdated(scratch, wanted) == {
        (f"keypoints/{shard}.parquet", "older than its inputs") for shard in ("00000", "00001")
    }


def test_what_a_person_made_is_taken_as_it_is(scratch: Path, wanted: Wanted) -> None:
    pose, weights = scratch / "pose/00000.parquet", scratch / "pretrain/test/best.safetensors"
    record = read_record(pose)
    assert record is not None
    write_record(pose, replace(record, params={}, inputs={}, command="signrep import x.pose --out pose.parquet"))
    weights.write_bytes(b"trained on a GPU")
    other = wanted.config.pose.model_copy(update={"min_shoulder_px": 99})
    found = Wanted(wanted.config.model_copy(update={"pose": other}), wanted.rows)
    assert "pretrain" not in rules(scratch, found)
    assert ("features/test/made.parquet", "older than its inputs") in outdated(scratch, found)
    assert not any("00000" in file for file, _ in outdated(scratch, found) if file.startswith("pose"))
    assert Comparison(Results(scratch)).made_by_hand(found) == {
        "pose/00000.parquet": "signrep import x.pose --out pose.parquet", "pretrain/test/best.safetensors": "",
    }  # fmt: skip


def test_a_file_of_small_text_says_what_differs(scratch: Path, wanted: Wanted) -> None:
    config = wanted.config.model_copy(update={"retrieval": Retrieval(pooling="average")})
    (line,) = describe_outdated(Comparison(Results(scratch)).outdated(Wanted(config, wanted.rows)))
    assert line == (
        "Out of date: evaluate_retrieval: made with other settings: retrieval/test/made.json and 1 more files "
        "(wanted pooling: average; found pooling: weighted)"
    )


def test_differences_are_named_by_their_keys() -> None:
    assert differences({"a": {"b": 1, "c": None}}, {"a": {"b": 2}, "gone": 3}) == {"a.b": (1, 2)}


def test_rows_have_one_digest_wherever_the_sheet_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [Row("v", "clips/v.mp4")]
    assert shard_digest(rows) == shard_digest([Row("v", str(tmp_path / "clips/v.mp4"))], str(tmp_path))
    assert shard_digest(rows) == shard_digest([Row("v", "../a/clips/v.mp4")], "../a")
    assert shard_digest(rows) == shard_digest([Row("v", str(tmp_path / "clips/v.mp4"))])
    assert shard_digest(rows) != shard_digest([Row("v", "/other/clips/v.mp4")], str(tmp_path))


def test_the_configuration_and_the_sheet_are_found_where_a_tree_was_moved(finished: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(finished, tmp_path / "results"))
    shutil.copy(finished.parent / "videos.tsv", tmp_path / "videos.tsv")
    for path in moved.rglob(".records/*.json"):
        output = path.parents[1] / path.stem
        record = read_record(output)
        assert record is not None
        config = {**record.config, "sheet": "videos.tsv", "results": "results"}
        write_record(output, replace(record, folder="/gone", config=config))
    found = config_of(moved)
    assert found == Config(**{**found.model_dump(), "sheet": str(tmp_path / "videos.tsv")}) if found else False
