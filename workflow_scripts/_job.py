"""What every stage's script begins with: its log, its errors, and the record of what it makes and from what."""

import atexit
import logging
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the core, also where it is not installed

from signrep_core.config import load_config
from signrep_core.errors import SignRepError
from signrep_core.progress import Progress
from signrep_core.store.records import Job, begin_job

UNRECORDED = ("sheet",)  # inputs that grow without touching the job: its own rows of the sheet are among its params
_jobs: list[Job] = []


def start(snakemake: Any) -> dict[str, str]:
    """Log to the rule's log file and to the terminal; give the provenance for the outputs' metadata.

    When the script ends without an error, its outputs are recorded.
    """
    log = Path(snakemake.log[0])
    log.parent.mkdir(parents=True, exist_ok=True)
    to_file = logging.FileHandler(log, mode="w", encoding="utf-8")
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    to_terminal = logging.StreamHandler(sys.stderr)
    name = ".".join([snakemake.rule, *snakemake.wildcards])
    to_terminal.setFormatter(logging.Formatter(f"[{name}] %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[to_file, to_terminal], force=True)
    sys.excepthook = _log_error
    signal.signal(signal.SIGTERM, _end)
    Progress.bars = False
    config = load_config(snakemake.config)
    job = begin_job(
        snakemake.rule,
        config.results,
        snakemake.output,
        {key: _paths(value) for key, value in snakemake.input.items() if key not in UNRECORDED},
        wildcards=dict(snakemake.wildcards.items()),
        params=dict(snakemake.params.items()),
        config=config,
    )
    _jobs.append(job)
    atexit.register(_finish, job)
    return job.provenance


def also_made(paths: Iterable[str | Path]) -> None:
    """Record files that the script made besides the rule's outputs."""
    _jobs[-1].side_outputs += map(Path, paths)


def _paths(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _finish(job: Job) -> None:
    """Record the outputs; Python takes no note of an error at its exit, so one ends the process here."""
    if job in _jobs:
        try:
            job.finish()
        except Exception as error:
            logging.getLogger("record").error("the outputs cannot be recorded: %s", error)
            logging.shutdown()
            os._exit(1)


def _end(number: int, frame: Any) -> None:
    """End in order: child processes are ended and half-written files removed; what is finished stays."""
    logging.getLogger("ended").error("ended by SIGTERM; run the same command again to go on")
    sys.exit(128 + number)


def _log_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """An error of ours is its message; anything else comes with its trace."""
    _jobs.clear()
    ours = issubclass(kind, SignRepError)
    logging.getLogger(kind.__name__).error("%s", error, exc_info=None if ours else (kind, error, trace))
