"""Worker processes that do one task after another: a task that crashes, hangs or takes too much memory fails alone.

The parent starts `python -m signrep_core.workers MODULE:FUNCTION [ARGUMENTS]`. The child imports the function, which
prepares and returns the work: a function of one task. Messages are JSON, one value a line: tasks go to the child's
standard input; `ready`, `frames` (how many more are done), `log`, and `done` or `fatal` come from its standard output.
A child ends when its input ends, so it outlives a killed parent by one task at most.

`multiprocessing` is not used: spawning would run the caller's main script (a Snakemake script) again in every child,
and forking is unsafe while decoders and MediaPipe have threads.
"""

import contextlib
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from threading import Timer
from typing import Any, Final

from signrep_core.errors import SignRepError

STALLED_S: Final = 600.0  # a child that sends no message for so long is killed
MEMORY_LIMIT: Final = 4 << 30  # bytes of data that a child which decodes a user's file may hold
EXIT_S: Final = 10.0  # within which a child ends that has closed its output
TRIES: Final = 2  # of a task that a process died in: the process may have been killed by hand, or for memory
REPORT_S: Final = 0.5  # between two messages on progress
ONE_THREAD: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

Task = Mapping[str, Any]
Send = Callable[[dict[str, Any]], None]
Work = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True)
class Died:
    """Result of a task in which every process died that tried it."""

    how: str


# ---------------------------------------------------------------- the parent


def run_tasks(
    worker: Sequence[str],
    tasks: Sequence[Task],
    *,
    threads: int,
    order: Sequence[int] | None = None,
    on_frames: Callable[[int, int], None] = lambda task, frames: None,
    stalled_s: float = STALLED_S,
) -> Generator[Any, None, None]:
    """Do tasks in `threads` child processes.

    Args:
        worker: `MODULE:FUNCTION` and its arguments. The function is called once in each child with a function that
            sends messages, and the arguments; it returns the function that does one task.
        tasks: values for JSON.
        order: numbers of the tasks in the order in which they begin; by default that of `tasks`.
        on_frames: called with a task's number and how many more of its frames are done, from several threads.
        stalled_s: seconds without a message after which a child is killed.

    Yields:
        The result of each task, in the order of `tasks`; `Died` where its process died `TRIES` times.

    Raises:
        SignRepError: a child cannot be started, or raised a SignRepError (a full disk).
    """
    pool = _Pool(worker, max(min(threads, len(tasks)), 1), stalled_s)
    try:
        results = {i: pool.submit(tasks[i], partial(on_frames, i)) for i in order or range(len(tasks))}
        for i in range(len(tasks)):
            yield results.pop(i).result()
    finally:
        pool.close()


class _Pool:
    """Child processes, and a thread for each that gives it tasks."""

    def __init__(self, worker: Sequence[str], count: int, stalled_s: float) -> None:
        self._children = [_Child(worker, stalled_s) for _ in range(count)]
        self._threads = ThreadPoolExecutor(count)
        self._idle: SimpleQueue[_Child] = SimpleQueue()
        for child in self._children:
            self._idle.put(child)

    def submit(self, task: Task, on_frames: Callable[[int], None]) -> "Future[Any]":
        """Queue a task for the next idle child."""
        return self._threads.submit(self._run, task, on_frames)

    def _run(self, task: Task, on_frames: Callable[[int], None]) -> Any:
        child = self._idle.get()
        try:
            for _ in range(TRIES):
                result = child.run(task, on_frames)
                if not isinstance(result, Died):
                    break
            return result
        finally:
            self._idle.put(child)

    def close(self) -> None:
        """Drop queued tasks and kill the children, whatever they are doing."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for child in self._children:
            child.kill()
        self._threads.shutdown()
        for child in self._children:
            child.reap()


class _Child:
    """A child process, started when it is needed and again after it died."""

    def __init__(self, worker: Sequence[str], stalled_s: float) -> None:
        self._worker, self._stalled_s = worker, stalled_s
        self._process: subprocess.Popen[str] | None = None
        self._closed = False

    def run(self, task: Task, on_frames: Callable[[int], None]) -> Any:
        """Do a task; `Died` if the child dies while it does."""
        if self._closed:
            raise SignRepError("the tasks were cancelled")
        if self._process is None:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(task) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # there will be no messages either
        for message in self._messages(self._stalled_s):
            on_frames(message.get("frames", 0))
            if "done" in message:
                return message["done"]
        return Died(self.reap())

    def kill(self) -> None:
        """Kill the child for good."""
        self._closed = True
        if self._process is not None:
            self._process.kill()

    def reap(self) -> str:
        """Forget the process, which ends or was killed, and close its pipes; say how it died."""
        process, self._process = self._process, None
        if process is None:
            return "was not running"
        try:
            code = process.wait(EXIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(BrokenPipeError):  # a task was left in the buffer
                if pipe is not None:
                    pipe.close()
        return f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"

    def _start(self) -> None:
        # The child finds modules where the parent does, and `-P` keeps those of the working directory out.
        path = os.pathsep.join(os.path.abspath(entry) for entry in [str(Path(__file__).parents[1]), *sys.path])
        environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": path, "GLOG_minloglevel": "2"}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "signrep_core.workers", *self._worker],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=environment,
        )  # fmt: skip
        for message in self._messages(max(self._stalled_s, STALLED_S)):  # imports may be slow
            if "ready" in message:
                return
        raise SignRepError(
            f"a worker process {self._worker[0]} {self.reap()} before its first task; its messages are above"
        )

    def _messages(self, stalled_s: float) -> Iterator[dict[str, Any]]:
        """Messages until the process ends. Log records go to the log; a process that stalls is killed."""
        process = self._process
        assert process is not None
        assert process.stdout is not None
        while True:
            watchdog = Timer(stalled_s, process.kill)
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


# ---------------------------------------------------------------- the child


def main(worker: str, *arguments: str) -> None:
    """Do the parent's tasks until its messages end; a SignRepError is sent to the parent, which raises it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its children
    send = _take_stdout()
    logging.basicConfig(level=logging.INFO, handlers=[_LogToParent(send)], force=True)
    module, function = worker.split(":")
    try:
        work: Work = getattr(import_module(module), function)(send, *arguments)
        send({"ready": True})
        for line in sys.stdin:
            send({"done": work(json.loads(line))})
    except SignRepError as error:
        send({"fatal": str(error)})


def limit_memory() -> None:
    """Limit this process to MEMORY_LIMIT: a file that demands more then fails alone, by a MemoryError."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = MEMORY_LIMIT if hard == resource.RLIM_INFINITY else min(MEMORY_LIMIT, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


class Reporter:
    """Counts frames and sends the count now and then; a frame that does not count only shows that work goes on."""

    def __init__(self, send: Send) -> None:
        self._send, self._frames, self._sent = send, 0, time.monotonic()

    def __call__(self, counts: bool = True) -> None:
        self._frames += counts
        if time.monotonic() - self._sent >= REPORT_S:
            self._send({"frames": self._frames})
            self._frames, self._sent = 0, time.monotonic()


class _LogToParent(logging.Handler):
    """Sends log records to the parent, which knows where to write them."""

    def __init__(self, send: Send) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        self._send({"log": [record.levelno, record.name, record.getMessage()]})


def _take_stdout() -> Send:
    """Reserve standard output for messages: everything else that is printed goes to standard error."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def send(message: dict[str, Any]) -> None:
        try:
            pipe.write(json.dumps(message) + "\n")
            pipe.flush()
        except BrokenPipeError:  # the parent was killed
            os._exit(1)

    return send


if __name__ == "__main__":
    main(*sys.argv[1:])
