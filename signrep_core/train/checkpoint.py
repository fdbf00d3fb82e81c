"""Resume state of a training: one file of tensors, numbers and text, written atomically, unpickled safely.

States are written in the background, from a copy: training goes on, and a kill at any moment leaves a whole state.
"""

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from signrep_core.errors import CheckpointError, StorageError
from signrep_core.store.files import atomic_path

log = logging.getLogger(__name__)

STATE_VERSION = 3  # 3: the discriminator's style network has another layer


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write the state; a kill at any moment leaves either the old file or the new one.

    Raises:
        StorageError: the disk is full, or the folder is not writable.
    """
    with atomic_path(path) as partial, open(partial, "wb") as file:
        try:
            torch.save({"version": STATE_VERSION, **state}, file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):  # the disk's own error, which torch wraps
                raise error.__context__ from None
            raise


class StateWriter(AbstractContextManager["StateWriter"]):
    """Writer of resume states in a thread of its own, one after the other.

    Args:
        before: called in the thread before each state becomes visible, to make what it relies on permanent.
    """

    def __init__(self, path: Path, before: Callable[[], None]) -> None:
        self._path, self._before = path, before
        self._thread = ThreadPoolExecutor(1)
        self._pending: Future[None] | None = None
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Time since the last state, or since the beginning."""
        return time.monotonic() - self._began

    def write(self, state: Mapping[str, Any]) -> None:
        """Copy a state and begin to write the copy; an earlier one is finished first.

        Raises:
            StorageError: the earlier state could not be written.
        """
        self.wait()
        self._began = time.monotonic()
        self._pending = self._thread.submit(self._write, copy_state(state))

    def wait(self) -> None:
        """Wait until all states are written.

        Raises:
            StorageError: the disk is full, or the folder is not writable.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def _write(self, state: dict[str, Any]) -> None:
        self._before()
        save_state(self._path, state)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.wait()
        except StorageError as unwritten:
            if error is None:
                raise
            log.error("%s", unwritten)
        finally:
            self._thread.shutdown()


def copy_state(state: Any) -> Any:
    """Copy a state with its tensors, which go to the CPU's memory; steps that follow do not change the copy."""
    if isinstance(state, torch.Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, Mapping):
        return {name: copy_state(value) for name, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(copy_state(value) for value in state)
    return state


def load_state(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read the state.

    Raises:
        CheckpointError: the file is broken, or has another version and belongs to an unfinished run.
    """
    advice = f"delete the folder {path.parent} to start the run again"
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # the unpickler may raise any error for a file of another kind
        raise CheckpointError(f"{path}: the resume state cannot be read ({error!r}); {advice}") from error
    if state.get("version") != STATE_VERSION and not state.get("finished"):
        raise CheckpointError(
            f"{path}: expected resume state of version {STATE_VERSION}, found {state.get('version')}: another version "
            f"of this program wrote it, and this one cannot continue it; {advice}"
        )
    return state
