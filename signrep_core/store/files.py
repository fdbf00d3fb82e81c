"""Atomic files: written under a temporary name, fsynced and renamed, so a path holds a complete file or nothing."""

import errno
import glob
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from signrep_core.errors import StorageError, TableError

T = TypeVar("T")

# Errors of a write when the disk is full, a quota or a size limit is reached, or the folder is read-only.
NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_RIGHT: Final = (errno.EROFS, errno.EACCES, errno.EPERM)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path next to `path` to write to; on success it is fsynced and renamed, on an error removed.

    The temporary name keeps the suffix, since encoders choose their container by it. Temporary files that a
    killed process left are removed first.

    Raises:
        StorageError: the disk is full, or the folder may not be written to.
    """
    path = Path(path)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".{glob.escape(path.stem)}.*.partial{glob.escape(path.suffix)}"):
            left.unlink(missing_ok=True)
        try:
            yield partial
            with open(partial, "rb") as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
            _fsync_folder(path.parent)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn errors of writing `path` into StorageError; errors of reading pass through."""
    try:
        yield
    except OSError as error:
        here = error.filename is not None and Path(os.fsdecode(error.filename)).parent == path.parent
        if error.errno in NO_ROOM:
            do = "free space there"
        elif error.errno in NO_RIGHT and (here or error.errno == errno.EROFS):
            do = "make the folder writable, or give another one as `results`"
        else:
            raise
        raise StorageError(
            f"{path}: cannot be written ({os.strerror(error.errno)}); {do} and run the same command again: "
            "finished work is kept"
        ) from error


def check_folder(folder: str | Path) -> None:
    """Check that files can be written below a folder, which need not exist yet.

    Raises:
        StorageError: a file or a broken link is in its place, or its nearest existing folder is not writable.
    """
    path = Path(folder).absolute()
    nearest = next(above for above in (path, *path.parents) if os.path.lexists(above))
    if not nearest.is_dir():
        kind = "a link that leads nowhere" if nearest.is_symlink() else "a file"
        raise StorageError(f"{folder}: expected a folder, found {kind} at {nearest}; give another folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise StorageError(f"{folder}: {nearest} is not writable; make it writable, or give another folder")


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write a JSON file atomically, indented, keys in the order given."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path, parse: Callable[[Any], T], rule: str) -> T:
    """Read a JSON file that `rule` wrote, as `parse` converts its values.

    Raises:
        TableError: the file is missing or damaged, or `parse` refuses it; names the stage to rerun.
    """
    try:
        return parse(json.loads(Path(path).read_bytes()))
    except TableError as error:
        raise TableError(f"{path}: {error}; {_redo(rule)}") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise TableError(f"{path}: broken ({type(error).__name__}: {error}); {_redo(rule)}") from error


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hex; the file is streamed."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _redo(rule: str) -> str:
    return f"rerun the stage that writes it: snakemake --forcerun {rule}"


def _fsync_folder(folder: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
