"""Raw-pose baseline: keypoints or angles of a window, pooled, instead of its features.

The paper's Table 4 compares learned features with angles and keypoints. The table has the columns of a features table,
so retrieval and translation can read it instead.

Legend: T = 16 frames, n windows, J = 61 joints, A = 104 angles, D values of a window.
"""

import logging
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from signrep_core.config import Baseline
from signrep_core.errors import ShardError, TrainingError
from signrep_core.evaluate.windows import STRIDE, select_rows, window_starts
from signrep_core.skeleton import N_BODY_ANGLES, N_HAND_ANGLES, N_JOINTS
from signrep_core.store.schemas import features_schema
from signrep_core.store.shards import ShardReader
from signrep_core.store.tables import TableWriter
from signrep_core.window import WINDOW

if TYPE_CHECKING:
    from signrep_core.data.windows import WindowReader

log = logging.getLogger(__name__)

ANGLES: Final = ("body_angles", "right_angles", "left_angles")
N_VALUES: Final[dict[str, int]] = {"keypoints": 3 * N_JOINTS, "angles": 2 * (N_BODY_ANGLES + 2 * N_HAND_ANGLES)}


def pool_keypoints(
    shards: str | Path,
    out: str | Path,
    *,
    kind: Baseline = "keypoints",
    dataset: str | None = None,
    empty_ok: bool = False,
    provenance: Mapping[str, str] | None = None,
) -> int:
    """Write the mean and the standard deviation over each window's frames of its keypoints, or of its angles' sines and
    cosines, as a features table (D = 366 or 416); the hands' activity labels are used as probabilities.

    Args:
        empty_ok: as in `evaluate.features.extract_features`.

    Returns:
        Number of videos written; a sequence that cannot be read is logged and left out.

    Raises:
        TrainingError: there is no such sequence and `empty_ok` is false, or no sequence can be read.
    """
    reader = ShardReader(Path(shards))
    rows = select_rows(reader.index, None, dataset, empty_ok)
    ids = reader.index["video_id"]
    done = 0
    with TableWriter(out, features_schema(2 * N_VALUES[kind]), {**(provenance or {}), "inputs": kind}) as writer:
        for video_id, own in groupby(rows, key=lambda row: str(ids[row])):
            if parts := list(_sequences(reader, own, kind)):
                columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
                writer.write({"video_id": [video_id] * len(columns["start_frame"]), **columns})
                done += 1
        if not done and len(rows):
            raise TrainingError(
                f"{shards}: no sequence of data set {dataset or 'any'!r} can be read; see the log above"
            )
    return done


def pool_windows(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Mean and standard deviation over each window's frames, (m, ...) → (n, D)."""
    flat = values.reshape(len(values), -1)
    missing = WINDOW - len(flat)
    if missing > 0:  # shorter than a window: repeat the last frame
        flat = np.concatenate((flat, np.repeat(flat[-1:], missing, 0)))
    windows = sliding_window_view(flat, WINDOW, axis=0)[::STRIDE]  # (n, D, T)
    return np.concatenate((windows.mean(-1), windows.std(-1)), 1).astype(np.float32)


def _sequences(reader: "WindowReader", rows: Iterator[np.int64], kind: Baseline) -> Iterator[dict[str, NDArray[Any]]]:
    for row in rows:
        n_frames = int(reader.index["n_frames"][row])
        try:
            targets = reader.read_targets(int(row), 0, n_frames)
        except (ShardError, OSError) as error:
            log.warning("no %s of row %d: %s", kind, row, error)
            continue
        starts = window_starts(n_frames)
        known = partial(_known, targets, starts)
        yield {
            "start_frame": (targets["frame"][0] + starts).astype(np.int32),
            "features": pool_windows(_values(targets, kind)),
            "right_active": known("right_active"),
            "left_active": known("left_active"),
        }


def _values(targets: Mapping[str, Any], kind: Baseline) -> NDArray[np.floating]:
    if kind == "keypoints":
        return np.asarray(targets["keypoints"], np.float64)
    angles = np.concatenate([targets[name] for name in ANGLES], 1, dtype=np.float64)
    return np.concatenate((np.sin(angles), np.cos(angles)), 1)


def _known(targets: Mapping[str, Any], starts: NDArray[np.int64], name: str) -> NDArray[np.float32]:
    """Activity of a hand at the windows' starts; unknown counts as inactive."""
    active: NDArray[np.float32] = np.ma.filled(targets[name], False)[starts].astype(np.float32)
    return active
