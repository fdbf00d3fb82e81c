"""Progress of a running workflow, stage by stage: jobs done, the share of the running ones, and the time left.

A stage is a rule. The progress and the warnings of a job are read from its log file, which a job on another machine
writes as well. Times are in seconds of `time.monotonic`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

from signrep_core.inspect.status import read_benchmark
from signrep_core.progress import format_clock

_LINE: Final = re.compile(r"^\S+ \S+ (?P<level>[A-Z]+) \S+: (?P<message>.*)$")
# The line of `signrep_core.progress`: "pose 00000: 12 of 96 (12%) frames, 10.2 frames/s, 0:08 left, 1/8 videos".
_PROGRESS: Final = re.compile(
    r": \d+ of \d+ \((?P<percent>\d+)%\) [^,]+, (?P<rate>[^,;]+)(?:, (?P<left>[\d:]+) left)?(?:, (?P<note>[^;]+))?"
)
_TIMED_JOBS: Final = 20  # benchmark files of a rule that are read: enough for a mean


def parse_clock(text: str) -> float:
    """Seconds of a time that `format_clock` wrote."""
    seconds = 0.0
    for part in text.split(":"):
        seconds = 60 * seconds + int(part)
    return seconds


@dataclass
class RunningJob:
    """A job that runs or waits in a queue, with what its log file says so far."""

    stage: str
    name: str  # its wildcards, such as the shard; empty if the stage has one job
    began: float
    log: Path | None = None
    share: float = 0.0  # 0..1
    left_s: float | None = None
    note: str = ""  # rate and remark of the last progress line
    offset: int = 0  # bytes of the log that have been read

    def skip_old_log(self) -> None:
        """Skip what an earlier run of the job has left in the log file."""
        self.offset = self.log.stat().st_size if self.log is not None and self.log.exists() else 0

    def read_log(self) -> list[str]:
        """Read the new lines of the log: update the progress and return the warnings."""
        warnings = []
        for line in self._new_lines():
            if found := _LINE.match(line):
                if found["level"] == "WARNING":
                    warnings.append(found["message"])
                elif progress := _PROGRESS.search(found["message"]):
                    self.share = int(progress["percent"]) / 100
                    self.left_s = parse_clock(progress["left"]) if progress["left"] else None
                    self.note = ", ".join(filter(None, (progress["rate"], progress["note"])))
        return warnings

    def _new_lines(self) -> Iterator[str]:
        if self.log is None:
            return
        try:
            with open(self.log, "rb") as file:
                if file.seek(0, 2) < self.offset:  # the job has begun and emptied the file
                    self.offset = 0
                file.seek(self.offset)
                text = file.read()
        except OSError:  # not written yet
            return
        whole = text.rfind(b"\n") + 1
        self.offset += whole
        yield from text[:whole].decode(errors="replace").splitlines()


@dataclass
class StageProgress:
    """The jobs of a stage in this run of the workflow."""

    name: str
    total: int
    earlier_s: float | None = None  # mean time of a job in earlier runs
    unit: str = "job"
    done: int = 0
    busy_s: float = 0.0  # of the finished jobs, summed
    began: float | None = None
    running: dict[int, RunningJob] = field(default_factory=dict)  # by job id
    failed: dict[int, RunningJob] = field(default_factory=dict)
    warnings: int = 0

    @property
    def share(self) -> float:
        """Share of the stage that is done, 0..1."""
        return (self.done + sum(job.share for job in self.running.values())) / self.total

    @property
    def note(self) -> str:
        """Rate and remark of the job that runs, if it is the only one."""
        return next(iter(self.running.values())).note if len(self.running) == 1 else ""

    def job_seconds(self, now: float) -> float | None:
        """Usual time of a job: of finished ones, else of running ones by their share, else of earlier runs."""
        if self.done:
            return self.busy_s / self.done
        begun = [(now - job.began) / job.share for job in self.running.values() if job.share > 0]
        return sum(begun) / len(begun) if begun else self.earlier_s

    def seconds_left(self, now: float, slots: int = 1) -> float | None:
        """Time until the stage is done; None if no job of it has been timed.

        Args:
            slots: jobs that run at a time, for a stage of which none runs.
        """
        usual = self.job_seconds(now)
        if usual is None:
            return None
        waiting = self.total - self.done - len(self.failed) - len(self.running)
        left = [
            max(usual - (now - job.began), 0.0) if job.left_s is None else job.left_s for job in self.running.values()
        ]
        at_a_time = max(len(left) or min(slots, waiting), 1)
        return max([*left, (sum(left) + waiting * usual) / at_a_time])


class RunProgress:
    """All stages of a run, in the order of the plan."""

    def __init__(self) -> None:
        self.stages: dict[str, StageProgress] = {}
        self.began: float | None = None
        self.slots = 1  # most jobs that ran at a time
        self._stage_of: dict[int, str] = {}

    def plan(self, counts: Mapping[str, int], earlier_s: Mapping[str, float], now: float) -> None:
        """Begin a run of `counts` jobs per stage."""
        self.began = now
        self.stages = {name: StageProgress(name, total, earlier_s.get(name)) for name, total in counts.items()}

    def start(self, job_id: int, job: RunningJob) -> None:
        """Note that a job begins, or begins again after it failed."""
        stage = self.stages.setdefault(job.stage, StageProgress(job.stage, 1))
        stage.failed.pop(job_id, None)
        stage.running[job_id] = job
        stage.began = job.began if stage.began is None else stage.began
        self._stage_of[job_id] = job.stage
        self.slots = max(self.slots, sum(len(each.running) for each in self.stages.values()))

    def finish(self, job_id: int, now: float) -> StageProgress | None:
        """Note that a job is done; gives its stage, None for a job that was not started here."""
        stage = self.stages.get(self._stage_of.get(job_id, ""))
        if stage is not None and (job := stage.running.pop(job_id, None)) is not None:
            stage.done += 1
            stage.busy_s += now - job.began
        return stage

    def fail(self, job_id: int) -> RunningJob | None:
        """Note that a job failed; gives it, None for a job that was not started here."""
        stage = self.stages.get(self._stage_of.get(job_id, ""))
        if stage is None or job_id not in stage.running:
            return None
        stage.failed[job_id] = stage.running.pop(job_id)
        return stage.failed[job_id]

    @property
    def jobs(self) -> int:
        """Planned jobs."""
        return sum(stage.total for stage in self.stages.values())

    @property
    def done(self) -> int:
        """Finished jobs."""
        return sum(stage.done for stage in self.stages.values())

    @property
    def failed(self) -> list[RunningJob]:
        """Jobs that failed and were not tried again."""
        return [job for stage in self.stages.values() for job in stage.failed.values()]

    def active(self) -> list[StageProgress]:
        """Stages that have a running job."""
        return [stage for stage in self.stages.values() if stage.running]

    def describe_time(self, now: float) -> str:
        """Jobs done, time passed and time left: "12 of 43 jobs, 1:02, at least 3:20 left"."""
        open_stages = [stage for stage in self.stages.values() if stage.done + len(stage.failed) < stage.total]
        left = [stage.seconds_left(now, self.slots) for stage in open_stages]
        known = [seconds for seconds in left if seconds is not None]
        passed = format_clock(now - (now if self.began is None else self.began))
        words = f"{self.done} of {self.jobs} jobs, {passed}"
        if not known:
            return words
        about = "about" if len(known) == len(left) else "at least"
        return f"{words}, {about} {format_clock(sum(known))} left"


def read_job_times(benchmarks: Path, rules: Iterable[str]) -> dict[str, float]:
    """Mean seconds of a job of each rule, from the benchmark files of earlier runs.

    Args:
        benchmarks: the folder of `{rule}.tsv` and `{rule}/**/*.tsv`.
    """
    found = {}
    for rule in rules:
        files = [benchmarks / f"{rule}.tsv", *islice((benchmarks / rule).rglob("*.tsv"), _TIMED_JOBS)]
        times = [seconds for path in files if (seconds := read_benchmark(path)) is not None]
        if times:
            found[rule] = sum(times) / len(times)
    return found
