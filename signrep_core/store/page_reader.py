"""Parquet page reader: read rows of a table that was written uncompressed, directly from its bytes.

Training reads 16 rows of a dozen columns at random places. A Parquet reader takes a third as long for them as decoding
their frames, and 13 ms to open a shard for each hour of video in it (docs/decisions/0006). In an uncompressed table
each column of a row group is one page with its values one after the other, so a page is an array once its checksum is
verified. pyarrow reads the footer once, for the places of the pages. Their layout is that of the format's definition
(https://parquet.apache.org/docs/file-format): a header in Thrift's compact protocol, levels where values are nested or
may be missing, the values.
"""

import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from signrep_core.errors import TableError
from signrep_core.store.schemas import Column, Schema
from signrep_core.store.tables import BYTES_PER_GROUP, Columns, arrow_schema, concatenate, open_table, redo

DATA_PAGE: Final = 0  # of the format's page types
INT_FIELD: Final = 0x15  # the byte before each of a header's first four fields: the next one, a 32-bit number


class PageReader:
    """Reads pages of an uncompressed table; it keeps their places, some 70 bytes for each row group, and no open file.

    Raises:
        TableError: as open_table; or the table was not written uncompressed.
    """

    def __init__(self, path: str | Path, schema: Schema) -> None:
        self._path, self._schema = path, schema
        columns = {k: column for k, column in enumerate(schema.columns) if column.dtype != pa.string()}
        self._layouts = {column.name: _layout(place, column) for place, column in enumerate(columns.values())}
        with open_table(path, schema) as file:
            groups = [file.metadata.row_group(k) for k in range(file.num_row_groups)]
            self._bounds = np.cumsum([0, *(group.num_rows for group in groups)], dtype=np.int64)
            edges = [_edges(group, list(columns)) for group in groups] if _is_uncompressed(file, schema) else [None]
        if None in edges:
            raise TableError(f"{path}: expected a table written uncompressed, found another layout; {redo(schema)}")
        absolute = np.array(edges, np.int64).reshape(len(groups), len(columns) + 1)
        self._origins = absolute[:, 0].copy()
        self._edges = (absolute - absolute[:, :1]).astype(np.uint32)

    def groups(self, begin: int, end: int) -> tuple[range, int]:
        """Find the row groups of rows begin..end, and the first row of the first group.

        Raises:
            TableError: the table is shorter.
        """
        if end > self._bounds[-1]:
            raise TableError(f"{self._path}: expected rows {begin}..{end}, it has {self._bounds[-1]}")
        first, last = (self._bounds.searchsorted((begin, end - 1), "right") - 1).tolist()
        return range(first, last + 1), int(self._bounds[first])

    def read(self, descriptor: int, groups: range, names: Sequence[str]) -> Columns:
        """Read columns of numbers of some row groups from the open file; the arrays are read-only.

        Raises:
            TableError: a page is damaged or compressed.
        """
        return concatenate([self._read_group(descriptor, group, names) for group in groups])

    def _read_group(self, descriptor: int, group: int, names: Sequence[str]) -> Columns:
        layouts = [self._layouts[name] for name in names]
        edges = self._edges[group].tolist()
        first = min(edges[layout.place] for layout in layouts)
        size = max(edges[layout.place + 1] for layout in layouts) - first
        data = memoryview(os.pread(descriptor, size, int(self._origins[group]) + first))
        begin, end = self._bounds[group : group + 2].tolist()
        columns: Columns = {}
        for name, layout in zip(names, layouts, strict=True):
            try:
                content = _content(data[edges[layout.place] - first : edges[layout.place + 1] - first])
                columns[name] = _values(content, layout, end - begin)
            except (ValueError, IndexError) as error:
                where = f"column {name!r} of rows {begin}..{end}"
                raise TableError(f"{self._path}: {where} is damaged ({error}); {redo(self._schema)}") from error
        return columns


def _is_uncompressed(file: pq.ParquetFile, schema: Schema) -> bool:
    """Whether the columns are the schema's, and those of numbers have neither compression nor dictionary."""
    if not file.schema_arrow.equals(arrow_schema(schema)):
        return False
    group = file.metadata.row_group(0) if file.num_row_groups else None
    chunks = [group.column(k) for k, column in enumerate(schema.columns) if group and column.dtype != pa.string()]
    return all(chunk.compression == "UNCOMPRESSED" and not chunk.has_dictionary_page for chunk in chunks)


def _edges(group: pq.RowGroupMetaData, places: list[int]) -> list[int] | None:
    """Begin of each chunk of a row group, and the end of the last; None if the chunks are not contiguous."""
    chunks = [group.column(place) for place in places]
    sizes = [chunk.total_compressed_size for chunk in chunks]
    begins = [chunk.data_page_offset for chunk in chunks]
    ends = [begin + size for begin, size in zip(begins, sizes, strict=True)]
    follow = ends[:-1] == begins[1:] and min(sizes) > 0 and 0 < begins[0] < ends[-1] <= begins[0] + BYTES_PER_GROUP
    return [*begins, ends[-1]] if follow else None


@dataclass(frozen=True, slots=True)
class _Layout:
    """Layout of a column in its pages."""

    place: int  # among the columns of numbers
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    size: int  # values in a row
    nullable: bool


def _layout(place: int, column: Column) -> _Layout:
    dtype = np.dtype(column.dtype.to_pandas_dtype())
    return _Layout(place, dtype, column.shape, int(np.prod(column.shape)), column.nullable)


def _content(page: memoryview) -> memoryview:
    """Check the header of a column's only page and return the content.

    Raises:
        ValueError, IndexError: the page is of another kind, or its checksum is wrong.
    """
    fields, at = [], 0
    for _ in range(4):
        if page[at] != INT_FIELD:
            raise ValueError("it has no page header")
        number, at = _varint(page, at + 1)
        fields.append((number >> 1) ^ -(number & 1))
    kind, full_size, size, checksum = fields
    if kind != DATA_PAGE or full_size != size or not 0 <= size <= len(page) - at:
        raise ValueError("its header is that of another kind of page")
    content = page[len(page) - size :]  # the only page: it ends where its column does
    if zlib.crc32(content) != checksum & 0xFFFFFFFF:
        raise ValueError("its checksum is wrong")
    return content


def _values(content: memoryview, layout: _Layout, n: int) -> Any:
    """Read the n rows of a page's content, which must hold exactly these."""
    if layout.shape:
        begin = _skip(content, _skip(content, 0))  # levels of repetition and of definition: all values are there
        return _numbers(content[begin:], layout.dtype, n * layout.size).reshape(n, *layout.shape)
    if not layout.nullable:
        return _numbers(content, layout.dtype, n)
    levels = _skip(content, 0)
    known = _bits(content[4:levels], n)
    values = np.zeros(n, layout.dtype)
    values[known] = _numbers(content[levels:], layout.dtype, int(known.sum()))
    return np.ma.MaskedArray(values, ~known)


def _numbers(content: memoryview, dtype: np.dtype[Any], n: int) -> NDArray[Any]:
    """Read n values; the content must hold exactly these."""
    size = (n + 7) // 8 if dtype.kind == "b" else n * dtype.itemsize
    if len(content) != size:
        raise ValueError(f"{len(content)} bytes for {n} values")
    return _unpack(content, n) if dtype.kind == "b" else np.frombuffer(content, dtype)


def _skip(content: memoryview, at: int) -> int:
    """End of the levels that begin at a place with their length."""
    return at + 4 + int.from_bytes(content[at : at + 4], "little")


def _bits(data: memoryview, n: int) -> NDArray[np.bool_]:
    """Read levels of one bit: runs of (number << 1, value), or of (bytes << 1 | 1, bits)."""
    found, at = np.empty(n, bool), 0
    done = 0
    while done < n:
        head, at = _varint(data, at)
        length, packed = head >> 1, head & 1
        count = min(length * 8 if packed else length, n - done)
        found[done : done + count] = _unpack(data[at : at + length], count) if packed else data[at]
        at += length if packed else 1
        done += count
    return found


def _unpack(data: memoryview, n: int) -> NDArray[np.bool_]:
    return np.unpackbits(np.frombuffer(data, np.uint8, (n + 7) // 8), count=n, bitorder="little").view(bool)


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """Read a number of seven bits a byte, the lowest first; return it and its end."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
