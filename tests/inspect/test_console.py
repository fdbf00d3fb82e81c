"""The terminal output of the workflow, from records as Snakemake logs them."""

import io
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from signrep_core.inspect import console as module
from signrep_core.inspect.console import DryRunConsole, StageConsole, show_stages
from signrep_core.progress import Progress

SETTINGS = {"verbose": False, "quiet": None, "debug_dag": False, "printshellcmds": False, "dryrun": False,
            "nocolor": True}  # fmt: skip
NOTHING = "Nothing to be done (all requested files are present and up to date)."


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Run:
    """Sends the records of a run to a console; time passes only by `wait`."""

    def __init__(self, folder: Path, stream: io.StringIO) -> None:
        self.folder, self.stream, self.now = folder, stream, 100.0
        self.console = StageConsole(stream, lambda: str(folder / "benchmarks"), color=False)
        self._ids: dict[str, int] = {}

    def send(self, message: str = "", level: int = logging.INFO, **fields: Any) -> None:
        record = logging.LogRecord("snakemake", level, "", 0, message, None, None)
        record.__dict__.update(fields)
        self.console.handle(record)

    def plan(self, **counts: int) -> None:
        self.send(event="workflow_started")
        self.send("Building DAG of jobs...")
        self.send("Job stats:\n...", event="run_info", stats={**counts, "all": 1, "total": sum(counts.values()) + 1})

    def start(self, rule: str, **wildcards: str) -> Path:
        log = self.folder / "_".join([rule, *wildcards.values()])
        self._ids["_".join([rule, *wildcards.values()])] = len(self._ids)
        self.send("Rule", event="job_info", jobid=self.job(rule, **wildcards), rule_name=rule, log=[str(log)],
                  wildcards=wildcards)  # fmt: skip
        return log

    def job(self, rule: str, **wildcards: str) -> int:
        return self._ids["_".join([rule, *wildcards.values()])]

    def finish(self, rule: str, **wildcards: str) -> None:
        self.send("Finished", event="job_finished", job_id=self.job(rule, **wildcards))

    def fail(self, rule: str, **wildcards: str) -> None:
        log = self.folder / "_".join([rule, *wildcards.values()])
        self.send("Error", logging.ERROR, event="job_error", jobid=self.job(rule, **wildcards), rule_name=rule,
                  log=[str(log)])  # fmt: skip

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.console.update()

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    run = Run(tmp_path, io.StringIO())
    clock = SimpleNamespace(monotonic=lambda: run.now, strftime=lambda form: "12:00:00")
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module, "TICK_S", 3600)
    yield run
    run.console.close()


def log_line(message: str, level: str = "INFO") -> str:
    return f"2026-01-02 03:04:05,678 {level} signrep_core.any: {message}\n"


def test_a_log_has_a_line_for_each_stage_and_one_for_the_run(run: Run) -> None:
    run.plan(probe=2, median_bones=1)
    for shard in ("00000", "00001"):
        run.start("probe", shard=shard)
        run.wait(0.9)
        run.finish("probe", shard=shard)
    run.start("median_bones")
    run.now += 61
    run.finish("median_bones")
    assert run.lines == [
        "3 jobs in 2 stages",
        "12:00:00 probe                    2 shards         done in 0:02",
        "12:00:00 median_bones             1 job            done in 1:01",
        "3 jobs in 2 stages done in 1:03",
    ]


def test_a_long_stage_says_how_far_it_is_at_most_every_thirty_seconds(run: Run) -> None:
    run.plan(pose=4)
    run.start("pose", shard="00000")
    run.wait(10)  # begun
    run.finish("pose", shard="00000")
    run.start("pose", shard="00001")
    for _ in range(4):
        run.wait(10)
    assert run.lines[1:] == [
        "12:00:00 pose                     0 of 4 shards    0%",
        "12:00:00 pose                     1 of 4 shards    25%, 0:20 left",  # 10 s a job: 0 of this one, 2 more
    ]


def test_progress_within_a_job_comes_from_its_log_file(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run.plan(pose=1)
    log = run.start("pose", shard="00000")
    with caplog.at_level(logging.INFO), Progress("pose 00000", 200, terminal=False) as progress:
        progress.advance(50, note="1/4 videos")
        line = progress.line()
    log.write_text(log_line("begun") + log_line(line))
    run.wait(5)
    assert run.lines[1].startswith("12:00:00 pose                     0 of 1 shard     25%, 0:0")
    assert run.lines[1].endswith("frames/s, 1/4 videos")


def test_what_an_earlier_run_left_in_a_log_is_not_read(run: Run) -> None:
    run.plan(pose=1)
    log = run.folder / "pose_00000"
    log.write_text(log_line("pose: 90 of 100 (90%) frames, 1.0 frames/s, 0:10 left") + log_line("old", "WARNING"))
    run.start("pose", shard="00000")
    run.wait(5)
    assert run.lines[1].endswith("0%")
    log.write_text(log_line("new", "WARNING"))
    run.wait(1)
    assert run.lines[2:] == ["pose 00000: new"]


def test_warnings_of_a_job_are_shown_and_many_are_counted(run: Run) -> None:
    run.plan(probe=1)
    log = run.start("probe", shard="00000")
    log.write_text("".join(log_line(f"video {k} is odd", "WARNING") for k in range(7)))
    run.finish("probe", shard="00000")
    assert run.lines[1:6] == [f"probe 00000: video {k} is odd" for k in range(5)]
    assert run.lines[6].endswith("1 shard          done in 0:00, 7 warnings in its logs")


def test_a_failed_job_is_shown_with_its_log_and_named_again_at_the_end(run: Run) -> None:
    run.plan(probe=2, pose=2)
    log = run.start("probe", shard="00001")
    log.write_text("".join(log_line(f"line {k}") for k in range(30)))
    run.send("RuleException:\nCalledProcessError in file probe.smk\nreturned non-zero exit status 1.", logging.ERROR,
             event="error")  # fmt: skip
    run.fail("probe", shard="00001")
    run.send("Exiting because a job execution failed. Look above for error messages", logging.ERROR)
    run.send("Complete log(s): /x/snakemake.log")
    run.send("At least one job did not complete successfully.", logging.ERROR, event="error")
    assert run.lines[1:3] == ["probe 00001 failed", f"  log: {log}"]
    shown = run.lines[3 : 3 + module.LAST_LINES]
    assert [line.split(": ")[1] for line in shown] == [f"line {k}" for k in range(18, 30)]
    assert run.lines[3 + module.LAST_LINES :] == [
        "",
        "1 of 4 jobs failed, 3 were not run",
        f"  probe 00001                      {log}",
        "The same command goes on with what is missing.",
        "log of the run: /x/snakemake.log",
        "At least one job did not complete successfully.",
    ]


def test_a_job_that_is_tried_again_and_succeeds_is_no_failure_at_the_end(run: Run) -> None:
    run.plan(probe=1)
    run.start("probe", shard="00000")
    run.fail("probe", shard="00000")
    run.send("Trying to restart job 0.")
    run.send("Rule", event="job_info", jobid=0, rule_name="probe", log=[], wildcards={"shard": "00000"})
    run.finish("probe", shard="00000")
    run.send("Complete log(s): /x/snakemake.log")
    assert run.lines[3:] == [
        "probe 00000 is tried again",
        "12:00:00 probe                    1 shard          done in 0:00",
        "1 job in 1 stage done in 0:00",
        "log of the run: /x/snakemake.log",
    ]


def test_a_finished_run_says_that_there_is_nothing_to_do(run: Run) -> None:
    run.send("Assuming unrestricted shared filesystem usage.")
    run.send(event="workflow_started")
    run.send(NOTHING)
    assert run.lines == [NOTHING]


def test_messages_of_other_commands_and_errors_before_the_start_are_shown(run: Run) -> None:
    run.send("Congratulations, your workflow is in a good condition!")
    run.send("WorkflowError:\nsheet: no such key", logging.ERROR, event="error")
    assert run.lines == [
        "Congratulations, your workflow is in a good condition!",
        "WorkflowError:",
        "sheet: no such key",
    ]


def test_the_time_left_of_the_run_uses_the_times_of_earlier_runs(run: Run) -> None:
    benchmark = run.folder / "benchmarks/pose/00000.tsv"
    benchmark.parent.mkdir(parents=True)
    benchmark.write_text("s\th:m:s\n30.0\t0:00:30\n")
    run.plan(probe=2, pose=3, train=1)
    run.start("probe", shard="00000")
    run.now += 10
    run.finish("probe", shard="00000")
    assert (
        run.console.run.describe_time(run.now) == "1 of 6 jobs, 0:10, at least 1:40 left"
    )  # 10 + 3 * 30, train unknown


def test_a_terminal_shows_the_running_stages_in_place(run: Run) -> None:
    run.stream = Terminal()
    run.console = StageConsole(run.stream, lambda: str(run.folder), color=False)
    run.plan(pose=2)
    run.start("pose", shard="00000")
    run.wait(10)
    assert "0 of 2 shards" in run.stream.getvalue()
    assert "\x1b[1A" in run.stream.getvalue()  # the display is written over the one before
    for shard in ("00000", "00001"):
        if shard == "00001":
            run.start("pose", shard=shard)
        run.now += 10
        run.finish("pose", shard=shard)
    run.console.close()
    assert run.lines[-1].endswith("2 jobs in 1 stage done in 0:30")
    assert "pose                     2 shards         done in 0:30" in run.stream.getvalue()


def make_logger() -> tuple[logging.Logger, io.StringIO]:
    logger, stream = logging.Logger("snakemake-like"), io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.name = "DefaultStreamHandler"
    logger.addHandler(handler)
    logger.addHandler(logging.NullHandler())  # the log file's
    return logger, stream


def test_the_terminal_handler_is_replaced_and_the_log_file_s_kept() -> None:
    logger, _ = make_logger()
    show_stages(logger, SimpleNamespace(**SETTINGS), lambda: "benchmarks")
    assert [type(handler) for handler in logger.handlers] == [logging.NullHandler, StageConsole]


@pytest.mark.parametrize("asked", ["verbose", "quiet", "debug_dag", "printshellcmds"])
def test_a_user_who_asks_for_snakemake_s_output_gets_it(asked: str) -> None:
    logger, _ = make_logger()
    show_stages(logger, SimpleNamespace(**{**SETTINGS, asked: True}), lambda: "benchmarks")
    assert [type(handler) for handler in logger.handlers] == [logging.StreamHandler, logging.NullHandler]


def test_a_dry_run_shows_the_jobs_per_rule_once_and_why() -> None:
    logger, stream = make_logger()
    show_stages(logger, SimpleNamespace(**{**SETTINGS, "dryrun": True}), lambda: "benchmarks")
    assert isinstance(logger.handlers[-1], DryRunConsole)
    plan = "Job stats:\njob      count\n-----  -------\nprobe        1\ntotal        1\n"
    reasons = (
        "Reasons:\n    (check individual jobs above for details)\n    input files updated by another job:\n"
        "        all, pose\n    output files have to be generated:\n        probe"
    )
    logger.info("started", extra={"event": "workflow_started"})
    logger.info(plan, extra={"event": "run_info"})
    logger.info("rule probe", extra={"event": "job_info"})
    logger.info(plan, extra={"event": "run_info"})
    logger.info(reasons)
    logger.info("This was a dry-run (flag -n).")
    assert stream.getvalue() == (
        f"{plan}\nReasons:\n    output files have to be generated:\n        probe\n\n"
        "Dry run: nothing was done. With -p each job is shown with its files and its reason.\n"
    )


def test_a_console_that_is_closed_leaves_no_thread_waiting(run: Run) -> None:
    run.plan(pose=1)
    run.console.close()
    deadline = time.monotonic() + 5
    while watching() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not watching()


def watching() -> bool:
    return any(thread.name == "stages" for thread in threading.enumerate())
