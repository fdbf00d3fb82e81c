"""Parquet tables with a named, versioned schema: written atomically in row groups of one video, read as arrays.

A column with a shape is an array (rows, *shape), a nullable column a masked array, text a list.
A row group never holds two videos and at most ROWS_PER_GROUP rows, so a stage's memory does not grow with its
shard.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from signrep_core import __version__
from signrep_core.errors import TableError
from signrep_core.skeleton import SKELETON_VERSION
from signrep_core.store.files import atomic_path
from signrep_core.store.schemas import Column, Schema

ROWS_PER_GROUP = 4096
BYTES_PER_GROUP = 1 << 28  # a group is read whole: a larger one is refused
Columns = dict[str, Any]  # column name -> array (rows, *shape), masked array or list of str


class TableWriter(AbstractContextManager["TableWriter"]):
    """Writes a table piece by piece; the file appears under its name only when the block ends without an error.

    Args:
        uncompressed: write for random access (`store.page_reader`): one page per column and row group, numbers not
            compressed.
    """

    def __init__(
        self,
        path: str | Path,
        schema: Schema,
        provenance: Mapping[str, str] | None = None,
        rows_per_group: int = ROWS_PER_GROUP,
        uncompressed: bool = False,
    ) -> None:
        self._path, self._schema, self._provenance = path, schema, dict(provenance or {})
        self._rows_per_group, self._uncompressed = rows_per_group, uncompressed
        self._stack = ExitStack()

    def __enter__(self) -> "TableWriter":
        partial = self._stack.enter_context(atomic_path(self._path))
        arrow = arrow_schema(self._schema).with_metadata(_metadata(self._schema, self._provenance))
        # Dictionaries only for text, and statistics only for the key that rows are selected by: footers stay small.
        text = [column.name for column in self._schema.columns if column.dtype == pa.string()]
        keys = [name for name in text if name == "video_id"]
        self._writer = self._stack.enter_context(
            pq.ParquetWriter(
                partial, arrow, compression=self._compression(), use_dictionary=text, write_statistics=keys,
                write_page_checksum=True, data_page_size=BYTES_PER_GROUP if self._uncompressed else None,
            )
        )  # fmt: skip
        return self

    def _compression(self) -> dict[str, str]:
        """Compression by column, under its name in the file."""
        return {
            f"{column.name}.list.element" if column.shape else column.name: (
                "none" if self._uncompressed and column.dtype != pa.string() else "zstd"
            )
            for column in self._schema.columns
        }

    def write(self, columns: Mapping[str, Any]) -> None:
        """Append rows (of one video, where the table has a video per row group)."""
        table = to_arrow(columns, self._schema).replace_schema_metadata(None)
        for start in range(0, table.num_rows, self._rows_per_group):
            self._writer.write_table(table.slice(start, self._rows_per_group).cast(self._writer.schema))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)


def write_table(
    path: str | Path, schema: Schema, columns: Mapping[str, Any], provenance: Mapping[str, str] | None = None
) -> None:
    """Write a whole small table."""
    with TableWriter(path, schema, provenance) as writer:
        writer.write(columns)


def join_tables(
    parts: Iterable[str | Path], out: str | Path, schema: Schema, provenance: Mapping[str, str] | None = None
) -> None:
    """Write the rows of several tables as one, a row group in memory at a time."""
    with TableWriter(out, schema, provenance) as writer:
        for part in parts:
            for group in read_groups(part, schema):
                writer.write(group)


def read_table(path: str | Path, schema: Schema, names: Sequence[str] | None = None) -> Columns:
    """Read a whole table, or the named columns of it."""
    with open_table(path, schema) as file, _damage(path, schema):
        return from_arrow(file.read(columns=_names(schema, names)), schema)


def read_groups(path: str | Path, schema: Schema, names: Sequence[str] | None = None) -> Iterator[Columns]:
    """Read a table a row group (at most ROWS_PER_GROUP rows of one video) at a time, in file order."""
    with open_table(path, schema) as file:
        for group in range(file.num_row_groups):
            with _damage(path, schema):
                columns = from_arrow(file.read_row_group(group, columns=_names(schema, names)), schema)
            yield columns


def read_groups_of(
    path: str | Path, schema: Schema, video_id: str, names: Sequence[str] | None = None
) -> Iterator[Columns]:
    """Read the row groups of one video, in file order; others are skipped by their statistics."""
    with open_table(path, schema) as file:
        place = file.schema_arrow.get_field_index("video_id")
        for group in range(file.num_row_groups):
            statistics = file.metadata.row_group(group).column(place).statistics
            if statistics is not None and statistics.has_min_max and statistics.min == video_id == statistics.max:
                with _damage(path, schema):
                    columns = from_arrow(file.read_row_group(group, columns=_names(schema, names)), schema)
                yield columns


def read_videos(path: str | Path, schema: Schema, names: Sequence[str] | None = None) -> Iterator[tuple[str, Columns]]:
    """Read a table a video at a time: (video_id, its columns), in file order, whatever its row groups.

    Raises:
        TableError: as open_table; or the rows of a video do not follow each other.
    """
    wanted = [*dict.fromkeys(["video_id", *(names if names is not None else _names(schema, None))])]
    runs = (run for group in read_groups(path, schema, wanted) for run in _runs(group))
    seen: set[str] = set()
    for video_id, pieces in groupby(runs, key=lambda run: str(run["video_id"][0])):
        if video_id in seen:
            raise TableError(f"{path}: the rows of video {video_id!r} do not follow each other; {redo(schema)}")
        seen.add(video_id)
        yield video_id, concatenate(list(pieces))


def open_table(path: str | Path, schema: Schema) -> pq.ParquetFile:
    """Open a Parquet file after checking that it holds this schema in this version.

    Raises:
        TableError: the file is missing or broken, or holds another table or version; names the stage to rerun.
    """
    with _damage(path, schema):
        file = pq.ParquetFile(path, page_checksum_verification=True)
        metadata = file.schema_arrow.metadata or {}
        name, version = (metadata.get(key, b"?").decode(errors="replace") for key in (b"schema", b"version"))
    if (name, version) != (schema.name, str(schema.version)):
        file.close()
        expected = f"table {schema.name!r} version {schema.version}"
        raise TableError(f"{path}: expected {expected}, found {name!r} version {version}; {redo(schema)}")
    for number in range(file.num_row_groups):
        group = file.metadata.row_group(number)
        if group.num_rows > ROWS_PER_GROUP or group.total_byte_size > BYTES_PER_GROUP:
            file.close()
            raise TableError(
                f"{path}: row group {number} has {group.num_rows} rows and {group.total_byte_size} bytes, at most "
                f"{ROWS_PER_GROUP} and {BYTES_PER_GROUP} are written; {redo(schema)}"
            )
    return file


def arrow_schema(schema: Schema) -> pa.Schema:
    """The Arrow schema of a table."""
    return pa.schema([_arrow_field(column) for column in schema.columns])


def to_arrow(columns: Mapping[str, Any], schema: Schema) -> pa.Table:
    """Convert arrays to an Arrow table.

    Raises:
        TableError: a column is missing, unknown, of another shape or of another length than the first.
    """
    names = [column.name for column in schema.columns]
    if set(columns) != set(names):
        raise TableError(
            f"table {schema.name!r}: missing columns {sorted(set(names) - set(columns))}, "
            f"unknown columns {sorted(set(columns) - set(names))}"
        )
    rows = len(columns[names[0]])
    arrays = []
    for column in schema.columns:
        values = columns[column.name]
        if column.shape and np.shape(values)[1:] != column.shape:
            expected = f"(rows, {', '.join(map(str, column.shape))})"
            raise TableError(
                f"table {schema.name!r}: column {column.name!r} must have shape {expected}, got {np.shape(values)}"
            )
        if len(values) != rows:
            raise TableError(
                f"table {schema.name!r}: column {column.name!r} has {len(values)} rows, {names[0]!r} has {rows}"
            )
        arrays.append(_to_arrow_array(values, column))
    return pa.Table.from_arrays(arrays, schema=arrow_schema(schema))


def from_arrow(table: pa.Table, schema: Schema) -> Columns:
    """Convert an Arrow table to arrays."""
    by_name = {column.name: column for column in schema.columns}
    return {name: _from_arrow_array(table[name].combine_chunks(), by_name[name]) for name in table.column_names}


def concatenate(pieces: list[Columns]) -> Columns:
    """Concatenate the rows of several pieces."""
    if len(pieces) == 1:
        return pieces[0]
    return {name: _join([piece[name] for piece in pieces]) for name in pieces[0]}


def redo(schema: Schema) -> str:
    """Advice on a broken table, for messages."""
    return f"rerun the stage that writes it: snakemake --forcerun {schema.stage}"


@contextmanager
def _damage(path: str | Path, schema: Schema) -> Iterator[None]:
    """Turn errors of reading into a TableError."""
    try:
        yield
    except (OSError, ValueError, pa.ArrowException) as error:
        raise TableError(f"{path}: cannot be read as a {schema.name} table ({error}); {redo(schema)}") from error


def _runs(group: Columns) -> Iterator[Columns]:
    """Cut a row group into pieces of one video each; as a rule it is one piece."""
    ids = group["video_id"]
    starts = [k for k, video in enumerate(ids) if k == 0 or video != ids[k - 1]]
    for start, end in zip(starts, [*starts[1:], len(ids)], strict=True):
        yield group if len(starts) == 1 else {name: values[start:end] for name, values in group.items()}


def _names(schema: Schema, names: Sequence[str] | None) -> list[str]:
    return [column.name for column in schema.columns] if names is None else list(names)


def _metadata(schema: Schema, provenance: Mapping[str, str]) -> dict[str, str]:
    return {
        "schema": schema.name,
        "version": str(schema.version),
        "skeleton": str(SKELETON_VERSION),
        "tool": f"signrep {__version__} {schema.stage}",
        **provenance,
    }


def _arrow_field(column: Column) -> pa.Field:
    if not column.shape:
        return pa.field(column.name, column.dtype, nullable=column.nullable)
    size = int(np.prod(column.shape))
    shape = ",".join(map(str, column.shape))
    return pa.field(column.name, pa.list_(column.dtype, size), nullable=False, metadata={"shape": shape})


def _to_arrow_array(values: Any, column: Column) -> pa.Array:
    if column.shape:
        flat = np.ascontiguousarray(values, dtype=column.dtype.to_pandas_dtype()).reshape(-1)
        return pa.FixedSizeListArray.from_arrays(pa.array(flat, column.dtype), int(np.prod(column.shape)))
    if isinstance(values, np.ma.MaskedArray):
        return pa.array(values.data, column.dtype, mask=np.ma.getmaskarray(values))
    if isinstance(values, np.ndarray):
        values = values.astype(column.dtype.to_pandas_dtype()) if column.dtype != pa.string() else values.tolist()
    return pa.array(values, column.dtype)


def _from_arrow_array(array: pa.Array | pa.ChunkedArray, column: Column) -> Any:
    if isinstance(array, pa.ChunkedArray):  # an empty table's column
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if column.shape:
        values = array.flatten().to_numpy(zero_copy_only=False)
        return values.astype(column.dtype.to_pandas_dtype(), copy=False).reshape(-1, *column.shape)
    if column.dtype == pa.string():
        return array.to_pylist()
    if column.nullable:
        mask = array.is_null().to_numpy(zero_copy_only=False)
        return np.ma.MaskedArray(
            array.fill_null(False if column.dtype == pa.bool_() else 0).to_numpy(zero_copy_only=False), mask
        )
    return array.to_numpy(zero_copy_only=False)


def _join(parts: list[Any]) -> Any:
    if isinstance(parts[0], list):
        return [value for part in parts for value in part]
    return (np.ma if isinstance(parts[0], np.ma.MaskedArray) else np).concatenate(parts)
