"""Weights on the disk: one safetensors file of ours, with a description of what it holds in its metadata."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from signrep_core.errors import CheckpointError
from signrep_core.store.files import atomic_path


def write_weights(path: str | Path, weights: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write tensors and what they are (`format` and all that is needed to build the module), atomically."""
    metadata = {"signrep": json.dumps(about)}  # one entry: several would come in a random order, and bytes would differ
    with atomic_path(path) as partial:
        # As bytes: safetensors' own writer makes a file that nobody but its owner can read.
        partial.write_bytes(save({name: w.detach().cpu().contiguous() for name, w in weights.items()}, metadata))


def read_notes(path: str | Path) -> dict[str, str]:
    """The notes that a file of ours was saved with; empty where it has none."""
    with safe_open(str(path), framework="pt") as file:
        about = json.loads((file.metadata() or {}).get("signrep", "{}"))
    return dict(about.get("notes", {}))


def read_weights(path: str | Path, advice: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_weights` wrote: the tensors, and what the file says of them (empty if it is another's).

    Raises:
        CheckpointError: not a safetensors file, or broken; `advice` says what to give instead.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            about: dict[str, Any] = json.loads((file.metadata() or {}).get("signrep", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118 - not a dict
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read as safetensors weights ({error}); {advice}") from error
