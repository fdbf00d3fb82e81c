"""A features table made in parts, so that a killed run goes on: each part a table of its own until all are done.

The parts of `NAME.parquet` lie in the hidden folder `.NAME.parts` beside it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from signrep_core.store.schemas import Schema
from signrep_core.store.tables import TableWriter, read_videos


def parts_folder(out: str | Path) -> Path:
    """Where the parts of a table wait."""
    return Path(out).with_name(f".{Path(out).stem}.parts")


def is_done(part: str | Path, origin: Mapping[str, str]) -> bool:
    """Whether a whole part of this origin is there."""
    try:
        found = pq.read_schema(part).metadata or {}
    except (OSError, pa.ArrowInvalid):
        return False
    return all(found.get(key.encode()) == value.encode() for key, value in origin.items())


def join_parts(parts: Sequence[str | Path], out: str | Path, schema: Schema, provenance: Mapping[str, str]) -> int:
    """Write all parts as one table, a video in memory at a time; gives the number of videos."""
    n_videos = 0
    with TableWriter(out, schema, provenance) as writer:
        for part in parts:
            for _, columns in read_videos(part, schema):
                writer.write(columns)
                n_videos += 1
    return n_videos
