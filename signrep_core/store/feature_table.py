"""Random access to a features table: read the windows of one video from its own row groups.

A row group holds windows of one video and the footer says which, so opening a table of 35,000 sentences reads no
features; memory holds the footer and the sentence that is being read.

Legend: n windows, D values of a window.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from signrep_core.errors import TableError
from signrep_core.store.schemas import features_schema
from signrep_core.store.tables import from_arrow, open_table


class FeatureTable:
    """The videos of a features table; pickles without its open file, so that each process of a loader opens its own.

    Raises:
        TableError: not a features table of this version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.width = features_width(path)
        self._schema = features_schema(self.width)
        self._file: pq.ParquetFile | None = open_table(path, self._schema)
        self._groups: dict[str, list[int]] = {}
        self._n_windows: dict[str, int] = {}
        for group in range(self._file.num_row_groups):
            video_id = _video_of(self._file, group)
            self._groups.setdefault(video_id, []).append(group)
            rows = self._file.metadata.row_group(group).num_rows
            self._n_windows[video_id] = self._n_windows.get(video_id, 0) + rows

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_file": None}

    def __contains__(self, video_id: str) -> bool:
        return video_id in self._groups

    def n_windows(self, video_id: str) -> int:
        """Number of windows of a video."""
        return self._n_windows[video_id]

    def read(self, video_id: str) -> NDArray[np.float32]:
        """The features of a video's windows (n, D), in order.

        Raises:
            KeyError: the table has no such video.
            TableError: its bytes cannot be read.
        """
        if self._file is None:
            self._file = open_table(self.path, self._schema)
        try:
            table = self._file.read_row_groups(self._groups[video_id], columns=["features"], use_threads=False)
        except (OSError, pa.ArrowInvalid) as error:
            raise TableError(
                f"{self.path}: the windows of video {video_id!r} cannot be read ({' '.join(str(error).split())}); "
                "rerun: snakemake --forcerun extract_features"
            ) from error
        features: NDArray[np.float32] = from_arrow(table, self._schema)["features"]
        return features

    def close(self) -> None:
        """Close the file (before forking: two processes must not share one)."""
        self._file = None


def features_width(path: str | Path) -> int:
    """Number of values in a feature vector of a table.

    Raises:
        TableError: the file cannot be read or has no features.
    """
    try:
        return int(pq.read_schema(path).field("features").type.list_size)
    except (OSError, pa.ArrowInvalid, KeyError, AttributeError) as error:
        raise TableError(
            f"{path}: cannot be read as a features table ({error}); rerun: snakemake --forcerun extract_features"
        ) from error


def _video_of(file: pq.ParquetFile, group: int) -> str:
    """The video of a row group, from the footer's statistics, or from its rows where there are none."""
    statistics = file.metadata.row_group(group).column(0).statistics
    if statistics is not None and statistics.has_min_max and statistics.min == statistics.max:
        return str(statistics.min)
    return str(file.read_row_group(group, columns=["video_id"])["video_id"][0].as_py())
