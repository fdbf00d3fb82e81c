"""The frame of every rule's script: its log, its errors, and its job (`signrep_core.store.job`).

`with _job.open_job(snakemake) as job:` logs to the rule's log file, from which `signrep_core.inspect.console` shows
progress and warnings in the terminal. A SignRepError ends the script with its message, any other error with its
traceback.
"""

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the core, also where it is not installed

from signrep_core.config import load_config
from signrep_core.errors import SignRepError
from signrep_core.progress import Progress
from signrep_core.store import job
from signrep_core.store.job import Job

# Inputs that are no part of a record: the sheet, which grows without touching the job (its own rows are among its
# params), and temporary parts of the output.
UNRECORDED = ("sheet", "parts")


@contextmanager
def open_job(snakemake: Any) -> Iterator[Job]:
    """Run a rule's job: its outputs are recorded when the block has ended without an error."""
    _open_log(snakemake)
    signal.signal(signal.SIGTERM, _end)
    Progress.bars = False
    try:
        config = load_config(snakemake.config)
        inputs = {name: _paths(value) for name, value in snakemake.input.items() if name not in UNRECORDED}
        params = dict(snakemake.params.items())
        with job.open_job(list(snakemake.output), inputs, params=params, config=config) as opened:
            yield opened
    except Exception as error:
        ours = isinstance(error, SignRepError)
        logging.getLogger(type(error).__name__).error("%s", error, exc_info=None if ours else error)
        sys.exit(1)


def use_threads(threads: int, loaders: int = 0) -> None:
    """Give torch the rule's threads, less those of the loader's processes."""
    import torch

    torch.set_num_threads(max(1, threads - loaders))


def share_threads(threads: int) -> int:
    """Share the rule's threads between torch and the processes of a loader; the number of these.

    A GPU waits for decoding, a CPU for itself.
    """
    import torch

    loaders = threads // 2 if torch.cuda.is_available() else 0
    use_threads(threads, loaders)
    return loaders


def _open_log(snakemake: Any) -> None:
    log = Path(snakemake.log[0])
    log.parent.mkdir(parents=True, exist_ok=True)
    to_file = logging.FileHandler(log, mode="w", encoding="utf-8")
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[to_file], force=True)
    os.dup2(to_file.stream.fileno(), sys.stderr.fileno())  # what libraries and child processes print goes there too


def _paths(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _end(number: int, frame: Any) -> None:
    """End in order: child processes are killed and partial files removed; finished work stays."""
    logging.getLogger("ended").error("ended by SIGTERM; run the same command again to continue")
    sys.exit(128 + number)
