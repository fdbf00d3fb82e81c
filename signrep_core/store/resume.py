"""Resume within a job: finished work is kept until the job is done, so a killed job continues where it was killed.

The cache is a hidden folder next to the job's output. It is not an output itself, since Snakemake deletes those of a
failed job, and it is removed when the job is done. An entry is a small JSON file, written after its other files. Its
name is a digest of everything that the result depends on, so a stale entry is never found.
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from signrep_core import __version__
from signrep_core.config import digest
from signrep_core.store.files import atomic_path, write_json


class ResumeCache:
    """Results of finished work, and their files, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, key: str) -> dict[str, Any] | None:
        """Read the result recorded under a key; None if there is none, or if files of the entry are missing."""
        try:
            entry = json.loads((self.folder / f"{key}.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return entry["result"] if all((self.folder / name).exists() for name in entry["files"]) else None

    def record(self, key: str, result: dict[str, Any], files: Sequence[str] = ()) -> None:
        """Record finished work; its files, by name, are complete in the folder."""
        write_json(self.folder / f"{key}.json", {"result": result, "files": list(files)})


@contextmanager
def open_resume_cache(output: str | Path) -> Iterator[ResumeCache]:
    """Open the cache of the job that writes `output`; it is removed when the block ends without an error.

    Raises:
        StorageError: the folder cannot be written to.
    """
    folder = Path(output).with_name(f".{Path(output).stem}.resume")
    with atomic_path(folder / "begun") as begun:
        begun.touch()
    yield ResumeCache(folder)
    shutil.rmtree(folder)


def work_key(path: str | Path, *dependencies: Any) -> str:
    """Key of work on a file: it changes with the file's size and time, and with everything else that is given."""
    try:
        stat = os.stat(path)
        identity: tuple[int, ...] = stat.st_size, stat.st_mtime_ns
    except OSError:
        identity = ()
    return digest([__version__, str(path), identity, *dependencies])
