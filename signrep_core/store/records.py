"""Records: size and digest of an output and its origin, in a hidden file next to it (`.records/NAME.json`).

A job writes the records of its outputs twice (`store.job`): without digests when it begins, and complete when it has
ended. So an output is recorded, under way, or left by a job that was killed. A record ends with a digest of itself, so
a flipped byte in an output or in its record is found. Times and hosts are in records and not in outputs, so that equal
jobs give equal outputs. See docs/decisions/0022.
"""

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from signrep_core.errors import RecordError
from signrep_core.store.files import write_text

FOLDER: Final = ".records"
FORMAT: Final = "signrep record 1"
WORKFLOW: Final = "snakemake"  # begins the command of a job of the workflow
SNAKEFILE: Final = Path(__file__).resolve().parents[2] / "Snakefile"  # of the workflow that this core belongs to
Inputs = dict[str, list[list[str]]]  # name -> [path, SHA-256] each


@dataclass(frozen=True)
class Record:
    """Origin of one output. Times are UTC; paths in the results folder are relative to it."""

    file: str
    rule: str
    wildcards: dict[str, str]
    outputs: list[str]  # all that the job makes
    inputs: Inputs
    params: dict[str, Any]
    config: dict[str, Any]  # values that are not the defaults
    versions: dict[str, str]
    code: str  # digest of this package's modules
    command: str  # makes the output again
    folder: str  # working directory of the job
    host: str
    pid: int
    began: str
    startup_cpu_s: float  # processor seconds before the work began: the imports
    ended: str = ""  # empty while the job runs
    seconds: float = 0.0
    cpu_s: float = 0.0  # of the work, with child processes
    bytes: int = -1
    sha256: str = ""

    @property
    def finished(self) -> bool:
        """Whether the job has ended well."""
        return bool(self.sha256)

    @property
    def by_hand(self) -> bool:
        """Whether a person made the output with a command, outside of the workflow."""
        return not self.command.startswith(WORKFLOW)

    @property
    def alive(self) -> bool:
        """Whether the job may still run: its process is there, or on another machine."""
        if self.finished or self.host != platform.node():
            return not self.finished
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


def record_path(output: str | Path) -> Path:
    """Path of an output's record."""
    output = Path(output)
    return output.parent / FOLDER / f"{output.name}.json"


def write_record(output: str | Path, record: Record) -> None:
    """Write an output's record atomically, with a digest of itself at the end."""
    write_text(record_path(output), _text(asdict(record)))


def read_record(output: str | Path) -> Record | None:
    """Read the record of an output; None if it has none.

    Raises:
        RecordError: the record is damaged.
    """
    path = record_path(output)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror}); delete it and make {output} again") from error
    try:
        values = json.loads(data)
        del values["digest"], values["format"]
        if _text(values).encode() == data:
            return Record(**values)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise RecordError(
        f"{path}: expected a record of format {FORMAT!r} that ends with its own digest, found other bytes; "
        f"make {output} again"
    )


@cache
def code_digest() -> str:
    """Short digest of this package's modules: it differs where the code differs, even at the same version."""
    root = Path(__file__).parents[1]
    total = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        total.update(f"{path.relative_to(root).as_posix()}\n".encode() + path.read_bytes())
    return total.hexdigest()[:16]


def _text(values: Mapping[str, Any]) -> str:
    values = {"format": FORMAT, **values}
    seal = hashlib.sha256(json.dumps(values).encode()).hexdigest()
    return json.dumps({**values, "digest": seal}, indent=1, ensure_ascii=False) + "\n"
