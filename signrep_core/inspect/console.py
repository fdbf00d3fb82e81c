"""Terminal output of the workflow: one line per stage with progress and time left.

The Snakefile puts `StageConsole` in the place of Snakemake's terminal handler. It shows the records that Snakemake logs
(told apart by their attribute `event`, a string) as lines: on a terminal the running stages are updated in place, in a
log each stage has a line at its beginning, at most one every 30 seconds, and one at its end. Snakemake's own output
stays in its log file and on the terminal with `--verbose`.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from signrep_core.inspect.compare import OUTDATED
from signrep_core.inspect.stages import RunningJob, RunProgress, StageProgress, read_job_times
from signrep_core.progress import format_clock

TICK_S: Final = 1.0  # between two looks at the log files
BEGIN_S: Final = 5.0  # a stage that is done sooner has one line in a log
INTERVAL_S: Final = 30.0  # between two lines of a stage in a log
LAST_LINES: Final = 12  # of the log of a failed job
MOST_WARNINGS: Final = 5  # of a stage; the others are in the logs
NAME_WIDTH: Final = 24
COUNT_WIDTH: Final = 16
BAR_WIDTH: Final = 16
TARGET: Final = "all"  # the rule that only names the files to make
# Messages without an event that a user needs; Snakemake's other ones are about its planning.
SHOWN: Final = (
    "Nothing to be done",
    OUTDATED,
    "Creating conda environment",
    "Terminating processes",
    "Will exit after finishing",
)
BEFORE_START: Final = ("Config file", "Assuming unrestricted shared filesystem usage")
FAILED: Final = "Exiting because a job execution failed"  # said again, with the jobs, at the end
LOG_FILE: Final = "Complete log(s): "


def show_stages(logger: logging.Logger, settings: Any, benchmarks: Callable[[], str]) -> None:
    """Replace Snakemake's terminal handler, unless the user asked for its output, more or less of it.

    Args:
        logger: Snakemake's.
        settings: Snakemake's settings of its output.
        benchmarks: gives the folder of the jobs' times in earlier runs, asked when the jobs are planned.
    """
    if settings.verbose or settings.quiet or settings.debug_dag or settings.printshellcmds:
        return
    for handler in list(logger.handlers):
        if handler.name == "DefaultStreamHandler" and isinstance(handler, logging.StreamHandler):
            logger.removeHandler(handler)
            if settings.dryrun:
                logger.addHandler(DryRunConsole(handler.stream))
            else:
                logger.addHandler(StageConsole(handler.stream, benchmarks, color=not settings.nocolor))


class StageConsole(logging.Handler):
    """Prints the progress of a run, stage by stage."""

    def __init__(self, stream: TextIO, benchmarks: Callable[[], str], *, color: bool = True) -> None:
        super().__init__(logging.INFO)
        terminal = stream.isatty()
        self._console = Console(file=stream, force_terminal=terminal, no_color=not color, highlight=False)
        self._terminal = terminal and not self._console.is_dumb_terminal
        self._benchmarks = benchmarks
        self._started = False
        self.run = RunProgress()
        self._said: dict[str, float] = {}  # stage -> time of its last line in a log
        self._live: Live | None = None
        self._stop = Event()
        self._events: dict[str, Callable[[logging.LogRecord], None]] = {
            "workflow_started": self._start_run,
            "run_info": self._plan,
            "job_info": self._start_job,
            "job_finished": self._finish_job,
            "job_error": self._fail_job,
            "error": self._show_error,
        }

    # ---------------------------------------------------------------- records

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record of Snakemake; called with the handler's lock held."""
        try:
            event = getattr(record, "event", None)
            if event is None:
                self._show_message(record)
            elif show := self._events.get(str(event)):
                show(record)
            if self._live is not None:
                self._live.refresh()
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Stop the display; what is on the screen stays."""
        self._stop_display()
        super().close()

    def _start_run(self, record: logging.LogRecord) -> None:
        self._started = True

    def _plan(self, record: logging.LogRecord) -> None:
        counts = {rule: n for rule, n in record.__dict__["stats"].items() if rule not in ("total", TARGET)}
        self.run.plan(counts, read_job_times(Path(self._benchmarks()), counts), time.monotonic())
        self._print(_count_all(self.run))
        self._start_display()

    def _start_job(self, record: logging.LogRecord) -> None:
        fields = record.__dict__
        if fields["rule_name"] == TARGET:
            return
        log = Path(fields["log"][0]) if fields["log"] else None
        wildcards = {key: str(value) for key, value in dict(fields["wildcards"] or {}).items()}
        job = RunningJob(fields["rule_name"], " ".join(wildcards.values()), time.monotonic(), log)
        job.skip_old_log()
        self.run.start(fields["jobid"], job)
        if set(wildcards) == {"shard"}:
            self.run.stages[job.stage].unit = "shard"

    def _finish_job(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        self._read_logs()
        stage = self.run.finish(record.__dict__["job_id"], now)
        if stage is None:
            return
        if stage.done == stage.total and stage.began is not None:
            self._print_stage(stage, f"done in {format_clock(now - stage.began)}{_count_warnings(stage)}")
        if self.run.done == self.run.jobs:
            self._stop_display()
            took = format_clock(now - (self.run.began or now))
            self._print(f"{_count_all(self.run)} done in {took}")

    def _fail_job(self, record: logging.LogRecord) -> None:
        fields = record.__dict__
        self._read_logs()
        job = self.run.fail(fields["jobid"])
        name = f"{fields['rule_name']} {job.name if job else ''}".strip()
        self._print(f"{name} failed", style="bold red")
        for log in fields["log"]:
            self._print(f"  log: {log}")
            for line in _last_lines(Path(log)):
                self._print(f"    {line}")

    def _show_error(self, record: logging.LogRecord) -> None:
        """Show an error that stops the workflow; that of a failed job is shown by its own record."""
        message = record.getMessage()
        if "CalledProcessError" in message and "returned non-zero exit status" in message:
            return
        self._stop_display()
        self._print(message, style="red")

    def _show_message(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message.startswith(LOG_FILE):
            self._show_end(message.removeprefix(LOG_FILE))
        elif message.startswith("Trying to restart job") and self.run.failed:
            self._print(f"{self.run.failed[-1].stage} {self.run.failed[-1].name} is tried again")
        elif record.levelno >= logging.WARNING and not message.startswith(FAILED):
            self._print(message, style="red" if record.levelno >= logging.ERROR else "yellow")
        elif message.startswith(SHOWN) or not (self._started or message.startswith(BEFORE_START)):
            self._print(message)

    def _show_end(self, log_file: str) -> None:
        self._stop_display()
        if failed := self.run.failed:
            rest = self.run.jobs - self.run.done - len(failed)
            self._print(f"\n{len(failed)} of {self.run.jobs} jobs failed, {rest} were not run", style="bold red")
            for job in failed:
                self._print(f"  {f'{job.stage} {job.name}'.strip():<{NAME_WIDTH + 8}} {job.log or ''}")
            self._print("The same command goes on with what is missing.")
        self._print(f"log of the run: {log_file}")

    # ---------------------------------------------------------------- display

    def _print(self, text: str, style: str | None = None) -> None:
        self._console.print(Text(text, style or ""), soft_wrap=True)

    def _print_stage(self, stage: StageProgress, state: str) -> None:
        """A line about a stage, which stays on the screen."""
        at = "" if self._terminal else f"{time.strftime('%H:%M:%S')} "
        self._print(f"{at}{stage.name:<{NAME_WIDTH}} {_count_jobs(stage):<{COUNT_WIDTH}} {state}".rstrip())

    def _start_display(self) -> None:
        if self._terminal:
            self._live = Live(
                get_renderable=self._draw, console=self._console, auto_refresh=False, transient=True,
                redirect_stdout=False, redirect_stderr=False,
            )  # fmt: skip
            self._live.start()
        Thread(target=self._watch, name="stages", daemon=True).start()

    def _stop_display(self) -> None:
        self._stop.set()
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _watch(self) -> None:
        while not self._stop.wait(TICK_S):
            self.update()

    def update(self) -> None:
        """Read the jobs' log files, show their warnings, and the progress of the running stages."""
        self.acquire()
        try:
            self._read_logs()
            if self._live is not None:
                self._live.refresh()
            elif not self._terminal:
                self._print_running(time.monotonic())
        finally:
            self.release()

    def _read_logs(self) -> None:
        for stage in self.run.active():
            for job in stage.running.values():
                for warning in job.read_log():
                    stage.warnings += 1
                    if stage.warnings <= MOST_WARNINGS:
                        self._print(f"{f'{job.stage} {job.name}'.strip()}: {warning}", style="yellow")

    def _print_running(self, now: float) -> None:
        for stage in self.run.active():
            began = now if stage.began is None else stage.began
            said = self._said.get(stage.name)
            if (said is None and now - began >= BEGIN_S) or (said is not None and now - said >= INTERVAL_S):
                self._said[stage.name] = now
                self._print_stage(stage, ", ".join(filter(None, (_percent(stage), _left(stage, now), stage.note))))

    def _draw(self) -> Group:
        """The running stages with their bars, and the whole run below them."""
        now = time.monotonic()
        rows = Table.grid(padding=(0, 1))
        for width in (NAME_WIDTH, COUNT_WIDTH, BAR_WIDTH, 5, 13):
            rows.add_column(width=width, no_wrap=True)
        rows.add_column()  # the one that gives way on a narrow terminal
        for stage in self.run.active():
            bar = ProgressBar(total=1, completed=stage.share, width=BAR_WIDTH)
            note = Text(stage.note, "dim", no_wrap=True, overflow="ellipsis")
            rows.add_row(stage.name, _count_jobs(stage), bar, _percent(stage), _left(stage, now), note)
        return Group(rows, Text(self.run.describe_time(now), "bold"))


class DryRunConsole(logging.Handler):
    """Prints what a run would do: the number of jobs per rule, and why."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(logging.INFO)
        self._stream = stream
        self._started = self._planned = False

    def emit(self, record: logging.LogRecord) -> None:
        """Show the plan once, the reasons, and errors."""
        event, message = str(getattr(record, "event", "")), record.getMessage()
        if event == "workflow_started":
            self._started = True
        elif event == "run_info" and not self._planned:
            self._planned = True
            self._print(message)
        elif record.levelno >= logging.WARNING or message.startswith(SHOWN):
            self._print(message)
        elif message.startswith("Reasons:"):
            self._print(_first_reasons(message))
            self._print("\nDry run: nothing was done. With -p each job is shown with its files and its reason.")
        elif not event and not self._started and not message.startswith(BEFORE_START):
            self._print(message)

    def _print(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()


# ---------------------------------------------------------------- words


def _plural(n: int, unit: str) -> str:
    return f"{n} {unit}" if n == 1 else f"{n} {unit}s"


def _count_all(run: RunProgress) -> str:
    return f"{_plural(run.jobs, 'job')} in {_plural(len(run.stages), 'stage')}"


def _count_jobs(stage: StageProgress) -> str:
    done = "" if stage.done == stage.total else f"{stage.done} of "
    return done + _plural(stage.total, stage.unit)


def _count_warnings(stage: StageProgress) -> str:
    return f", {stage.warnings} warnings in its logs" if stage.warnings > MOST_WARNINGS else ""


def _percent(stage: StageProgress) -> str:
    return f"{stage.share:.0%}"


def _left(stage: StageProgress, now: float) -> str:
    seconds = stage.seconds_left(now)
    return "" if seconds is None else f"{format_clock(seconds)} left"


def _first_reasons(message: str) -> str:
    """Snakemake's reasons with their rules, without those that only follow from another job."""
    title, _, *rest = message.splitlines()
    pairs = zip(rest[::2], rest[1::2], strict=False)
    return "\n".join([title, *(line for pair in pairs if "by another job" not in pair[0] for line in pair)])


def _last_lines(log: Path) -> list[str]:
    try:
        return log.read_text(errors="replace").splitlines()[-LAST_LINES:]
    except OSError:
        return []
