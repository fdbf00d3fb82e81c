"""Damage to a table, as by a failing disk."""

from pathlib import Path

import pyarrow.parquet as pq


def flip_page_byte(path: Path, column: str) -> None:
    """Flip a byte in the first page of a column; the file's footer stays as it was."""
    group = pq.read_metadata(path).row_group(0)
    chunk = next(c for c in map(group.column, range(group.num_columns)) if c.path_in_schema.split(".")[0] == column)
    data = bytearray(path.read_bytes())
    data[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 0xFF
    path.write_bytes(bytes(data))
