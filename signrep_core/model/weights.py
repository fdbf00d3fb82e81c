"""Files of weights: safetensors with a description of the model in the metadata."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from safetensors import SafetensorError, safe_open

from signrep_core.errors import CheckpointError
from signrep_core.store.files import atomic_path

if TYPE_CHECKING:  # notes are read without torch, which takes seconds to import
    from torch import Tensor

UNTRAINED: Final = "untrained"  # note of placeholder weights without tensors; its value is the reason


def write_weights(path: str | Path, weights: "Mapping[str, Tensor]", about: Mapping[str, Any]) -> None:
    """Write tensors and their description (`format` and everything needed to build the module), atomically."""
    from safetensors.torch import save

    metadata = {"signrep": json.dumps(about)}  # one entry, since several are written in random order
    with atomic_path(path) as partial:
        # As bytes, since safetensors' own writer creates files that only their owner can read.
        partial.write_bytes(save({name: w.detach().cpu().contiguous() for name, w in weights.items()}, metadata))


def read_notes(path: str | Path, advice: str = "") -> dict[str, str]:
    """Read the notes of a file of weights; empty if it has none.

    Raises:
        CheckpointError: see `read_weights`.
    """
    with _opened(path, "numpy", advice) as file:
        return dict(_about(file).get("notes", {}))


def read_format(path: str | Path, advice: str = "") -> str | None:
    """Read the format of a file of weights; None if it states none.

    Raises:
        CheckpointError: see `read_weights`.
    """
    with _opened(path, "numpy", advice) as file:
        return _about(file).get("format")


def read_weights(path: str | Path, advice: str) -> "tuple[dict[str, Tensor], dict[str, Any]]":
    """Read tensors and description as `write_weights` wrote them (the description is empty for other programs' files).

    Raises:
        CheckpointError: not a safetensors file, or broken; the message ends with `advice`, what to give instead.
    """
    with _opened(path, "pt", advice) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, _about(file)  # noqa: SIM118 - not a dict


@contextmanager
def _opened(path: str | Path, framework: str, advice: str) -> Iterator[Any]:
    try:
        with safe_open(str(path), framework=framework) as file:
            yield file
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read as safetensors weights ({error}); {advice}") from error


def _about(file: Any) -> dict[str, Any]:
    return dict(json.loads((file.metadata() or {}).get("signrep", "{}")))
