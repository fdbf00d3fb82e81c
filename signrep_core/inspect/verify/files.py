"""Check a file against its record: its bytes, and whether its inputs have changed since."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from signrep_core.errors import RecordError
from signrep_core.inspect.compare import CHANGED, MISSING, STALE, UNRECORDED, Comparison
from signrep_core.inspect.verify.problems import Problem, Results, rule_of
from signrep_core.store.files import file_digest
from signrep_core.store.layout import TRAINED, find_output
from signrep_core.store.records import FOLDER, Record, read_record

UNDER_WAY, STOPPED = "under way", "stopped"  # a job is writing the file; its job was stopped before it had written it
# Folders without outputs: logs and timings of jobs, and the state of an unfinished training.
IGNORED, TRAINING = ("logs", "benchmarks"), ("last", "tensorboard")


class ResultFiles(NamedTuple):
    """The files of a results folder."""

    outputs: list[str]  # to be checked: they have a record or are made by the workflow
    unknown: list[str]  # all others; they are ignored
    leftovers: list[str]  # temporary files


class Checked(NamedTuple):
    """Result of checking one file."""

    problems: list[Problem]
    pending: str = ""  # UNDER_WAY or STOPPED if the file is not written yet
    size: int = 0

    @property
    def whole(self) -> bool:
        """Whether the file has the bytes that its job wrote."""
        return not self.pending and all(problem.what == STALE for problem in self.problems)


def find_files(results: Results) -> ResultFiles:
    """List the files of a results folder, including stage folders that are symbolic links."""
    found = ResultFiles([], [], [])
    for folder, names in _walk(results.root, set()):
        recorded = {path.name.removesuffix(".json") for path in (folder / FOLDER).glob("*.json")}
        for name in sorted(recorded | names):
            below = results.name(folder / name)
            if ".partial" in name:
                found.leftovers.append(below)
            elif name in recorded or find_output(below):
                found.outputs.append(below)
            else:
                found.unknown.append(below)
    return found


def check_file(results: Results, name: str, digests: dict[tuple[int, int], str]) -> Checked:
    """Compare a file with its record.

    Args:
        digests: SHA-256 of files already read, by device and inode, so that hard links are read once.
    """
    path = results.path(name)
    for last_try in (False, True):
        try:
            record = read_record(path)
        except RecordError as error:
            return Checked([Problem(name, "damaged record", "an unchanged record", str(error), rule_of(name))])
        checked = _compare(results, path, name, record, digests)
        if not checked.problems or last_try or read_again(path) == record:
            break
    return checked


def read_again(path: Path) -> Record | None:
    """The current record, which a running job may have replaced; None if it is damaged."""
    try:
        return read_record(path)
    except RecordError:
        return None


def _compare(
    results: Results, path: Path, name: str, record: Record | None, digests: dict[tuple[int, int], str]
) -> Checked:
    rule = rule_of(name, record)
    if record is None:
        return Checked([Problem(name, UNRECORDED, "a record", "none", rule)])
    if not record.finished:
        if record.alive or not path.exists():
            return Checked([], UNDER_WAY if record.alive else STOPPED)
        found = f"a job started {record.began} whose process {record.pid} no longer exists"
        return Checked([Problem(name, "job not finished", "a finished job", found, rule)])
    if Path(record.file).name != path.name:
        return Checked([Problem(name, "record of another file", name, record.file, rule)])
    try:
        size = path.stat().st_size
        sha256 = _digest(path, digests)
    except FileNotFoundError:
        return Checked([Problem(name, MISSING, f"{record.bytes} bytes", "no file", rule)])
    except OSError as error:
        return Checked([Problem(name, "unreadable", f"{record.bytes} bytes", str(error), rule)])
    if (size, sha256) != (record.bytes, record.sha256):
        expected, found = f"{record.bytes} bytes, SHA-256 {record.sha256}", f"{size} bytes, SHA-256 {sha256}"
        return Checked([Problem(name, CHANGED, expected, found, rule)], size=size)
    return Checked(list(Comparison(results, read_weights=False).changed_inputs(name, record)), size=size)


def _digest(path: Path, digests: dict[tuple[int, int], str]) -> str:
    status = path.stat()
    key = status.st_dev, status.st_ino
    if status.st_nlink == 1:
        return file_digest(path)
    if key not in digests:
        digests[key] = file_digest(path)
    return digests[key]


def _walk(folder: Path, seen: set[str], below: str = "") -> Iterator[tuple[Path, set[str]]]:
    real = os.path.realpath(folder)
    if real in seen:
        return
    seen.add(real)
    names: set[str] = set()
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir():
                names.add(entry.name)
            elif not _is_ignored(f"{below}{entry.name}"):
                folders.append(entry.name)
    yield folder, names
    for name in sorted(folders):
        yield from _walk(folder / name, seen, f"{below}{name}/")


def _is_ignored(folder: str) -> bool:
    parts = folder.split("/")
    in_training = parts[0] in TRAINED and parts[-1] in TRAINING
    return folder in IGNORED or in_training or parts[-1].startswith(".")
