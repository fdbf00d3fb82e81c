"""Resume state of a training: one file of tensors, numbers and text, written atomically, unpickled safely."""

from pathlib import Path
from typing import Any

import torch

from signrep_core.errors import CheckpointError
from signrep_core.store.files import atomic_path

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
