"""Functions that serve numpy and torch arrays alike, and the size of the blocks in which long videos are worked on."""

import sys
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

Array = Any  # numpy.ndarray or torch.Tensor

_OF_NUMPY: Final = (np.ndarray, np.generic, float, int)
BLOCK: Final = 1024  # frames worked on at a time: few enough for the processor's cache


def namespace(array: Array) -> Any:
    """The module of an array: numpy, or torch for a tensor (torch is not imported here)."""
    if isinstance(array, _OF_NUMPY):
        return np
    return sys.modules["torch"]


def blocks(n_frames: int) -> Iterator[slice]:
    """Slices of at most BLOCK frames that cover a video in order."""
    for start in range(0, n_frames, BLOCK):
        yield slice(start, min(start + BLOCK, n_frames))
