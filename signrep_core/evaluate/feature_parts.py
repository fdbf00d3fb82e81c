"""Features in parts: several machines extract some shards each, and the parts are joined to the whole table.

A part i/n lies in a hidden folder beside the table. Which shards it holds is a pure function of the index and of i/n,
so the machines need nothing of each other.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from signrep_core.errors import TableError
from signrep_core.evaluate.windows import count_windows
from signrep_core.store.feature_table import features_width
from signrep_core.store.schemas import features_schema
from signrep_core.store.tables import join_tables


class Part(NamedTuple):
    """The `number`th of `total` parts, from 1."""

    number: int = 1
    total: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"

    @classmethod
    def parse(cls, text: str) -> "Part":
        """Read i/n.

        Raises:
            ValueError: it is not of this form, or i is not within 1..n.
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise ValueError(f"expected a part as i/n with i from 1 to n, such as 2/4, found {text!r}")
        return cls(int(found[1]), int(found[2]))


WHOLE: Final = Part()


def part_path(out: str | Path, part: Part) -> Path:
    """Path of a part of the table `out`; that of the whole is `out` itself."""
    out = Path(out)
    return out if part == WHOLE else parts_folder(out) / f"{part.number}-of-{part.total}{out.suffix}"


def parts_folder(out: Path) -> Path:
    """Folder of the parts of the table `out`."""
    return out.with_name(f".{out.stem}.parts")


def shards_of_part(
    work: Mapping[str, NDArray[np.int64]], n_frames: NDArray[np.integer[Any]], part: Part
) -> dict[str, NDArray[np.int64]]:
    """The shards of a part: neighbours, with about the same number of windows in each part.

    Args:
        work: rows of each shard, in order.
        n_frames: of all rows.
    """
    windows = np.array([count_windows(np.asarray(n_frames)[rows]).sum() for rows in work.values()], np.int64)
    middle = np.cumsum(windows) - windows / 2
    of_shard = np.minimum(middle * part.total // max(int(windows.sum()), 1), part.total - 1)
    return {
        shard: rows for (shard, rows), number in zip(work.items(), of_shard, strict=True) if number == part.number - 1
    }


def join_parts(out: str | Path, count: int, provenance: Mapping[str, str] | None = None) -> int:
    """Join the parts of a features table to the table `out`, which appears when it is complete; the parts stay.

    Args:
        provenance: noted in the table's metadata, besides that of the parts.

    Returns:
        Rows of the table.

    Raises:
        TableError: a part is missing, or parts are of different weights, formats or provenance.
    """
    paths = [part_path(out, Part(number, count)) for number in range(1, count + 1)]
    if missing := [path for path in paths if not path.is_file()]:
        raise TableError(
            f"{out}: {len(missing)} of {count} parts are missing, such as {missing[0]}; extract them first: "
            f"signrep features --part {paths.index(missing[0]) + 1}/{count}"
        )
    width = features_width(paths[0])
    schemas = [pq.read_schema(path) for path in paths]
    about, *others = (
        {key: value for key, value in (schema.metadata or {}).items() if key != b"part"} for schema in schemas
    )
    for path, other, schema in zip(paths[1:], others, schemas[1:], strict=True):
        if other != about or schema.field("features").type != schemas[0].field("features").type:
            differ = sorted(key.decode() for key in {*about, *other} if about.get(key) != other.get(key))
            raise TableError(
                f"{path}: differs from {paths[0]} in {', '.join(differ) or 'its format'}: parts of one table need the "
                "same weights, shards and version of this program; extract the older ones again"
            )
    half = schemas[0].field("features").type.value_type == pa.float16()
    known = {key.decode(): value.decode() for key, value in about.items()}
    join_tables(paths, out, features_schema(width, half), known | dict(provenance or {}))
    return sum(pq.read_metadata(path).num_rows for path in paths)
