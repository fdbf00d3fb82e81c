"""Status of a run: videos and hours by state and stage, running jobs, and the time left.

Only tables of videos, benchmark files, records and folder listings are read, one shard at a time; 39,000 videos take
seconds.
"""

import csv
import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from signrep_core.config import Config, load_config
from signrep_core.errors import ConfigError, RecordError, SignRepError
from signrep_core.inspect.compare import Comparison, describe_outdated
from signrep_core.inspect.verify.problems import Results
from signrep_core.inspect.wanted import Wanted
from signrep_core.sources.sheet import cut_shards
from signrep_core.store.layout import METRICS, OPTIONAL_RULE, PER_RUN, PER_SHARD, VIDEO_TABLES, WHOLE, Output
from signrep_core.store.records import FOLDER, Record, read_record
from signrep_core.store.schemas import VIDEOS
from signrep_core.store.tables import read_table

log = logging.getLogger(__name__)


@dataclass
class Stage:
    """A rule with one job per shard."""

    rule: str
    done: int = 0  # shards
    running: int = 0
    hours_done: float = 0.0  # of video
    hours_left: float = 0.0
    timed_s: float = 0.0  # seconds of the timed jobs, and their hours of video
    timed_hours: float = 0.0

    @property
    def seconds_left(self) -> float | None:
        """Time left with one job at a time; None while no job of the stage has been timed."""
        if not self.hours_left:
            return 0.0
        return self.hours_left * self.timed_s / self.timed_hours if self.timed_hours else None


@dataclass
class Status:
    """Progress of a run."""

    shards: int
    videos: int  # of the sheet
    states: Counter[tuple[str, str]] = field(default_factory=Counter)  # (state, reason) -> videos
    hours: Counter[tuple[str, str]] = field(default_factory=Counter)
    stages: dict[str, Stage] = field(default_factory=dict)
    whole: dict[str, bool] = field(default_factory=dict)  # output of the whole corpus -> exists
    parallel: float = 1.0  # average number of jobs at a time so far
    training: str = ""
    outdated: list[str] = field(default_factory=list)  # of `inspect.compare.describe_outdated`

    @property
    def seconds_left(self) -> float:
        """Time left for the stages that have been timed."""
        return sum(stage.seconds_left or 0 for stage in self.stages.values()) / self.parallel


def status(config: Config, rows: Sequence[Any]) -> Status:
    """Read the status of the results folder of a configuration.

    Args:
        rows: rows of the sheet or of the demo's plan; empty if unknown.

    Raises:
        SignRepError: the results folder does not exist.
    """
    results = Path(config.results)
    if not results.is_dir():
        raise SignRepError(f"{results}: no such folder: nothing has run yet; give the config key `results`")
    planned = [(shard, len(own)) for shard, own in cut_shards(rows, config.videos_per_shard)]
    listed = _list_folders(results)
    shards = [shard for shard, _ in planned] or sorted(_seen_shards(listed))
    found = Status(len(shards), sum(n for _, n in planned))
    rules = {output.rule for output in PER_SHARD}
    if not config.priors.write_distances:
        rules.discard(OPTIONAL_RULE)
    found.stages = {rule: Stage(rule) for rule in dict.fromkeys(o.rule for o in PER_SHARD) if rule in rules}
    hours = {shard: _count_videos(found, results, shard, n, listed) for shard, n in planned or [(s, 0) for s in shards]}
    known = [value for value in hours.values() if value is not None]
    usual = sum(known) / len(known) if known else 0.0
    spans: list[tuple[float, float]] = []
    for shard in shards:
        own = hours[shard]
        for stage in found.stages.values():
            spans += _count_stage(stage, results, shard, usual if own is None else own, listed)
    found.parallel = _average_parallel(spans)
    found.whole = {o.pattern: o.pattern in listed for o in WHOLE}
    found.training = _training(results, config)
    if rows:
        found.outdated = describe_outdated(Comparison(Results(results)).outdated(Wanted(config, rows)))
    return found


def config_of(results: Path) -> Config | None:
    """The configuration of a results folder's last run, from the newest record; None if no record can be read."""
    found = [record for output in (*PER_SHARD, *WHOLE) if (record := _newest_record(results, output))]
    if not found:
        return None
    record = max(found, key=lambda record: record.began)
    try:
        config = load_config({**record.config, "results": str(results)})
    except ConfigError as error:
        log.warning("%s: made by another version of SignRep: %s", results / record.file, error)
        return None
    return config.model_copy(update={"sheet": config.sheet and _find_sheet(config.sheet, record, results)})


def _newest_record(results: Path, output: Output) -> Record | None:
    """The newest record of the workflow's jobs that made an output, one of many shards by the time of its file."""
    folder = (results / output.pattern).parent / FOLDER
    try:
        names = [entry for entry in os.scandir(folder) if entry.name.endswith(f"{Path(output.pattern).suffix}.json")]
        newest = max(names, key=lambda entry: entry.stat().st_mtime, default=None)
    except OSError:
        return None
    record = newest and _record(results, str(Path(output.pattern).parent / newest.name.removesuffix(".json")))
    return None if record is None or record.by_hand else record


def _find_sheet(sheet: str, record: Record, results: Path) -> str:
    """The sheet of a run: where it was, or, if the results were moved together with it, where it would be now."""
    then = os.path.join(record.folder, sheet)
    moved = os.path.relpath(then, os.path.join(record.folder, str(record.config.get("results", Config().results))))
    places = [then, os.path.normpath(results / moved)]
    return next((place for place in places if os.path.exists(place)), then)


def format_status(found: Status, now: datetime) -> str:
    """The status as a text table."""
    lines = [f"{found.videos or sum(found.states.values()):,} videos in {found.shards:,} shards"]
    for (state, reason), n in sorted(found.states.items()):
        lines.append(f"  {(f'{state} {reason}').strip():<32}{n:>10,}{_hours(found.hours[state, reason])}")
    if waiting := found.videos - sum(found.states.values()):
        lines.append(f"  {'not probed yet':<32}{waiting:>10,}")
    lines.append(f"\n{'stage':<22}{'shards done':>16}{'running':>9}{'hours':>10}{'s per hour':>12}{'left':>12}")
    for stage in found.stages.values():
        pace = f"{stage.timed_s / stage.timed_hours:,.0f}" if stage.timed_hours else "-"
        left = "-" if not stage.hours_left else "?" if stage.seconds_left is None else _clock(stage.seconds_left)
        done = f"{stage.done:,}/{found.shards:,}"
        lines.append(f"{stage.rule:<22}{done:>16}{stage.running:>9}{stage.hours_done:>10,.3f}{pace:>12}{left:>12}")
    missing = [name for name, there in found.whole.items() if not there]
    to_come = f"{len(missing)} files missing, such as {missing[0]}" if missing else "complete"
    lines.append(f"\nwhole corpus: {to_come}")
    if found.training:
        lines.append(f"training: {found.training}")
    return "\n".join([*lines, *found.outdated, _eta(found, now)]) + "\n"


def _eta(found: Status, now: datetime) -> str:
    unknown = [stage.rule for stage in found.stages.values() if stage.seconds_left is None]
    if not found.seconds_left and not unknown:
        return "the workflow makes again what is out of date" if found.outdated else "all shards are finished"
    stages = unknown[0] if len(unknown) == 1 else f"{len(unknown)} stages"
    at_least = "at least " if unknown else ""
    end = now + timedelta(seconds=found.seconds_left)
    return (
        f"time left: {at_least}{_clock(found.seconds_left)} with {found.parallel:.1f} jobs at a time as so far, "
        f"until about {end:%Y-%m-%d %H:%M}" + (f" ({stages} not timed yet)" if unknown else "")
    )


# ---------------------------------------------------------------- reading


def _list_folders(results: Path) -> set[str]:
    """All files in the folders of the stages, as paths below the results folder."""
    folders = {str(Path(output.pattern).parent) for output in (*PER_SHARD, *WHOLE)}
    return {name for folder in folders for name in _list_folder(results, folder)}


def _list_folder(results: Path, folder: str) -> set[str]:
    try:
        return {(Path(folder) / name).as_posix() for name in os.listdir(results / folder) if name[0] != "."}
    except FileNotFoundError:
        return set()


def _seen_shards(listed: set[str]) -> set[str]:
    first = PER_SHARD[0].pattern.split("{shard}")
    return {name[len(first[0]) : -len(first[1])] for name in listed if name.startswith(first[0])}


def _count_videos(found: Status, results: Path, shard: str, planned: int, listed: set[str]) -> float | None:
    """Count a shard's videos by state; returns its hours of video with status ok, None before it is probed."""
    table = next((output for output in reversed(VIDEO_TABLES) if output.path(shard=shard) in listed), None)
    if table is None:
        return None
    rows = read_table(results / table.path(shard=shard), VIDEOS, ["status", "reason", "duration_s"])
    final = table is VIDEO_TABLES[-1]
    hours = 0.0
    for status_, reason, seconds in zip(rows["status"], rows["reason"], rows["duration_s"], strict=True):
        state = ("in the shards" if final else "in progress") if status_ == "ok" else status_
        found.states[state, reason] += 1
        found.hours[state, reason] += float(seconds) / 3600  # type: ignore[assignment]
        hours += float(seconds) / 3600 if status_ == "ok" else 0.0
    return hours


def _count_stage(
    stage: Stage, results: Path, shard: str, hours: float, listed: set[str]
) -> Iterator[tuple[float, float]]:
    """Count a shard's job of a stage; yields its start and end time if it has finished."""
    outputs = [output.path(shard=shard) for output in PER_SHARD if output.rule == stage.rule]
    record = _record(results, outputs[0])
    if not all(name in listed for name in outputs) or (record is not None and record.alive):
        stage.running += record is not None and record.alive
        stage.hours_left += hours
        return
    stage.done += 1
    stage.hours_done += hours
    seconds = read_benchmark(results / "benchmarks" / stage.rule / f"{shard}.tsv")
    if seconds is not None:
        stage.timed_s += seconds
        stage.timed_hours += hours
    if record is not None and record.finished:
        yield tuple(datetime.fromisoformat(time).timestamp() for time in (record.began, record.ended))  # type: ignore[misc]


def _record(results: Path, name: str) -> Record | None:
    try:
        return read_record(results / name)
    except RecordError:
        return None


def read_benchmark(path: Path) -> float | None:
    """Seconds of a job by Snakemake's benchmark file; None if no time can be read."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        return float(rows[-1]["s"])
    except (OSError, IndexError, KeyError, ValueError):
        return None


def _average_parallel(spans: Sequence[tuple[float, float]]) -> float:
    """Average number of jobs at a time, without the times in which no job ran."""
    busy, until = 0.0, float("-inf")
    for began, ended in sorted(spans):
        busy += max(ended - max(began, until), 0)
        until = max(until, ended)
    return max(sum(ended - began for began, ended in spans) / busy, 1.0) if busy else 1.0


def _training(results: Path, config: Config) -> str:
    """Progress of the training as text."""
    run = config.pretrain.run
    weights = results / PER_RUN[0].path(run=run)
    if weights.exists():
        return f"{run}: finished"
    try:
        with open(weights.parent / "last" / METRICS, newline="", encoding="utf-8") as file:
            last: Mapping[str, str] = {}
            for last in csv.DictReader(file):  # noqa: B007 - only the last row is used
                pass
        return f"{run}: step {int(last['step']):,} of {config.pretrain.iterations:,}, loss {float(last['loss']):.3f}"
    except (OSError, KeyError, ValueError, TypeError):
        return f"{run}: not started"


def _hours(hours: float) -> str:
    return f"{hours:>12,.3f} h" if hours else ""


def _clock(seconds: float) -> str:
    minutes = round(seconds / 60)
    days, rest = divmod(minutes, 24 * 60)
    return f"{days} d {rest // 60} h" if days else f"{rest // 60} h {rest % 60:02} min" if rest >= 60 else f"{rest} min"
