"""Metrics of a training: a row of `metrics.csv` and TensorBoard scalars every few steps."""

import csv
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from signrep_core.store.files import atomic_path, storage_errors

BOARD_S: Final = 10  # seconds until TensorBoard's events are on the disk


class MetricLog:
    """Writer of metrics to a CSV file and to TensorBoard; a resumed run drops rows after the step that it resumes.

    Raises:
        StorageError: the disk is full, or the folder is not writable.
    """

    def __init__(self, csv_path: Path, tensorboard: Path, columns: list[str], step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # slow to import

        self._path = csv_path
        with storage_errors(csv_path):
            csv_path.parent.mkdir(parents=True, exist_ok=True)
            _drop_rows_after(csv_path, step, columns)
            self._file = csv_path.open("a", newline="", encoding="utf-8")
            self._writer = csv.DictWriter(self._file, columns, extrasaction="raise")
            self._board = SummaryWriter(str(tensorboard), purge_step=step + 1, flush_secs=BOARD_S)

    def __enter__(self) -> "MetricLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with storage_errors(self._path):
            try:
                self._file.close()
            finally:
                self._board.close()

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write the values of a step; they survive the process, and after `sync` the machine too.

        Raises:
            StorageError: the disk is full.
        """
        with storage_errors(self._path):
            self._writer.writerow({"step": step} | {name: f"{value:.6g}" for name, value in values.items()})
            self._file.flush()
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def sync(self) -> None:
        """Make the rows permanent: a resume state relies on those before it. May be called in another thread.

        Raises:
            StorageError: the disk is full.
        """
        with storage_errors(self._path):
            os.fsync(self._file.fileno())


class Meter:
    """Sums of values since the last report, number of examples, and time spent waiting for data."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.count = 0
        self._started = time.perf_counter()
        self._waited = 0.0
        self._clips = 0

    def add(self, values: Mapping[str, float], clips: int, waited: float) -> None:
        """Add one step."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1
        self._clips += clips
        self._waited += waited

    def mean(self, name: str) -> float:
        """Mean of one value since the last report."""
        return self.sums[name] / self.count

    def take(self) -> dict[str, float]:
        """Means since the last report, with clips per second and the share of time spent waiting for data."""
        passed = max(time.perf_counter() - self._started, 1e-9)
        values = {name: total / self.count for name, total in self.sums.items()}
        values |= {"clips_per_s": self._clips / passed, "data_wait": self._waited / passed}
        self.__init__()  # type: ignore[misc]
        return values

    def state_dict(self) -> dict[str, Any]:
        """Values that a resumed run needs."""
        return {"sums": self.sums, "count": self.count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the values of `state`."""
        self.sums, self.count = dict(state["sums"]), int(state["count"])


def _drop_rows_after(path: Path, step: int, columns: list[str]) -> None:
    rows: list[dict[str, str]] = []
    if step and path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            whole = [row for row in csv.DictReader(file) if None not in row.values()]
            rows = [row for row in whole if row["step"].isdigit() and int(row["step"]) <= step]
    with atomic_path(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", restval="")
        writer.writeheader()
        writer.writerows(rows)
