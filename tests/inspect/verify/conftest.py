"""Change files of a finished results folder together with their records."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from signrep_core.store.files import file_digest
from signrep_core.store.layout import find_output
from signrep_core.store.records import read_record, write_record
from signrep_core.store.tables import ROWS_PER_GROUP, from_arrow, open_table, write_table


def record_again(path: Path) -> None:
    """Update the record of a file to its current bytes."""
    record = read_record(path)
    assert record is not None
    write_record(path, replace(record, bytes=path.stat().st_size, sha256=file_digest(path)))


def change_table(results: Path, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """Apply `change` to the columns of a table, and update its record."""
    output = find_output(name)
    assert output is not None
    assert output[0].schema is not None
    path, schema = results / name, output[0].schema
    with open_table(path, schema) as file:
        columns = from_arrow(file.read(), schema)
        about = {key.decode(): value.decode() for key, value in file.schema_arrow.metadata.items()}
    columns = {key: values if isinstance(values, list) else values.copy() for key, values in columns.items()}
    columns = change(columns) or columns
    assert len(columns["video_id"]) <= ROWS_PER_GROUP
    write_table(path, schema, columns, about)
    record_again(path)


def change_json(results: Path, name: str, **values: Any) -> None:
    """Replace values of a JSON file, and update its record."""
    path = results / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    record_again(path)


def broken_files(report: Any) -> set[str]:
    """The files with problems in a report."""
    return {problem.file for problem in report.problems}
