"""What a job has finished of its shard, kept while it runs: a killed job goes on with the video it was killed in.

The resume cache is a hidden folder beside the job's output, never an output itself (Snakemake deletes those of a failed
job), and it is removed when the job is done. An entry is a small JSON file, written when its other files are on the
disk; its name is a digest of everything that the entry follows from, so that nothing stale is ever found.
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
    """Entries of finished work in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, key: str) -> dict[str, Any] | None:
        """What `record` was given under a key; None where it was not, or where files of the entry are missing."""
        try:
            entry = json.loads((self.folder / f"{key}.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return entry["result"] if all((self.folder / name).exists() for name in entry["files"]) else None

    def record(self, key: str, result: dict[str, Any], files: Sequence[Path] = ()) -> None:
        """Note that work is finished, whose files lie whole in the folder."""
        write_json(self.folder / f"{key}.json", {"result": result, "files": [file.name for file in files]})

    def file(self, key: str, name: str) -> Path:
        """Where a file of an entry lies."""
        return self.folder / f"{key}.{name}"


@contextmanager
def open_resume_cache(output: str | Path) -> Iterator[ResumeCache]:
    """The resume cache of the job that writes `output`; it is removed when the block ends without an error."""
    folder = Path(output).with_name(f".{Path(output).stem}.resume")
    with atomic_path(folder / "begun") as begun:  # says why, where the folder cannot be written to
        begun.touch()
    yield ResumeCache(folder)
    shutil.rmtree(folder)


def work_key(path: str, *what: Any) -> str:
    """Key of work on a video file: changes with the file's size or time, and with all else that is given."""
    try:
        stat = os.stat(path)
        identity: tuple[int, ...] = stat.st_size, stat.st_mtime_ns
    except OSError:
        identity = ()
    return digest([__version__, path, identity, *what])
