"""Child processes that do one task after another, so that a task that crashes, hangs or bloats costs itself alone.

A plain child process and not `multiprocessing`: spawning would run the caller's main script (a Snakemake script) anew
in every child, and forking is unsafe beside the threads of decoders and MediaPipe. One JSON value a line: tasks go to
the child's standard input; `ready`, `frames` (how many were done), `log`, and `done` or `fatal` come from its standard
output. A child ends when its input does, so none outlives a killed parent for longer than a task.
"""

import json
import logging
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Timer
from typing import Any, Final

from signrep_core.errors import SignRepError

STALLED_S: Final = 600.0  # a child that says nothing for so long is ended
MEMORY_LIMIT: Final = 4 << 30  # bytes of data that a child may hold: a file that demands more costs itself
TRIES: Final = 2  # of a task that a process died in: an innocent one may have been killed by hand, or for memory
REPORT_S: Final = 0.5  # between two messages on progress

Task = Mapping[str, Any]
Send = Callable[[dict[str, Any]], None]
Work = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True)
class Died:
    """The result of a task that every process given it died in."""

    how: str


# ---------------------------------------------------------------- the parent


def run_tasks(
    command: Sequence[str],
    tasks: Sequence[Task],
    *,
    threads: int,
    order: Sequence[int] | None = None,
    on_frames: Callable[[int, int], None] = lambda task, frames: None,
    stalled_s: float = STALLED_S,
) -> Iterator[Any]:
    """Do tasks in `threads` children of a command that `serve`s.

    Args:
        tasks: values for JSON.
        order: numbers of the tasks in the order of beginning; the longest first, so that none is left over at the end.
        on_frames: called with a task's number and how many frames more of it are done, from several threads.

    Yields:
        What `serve`'s work returned for each task, in the order of `tasks`, or `Died`.

    Raises:
        SignRepError: a child cannot be started, or met an error that is not its task's (a full disk).
    """
    count = max(min(threads, len(tasks)), 1)
    workers = [_Worker(command, stalled_s) for _ in range(count)]
    idle: SimpleQueue[_Worker] = SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def run(number: int) -> Any:
        worker = idle.get()
        try:
            for _ in range(TRIES):
                result = worker.run(tasks[number], lambda frames: on_frames(number, frames))
                if not isinstance(result, Died):
                    break
            return result
        finally:
            idle.put(worker)

    pool = ThreadPoolExecutor(count)
    try:
        futures: dict[int, Future[Any]] = {i: pool.submit(run, i) for i in order or range(len(tasks))}
        for i in range(len(tasks)):
            yield futures.pop(i).result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.end()
        pool.shutdown()


class _Worker:
    """A child, started when it is needed and again after it died."""

    def __init__(self, command: Sequence[str], stalled_s: float) -> None:
        self._command, self._stalled_s = command, stalled_s
        self._process: subprocess.Popen[str] | None = None
        self._ended = False

    def run(self, task: Task, on_frames: Callable[[int], None]) -> Any:
        """Do a task; `Died` if the child dies of it."""
        if self._ended:
            raise SignRepError("the tasks were given up")
        if self._process is None:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(task) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the messages end at once
        for message in self._messages():
            on_frames(message.get("frames", 0))
            if "done" in message:
                return message["done"]
        return Died(self._bury())

    def end(self) -> None:
        """End the child, whatever it is doing."""
        self._ended = True
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _start(self) -> None:
        package_root = str(Path(__file__).parents[1])
        path = os.pathsep.join([package_root, *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "GLOG_minloglevel": "2"}
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=environment
        )
        for message in self._messages():
            if "ready" in message:
                return
        raise SignRepError(
            f"a process of {' '.join(self._command[1:])} {self._bury()} before its first task; its messages are above"
        )

    def _messages(self) -> Iterator[dict[str, Any]]:
        """Messages until the process ends; log records go to the log, a process that stalls is ended."""
        process = self._process
        assert process is not None
        assert process.stdout is not None
        while True:
            watchdog = Timer(self._stalled_s, process.kill)
            watchdog.daemon = True
            watchdog.start()
            line = process.stdout.readline()
            watchdog.cancel()
            if not line:
                return
            message = json.loads(line)
            if "fatal" in message:
                raise SignRepError(message["fatal"])
            if "log" in message:
                level, name, text = message["log"]
                logging.getLogger(name).log(level, "%s", text)
            yield message

    def _bury(self) -> str:
        """Forget the dead process; says how it died."""
        assert self._process is not None
        self._process.kill()
        code = self._process.wait()
        self._process = None
        return f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


# ---------------------------------------------------------------- the child


def serve(prepare: Callable[[Send], Work]) -> None:
    """Do the parent's tasks until there are no more.

    Args:
        prepare: makes the function that does one task and returns a value for JSON. A SignRepError out of either is
            not the task's: the parent raises it, and the job fails.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its children
    send = _take_stdout()
    logging.basicConfig(level=logging.INFO, handlers=[_LogToParent(send)], force=True)
    _limit_memory()
    try:
        work = prepare(send)
        send({"ready": True})
        for line in sys.stdin:
            send({"done": work(json.loads(line))})
    except SignRepError as error:
        send({"fatal": str(error)})


class Reporter:
    """Counts frames and sends the count now and then; a frame that is not counted only shows that there is life."""

    def __init__(self, send: Send) -> None:
        self._send, self._frames, self._said = send, 0, time.monotonic()

    def __call__(self, counts: bool = True) -> None:
        self._frames += counts
        if time.monotonic() - self._said >= REPORT_S:
            self._send({"frames": self._frames})
            self._frames, self._said = 0, time.monotonic()


class _LogToParent(logging.Handler):
    """Hands log records to the parent, which knows where they belong."""

    def __init__(self, send: Send) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        self._send({"log": [record.levelno, record.name, record.getMessage()]})


def _take_stdout() -> Send:
    """Keep standard output for messages: whatever else prints there goes to standard error."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def send(message: dict[str, Any]) -> None:
        try:
            pipe.write(json.dumps(message) + "\n")
            pipe.flush()
        except BrokenPipeError:  # the parent was killed: nobody waits for the rest
            os._exit(1)

    return send


def _limit_memory() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = MEMORY_LIMIT if hard == resource.RLIM_INFINITY else min(MEMORY_LIMIT, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
