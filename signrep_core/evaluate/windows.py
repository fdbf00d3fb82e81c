"""Windows of videos and their features: all that needs no model, and so no PyTorch.

Legend: n windows, D features.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from signrep_core.errors import TrainingError
from signrep_core.window import WINDOW

log = logging.getLogger(__name__)

STRIDE: Final = 2  # C


@dataclass(frozen=True)
class VideoFeatures:
    """All windows of one video."""

    video_id: str
    start_frame: NDArray[np.int32]  # (n,) on the common timeline
    features: NDArray[np.float32]  # (n, D)
    activity: NDArray[np.float32]  # (n, 2) probabilities: right, left hand active


def window_starts(n_frames: int, stride: int = STRIDE, window: int = WINDOW) -> NDArray[np.int64]:
    """First frames of a sequence's windows; one, padded at its end, if it is shorter than a window."""
    return np.arange(0, max(n_frames - window, 0) + 1, stride)


def count_windows(n_frames: NDArray[np.integer[Any]], stride: int = STRIDE) -> NDArray[np.int64]:
    """Number of windows of sequences of these lengths."""
    return np.maximum(n_frames - WINDOW, 0).astype(np.int64) // stride + 1


def select_rows(
    index: Mapping[str, Any], splits: Sequence[str] | None, dataset: str | None = None, empty_ok: bool = False
) -> NDArray[np.int64]:
    """Rows of an index that belong to a data set and the given splits (None = all), those of one video together.

    Raises:
        TrainingError: there is none, which is not ok; says what there is.
    """
    split, names = np.asarray(index["split"], dtype=object), np.asarray(index["dataset"], dtype=object)
    wanted = np.isin(split, list(splits)) if splits is not None else np.ones(len(split), bool)
    rows = np.flatnonzero(wanted & (names == dataset) if dataset is not None else wanted)
    if not len(rows):
        none = (
            f"no sequence of data set {dataset or 'any'!r}, splits {splits or 'any'}; the shards have the data sets "
            f"{sorted(set(names.tolist()))} and the splits {sorted(set(split.tolist()))}"
        )
        if not empty_ok:
            raise TrainingError(f"{none}: name one of these")
        log.warning("%s", none)
    ids = np.asarray(index["video_id"], dtype=object)[rows].astype(str)
    return rows[np.argsort(ids, kind="stable")]
