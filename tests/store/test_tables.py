"""Tables with a schema, written in pieces and read as arrays."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from signrep_core.errors import TableError
from signrep_core.skeleton import SKELETON_VERSION
from signrep_core.store import schemas
from signrep_core.store.schemas import BOOL, FLOAT, INT, TEXT, Column, Schema
from signrep_core.store.tables import (
    ROWS_PER_GROUP,
    TableWriter,
    join_tables,
    open_table,
    read_groups,
    read_groups_of,
    read_table,
    read_videos,
    write_table,
)

SCHEMA = Schema(
    "example", 3, "make_example",
    (
        Column("video_id", TEXT),
        Column("frame", INT),
        Column("points", FLOAT, (2, 3)),
        Column("active", BOOL, nullable=True),
    ),
)  # fmt: skip


def rows(video: str, n: int, first: int = 0) -> dict[str, Any]:
    frame = np.arange(first, first + n)
    return {
        "video_id": [video] * n,
        "frame": frame,
        "points": frame[:, None, None] + np.arange(6).reshape(2, 3) / 10,
        "active": np.ma.MaskedArray(frame % 2 == 0, frame % 5 == 0),
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Videos a (3 rows), b (two row groups and a half) and c (in two pieces)."""
    with TableWriter(tmp_path / "example.parquet", SCHEMA, {"config": "abc"}) as writer:
        writer.write(rows("a", 3))
        writer.write(rows("b", 2 * ROWS_PER_GROUP + 50))
        writer.write(rows("c", 4))
        writer.write(rows("c", 2, 4))
    return tmp_path / "example.parquet"


def test_columns_are_read_as_they_were_written(path: Path) -> None:
    found, expected = next(read_videos(path, SCHEMA))[1], rows("a", 3)
    assert found["video_id"] == expected["video_id"]
    assert (found["frame"] == expected["frame"]).all()
    assert np.allclose(found["points"], expected["points"])
    assert found["points"].dtype == np.float32
    assert found["active"].tolist() == expected["active"].tolist() == [None, False, True]


def test_a_row_group_holds_one_video_and_not_too_many_rows(path: Path) -> None:
    groups = [(set(group["video_id"]), len(group["frame"])) for group in read_groups(path, SCHEMA)]
    assert groups == [({"a"}, 3), ({"b"}, ROWS_PER_GROUP), ({"b"}, ROWS_PER_GROUP), ({"b"}, 50), ({"c"}, 4), ({"c"}, 2)]


def test_the_row_group_size_is_an_argument(tmp_path: Path) -> None:
    with TableWriter(tmp_path / "a.parquet", SCHEMA, rows_per_group=16) as writer:
        writer.write(rows("a", 40))
    assert [len(group["frame"]) for group in read_groups(tmp_path / "a.parquet", SCHEMA)] == [16, 16, 8]


def test_videos_are_read_completely_and_in_order(path: Path) -> None:
    found = list(read_videos(path, SCHEMA, ["frame", "active"]))
    assert [(video, len(columns["frame"])) for video, columns in found] == [
        ("a", 3),
        ("b", 2 * ROWS_PER_GROUP + 50),
        ("c", 6),
    ]
    assert found[2][1]["frame"].tolist() == [0, 1, 2, 3, 4, 5]
    assert isinstance(found[1][1]["active"], np.ma.MaskedArray)
    assert found[2][1]["active"].tolist() == [None, False, True, False, True, None]


def test_videos_that_share_a_row_group_are_separated(tmp_path: Path) -> None:
    parts = [rows("a", 3), rows("b", 2), rows("c", 4)]
    joined = {
        name: np.ma.concatenate([part[name] for part in parts]) if name == "active"
        else [value for part in parts for value in part[name]]
        for name in parts[0]
    }  # fmt: skip
    write_table(tmp_path / "a.parquet", SCHEMA, joined)
    found = list(read_videos(tmp_path / "a.parquet", SCHEMA))
    assert [(video, columns["frame"].tolist()) for video, columns in found] == [
        ("a", [0, 1, 2]), ("b", [0, 1]), ("c", [0, 1, 2, 3]),
    ]  # fmt: skip
    assert found[2][1]["active"].tolist() == [None, False, True, False]


def test_a_video_in_two_places_is_refused(tmp_path: Path) -> None:
    with TableWriter(tmp_path / "a.parquet", SCHEMA) as writer:
        for video in "aba":
            writer.write(rows(video, 3))
    with pytest.raises(TableError, match=r"rows of video 'a' do not follow each other.*--forcerun make_example"):
        list(read_videos(tmp_path / "a.parquet", SCHEMA))


@pytest.mark.parametrize(
    "read",
    [
        lambda path: read_table(path, SCHEMA),
        lambda path: list(read_groups(path, SCHEMA)),
        lambda path: list(read_groups_of(path, SCHEMA, "b")),
        lambda path: list(read_videos(path, SCHEMA)),
    ],
)
def test_a_flipped_bit_in_a_page_is_an_error_of_every_reader(path: Path, read: Callable[[Path], Any]) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    with pytest.raises(TableError, match=r"example\.parquet: cannot be read .*CRC.*--forcerun make_example"):
        read(path)


def test_pandas_reads_a_table_and_its_metadata_hold_the_origin(path: Path) -> None:
    frame = pd.read_parquet(path)
    assert list(frame) == ["video_id", "frame", "points", "active"]
    metadata = pq.read_schema(path).metadata
    expected = [b"example", b"3", str(SKELETON_VERSION).encode(), b"abc"]
    assert [metadata[key] for key in (b"schema", b"version", b"skeleton", b"config")] == expected
    assert metadata[b"tool"].endswith(b"make_example")


def test_tables_are_joined_in_order(path: Path, tmp_path: Path) -> None:
    write_table(tmp_path / "d.parquet", SCHEMA, rows("d", 2))
    join_tables([tmp_path / "d.parquet", path], tmp_path / "all.parquet", SCHEMA, {"config": "xyz"})
    assert [video for video, _ in read_videos(tmp_path / "all.parquet", SCHEMA)] == ["d", "a", "b", "c"]
    assert pq.read_schema(tmp_path / "all.parquet").metadata[b"config"] == b"xyz"
    join_tables([], tmp_path / "none.parquet", SCHEMA)
    assert read_table(tmp_path / "none.parquet", SCHEMA)["video_id"] == []


def test_a_table_without_rows_is_valid(tmp_path: Path) -> None:
    with TableWriter(tmp_path / "none.parquet", SCHEMA):
        pass
    write_table(tmp_path / "zero.parquet", SCHEMA, rows("a", 0))
    for name in ("none", "zero"):
        found = read_table(tmp_path / f"{name}.parquet", SCHEMA)
        assert found["video_id"] == []
        assert found["points"].shape == (0, 2, 3)
        assert list(read_videos(tmp_path / f"{name}.parquet", SCHEMA)) == []


def test_an_error_while_writing_leaves_no_table(tmp_path: Path) -> None:
    def fail() -> None:
        with TableWriter(tmp_path / "a.parquet", SCHEMA) as writer:
            writer.write(rows("a", 3))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"points": np.zeros((3, 3, 2))}, r"'points' must have shape \(rows, 2, 3\), got \(3, 3, 2\)"),
        ({"frame": np.arange(4)}, "'frame' has 4 rows, 'video_id' has 3"),
        ({"extra": np.arange(3)}, r"unknown columns \['extra'\]"),
    ],
)
def test_columns_that_do_not_fit_are_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(TableError, match=said):
        write_table(tmp_path / "a.parquet", SCHEMA, rows("a", 3) | change)
    assert not (tmp_path / "a.parquet").exists()


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    columns = rows("a", 3)
    del columns["active"]
    with pytest.raises(TableError, match=r"missing columns \['active'\]"):
        write_table(tmp_path / "a.parquet", SCHEMA, columns)


def test_another_version_or_table_names_the_stage_to_rerun(path: Path, tmp_path: Path) -> None:
    newer = Schema("example", 4, "make_example", SCHEMA.columns)
    with pytest.raises(
        TableError, match=r"expected table 'example' version 4, found 'example' version 3.*make_example"
    ):
        open_table(path, newer)
    pq.write_table(pa.table({"x": [1]}), tmp_path / "other.parquet")
    with pytest.raises(TableError, match=r"found '\?' version \?"):
        read_table(tmp_path / "other.parquet", SCHEMA)


@pytest.mark.parametrize("content", [None, b"", b"not Parquet at all"])
def test_a_missing_or_broken_file_names_the_stage_to_rerun(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(TableError, match=r"a\.parquet: cannot be read as a example table .*--forcerun make_example"):
        read_table(tmp_path / "a.parquet", SCHEMA)


def test_every_schema_has_its_own_name_and_keys_first() -> None:
    tables = [value for value in vars(schemas).values() if isinstance(value, Schema)]
    assert len({schema.name for schema in tables}) == len(tables)
    for schema in tables:
        names = [column.name for column in schema.columns]
        assert len(set(names)) == len(names)
        assert names[0] in ("video_id", "shard")
