"""Progress of long work: a bar with rate and time left on a terminal, elsewhere log lines at most every ten seconds."""

import logging
import sys
import time
from contextlib import AbstractContextManager
from threading import Lock
from types import TracebackType
from typing import Any, ClassVar, Final

INTERVAL_S: Final = 10.0


class Progress(AbstractContextManager["Progress"]):
    """Counts finished units of work out of `total`; may be used from several threads.

    `with Progress("extract_pose 00000", total_frames) as progress: progress.advance(frames, note="3/64 videos")`
    """

    bars: ClassVar[bool] = True  # False where several jobs share the terminal: they print lines

    def __init__(
        self,
        name: str,
        total: float,
        unit: str = "frames",
        *,
        terminal: bool | None = None,
        interval_s: float = INTERVAL_S,
    ) -> None:
        """`terminal`: whether to show a bar; by default, when standard error is a terminal."""
        self.name, self.total, self.unit, self.done, self.note = name, total, unit, 0.0, ""
        self._log = logging.getLogger(f"{__name__}.{name.split()[0]}" if name.split() else __name__)
        self._terminal = self.bars and sys.stderr.isatty() if terminal is None else terminal
        self._interval_s, self._lock = interval_s, Lock()
        self._bar: Any = None

    def __enter__(self) -> "Progress":
        self._began = self._said = time.monotonic()
        if self._terminal:
            self._bar = _open_bar()
            self._task = self._bar.add_task(self.name, total=self.total or None, rate="", note="")
            self._bar.start()
        return self

    def advance(self, amount: float = 1, note: str | None = None) -> None:
        """Count `amount` more as done; `note` replaces the text after the numbers."""
        with self._lock:
            self.done += amount
            self.note = self.note if note is None else note
            if self._bar is not None:
                rate = f"{self.rate:.1f} {self.unit}/s"
                self._bar.update(self._task, completed=self.done, total=self.total or None, rate=rate, note=self.note)
            elif time.monotonic() - self._said >= self._interval_s:
                self._said = time.monotonic()
                self._log.info("%s", self.line())

    def expect(self, amount: float) -> None:
        """Correct an estimated total by `amount`."""
        with self._lock:
            self.total += amount

    @property
    def rate(self) -> float:
        """Units per second since the beginning."""
        return self.done / max(time.monotonic() - self._began, 1e-9)

    def line(self) -> str:
        """Text of a log line: done, share, rate, time left, note."""
        share = f" of {self.total:.0f} ({min(self.done / self.total, 1):.0%})" if self.total else ""
        left = f", {format_clock((self.total - self.done) / self.rate)} left" if self.total > self.done > 0 else ""
        note = f", {self.note}" if self.note else ""
        return f"{self.name}: {self.done:.0f}{share} {self.unit}, {self.rate:.1f} {self.unit}/s{left}{note}"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        took = format_clock(time.monotonic() - self._began)
        end = f"done in {took}" if kind is None else f"stopped after {took}"
        self._log.info("%s; %s", self.line(), end)


def _open_bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = ("{task.description}", "{task.percentage:>3.0f}%", "{task.fields[rate]}", "{task.fields[note]}")
    name, share, rate, note = (TextColumn(column) for column in columns)
    return Bar(name, BarColumn(), share, rate, TimeRemainingColumn(), note, console=Console(stderr=True))


def format_clock(seconds: float) -> str:
    """1:02:03, or 2:03 below an hour."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
