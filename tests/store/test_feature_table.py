"""Random access to a features table."""

import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from signrep_core.errors import TableError
from signrep_core.store.feature_table import FeatureTable, features_width
from signrep_core.store.schemas import features_schema
from signrep_core.store.tables import TableWriter


def windows(seed: int, n: int, width: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


def write_features(path, videos: dict[str, np.ndarray], rows_per_group: int = 4096):
    width = next(iter(videos.values())).shape[1]
    with TableWriter(path, features_schema(width), rows_per_group=rows_per_group) as writer:
        for name, x in videos.items():
            keys = {"video_id": [name] * len(x), "start_frame": 2 * np.arange(len(x), dtype=np.int32)}
            active = np.full(len(x), 0.5, np.float32)
            writer.write({**keys, "features": x, "right_active": active, "left_active": active})
    return path


@pytest.mark.parametrize("rows_per_group", [4096, 4])
def test_each_video_is_read_alone_and_completely(tmp_path, rows_per_group):
    videos = {"b": windows(0, 5), "a": windows(1, 1), "ü今": windows(2, 9)}
    table = FeatureTable(write_features(tmp_path / "f.parquet", videos, rows_per_group))
    assert table.width == 3
    for name, x in videos.items():
        assert table.n_windows(name) == len(x)
        np.testing.assert_array_equal(table.read(name), x)
    assert "c" not in table


def test_an_opened_table_goes_to_other_processes_without_its_file(tmp_path):
    videos = {"a": windows(0, 5)}
    table = pickle.loads(pickle.dumps(FeatureTable(write_features(tmp_path / "f.parquet", videos))))
    np.testing.assert_array_equal(table.read("a"), videos["a"])


def test_without_statistics_in_the_footer_the_rows_are_read(tmp_path):
    path = write_features(tmp_path / "f.parquet", {"a": windows(0, 5), "b": windows(1, 2)})
    table = pq.ParquetFile(path)
    with pq.ParquetWriter(tmp_path / "g.parquet", table.schema_arrow, write_statistics=False) as writer:
        for group in range(table.num_row_groups):
            writer.write_table(table.read_row_group(group))
    np.testing.assert_array_equal(FeatureTable(tmp_path / "g.parquet").read("b"), windows(1, 2))


def test_a_broken_row_group_names_the_video(tmp_path):
    path = write_features(tmp_path / "f.parquet", {"a": windows(0, 500), "b": windows(1, 2)})
    data = bytearray(path.read_bytes())
    data[200:1500] = bytes(1300)
    path.write_bytes(data)
    table = FeatureTable(path)
    with pytest.raises(TableError, match=r"the windows of video 'a' cannot be read .* --forcerun extract_features"):
        table.read("a")
    np.testing.assert_array_equal(table.read("b"), windows(1, 2))


def test_a_table_of_something_else_is_refused(tmp_path):
    pq.write_table(pa.table({"video_id": ["a"]}), tmp_path / "x.parquet")
    with pytest.raises(TableError, match="cannot be read as a features table"):
        features_width(tmp_path / "x.parquet")
