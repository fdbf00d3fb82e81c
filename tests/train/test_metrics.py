"""Rows of metrics."""

import csv
import errno
import os
from pathlib import Path

import pytest

from signrep_core.errors import StorageError
from signrep_core.train.metrics import Meter, MetricLog
from tests.disk import largest_file


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_rows_are_appended_and_those_after_the_resumed_step_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    with MetricLog(path, tmp_path / "board", ["step", "loss", "score"], 0) as log:
        for step in (10, 20, 30):
            log.write(step, {"loss": 1 / step})
    with MetricLog(path, tmp_path / "board", ["step", "loss", "score"], 20) as log:
        log.write(30, {"loss": 7.0, "score": 2.0})
    assert [(row["step"], row["loss"], row["score"]) for row in rows(path)] == [
        ("10", "0.1", ""), ("20", "0.05", ""), ("30", "7", "2"),
    ]  # fmt: skip
    assert any("tfevents" in p.name for p in (tmp_path / "board").iterdir())


def test_a_new_run_drops_existing_rows(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,loss\n10,1\n")
    with MetricLog(path, tmp_path / "board", ["step", "loss"], 0):
        pass
    assert rows(path) == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # TensorBoard's thread
def test_a_full_disk_is_reported_with_advice(tmp_path: Path) -> None:
    def write(rows: int) -> None:
        with MetricLog(tmp_path / "metrics.csv", tmp_path / "board", ["step", "loss"], 0) as log:
            for step in range(rows):
                log.write(step, {"loss": 1.0})

    told = pytest.raises(StorageError, match=r"metrics\.csv: cannot be written .*run the same command again")
    with largest_file(1000), told:
        write(1000)


def test_a_disk_without_room_for_the_folder_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, **options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(StorageError, match=r"metrics\.csv: cannot be written .*run the same command again"):
        MetricLog(tmp_path / "last/metrics.csv", tmp_path / "board", ["step"], 0)


def test_a_row_cut_off_by_a_kill_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,loss\n10,1\n2")
    with MetricLog(path, tmp_path / "board", ["step", "loss"], 10):
        pass
    assert rows(path) == [{"step": "10", "loss": "1"}]


def test_the_meter_averages_and_can_be_resumed() -> None:
    meter = Meter()
    meter.add({"loss": 1.0}, clips=4, waited=0.0)
    resumed = Meter()
    resumed.load_state_dict(meter.state_dict())
    resumed.add({"loss": 3.0}, clips=4, waited=0.0)
    values = resumed.take()
    assert values["loss"] == 2.0
    assert values["clips_per_s"] > 0
    assert values["data_wait"] == 0
    assert resumed.count == 0
