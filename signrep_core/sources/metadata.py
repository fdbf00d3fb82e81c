"""Reading data sets' own metadata: delimited tables, and pickles that may hold plain values only."""

import csv
import io
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from signrep_core.errors import SourceError
from signrep_core.sources.sheet import CONTROL


def read_delimited(
    path: str | Path, columns: Sequence[str], delimiter: str = ",", *, header: bool = True, quoted: bool = True
) -> Iterator[dict[str, str]]:
    """The rows of a delimited UTF-8 file as {column: cell}; further columns are ignored.

    Args:
        columns: those needed; without a header, all of them in their order.
        quoted: quotation marks enclose cells; else they are text.

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
        yield {column: clean(cells[place]) for column, place in places.items()}


def _records(path: str | Path, reader: Any) -> Iterator[list[str]]:
    """The records of a csv reader."""
    try:
        yield from reader
    except csv.Error as error:
        raise SourceError(f"{path}, line {reader.line_num}: {error}; give the file as published") from error


def clean(text: str) -> str:
    """Text as a cell of the sheet can hold it: white space at its ends and control characters removed."""
    return " ".join(CONTROL.sub(" ", text).split())


def to_seconds(text: str, at: str) -> float:
    """A cell as seconds.

    Raises:
        SourceError: it is no number.
    """
    try:
        return float(text)
    except ValueError:
        raise SourceError(f"{at}: expected seconds such as 12.97, found {text!r}; give the file as published") from None


def read_plain_pickle(path: str | Path) -> Any:
    """What a pickle of numbers, text, lists and mappings holds; unlike `pickle.load` it runs nothing.

    Raises:
        SourceError: the file is missing, no pickle, or it holds an object of any class.
    """
    try:
        with open(path, "rb") as file:
            return _PlainUnpickler(file).load()
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be read ({error.strerror}); give the data set's folder as published"
        ) from error
    except SourceError as error:
        raise SourceError(f"{path}: {error}") from None
    except Exception as error:  # a broken pickle can break the unpickler in any way
        raise SourceError(f"{path}: expected a pickle, found something else ({error}); give it as published") from error


class _PlainUnpickler(pickle.Unpickler):
    """Refuses every class and function, so that nothing of a file's choosing is ever called."""

    def find_class(self, module: str, name: str) -> Any:
        raise SourceError(
            f"expected numbers, text, lists and mappings alone, found an object of {module}.{name}, which could run "
            "code; give the file as published"
        )
