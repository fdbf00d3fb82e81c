"""Status of a run."""

import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from signrep_core.__main__ import main
from signrep_core.config import Config
from signrep_core.errors import SignRepError
from signrep_core.inspect.status import Stage, Status, _average_parallel, config_of, format_status, status
from signrep_core.store.records import read_record, write_record
from signrep_core.synthetic.corpus import planned_rows


@pytest.fixture
def config(scratch: Path) -> Config:
    found = config_of(scratch)
    assert found is not None
    return found


def test_the_configuration_is_that_of_the_records(scratch: Path, config: Config) -> None:
    assert config.results == str(scratch)
    assert (config.videos_per_shard, config.pretrain.run) == (3, "test")


def test_a_configuration_of_another_version_is_logged_and_ignored(
    scratch: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for record_file in scratch.rglob(".records/*.json"):
        path = record_file.parents[1] / record_file.stem
        record = read_record(path)
        assert record is not None
        write_record(path, replace(record, config={"no_such_key": 1}))
    assert config_of(scratch) is None
    assert "made by another version of SignRep" in caplog.text


def test_a_finished_run_has_nothing_left(config: Config) -> None:
    found = status(config, planned_rows(config))
    assert (found.videos, found.shards) == (6, 2)
    assert found.states == {("in the shards", ""): 4, ("rejected", "no_signer"): 1, ("excluded", "overlap"): 1}
    assert found.hours["in the shards", ""] == pytest.approx(4 * 32 / 25 / 3600)
    assert {stage.done for stage in found.stages.values()} == {2}
    said = format_status(found, datetime(2026, 1, 1))
    assert "all shards are finished" in said
    assert "training: test: finished" in said
    assert "rejected no_signer" in said


def test_what_is_left_is_timed_by_the_finished_shards(scratch: Path, config: Config) -> None:
    for name in ("keypoints", "distances", "activity"):
        (scratch / f"{name}/00001.parquet").unlink()
    (scratch / "benchmarks/activity_labels/00000.tsv").unlink()
    found = status(config, planned_rows(config))
    assert found.stages["angles_to_keypoints"].done == 1
    per_hour = 2 / (2 * 32 / 25 / 3600)  # two seconds for the two videos of shard 00000 that are ok
    left = found.stages["angles_to_keypoints"].hours_left
    assert left == pytest.approx(2 * 32 / 25 / 3600)
    assert found.stages["angles_to_keypoints"].seconds_left == pytest.approx(per_hour * left)
    assert found.stages["activity_labels"].seconds_left is None


def test_videos_in_progress_running_jobs_and_unknown_times_are_named(scratch: Path, config: Config) -> None:
    for name in ("videos/00001.parquet", "crops/00001.parquet", "crops/00001.mp4"):
        (scratch / name).unlink()
    for shard in ("00000", "00001"):
        (scratch / f"benchmarks/crop_signers/{shard}.tsv").unlink()
    for name in ("crops/00001.parquet", "videos/00001.parquet"):
        record = read_record(scratch / name)
        assert record is not None
        write_record(scratch / name, replace(record, sha256="", pid=os.getpid()))
    found = status(config, planned_rows(config))
    assert found.states["in progress", ""] == 2
    assert (found.stages["crop_signers"].done, found.stages["crop_signers"].running) == (1, 1)
    said = format_status(found, datetime(2026, 1, 1))
    assert "(crop_signers not timed yet)" in said


def test_shards_not_started_are_expected_to_be_as_long_as_the_others(scratch: Path, config: Config) -> None:
    for path in scratch.rglob("00001.*"):
        path.unlink()
    found = status(config, planned_rows(config))
    assert sum(found.states.values()) == 3
    assert "not probed yet" in format_status(found, datetime(2026, 1, 1))
    stage = found.stages["extract_pose"]
    assert stage.hours_left == pytest.approx(stage.hours_done)
    assert stage.seconds_left == pytest.approx(2.0)


def test_training_shows_its_step(scratch: Path, config: Config) -> None:
    (scratch / "pretrain/test/best.safetensors").unlink()
    last = scratch / "pretrain/test/last"
    last.mkdir()
    (last / "metrics.csv").write_text("step,loss\n2,1.5\n3,1.25\n")
    assert status(config, planned_rows(config)).training == "test: step 3 of 4, loss 1.250"


def test_parallel_jobs_shorten_the_time_left() -> None:
    assert _average_parallel([(0, 10), (0, 10), (100, 110)]) == pytest.approx(1.5)
    assert _average_parallel([]) == 1.0
    stage = Stage("extract_pose", done=1, hours_done=1, hours_left=2, timed_s=3600, timed_hours=1)
    found = Status(3, 30, stages={"extract_pose": stage}, parallel=2.0)
    assert found.seconds_left == 3600
    said = format_status(found, datetime(2026, 1, 1, 12))
    assert "1 h 00 min with 2.0 jobs at a time as so far, until about 2026-01-01 13:00" in said


def test_the_command_prints_it_and_refuses_a_missing_folder(scratch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(scratch)]) == 0
    assert "6 videos in 2 shards" in capsys.readouterr().out
    assert main(["status", str(scratch / "nowhere")]) == 2
    assert "nothing has run yet" in capsys.readouterr().err
    with pytest.raises(SignRepError):
        status(Config(results="/nowhere"), [])
