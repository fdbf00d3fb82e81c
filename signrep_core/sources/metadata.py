"""Readers for data sets' own metadata: delimited tables, and pickles that contain only basic values."""

import csv
import io
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from signrep_core.errors import SourceError
from signrep_core.sources.sheet import CONTROL


def read_delimited(
    path: str | Path,
    columns: Sequence[str],
    delimiter: str = ",",
    *,
    header: bool = True,
    quoted: bool = True,
    names: Sequence[str] = (),
) -> Iterator[dict[str, str]]:
    """Read the rows of a delimited UTF-8 file as {column: cell}; other columns are ignored.

    Args:
        columns: required columns; without a header, all columns in their order.
        quoted: whether quotation marks enclose cells; otherwise they are part of the text.
        names: columns that name files, whose cells are kept as they are; other cells are cleaned.

    Raises:
        SourceError: the file is missing, not UTF-8 or lacks a column, or a line has another number of cells.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be read ({error.strerror}); give the data set's folder as published"
        ) from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: expected UTF-8 text ({error}); give the file as published") from error
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
    records = _records(path, reader)
    names = next(records, []) if header else list(columns)
    if missing := [column for column in columns if column not in names]:
        raise SourceError(
            f"{path}, line 1: column {missing[0]!r} is missing; expected {', '.join(columns)}, "
            f"found {', '.join(names) or 'nothing'}; give the file as published"
        )
    places = {column: names.index(column) for column in columns}
    for cells in records:
        if not cells:
            continue
        if len(cells) != len(names):
            raise SourceError(
                f"{path}, line {reader.line_num}: expected {len(names)} cells ({', '.join(names)}), "
                f"found {len(cells)}; give the file as published"
            )
        yield {column: cells[place] if column in names else clean(cells[place]) for column, place in places.items()}


def _records(path: str | Path, reader: Any) -> Iterator[list[str]]:
    """Read the records of a csv reader; a csv.Error becomes a SourceError."""
    try:
        yield from reader
    except csv.Error as error:
        raise SourceError(f"{path}, line {reader.line_num}: {error}; give the file as published") from error


def clean(text: str) -> str:
    """Remove what a cell of the sheet cannot contain: control characters, and white space at the ends."""
    return " ".join(CONTROL.sub(" ", text).split())


def to_seconds(text: str, at: str) -> float:
    """Convert a cell to seconds.

    Raises:
        SourceError: the cell is not a number.
    """
    try:
        return float(text)
    except ValueError:
        raise SourceError(f"{at}: expected seconds such as 12.97, found {text!r}; give the file as published") from None


def unpickle_safely(path: str | Path) -> Any:
    """Read a pickle of numbers, text, lists and mappings; unlike `pickle.load`, this cannot run code.

    Raises:
        SourceError: the file is missing, is not a pickle, or contains an object of any class.
    """
    try:
        with open(path, "rb") as file:
            return _SafeUnpickler(file).load()
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be read ({error.strerror}); give the data set's folder as published"
        ) from error
    except SourceError as error:
        raise SourceError(f"{path}: {error}") from None
    except Exception as error:  # a broken pickle can raise any error in the unpickler
        raise SourceError(f"{path}: expected a pickle, found something else ({error}); give it as published") from error


class _SafeUnpickler(pickle.Unpickler):
    """Unpickler that refuses every class and function, so that a file cannot call anything."""

    def find_class(self, module: str, name: str) -> Any:
        raise SourceError(
            f"expected only numbers, text, lists and mappings, found an object of {module}.{name}, which could run "
            "code; give the file as published"
        )
