"""Data of a results folder for the browser: the table of videos, and the data of one sequence.

Legend: T frames of a sequence, J = 61 joints.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from signrep_core.errors import TableError
from signrep_core.skeleton import HANDS, MIN_CONFIDENCE, SIDES
from signrep_core.store.layout import shard_table
from signrep_core.store.schemas import CROPS, POSE, VIDEOS
from signrep_core.store.shards import ShardReader
from signrep_core.store.tables import read_groups_of, read_table
from signrep_core.text import normalise

FILTERS: Final = ("status", "reason", "dataset", "split", "language", "gloss", "signer")
_COLUMNS: Final = ("video_id", "path", *FILTERS, "text", "detail", "duration_s", "width", "height", "fps", "codec")


class Catalogue:
    """A results folder; its tables and shards are read once, and again after they have changed."""

    def __init__(self, results: str | Path) -> None:
        """
        Raises:
            TableError: the folder holds no table of videos.
        """
        self.results = Path(results)
        self._seen: Any = None
        self._index: Any = None
        self.videos()

    def videos(self) -> pd.DataFrame:
        """Every video of the sheet with its status and shard, one row each, in the order of the sheet."""
        paths = sorted(self.results.glob(shard_table(VIDEOS, "*")))
        if not paths:
            raise TableError(f"{self.results}: holds no videos/*.parquet; run the workflow first")
        stamp = tuple((path.name, path.stat().st_mtime_ns) for path in paths)
        if self._seen is None or self._seen[0] != stamp:
            parts = [pd.DataFrame(read_table(path, VIDEOS, list(_COLUMNS))).assign(shard=path.stem) for path in paths]
            self._seen = stamp, pd.concat(parts, ignore_index=True)
        return self._seen[1]

    def find(self, filters: dict[str, str], words: str = "") -> pd.DataFrame:
        """The videos whose columns have these values and whose id or text contains all of these words."""
        videos = self.videos()
        keep = np.ones(len(videos), bool)
        for name, value in filters.items():
            keep &= (videos[name] == value).to_numpy()
        for word in normalise(words).lower().split():
            keep &= (
                videos["video_id"].str.lower().str.contains(word, regex=False)
                | videos["text"].str.lower().str.contains(word, regex=False)
            ).to_numpy()
        return videos[keep]

    def video(self, video_id: str) -> dict[str, Any] | None:
        """The row of one video; None if there is none."""
        rows = self.videos()
        rows = rows[rows["video_id"] == video_id]
        return rows.iloc[0].to_dict() if len(rows) else None

    def reader(self) -> ShardReader | None:
        """The packed shards; None before they exist. Not thread-safe."""
        index = self.results / "shards/index.parquet"
        if not index.exists():
            return None
        stamp = index.stat().st_mtime_ns
        if self._index is None or self._index[0] != stamp:
            self._index = stamp, ShardReader(index.parent)
        return self._index[1]

    def sequences(self, video_id: str) -> list[int]:
        """Rows of this video in the index of the shards."""
        reader = self.reader()
        return [] if reader is None else [row for row, name in enumerate(reader.index["video_id"]) if name == video_id]


def sequence_data(results: Path, reader: ShardReader, row: int) -> dict[str, Any]:
    """Data of a sequence for the script of the page: joints, keypoints, confidence and activity.

    Returns:
        JSON values: `n_frames`, `fps`; `xy` (T, J, 2), pixels of the crop, null where a joint was not detected;
        `keypoints` (T, J, 3), millimetres; `confidence` (T, 2) of the hands; `active` {side: (T,)}, null where no full
        window starts.
    """
    n_frames = int(reader.index["n_frames"][row])
    targets = reader.read_targets(row, 0, n_frames)
    shard, video_id = str(reader.index["shard"][row]), str(reader.index["video_id"][row])
    confidence = targets["confidence"]
    hands = np.stack([confidence[:, HANDS[side].start] for side in SIDES], 1)
    return {
        "n_frames": n_frames,
        "fps": float(reader.index["fps"][row]),
        "xy": _in_crop(results, shard, video_id, int(reader.index["sequence"][row]), reader.info.width),
        "keypoints": (targets["keypoints"] * 1000).round().astype(int).tolist(),
        "confidence": hands.round(3).tolist(),
        "active": {side: targets[f"{side}_active"].tolist() for side in SIDES},
    }


def _in_crop(results: Path, shard: str, video_id: str, sequence: int, size: int) -> list[Any]:
    """Joints of a sequence's frames in pixels of its crop; None for a joint that was not detected."""
    crops = read_table(results / shard_table(CROPS, shard), CROPS)
    k = crops["sequence"].tolist().index(sequence)
    first, n_frames = int(crops["start_frame"][k]), int(crops["n_frames"][k])
    corner, scale = np.array([crops["x0"][k], crops["y0"][k]]), size / float(crops["side"][k])
    found: list[Any] = []
    for pose in read_groups_of(results / shard_table(POSE, shard), POSE, video_id, ["frame", "image_xy", "confidence"]):
        for t in np.flatnonzero((pose["frame"] >= first) & (pose["frame"] < first + n_frames)):
            xy = (pose["image_xy"][t] - corner) * scale
            seen = np.isfinite(xy).all(-1) & (pose["confidence"][t] >= MIN_CONFIDENCE)
            found.append([point if ok else None for point, ok in zip(xy.round(1).tolist(), seen, strict=True)])
    return found
