"""Things that take long to build, built once for all test processes."""

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from filelock import FileLock

T = TypeVar("T")


def build_once(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], T]) -> T:
    """Build in the first process that asks, and return the same to the others; they wait until it is done.

    Args:
        name: of the folder, below the temporary folder that the processes of a test run share.
        build: fills the empty folder; what it returns is pickled.
    """
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    result = root / f"{name}.pickle"
    with FileLock(root / f"{name}.lock"):
        if not result.exists():
            folder = root / name
            shutil.rmtree(folder, ignore_errors=True)  # of a process that failed to build it
            folder.mkdir()
            result.write_bytes(pickle.dumps(build(folder)))
        return pickle.loads(result.read_bytes())
