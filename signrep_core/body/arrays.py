"""What lets one function serve numpy and torch arrays: the namespace an array belongs to."""

import sys
from typing import Any

import numpy as np

Array = Any  # numpy.ndarray or torch.Tensor


def namespace(array: Array) -> Any:
    """numpy, or torch when the array is a tensor (torch is not imported here)."""
    if isinstance(array, np.ndarray | np.generic | float | int):
        return np
    return sys.modules["torch"]
