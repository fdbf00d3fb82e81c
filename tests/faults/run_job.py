"""One job of the workflow without the engine, in a process that has the large packages loaded (tests/warm.py).

So faults hit the work instead of the imports, and more of them can be tried in the same time.
"""

import os
import pickle
import resource
import runpy
import signal
import subprocess
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests import warm


def start(pickled: Path, environment: dict[str, str], largest_file: int | None = None) -> BaseProcess:
    """Start a job in a process group of its own, as the leader.

    Args:
        pickled: a file of (script, the object that its script gets).
        environment: its environment variables.
        largest_file: bytes beyond which no file of it may grow.
    """
    return warm.start(warm.JOBS, _run, pickled, environment, largest_file)


def wait(process: BaseProcess, seconds: float | None = None) -> int:
    """Wait for the end and return the exit status, as `subprocess.Popen.wait` does.

    Raises:
        subprocess.TimeoutExpired: it still runs.
    """
    process.join(seconds)
    if process.exitcode is None:
        raise subprocess.TimeoutExpired("a job", seconds or 0)
    return process.exitcode


def kill(process: BaseProcess, number: int, group: bool) -> None:
    """Send a signal to a job, or to it and its children; one that has ended is left alone."""
    pid = process.pid or 0
    for send in (os.killpg, os.kill) if group else (os.kill,):
        try:
            send(pid, number)
        except ProcessLookupError:  # ended, or too young to lead a group
            continue
        return


def _run(pickled: Path, environment: dict[str, str], largest: int | None) -> None:
    """Run the script of a job as Snakemake runs it."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(pickled.parent)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    script, snakemake = pickle.loads(pickled.read_bytes())
    if largest is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
    for output in snakemake.output:
        Path(output).parent.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(Path(script).parent))
    runpy.run_path(script, {"snakemake": snakemake}, run_name="__main__")
