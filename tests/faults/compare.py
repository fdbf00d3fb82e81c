"""Whether two files hold the same: floating-point numbers within a tolerance, all else byte for byte.

Two processes may round differently, for example where their arrays lie at different addresses.
"""

import csv
import filecmp
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.numpy import load_file

RELATIVE, ABSOLUTE = 1e-3, 1e-4  # of values in metres, radians and losses
OF_BYTES = ("provenance", "digests")  # keys of JSON files that follow from the bytes of their inputs
MEASURED = ("clips_per_s", "data_wait")  # columns of metrics.csv that no two runs have the same


def same_content(path: Path, reference: Path) -> bool:
    """Whether two files of one name hold the same; False where one cannot be read."""
    if filecmp.cmp(path, reference, shallow=False):
        return True
    compare = {".parquet": _same_table, ".json": _same_json, ".csv": _same_csv, ".safetensors": _same_weights}
    try:
        return path.suffix in compare and compare[path.suffix](path, reference)
    except (OSError, ValueError, pa.ArrowException, SafetensorError):
        return False


def _same_table(path: Path, reference: Path) -> bool:
    """Schemas and the names of their metadata are equal: digests of inputs may differ with the inputs."""
    found, expected = pq.read_table(path), pq.read_table(reference)
    named = [set(table.schema.metadata or {}) for table in (found, expected)]
    return (
        found.schema.equals(expected.schema)
        and named[0] == named[1]
        and all(
            _same_column(found[name].combine_chunks(), expected[name].combine_chunks()) for name in found.column_names
        )
    )


def _same_column(found: pa.Array, expected: pa.Array) -> bool:
    """Lists are compared by their lengths and their flat values."""
    if found.equals(expected):
        return True
    if not found.is_null().equals(expected.is_null()):
        return False
    found, expected = found.drop_null(), expected.drop_null()
    if pa.types.is_list(found.type) or pa.types.is_fixed_size_list(found.type):
        lengths = [array.value_lengths() if pa.types.is_list(array.type) else len(array) for array in (found, expected)]
        return lengths[0] == lengths[1] and _same_column(found.flatten(), expected.flatten())
    return pa.types.is_floating(found.type) and _close(found.to_numpy(False), expected.to_numpy(False))


def _same_weights(path: Path, reference: Path) -> bool:
    found, expected = load_file(path), load_file(reference)
    return found.keys() == expected.keys() and all(_close(found[name], expected[name]) for name in found)


def _same_json(path: Path, reference: Path) -> bool:
    return _same_value(json.loads(path.read_bytes()), json.loads(reference.read_bytes()))


def _same_csv(path: Path, reference: Path) -> bool:
    found, expected = _rows(path), _rows(reference)
    return len(found) == len(expected) and all(map(_same_value, found, expected))


def _rows(path: Path) -> list[dict[str, Any]]:
    """The rows without measured times, numbers as numbers."""
    with open(path, encoding="utf-8", newline="") as file:
        return [{name: _number(cell) for name, cell in row.items() if name not in MEASURED}
                for row in csv.DictReader(file)]  # fmt: skip


def _number(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell


def _same_value(found: Any, expected: Any) -> bool:
    if isinstance(found, dict) and isinstance(expected, dict):
        same_names = list(found) == list(expected)
        return same_names and all(_same_value(found[name], expected[name]) for name in found if name not in OF_BYTES)
    if isinstance(found, list) and isinstance(expected, list):
        return len(found) == len(expected) and all(map(_same_value, found, expected))
    if isinstance(found, float) and isinstance(expected, float):
        return math.isclose(found, expected, rel_tol=RELATIVE, abs_tol=ABSOLUTE) or found == expected
    return type(found) is type(expected) and found == expected


def _close(found: np.ndarray, expected: np.ndarray) -> bool:
    if found.dtype.kind != "f":
        return np.array_equal(found, expected)
    return found.shape == expected.shape and np.allclose(found, expected, RELATIVE, ABSOLUTE, equal_nan=True)
