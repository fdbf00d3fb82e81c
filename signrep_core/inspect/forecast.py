"""Forecast of the cost of a sheet: core-hours, gigabytes and time.

A sample of the sheet gives its hours of usable video, a measured run the cost of an hour of video in each stage, both
with 95 % intervals.

Legend: n sampled videos of N.
"""

import csv
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from signrep_core.errors import RecordError, SignRepError
from signrep_core.sources.sheet import Row
from signrep_core.store.layout import METRICS, PER_RUN, PER_SHARD, shard_table
from signrep_core.store.records import read_record
from signrep_core.store.schemas import VIDEOS
from signrep_core.store.tables import read_table
from signrep_core.video.probe import probe_shard

SAMPLED_SHARE: Final = 0.01  # of the sheet
MIN_SAMPLE: Final = 30  # videos, or all of a smaller sheet
Z95: Final = 1.96
LINKED: Final = "shards/{shard}.mp4"  # a hard link to the crops' MP4, so it takes no space


@dataclass(frozen=True)
class Estimate:
    """A value and half the width of its 95 % interval."""

    value: float
    half: float

    def times(self, other: "Estimate") -> "Estimate":
        """The product of two independent estimates."""
        half = math.hypot(self.half * other.value, other.half * self.value)
        return Estimate(self.value * other.value, half)


@dataclass(frozen=True)
class Sample:
    """Estimates for a whole sheet from its sampled videos."""

    videos: int  # N
    sampled: int  # n
    usable: Estimate  # share
    hours: Estimate  # of usable video in the sheet


@dataclass(frozen=True)
class StageCost:
    """Cost of a stage per hour of video, and per job."""

    rule: str
    core_hours: Estimate  # per hour of video
    gigabytes: Estimate  # per hour of video
    startup_core_hours: float  # per job
    shards: int  # measured


def sample_videos(rows: Sequence[Row], seed: int = 0, threads: int = 1) -> Sample:
    """Probe a random SAMPLED_SHARE of the rows, at least MIN_SAMPLE.

    Raises:
        SignRepError: the sheet has no rows.
    """
    if not rows:
        raise SignRepError("the sheet has no videos to forecast")
    n, total = min(len(rows), max(MIN_SAMPLE, math.ceil(SAMPLED_SHARE * len(rows)))), len(rows)
    videos = probe_shard(random.Random(seed).sample(list(rows), n), threads=threads)
    usable = np.array([status == "ok" for status in videos["status"]])
    hours = np.where(usable, np.asarray(videos["duration_s"], float), 0) / 3600
    return Sample(total, n, _mean(usable.astype(float), total), _scaled(_mean(hours, total), total))


def measure_stages(results: Path) -> list[StageCost]:
    """Measure the cost of each stage of a run from the records of its finished jobs.

    Raises:
        SignRepError: the run has no finished shard.
    """
    hours = {path.stem: _hours(path) for path in sorted(results.glob(shard_table(VIDEOS, "*")))}
    hours = {shard: value for shard, value in hours.items() if value > 0}
    if not hours:
        raise SignRepError(f"{results}: holds no finished shard with usable videos; give the results of another run")
    return [cost for rule in dict.fromkeys(o.rule for o in PER_SHARD) if (cost := _measure(results, rule, hours))]


def forecast(sample: Sample, stages: Sequence[StageCost], n_shards: int) -> dict[str, tuple[Estimate, Estimate]]:
    """Core-hours and gigabytes of the whole sheet by stage."""
    return {
        stage.rule: (_plus(sample.hours.times(stage.core_hours), n_shards * stage.startup_core_hours),
                     sample.hours.times(stage.gigabytes))
        for stage in stages
    }  # fmt: skip


def training_hours(results: Path, run: str, iterations: int, batch_size: int) -> float | None:
    """Hours of training at the speed in a run's `metrics.csv`; None if there is none."""
    folder = (results / PER_RUN[0].path(run=run)).parent
    for path in (folder / METRICS, folder / "last" / METRICS):
        if path.is_file():
            with open(path, newline="", encoding="utf-8") as file:
                speeds = [float(row["clips_per_s"]) for row in csv.DictReader(file) if row.get("clips_per_s")]
            if speeds:
                return iterations * batch_size / float(np.median(speeds)) / 3600
    return None


def format_forecast(
    sample: Sample, costs: dict[str, tuple[Estimate, Estimate]], *, cores: int, gpu_hours: float | None, gpus: int
) -> str:
    """The forecast as a text table."""
    lines = [
        f"{sample.videos:,} videos, {sample.sampled:,} of them sampled: "
        f"{_format(_scaled(sample.usable, 100))} % usable, {_format(sample.hours)} hours",
        f"\n{'stage':<22}{'core-hours':>24}{'GB':>24}",
    ]
    for rule, (core_hours, gigabytes) in costs.items():
        lines.append(f"{rule:<22}{_format(core_hours):>24}{_format(gigabytes):>24}")
    total, space = (_sum([cost[k] for cost in costs.values()]) for k in (0, 1))
    lines.append(f"{'all':<22}{_format(total):>24}{_format(space):>24}")
    lines.append(
        f"\non {cores} cores: {_format(_scaled(total, 1 / cores))} hours (95 % intervals; cores of the same speed)"
    )
    if gpu_hours is None:
        lines.append("training: unknown; run one on the intended device and give its results as --measured")
    else:
        lines.append(f"training: {gpu_hours / gpus:,.3g} hours on {gpus} of the measured device")
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------- parts


def _measure(results: Path, rule: str, hours: dict[str, float]) -> StageCost | None:
    outputs = [output for output in PER_SHARD if output.rule == rule]
    cpu, size, weight, startup = [], [], [], []
    for shard, of_shard in hours.items():
        try:
            records = [read_record(results / output.path(shard=shard)) for output in outputs]
        except RecordError:
            continue
        if all(record is not None and record.finished for record in records):
            first = records[0]
            assert first is not None
            cpu.append(first.cpu_s / 3600)
            own = zip(outputs, records, strict=True)
            size.append(sum(r.bytes for output, r in own if r is not None and output.pattern != LINKED) / 1e9)
            startup.append(first.startup_cpu_s / 3600)
            weight.append(of_shard)
    if not cpu:
        return None
    return StageCost(rule, _ratio(cpu, weight), _ratio(size, weight), float(np.mean(startup)), len(cpu))


def _hours(videos: Path) -> float:
    rows = read_table(videos, VIDEOS, ["status", "duration_s"])
    return sum(float(s) for s, status in zip(rows["duration_s"], rows["status"], strict=True) if status == "ok") / 3600


def _mean(values: np.ndarray, total: int) -> Estimate:
    """Mean of a population of `total`, from a sample drawn without replacement."""
    n = len(values)
    if n < 2:
        return Estimate(float(values.mean()), 0.0 if n == total else math.inf)
    error = values.std(ddof=1) / math.sqrt(n) * math.sqrt(1 - n / total)
    return Estimate(float(values.mean()), Z95 * float(error))


def _ratio(costs: Sequence[float], hours: Sequence[float]) -> Estimate:
    """Cost per hour over shards; the interval of a single shard is taken as half of the cost."""
    y, x = np.array(costs), np.array(hours)
    ratio = y.sum() / x.sum()
    if len(x) < 2:
        return Estimate(float(ratio), float(ratio) / 2)
    error = np.sqrt(((y - ratio * x) ** 2).sum() / (len(x) - 1) / len(x)) / x.mean()
    return Estimate(float(ratio), Z95 * float(error))


def _scaled(estimate: Estimate, by: float) -> Estimate:
    return Estimate(estimate.value * by, estimate.half * by)


def _plus(estimate: Estimate, constant: float) -> Estimate:
    return Estimate(estimate.value + constant, estimate.half)


def _sum(estimates: Sequence[Estimate]) -> Estimate:
    """Sum of fully correlated estimates: all depend on the same hours."""
    return Estimate(sum(e.value for e in estimates), sum(e.half for e in estimates))


def _format(estimate: Estimate) -> str:
    return f"{estimate.value:,.4g} ± {estimate.half:,.2g}"
