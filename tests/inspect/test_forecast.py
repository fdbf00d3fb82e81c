"""Forecast of the cost of a sheet."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from signrep_core.__main__ import main
from signrep_core.errors import SignRepError
from signrep_core.inspect.forecast import (
    Estimate,
    Sample,
    StageCost,
    _mean,
    _ratio,
    forecast,
    measure_stages,
    sample_videos,
    training_hours,
)
from signrep_core.sources.sheet import read_sheet
from signrep_core.store.records import read_record, write_record

SHARD_HOURS = 2 * 32 / 25 / 3600  # two usable videos of 32 frames in each shard of the finished folder


def test_a_complete_sample_has_no_uncertainty(finished: Path) -> None:
    rows = read_sheet(finished.parent / "videos.tsv")
    sample = sample_videos(rows)
    assert (sample.videos, sample.sampled, sample.usable) == (6, 6, Estimate(1.0, 0.0))
    assert sample.hours.value == pytest.approx(6 * 32 / 25 / 3600)
    assert sample.hours.half == 0
    with pytest.raises(SignRepError, match="no videos to forecast"):
        sample_videos([])


def test_a_hundredth_of_a_large_sheet_is_sampled_and_extrapolated(finished: Path, tmp_path: Path) -> None:
    """A sheet of 4000 videos; every fifth cannot be read, the others have 32 frames."""
    (tmp_path / "none.mp4").write_text("no video")
    video, none = read_sheet(finished.parent / "videos.tsv")[0], str(tmp_path / "none.mp4")
    rows = [video._replace(video_id=f"v{k}", path=video.path if k % 5 else none) for k in range(4000)]
    sample = sample_videos(rows, threads=2)
    assert (sample.videos, sample.sampled) == (4000, 40)
    assert abs(sample.usable.value - 0.8) <= sample.usable.half < 0.2
    assert abs(sample.hours.value - 3200 * 32 / 25 / 3600) <= sample.hours.half < 0.3 * sample.hours.value


def test_the_interval_of_a_mean_has_its_nominal_coverage() -> None:
    rng = np.random.default_rng(0)
    everything = rng.gamma(2.0, 3.0, 5000)
    hits = 0
    for _ in range(400):
        found = _mean(rng.choice(everything, 100, replace=False), len(everything))
        hits += abs(found.value - everything.mean()) <= found.half
    assert 0.90 <= hits / 400 <= 0.99


def test_costs_per_hour_come_from_the_records(scratch: Path) -> None:
    for shard, cpu in (("00000", 2.0), ("00001", 4.0)):
        path = scratch / f"angles/{shard}.parquet"
        record = read_record(path)
        assert record is not None
        write_record(path, replace(record, cpu_s=cpu, startup_cpu_s=1.0, bytes=10_000))
    stages = {stage.rule: stage for stage in measure_stages(scratch)}
    assert stages["solve_angles"].core_hours.value == pytest.approx(6 / 3600 / (2 * SHARD_HOURS))
    assert stages["solve_angles"].core_hours.half > 0
    assert stages["solve_angles"].startup_core_hours == pytest.approx(1 / 3600)
    sizes = 20_000 + sum((scratch / f"bones/{shard}.json").stat().st_size for shard in ("00000", "00001"))
    assert stages["solve_angles"].gigabytes.value == pytest.approx(sizes / 1e9 / (2 * SHARD_HOURS))
    with pytest.raises(SignRepError, match="no finished shard"):
        measure_stages(scratch / "nowhere")


def test_an_mp4_that_is_linked_from_crops_to_shards_costs_its_bytes_once(scratch: Path) -> None:
    for shard in ("00000", "00001"):
        for folder in ("crops", "shards"):
            path = scratch / f"{folder}/{shard}.mp4"
            record = read_record(path)
            assert record is not None
            write_record(path, replace(record, bytes=10**9))
    stages = {stage.rule: stage.gigabytes.value * 2 * SHARD_HOURS for stage in measure_stages(scratch)}
    assert 2 < stages["crop_signers"] < 2.01
    assert 0 < stages["pack_shards"] < 0.01


def test_a_forecast_multiplies_hours_and_costs_with_their_intervals() -> None:
    sample = Sample(1000, 30, Estimate(0.9, 0.05), Estimate(100.0, 10.0))
    stage = StageCost("extract_pose", Estimate(3.0, 0.4), Estimate(2.0, 0.0), 0.01, 5)
    core_hours, gigabytes = forecast(sample, [stage], 16)["extract_pose"]
    assert core_hours.value == pytest.approx(300.16)
    assert core_hours.half == pytest.approx(np.hypot(10 * 3, 0.4 * 100))
    assert gigabytes == Estimate(200.0, 20.0)


def test_the_interval_of_one_shard_is_half_of_its_cost() -> None:
    assert _ratio([2.0], [4.0]) == Estimate(0.5, 0.25)
    assert _ratio([2.0, 4.0], [4.0, 8.0]) == Estimate(0.5, 0.0)


def test_training_time_comes_from_the_metrics_of_a_run(finished: Path) -> None:
    assert training_hours(finished, "test", 1000, 20) == pytest.approx(1000 * 20 / 10.5 / 3600)
    assert training_hours(finished, "other", 1000, 20) is None


def test_the_command_prints_a_table(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet = finished.parent / "videos.tsv"
    assert main(["plan", str(sheet), "--measured", str(finished), "--cores", "64"]) == 0
    said = capsys.readouterr().out
    assert "6 videos, 6 of them sampled: 100 ± 0 % usable" in said
    assert "extract_pose" in said
    assert "on 64 cores: " in said
    assert "training: unknown" in said  # the run's name is another than the configuration's
