"""Statistics of a shard's tables as counts of constant size; the corpus's statistics are the sum over its shards.

Legend: T frames, J = 61 joints, A = 22 + 41 + 41 angles.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from signrep_core.errors import TableError
from signrep_core.skeleton import (
    ACTIVITY_REFERENCE,
    BODY_ANGLES,
    HAND_ANGLES,
    HANDS,
    JOINTS,
    MIN_CONFIDENCE,
    SIDES,
    WRISTS,
)
from signrep_core.store.files import read_json
from signrep_core.store.schemas import ACTIVITY, ANGLES, CROPS, DETECTED, OUTSIDE, POSE
from signrep_core.store.tables import Columns, read_groups, read_table

Counts = NDArray[np.int64]

ANGLE_NAMES: Final = (*BODY_ANGLES, *(f"{side}_{name}" for side in SIDES for name in HAND_ANGLES))
CONFIDENCE_EDGES: Final = np.linspace(0, 1, 21)
ANGLE_EDGES: Final = np.radians(np.arange(-180, 181, 3))
LENGTH_EDGES: Final = np.array([1, 32, 64, 128, 256, 512, 1024, 2048, 4096, 2**31 - 1])  # frames

HAND_PLACES: Final = ("raised", "resting")  # the body's wrist is above the middle of the torso, or not

_SHAPES: Final = {
    "frames": (),  # on the timeline of the videos that pose extraction read
    "present": (),  # with a signer
    "filled": (),  # with an angle interpolated over a gap
    "seen": (len(JOINTS),),  # frames with a signer in which the joint was detected
    "hands": (len(SIDES), len(HAND_PLACES), 2),  # frames with a signer and the hand in the picture; of those, detected
    "confidence": (len(JOINTS), len(CONFIDENCE_EDGES) - 1),  # of the joints in frames with a signer
    "angles": (len(ANGLE_NAMES), len(ANGLE_EDGES) - 1),  # in frames where the body part was detected
    "windows": (),  # full windows, by their first frame
    "active": (len(SIDES),),  # of those, windows in which the hand is active
    "lengths": (len(LENGTH_EDGES) - 1,),  # sequences by their number of frames
}


class Statistics:
    """Counts of one shard, or of many merged; each count is an attribute named as in `_SHAPES`."""

    frames: Counts
    present: Counts
    filled: Counts
    seen: Counts
    hands: Counts
    confidence: Counts
    angles: Counts
    windows: Counts
    active: Counts
    lengths: Counts

    def __init__(self) -> None:
        for name, shape in _SHAPES.items():
            setattr(self, name, np.zeros(shape, np.int64))

    def add_pose(self, pose: Columns) -> None:
        """Count rows of the POSE table: `present` (T,) and `confidence` (T, J)."""
        present = np.asarray(pose["present"], bool)
        confidence = pose["confidence"][present]
        self.frames += len(present)
        self.present += int(present.sum())
        self.seen += (confidence >= MIN_CONFIDENCE).sum(0)
        self.confidence += _count(confidence, CONFIDENCE_EDGES)

    def add_hands(self, pose: Columns) -> None:
        """Count the hands of rows of the POSE table: `present`, `image_xy` and the states."""
        xy = pose["image_xy"]
        middle = xy[:, ACTIVITY_REFERENCE, 1].mean(1)
        for k, side in enumerate(SIDES):
            state = np.asarray(pose[f"{side}_hand"])
            here, detected = pose["present"] & (state != OUTSIDE), np.isin(state, DETECTED)
            raised = xy[:, WRISTS[k], 1] < middle
            for place, there in enumerate((raised, ~raised)):
                self.hands[k, place] += [(here & there).sum(), (here & there & detected).sum()]

    def add_angles(self, angles: Columns, pose: Columns) -> None:
        """Count rows of the ANGLES table, each body part in the frames where POSE has detected it."""
        seen = np.asarray(pose["present"], bool)
        hands = [seen & (pose["confidence"][:, HANDS[side].start] >= MIN_CONFIDENCE) for side in SIDES]
        parts = zip((angles["body_angles"], *(angles[f"{side}_angles"] for side in SIDES)), (seen, *hands), strict=True)
        self.angles += np.concatenate([_count(values[rows], ANGLE_EDGES) for values, rows in parts])
        self.filled += int(np.count_nonzero(angles["interpolated"] & seen))

    def add_activity(self, activity: Columns) -> None:
        """Count rows of the ACTIVITY table: masked (T,) per hand."""
        labels = [activity[f"{side}_active"] for side in SIDES]
        self.windows += int((~np.ma.getmaskarray(labels[0])).sum())
        self.active += [int(label.filled(False).sum()) for label in labels]

    def add_crops(self, crops: Columns) -> None:
        """Count rows of the CROPS table, one per sequence."""
        self.lengths += np.histogram(crops["n_frames"], LENGTH_EDGES)[0]

    def merge(self, other: "Statistics") -> "Statistics":
        """The sum of two statistics."""
        merged = Statistics()
        for name in _SHAPES:
            setattr(merged, name, getattr(self, name) + getattr(other, name))
        return merged

    def to_dict(self) -> dict[str, Any]:
        """The counts as JSON values."""
        return {name: np.asarray(getattr(self, name)).tolist() for name in _SHAPES}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read the values that `to_dict` returns.

        Raises:
            TableError: a count is missing or has another shape.
        """
        made = cls()
        for name, shape in _SHAPES.items():
            counts = np.asarray(values.get(name, ()), np.int64)
            if name not in values or counts.shape != shape:
                raise TableError(
                    f"statistics: expected {name!r} of shape {shape}, found "
                    f"{counts.shape if name in values else 'nothing'}"
                )
            setattr(made, name, counts)
        return made


def describe_shard(*, pose: str | Path, angles: str | Path, activity: str | Path, crops: str | Path) -> Statistics:
    """Count a shard's tables, a row group of each in memory at a time.

    Raises:
        TableError: a table is missing, of another version, or angles and pose are not of the same frames.
    """
    statistics = Statistics()
    names = ["video_id", "frame", "present", "confidence", "image_xy", *(f"{side}_hand" for side in SIDES)]
    of_pose = read_groups(pose, POSE, names)
    of_angles = read_groups(
        angles, ANGLES, ["video_id", "frame", "interpolated", "body_angles", "right_angles", "left_angles"]
    )
    for seen, solved in zip(of_pose, of_angles, strict=True):
        if seen["video_id"] != solved["video_id"] or not np.array_equal(seen["frame"], solved["frame"]):
            raise TableError(f"{angles}: its frames are not those of {pose}; rerun: snakemake --forcerun solve_angles")
        statistics.add_pose(seen)
        statistics.add_hands(seen)
        statistics.add_angles(solved, seen)
    for labels in read_groups(activity, ACTIVITY, ["right_active", "left_active"]):
        statistics.add_activity(labels)
    statistics.add_crops(read_table(crops, CROPS, ["n_frames"]))
    return statistics


def merge_statistics(paths: Iterable[str | Path]) -> Statistics:
    """Sum the counts of `statistics/*.json` files, one file in memory at a time.

    Raises:
        TableError: a file is damaged.
    """
    merged = Statistics()
    for path in paths:
        merged = merged.merge(read_json(path, Statistics.from_dict, "describe_shard"))
    return merged


def quantile(counts: Counts, edges: NDArray[np.floating], share: float) -> float:
    """The value below which `share` of the counted values lie, linear within its bin; NaN if nothing was counted."""
    total = np.cumsum(counts)
    if not total[-1]:
        return float("nan")
    rank = share * float(total[-1])
    k = max(int(np.searchsorted(total, rank)), int(np.flatnonzero(counts)[0]))
    within = (rank - float(total[k] - counts[k])) / float(counts[k])
    return float(edges[k] + max(within, 0.0) * (edges[k + 1] - edges[k]))


def _count(values: NDArray[np.floating], edges: NDArray[np.floating]) -> Counts:
    """Histograms of the columns of `values` (T, K): (K, bins); values outside the edges count in the outer bins."""
    n_bins = len(edges) - 1
    bins = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, n_bins - 1)
    n_columns = values.shape[1]
    return np.bincount((bins + np.arange(n_columns) * n_bins).ravel(), minlength=n_columns * n_bins).reshape(
        n_columns, n_bins
    )
