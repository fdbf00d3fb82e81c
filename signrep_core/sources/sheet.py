"""The sheet `videos.tsv`: one row per video or annotated span, read, checked, written and cut into shards.

Tab-separated UTF-8 with a header; a cell that begins with a quotation mark is quoted as in spreadsheets and pandas. The
columns `video_id` and `path` are required, the other columns are optional, unknown columns are ignored. A row without a
dataset belongs to one with the name of the sheet, a row without a split to `train`. Cells contain no tabs, line breaks
or control characters; a video_id is unique in the sheet. A relative path is relative to the sheet's folder in the file,
and to the working directory in a `Row`.
"""

import csv
import difflib
import hashlib
import io
import json
import logging
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from signrep_core.errors import SheetError
from signrep_core.store.files import write_text


class Row(NamedTuple):
    """One row of the sheet: a video, or a span of one."""

    video_id: str
    path: str
    dataset: str = ""
    split: str = ""
    gloss: str = ""
    language: str = ""
    signer: str = ""
    start: float | None = None  # seconds; None = from the beginning
    end: float | None = None  # seconds; None = to the end
    fps: float | None = None  # of an image folder, which has no frame rate of its own; ignored for video files
    text: str = ""  # translation of the video or span into a spoken language


COLUMNS = Row._fields
NEEDED = ("video_id", "path")
DEFAULT_SPLIT = "train"
# Not allowed in cells: C0, C1, line and paragraph separators, bytes that are not UTF-8 (as surrogates).
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_log = logging.getLogger(__name__)


def read_sheet(path: str | Path) -> list[Row]:
    """Read and check a sheet; returns its rows in order.

    Raises:
        SheetError: the file is missing, empty or not UTF-8, a required column is missing, or a cell is wrong; the
            message names the line and the column.
    """
    return _parse(_read_text(path), path)


def write_sheet(path: str | Path, rows: Iterable[Row]) -> None:
    """Write a sheet atomically; paths below the sheet's folder become relative, others absolute.

    Raises:
        SheetError: `read_sheet` would refuse the sheet; nothing is written.
    """
    home = os.path.abspath(os.path.dirname(path))
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(row._replace(path=_portable(row.path, home)) for row in rows)
    _parse(text.getvalue(), path)
    write_text(path, text.getvalue())


def cut_shards(rows: Sequence[Row], videos_per_shard: int = 64) -> list[tuple[str, list[Row]]]:
    """Cut rows in order into shards ('00000', rows) of `videos_per_shard`; appended rows do not change full shards."""
    if videos_per_shard < 1:
        raise ValueError(f"videos_per_shard must be at least 1, got {videos_per_shard}")
    starts = range(0, len(rows), videos_per_shard)
    return [(f"{shard:05d}", list(rows[start : start + videos_per_shard])) for shard, start in enumerate(starts)]


def shard_digest(rows: Iterable[Row]) -> str:
    """SHA-256 over a shard's rows, in hex: the same rows give the same digest on every machine."""
    return hashlib.sha256(json.dumps(list(rows)).encode()).hexdigest()


# ---------------------------------------------------------------- reading


def _read_text(path: str | Path) -> str:
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise SheetError(f"{path}: no such sheet; make one with: signrep sheet folder DIR --out {path}") from error
    except OSError as error:
        raise SheetError(f"{path}: the sheet cannot be read ({error.strerror}); give the path of a file") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        hint = " (it looks like UTF-16)" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
        raise SheetError(
            f"{path}, line {line}: expected UTF-8 text, found byte 0x{data[error.start]:02x}{hint}; save it as UTF-8"
        ) from error


class _Table(NamedTuple):
    """The cells of a sheet by column, with file and line numbers for error messages."""

    path: str | Path
    lines: list[int]  # number of each row's first line
    cells: dict[str, Sequence[str]]  # the columns of COLUMNS

    def at(self, row: int, column: str) -> str:
        return f"{self.path}, line {self.lines[row]}, column {column}"


def _parse(text: str, path: str | Path) -> list[Row]:
    if not text.strip():
        raise SheetError(f"{path}: the sheet is empty; it needs a header line with at least {' and '.join(NEEDED)}")
    lines, records = _split(text, path)
    places = _find_columns(records[0], path, lines[0])
    records, lines = records[1:], lines[1:]
    if not records:
        raise SheetError(f"{path}: the sheet has a header and no rows; it needs one row per video")
    columns = list(zip(*records, strict=True))
    empty = ("",) * len(records)
    table = _Table(path, lines, {n: empty if at is None else columns[at] for n, at in places.items()})
    for name in COLUMNS:
        _check_characters(table, name)
    for name in NEEDED:
        _check_filled(table, name)
    _check_unique(table)
    _check_datasets(table)
    folder = os.path.dirname(path)
    videos = [os.path.join(folder, video) for video in table.cells["path"]]
    defaults = {"dataset": Path(path).stem, "split": DEFAULT_SPLIT}
    values: dict[str, Sequence[Any]] = {
        name: [text or defaults[name] for text in cells] if name in defaults else cells
        for name, cells in table.cells.items()
    }
    values |= {
        "path": videos,
        **_to_spans(table),
        "fps": _to_numbers(table, "fps", "frames per second such as 25, more than 0,", zero=False),
    }
    return list(map(Row, *(values[name] for name in COLUMNS)))


def _split(text: str, path: str | Path) -> tuple[list[int], list[list[str]]]:
    """Line numbers and cells of the header and of every row, without blank lines."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True)
    lines: list[int] = []
    records: list[list[str]] = []
    previous = 0
    try:
        for record in reader:
            if record and (len(record) > 1 or record[0].strip()):
                if records and len(record) != len(records[0]):
                    raise SheetError(
                        f"{path}, line {previous + 1}: expected {len(records[0])} cells as in the header, found "
                        f"{len(record)}; give each column a cell, empty if need be, with one tab between two cells"
                    )
                lines.append(previous + 1)
                records.append(record)
            previous = reader.line_num
    except csv.Error as error:
        raise SheetError(
            f"{path}, line {previous + 1}: the quotation marks of a cell do not fit ({error}); a cell that begins with "
            'a quotation mark ends with one, and those within it are doubled: """A"" and B"'
        ) from error
    return lines, records


def _find_columns(header: list[str], path: str | Path, line: int) -> dict[str, int | None]:
    """Position of each of COLUMNS in a row; None if the sheet does not have it."""
    names = [name.strip() for name in header]
    for name, count in Counter(names).items():
        if count > 1:
            at = [place for place, other in enumerate(names, 1) if other == name]
            raise SheetError(f"{path}, line {line}: column {name!r} occurs {count} times, at {at}; keep one of them")
    for name in NEEDED:
        if name not in names:
            raise SheetError(f"{path}, line {line}: needed column {name!r} is missing; {_came(names, name)}")
    for name in names:
        near = difflib.get_close_matches(name.lower(), COLUMNS, 1, 0.8) if name not in COLUMNS else []
        if near and near[0] not in names:
            _log.warning("%s, line %d: column %r is ignored; did you mean %r?", path, line, name, near[0])
    return {name: names.index(name) if name in names else None for name in COLUMNS}


def _came(names: list[str], wanted: str) -> str:
    came = f"the header has {', '.join(map(repr, names))}"
    if len(names) == 1 and re.search("[,; ]", names[0]):
        return f"{came}; separate columns by tabs"
    alike = {name.lower(): name for name in names if name not in COLUMNS}
    near = difflib.get_close_matches(wanted, alike, 1, 0.6)
    return f"{came}; rename {alike[near[0]]!r} to {wanted!r}" if near else f"{came}; add it"


def _check_characters(table: _Table, column: str) -> None:
    if not CONTROL.search("".join(table.cells[column])):
        return
    row, text, found = next((r, t, m) for r, t in enumerate(table.cells[column]) if (m := CONTROL.search(t)))
    hint = "; is a quotation mark not closed?" if found[0] in "\r\n\t" else ""
    raise SheetError(
        f"{table.at(row, column)}: {_short(text)} holds {found[0]!r}; tabs, line breaks, control characters and text "
        f"that is not UTF-8 are not allowed in a cell: remove it{hint}"
    )


def _check_filled(table: _Table, column: str) -> None:
    for row, text in enumerate(table.cells[column]):
        if not text.strip():
            raise SheetError(f"{table.at(row, column)}: the cell is empty; every row needs a {column}")


def _check_unique(table: _Table) -> None:
    ids = table.cells["video_id"]
    if len(set(ids)) == len(ids):
        return
    seen: dict[str, int] = {}
    for row, video_id in enumerate(ids):
        if video_id in seen:
            raise SheetError(
                f"{table.at(row, 'video_id')}: {_short(video_id)} is already on line "
                f"{table.lines[seen[video_id]]}; give every row its own video_id"
            )
        seen[video_id] = row


def _check_datasets(table: _Table) -> None:
    for row, dataset in enumerate(table.cells["dataset"]):
        if found := set("/\\{}") & set(dataset):
            raise SheetError(
                f"{table.at(row, 'dataset')}: {_short(dataset)} holds {min(found)!r}; it names files, so leave "
                "slashes and braces out"
            )


def _to_spans(table: _Table) -> dict[str, list[float | None]]:
    starts, ends = (_to_numbers(table, name, "seconds such as 12.5, not negative,") for name in ("start", "end"))
    for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
        if end is not None and end <= (start or 0.0):
            raise SheetError(
                f"{table.at(row, 'end')}: expected seconds after the start at {start or 0.0:g}, found {end:g}; "
                "correct the span, or leave the cell empty for the video's end"
            )
    return {"start": starts, "end": ends}


def _to_numbers(table: _Table, column: str, expected: str, zero: bool = True) -> list[float | None]:
    return [
        _to_number(text.strip(), table.at(row, column), expected, zero) if text.strip() else None
        for row, text in enumerate(table.cells[column])
    ]


def _to_number(text: str, at: str, expected: str, zero: bool) -> float:
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not 0 <= value < math.inf or (value == 0 and not zero):
        raise SheetError(f"{at}: expected {expected} or an empty cell, found {_short(text)}; correct it")
    return value


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}…")


def _portable(path: str, home: str) -> str:
    if not path:
        return path
    absolute = os.path.abspath(path)
    below = home.rstrip(os.sep) + os.sep
    return absolute[len(below) :] if absolute.startswith(below) else absolute
