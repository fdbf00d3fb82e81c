"""What every stage's script begins with: its log, its errors and the provenance of what it writes."""

import logging
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the core, also where it is not installed

from signrep_core.config import digest
from signrep_core.errors import SignRepError
from signrep_core.progress import Progress


def start(snakemake: Any) -> dict[str, str]:
    """Log to the rule's log file and to the terminal; give the provenance for the tables' metadata."""
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
    return {"rule": snakemake.rule, "params": digest(dict(snakemake.params.items()))}


def _end(number: int, frame: Any) -> None:
    """End in order: child processes are ended and half-written files removed; what is finished stays."""
    logging.getLogger("ended").error("ended by SIGTERM; run the same command again to go on")
    sys.exit(128 + number)


def _log_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """An error of ours is its message; anything else comes with its trace."""
    ours = issubclass(kind, SignRepError)
    logging.getLogger(kind.__name__).error("%s", error, exc_info=None if ours else (kind, error, trace))
