"""Processes that start with the large packages loaded, for work that is shorter than importing them.

A server process imports the packages once and is forked for each process. This project's own modules are imported by
the process that needs them.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

ENGINE = ["nbformat", "numpy", "pyarrow.parquet", "pydantic", "rich.progress", "smart_open", "snakemake.cli"]
JOBS = [
    *ENGINE, "av", "cv2", "lightning_fabric", "matplotlib.figure", "pandas", "rouge_score.rouge_scorer",
    "sacrebleu", "scipy.optimize", "timm.models.hiera", "torch",
]  # fmt: skip

_context = multiprocessing.get_context("forkserver")
# Starting a process asks all others for their ends, and an end can be read once: of two threads that read it, the
# second would take the process for a dead one.
_lock = threading.Lock()


def start(packages: list[str], function: Callable[..., object], *arguments: Any) -> BaseProcess:
    """Start a function in a process with packages loaded: those of the first call, which starts the server."""
    process = _context.Process(target=function, args=arguments)
    with _lock:
        _context.set_forkserver_preload(packages)
        process.start()
    return process


def wait_for(process: BaseProcess) -> int:
    """Wait for the end of a process; its exit code."""
    connection.wait([process.sentinel])
    with _lock:
        process.join()
    return process.exitcode or 0


def snakemake(
    arguments: Sequence[str], folder: Path, environment: dict[str, str], warm_jobs: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run Snakemake's command in a folder; output and messages are in `stdout`.

    Args:
        arguments: of the command.
        folder: working directory.
        environment: environment variables.
        warm_jobs: start the jobs' scripts in warm processes too, instead of new interpreters.
    """
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as output:
        process = start(ENGINE, _snakemake, arguments, folder, environment, output.name, warm_jobs)
        return subprocess.CompletedProcess(arguments, wait_for(process), output.read())


def _snakemake(
    arguments: Sequence[str], folder: Path, environment: dict[str, str], output: str, warm_jobs: bool
) -> None:
    from snakemake.cli import main
    from snakemake.script import PythonScript

    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    with open(output, "w", encoding="utf-8") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    if warm_jobs:
        PythonScript.execute_script = _execute_script
    sys.argv = ["snakemake", *arguments]
    main()


def _execute_script(script: Any, path: str, edit: bool = False) -> None:
    """Run a script that Snakemake has written for a job, and measure it for the job's benchmark file.

    Raises:
        CalledProcessError: the script has failed.
    """
    from snakemake.benchmark import benchmarked

    process = start(JOBS, runpy.run_path, os.path.abspath(path), None, "__main__")
    with benchmarked(process.pid, script.bench_record):
        exit_code = wait_for(process)
    if exit_code:
        raise subprocess.CalledProcessError(exit_code, path)
