"""The page reader compared with a Parquet reader."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signrep_core.errors import TableError
from signrep_core.store.page_reader import PageReader
from signrep_core.store.schemas import BOOL, FLOAT, INT, LONG, TEXT, Column, Schema
from signrep_core.store.tables import TableWriter, read_table

SCHEMA = Schema(
    "example", 1, "make_example",
    (
        Column("video_id", TEXT),
        Column("frame", INT),
        Column("time_s", pa.float64()),
        Column("offset", LONG),
        Column("keyframe", BOOL),
        Column("points", FLOAT, (2, 3)),
        Column("active", BOOL, nullable=True),
        Column("score", FLOAT, nullable=True),
    ),
)  # fmt: skip
NUMBERS = tuple(column.name for column in SCHEMA.columns[1:])


def rows(n: int, known: Any, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    known = np.resize(np.asarray(known, bool), n)
    return {
        "video_id": [f"video {seed}"] * n,
        "frame": rng.integers(-(2**31), 2**31, n),
        "time_s": rng.normal(0, 1e6, n),
        "offset": rng.integers(-(2**63), 2**63 - 1, n),
        "keyframe": rng.random(n) < 0.3,
        "points": rng.normal(size=(n, 2, 3)).astype(np.float32),
        "active": np.ma.MaskedArray(rng.random(n) < 0.5, ~known),
        "score": np.ma.MaskedArray(rng.normal(size=n).astype(np.float32), ~known),
    }


def write(path: Path, videos: list[dict[str, Any]], rows_per_group: int = 8, uncompressed: bool = True) -> Path:
    with TableWriter(path, SCHEMA, rows_per_group=rows_per_group, uncompressed=uncompressed) as writer:
        for video in videos:
            writer.write(video)
    return path


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def read_rows(path: Path, begin: int, end: int, names: tuple[str, ...] = NUMBERS) -> dict[str, Any]:
    pages = PageReader(path, SCHEMA)
    groups, first = pages.groups(begin, end)
    with opened(path) as descriptor:
        columns = pages.read(descriptor, groups, names)
    return {name: values[begin - first : end - first] for name, values in columns.items()}


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for name in found:
        assert found[name].dtype == expected[name].dtype
        assert np.array_equal(np.ma.getmaskarray(found[name]), np.ma.getmaskarray(expected[name]))
        assert np.array_equal(np.ma.filled(found[name], 0), np.ma.filled(expected[name], 0))


@settings(max_examples=60)
@given(st.data())
def test_any_rows_are_what_a_parquet_reader_finds(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    lengths = data.draw(st.lists(st.integers(1, 40), min_size=1, max_size=4))
    known = data.draw(st.lists(st.booleans(), min_size=1, max_size=40))
    per_group = data.draw(st.integers(1, 50))
    path = tmp_path_factory.mktemp("pages") / "example.parquet"
    write(path, [rows(n, known, seed) for seed, n in enumerate(lengths)], per_group)
    begin = data.draw(st.integers(0, sum(lengths) - 1))
    end = data.draw(st.integers(begin + 1, sum(lengths)))
    names = tuple(data.draw(st.lists(st.sampled_from(NUMBERS), min_size=1, unique=True)))
    whole = read_table(path, SCHEMA, names)
    found = read_rows(path, begin, end, names)
    assert tuple(found) == names
    assert_same(found, {name: values[begin:end] for name, values in whole.items()})


def test_long_groups_and_long_runs_are_one_page_too(tmp_path: Path) -> None:
    known = [True] * 3000 + [False] * 700 + [True, False, False] * 132
    path = write(tmp_path / "a.parquet", [rows(4096, known)], 4096)
    assert_same(read_rows(path, 0, 4096), read_table(path, SCHEMA, NUMBERS))


@pytest.mark.slow
def test_a_changed_byte_is_never_read_as_a_value(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [rows(16, [True, True, False])])
    expected = read_table(path, SCHEMA, NUMBERS)
    pages, whole = PageReader(path, SCHEMA), path.read_bytes()
    end = whole.rindex(b"example")  # the footer begins before this
    refused: list[str] = []
    for place in range(4, end):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        with opened(path) as descriptor:
            for name in NUMBERS:
                try:
                    found = pages.read(descriptor, range(2), [name])
                except TableError as error:
                    refused.append(str(error))
                else:
                    assert_same(found, expected)
    assert len(refused) > 16 * (4 + 8 + 8 + 24)  # the bytes of every value among them
    assert all(re.search(r"a\.parquet: column '\w+' of rows .* is damaged .*make_example", text) for text in refused)


def test_a_truncated_file_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [rows(16, [True])])
    pages = PageReader(path, SCHEMA)
    os.truncate(path, 700)
    with opened(path) as descriptor, pytest.raises(TableError, match="is damaged"):
        pages.read(descriptor, range(2), NUMBERS)


def test_a_compressed_table_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [rows(16, [True])], uncompressed=False)
    with pytest.raises(TableError, match=r"a\.parquet: expected a table written uncompressed.*forcerun make_example"):
        PageReader(path, SCHEMA)


def test_a_table_of_other_types_is_refused(tmp_path: Path) -> None:
    columns = [*SCHEMA.columns[:5], Column("points", pa.float64(), (2, 3)), *SCHEMA.columns[6:]]
    with TableWriter(
        tmp_path / "a.parquet", Schema("example", 1, "make_example", tuple(columns)), uncompressed=True
    ) as writer:
        writer.write(rows(16, [True]))
    with pytest.raises(TableError, match="expected a table written uncompressed, found another layout"):
        PageReader(tmp_path / "a.parquet", SCHEMA)


def test_a_damaged_footer_is_refused_or_harmless(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [rows(16, [True, True, False])])
    whole = path.read_bytes()
    expected = read_table(path, SCHEMA, NUMBERS)
    refused = 0
    for place in range(whole.rindex(b"PAR1") - 1500, len(whole), 3):
        for flip in (0x01, 0x80, 0xFF):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :])
            try:
                found = read_rows(path, 0, 16)
            except TableError:
                refused += 1
            else:
                assert_same(found, expected)
    assert refused > 100


def test_rows_beyond_the_table_are_refused(tmp_path: Path) -> None:
    pages = PageReader(write(tmp_path / "a.parquet", [rows(16, [True])]), SCHEMA)
    assert pages.groups(0, 16) == (range(2), 0)
    assert pages.groups(9, 10) == (range(1, 2), 8)
    with pytest.raises(TableError, match=r"expected rows 15\.\.17, it has 16"):
        pages.groups(15, 17)


def test_an_empty_table_has_no_rows(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"expected rows 0\.\.1, it has 0"):
        PageReader(write(tmp_path / "a.parquet", []), SCHEMA).groups(0, 1)
