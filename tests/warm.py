"""Processes that start with the large packages loaded, for jobs that do little else than import them.

On a corpus of a few seconds, importing PyTorch takes longer than the work of most jobs. A server process imports the
packages once and is forked for each job; this project's own modules are imported by the job.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
from typing import Any

LARGE = [
    "av", "cv2", "kornia", "lightning_fabric", "matplotlib.figure", "pandas", "pyarrow.parquet",
    "rouge_score.rouge_scorer", "sacrebleu", "scipy.optimize", "timm.models.hiera", "torch",
]  # fmt: skip

SNAKEMAKE = [sys.executable, "-c", "from tests.warm import run_snakemake; run_snakemake()"]

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(LARGE)


def run_snakemake() -> None:
    """Run Snakemake's command; its Python scripts start in warm processes, all else is the command's own."""
    from snakemake.cli import main
    from snakemake.script import PythonScript

    PythonScript.execute_script = _execute_script
    main()


def _execute_script(script: Any, path: str, edit: bool = False) -> None:
    """Run a script that Snakemake has written for a job, and measure it for the job's benchmark file.

    Raises:
        CalledProcessError: the script has failed.
    """
    from snakemake.benchmark import benchmarked

    process = context.Process(target=runpy.run_path, args=(os.path.abspath(path), None, "__main__"))
    process.start()
    with benchmarked(process.pid, script.bench_record):
        process.join()
    if process.exitcode:
        raise subprocess.CalledProcessError(process.exitcode, path)
