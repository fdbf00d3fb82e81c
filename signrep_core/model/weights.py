"""Weights on the disk: one safetensors file of ours, with a description of what it holds in its metadata."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from signrep_core.errors import CheckpointError
from signrep_core.store.files import atomic_path

UNTRAINED: Final = "untrained"  # the note of weights that hold nothing, as there was nothing to learn from: why not


def write_weights(path: str | Path, weights: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write tensors and what they are (`format` and all that is needed to build the module), atomically."""
    metadata = {"signrep": json.dumps(about)}  # one entry: several would come in a random order, and bytes would differ
    with atomic_path(path) as partial:
        # As bytes: safetensors' own writer makes a file that nobody but its owner can read.
        partial.write_bytes(save({name: w.detach().cpu().contiguous() for name, w in weights.items()}, metadata))


def read_notes(path: str | Path, advice: str = "") -> dict[str, str]:
    """The notes that a file of ours was saved with; empty where it has none.

    Raises:
        CheckpointError: as `read_weights`.
    """
    with _opened(path, advice) as file:
        return dict(_about(file).get("notes", {}))


def read_weights(path: str | Path, advice: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_weights` wrote: the tensors, and what the file says of them (empty if it is another's).

    Raises:
        CheckpointError: not a safetensors file, or broken; `advice` says what to give instead.
    """
    with _opened(path, advice) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, _about(file)  # noqa: SIM118 - not a dict


@contextmanager
def _opened(path: str | Path, advice: str) -> Iterator[Any]:
    try:
        with safe_open(str(path), framework="pt") as file:
            yield file
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read as safetensors weights ({error}); {advice}") from error


def _about(file: Any) -> dict[str, Any]:
    return dict(json.loads((file.metadata() or {}).get("signrep", "{}")))
