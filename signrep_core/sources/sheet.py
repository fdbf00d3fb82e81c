"""The sheet `videos.tsv`: one row per video or annotated span, read, checked, written and cut into shards.

Tab-separated UTF-8 (or UTF-16 with a byte order mark, as spreadsheets save "Unicode text") with a header; a cell that
begins with a quotation mark is quoted as in spreadsheets and pandas. The columns `video_id` and `path` are required,
the other columns are optional, unknown columns are ignored. A row without a dataset belongs to one with the name of the
sheet, a row without a split to `train`. Cells contain no tabs, line breaks or control characters; a video_id is unique
in the sheet. A relative path is relative to the sheet's folder in the file, and to the working directory in a `Row`.

All text is normalised here and nowhere else (`signrep_core.text`), when a sheet is read and when it is written; paths
are not.
"""

import codecs
import csv
import difflib
import hashlib
import io
import json
import logging
import math
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from signrep_core.config import UNFIT_IN_PATHS
from signrep_core.errors import SheetError
from signrep_core.store.files import write_text
from signrep_core.store.tables import Columns
from signrep_core.text import SPLIT_WORDS, compose, fold, normalise, to_split


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


class Sheet(NamedTuple):
    """The rows of a sheet, and what a person should know about how it was read, a line each."""

    rows: list[Row]
    notes: list[str]


COLUMNS = Row._fields
NEEDED = ("video_id", "path")
DEFAULT_SPLIT = "train"
UNFIT_IN_NAMES = "/\\" + UNFIT_IN_PATHS
# Not allowed in cells: C0, C1, line and paragraph separators, bytes that are not UTF-8 (as surrogates).
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

# Form in which each column of text is compared. The blanks of an id stay: they can tell two files apart.
_FORMS: dict[str, Callable[[str], str]] = {
    "video_id": compose,
    "split": to_split,
    **dict.fromkeys(("dataset", "gloss", "language", "signer", "text"), normalise),
}
MOST_NAME_BYTES = 120  # of a data set: it is part of file names, which have 255
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_log = logging.getLogger(__name__)


def read_sheet(path: str | Path) -> list[Row]:
    """Read and check a sheet; returns its rows in order.

    Raises:
        SheetError: the file is missing, empty or not UTF-8, a required column is missing, or a cell is wrong; the
            message names the line and the column.
    """
    return open_sheet(path).rows


def open_sheet(path: str | Path, splits: Collection[str] | None = None) -> Sheet:
    """Read and check a sheet, with notes.

    Args:
        splits: names that a row's split may have; None = any.

    Raises:
        SheetError: as `read_sheet`, or a row has another split.
    """
    return _parse(_read_text(path), path, splits)


def write_sheet(path: str | Path, rows: Iterable[Row]) -> None:
    """Write a sheet atomically; paths below the sheet's folder become relative, others absolute.

    Raises:
        SheetError: `read_sheet` would refuse the sheet; nothing is written.
    """
    home = os.path.abspath(os.path.dirname(path))
    cells = [row._replace(path=_portable(row.path, home)) for row in rows]
    sheet = _parse(_to_text(cells), path)
    for note in sheet.notes:
        _log.warning("%s", note)
    written = [row._replace(path=cell.path) for row, cell in zip(sheet.rows, cells, strict=True)]
    write_text(path, _to_text(written))


def _to_text(rows: Iterable[Row]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return text.getvalue()


def cut_shards(rows: Sequence[Row], videos_per_shard: int = 64) -> list[tuple[str, list[Row]]]:
    """Cut rows in order into shards ('00000', rows) of `videos_per_shard`; appended rows do not change full shards."""
    if videos_per_shard < 1:
        raise ValueError(f"videos_per_shard must be at least 1, got {videos_per_shard}")
    starts = range(0, len(rows), videos_per_shard)
    return [(f"{shard:05d}", list(rows[start : start + videos_per_shard])) for shard, start in enumerate(starts)]


def shard_digest(rows: Iterable[Row], folder: str = "") -> str:
    """SHA-256 over a shard's rows, in hex: the same rows give the same digest wherever the sheet lies.

    Args:
        folder: of the sheet, as in its path; what lies below it counts by its path from there.
    """
    homes = [f"{home}{os.sep}" for home in (os.path.abspath(folder), folder) if home]
    written = [row._replace(path=_without(row.path, homes)) for row in rows]
    return hashlib.sha256(json.dumps(written).encode()).hexdigest()


def current_paths(videos: Columns, sheet: str | Path) -> Columns:
    """Copy a table of videos with the paths of the sheet, which may have moved since the table was written.

    A relative path holds in the folder that a run was started from, and only there. Videos that the sheet lacks keep
    their path.
    """
    paths = {row.video_id: row.path for row in read_sheet(sheet)}
    found = zip(videos["video_id"], videos["path"], strict=True)
    return {**videos, "path": [paths.get(video_id, path) for video_id, path in found]}


# ---------------------------------------------------------------- reading


def _read_text(path: str | Path) -> str:
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise SheetError(f"{path}: no such sheet; make one with: signrep sheet folder DIR --out {path}") from error
    except OSError as error:
        raise SheetError(f"{path}: the sheet cannot be read ({error.strerror}); give the path of a file") from error
    encoding = "utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SheetError(
            f"{path}, line {line}: expected UTF-8 text, found byte 0x{data[error.start]:02x}; save it as UTF-8"
        ) from error
    if "\0" in text[:2]:  # UTF-16 without its mark
        raise SheetError(f"{path}, line 1: expected UTF-8 text, found zero bytes; save it as UTF-8")
    return text


class _Table(NamedTuple):
    """The cells of a sheet by column, with file and line numbers for error messages."""

    path: str | Path
    lines: list[int]  # number of each row's first line
    cells: dict[str, Sequence[str]]  # the columns of COLUMNS

    def at(self, row: int, column: str) -> str:
        return f"{self.path}, line {self.lines[row]}, column {column}"


def _parse(text: str, path: str | Path, splits: Collection[str] | None = None) -> Sheet:
    if not text.strip():
        raise SheetError(f"{path}: the sheet is empty; it needs a header line with at least {' and '.join(NEEDED)}")
    lines, records = _split(text, path)
    places, notes = _find_columns(records[0], path, lines[0])
    records, lines = records[1:], lines[1:]
    if not records:
        raise SheetError(f"{path}: the sheet has a header and no rows; it needs one row per video")
    columns = list(zip(*records, strict=True))
    empty = ("",) * len(records)
    raw = _Table(path, lines, {n: empty if at is None else columns[at] for n, at in places.items()})
    for name in COLUMNS:
        _check_characters(raw, name)
    table = raw._replace(cells=_normalise(raw.cells, Path(path).stem))
    for name in NEEDED:
        _check_filled(table, name)
    _check_unique(table)
    _check_datasets(table)
    if splits is not None:
        _check_splits(table, splits)
    folder = os.path.dirname(path)
    values: dict[str, Sequence[Any]] = {
        **table.cells,
        "path": [os.path.join(folder, video) for video in table.cells["path"]],
        **_to_spans(table),
        "fps": _to_numbers(table, "fps", "frames per second such as 25, more than 0,", zero=False),
    }
    notes += [f"{path}: {note}" for note in (*_renamed_splits(raw, table), *_alike_glosses(table))]
    return Sheet(list(map(Row, *(values[name] for name in COLUMNS))), notes)


def _normalise(cells: dict[str, Sequence[str]], sheet_name: str) -> dict[str, Sequence[str]]:
    """The columns of text in the form in which they are compared, with their defaults; other columns as they are."""
    defaults = {"dataset": normalise(sheet_name), "split": DEFAULT_SPLIT}
    normal = dict(cells)
    for name, form in _FORMS.items():
        forms = {text: form(text) or defaults.get(name, "") for text in set(cells[name])}
        normal[name] = [forms[text] for text in cells[name]]
    return normal


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


def _find_columns(header: list[str], path: str | Path, line: int) -> tuple[dict[str, int | None], list[str]]:
    """Position of each of COLUMNS in a row, None if the sheet does not have it; and notes on misspelt columns."""
    names = [normalise(name) for name in header]
    for name, count in Counter(names).items():
        if count > 1:
            at = [place for place, other in enumerate(names, 1) if other == name]
            raise SheetError(f"{path}, line {line}: column {name!r} occurs {count} times, at {at}; keep one of them")
    for name in NEEDED:
        if name not in names:
            raise SheetError(f"{path}, line {line}: needed column {name!r} is missing; {_came(names, name)}")
    notes = []
    for name in names:
        near = difflib.get_close_matches(name.lower(), COLUMNS, 1, 0.8) if name not in COLUMNS else []
        if near and near[0] not in names:
            notes.append(f"{path}, line {line}: column {name!r} is ignored; did you mean {near[0]!r}?")
    return {name: names.index(name) if name in names else None for name in COLUMNS}, notes


def _came(names: list[str], wanted: str) -> str:
    came = f"the header has {', '.join(map(repr, names))}"
    if len(names) == 1 and re.search("[,; ]", names[0]):
        return f"{came}; separate columns by tabs (in a spreadsheet, save as tab-delimited or Unicode text)"
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
        if not normalise(text):
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
    """Refuse names that cannot be part of file names, or that would name the same file on some machines."""
    seen: dict[str, str] = {}
    for dataset, row in _first_rows(table.cells["dataset"]).items():
        at, shown = table.at(row, "dataset"), _short(dataset)
        if found := set(UNFIT_IN_NAMES) & set(dataset):
            raise SheetError(
                f"{at}: {shown} holds {min(found)!r}; it names files, so leave slashes, braces and angle brackets out"
            )
        if len(os.fsencode(dataset)) > MOST_NAME_BYTES:
            raise SheetError(f"{at}: {shown} is longer than {MOST_NAME_BYTES} bytes; it names files, so shorten it")
        if (other := seen.setdefault(fold(dataset), dataset)) != dataset:
            raise SheetError(
                f"{at}: {shown} and {_short(other)} differ only in case or width; they name files, which are the same "
                "on some machines: give both data sets one name, or other names"
            )


def _check_splits(table: _Table, splits: Collection[str]) -> None:
    for split, row in _first_rows(table.cells["split"]).items():
        if split not in splits:
            words = "; ".join(f"{name} (or {', '.join(words[1:])})" for name, words in SPLIT_WORDS.items())
            own = ", ".join(sorted(set(splits) - SPLIT_WORDS.keys()))
            raise SheetError(
                f"{table.at(row, 'split')}: expected {words}{f'; {own}' if own else ''}; found {_short(split)}, which "
                "no setting names; correct it, or name it in pretrain.splits, retrieval.gallery or retrieval.queries"
            )


def _first_rows(cells: Sequence[str]) -> dict[str, int]:
    """Each text with its first row."""
    first: dict[str, int] = {}
    for row, text in enumerate(cells):
        first.setdefault(text, row)
    return first


def _renamed_splits(raw: _Table, table: _Table) -> list[str]:
    pairs = Counter(zip(raw.cells["split"], table.cells["split"], strict=True))
    renamed = [f"{text!r} as {split!r} ({n} rows)" for (text, split), n in pairs.items() if text and text != split]
    return [f"splits are read as ours: {', '.join(renamed)}"] if renamed else []


def _alike_glosses(table: _Table) -> list[str]:
    """Notes on the glosses of a data set that differ only in case or width."""
    kinds: dict[tuple[str, str], set[str]] = defaultdict(set)
    for dataset, gloss in set(zip(table.cells["dataset"], table.cells["gloss"], strict=True)):
        kinds[dataset, fold(gloss)].add(gloss)
    alike: dict[str, list[set[str]]] = defaultdict(list)
    for (dataset, _), glosses in sorted(kinds.items()):
        if len(glosses) > 1:
            alike[dataset].append(glosses)
    return [
        f"data set {dataset!r}: {', '.join(map(repr, sorted(groups[0])))}"
        f"{f' and {len(groups) - 1} more groups of glosses' if groups[1:] else ''} differ only in case or width and "
        "are different signs here; write them alike if they are the same sign"
        for dataset, groups in alike.items()
    ]


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
        _to_number(text, table.at(row, column), expected, zero) if text else None
        for row, text in enumerate(map(normalise, table.cells[column]))
    ]


def _to_number(text: str, at: str, expected: str, zero: bool) -> float:
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not 0 <= value < math.inf or (value == 0 and not zero):
        raise SheetError(f"{at}: expected {expected} or an empty cell, found {_short(text)}; correct it")
    return value


def _without(path: str, homes: Iterable[str]) -> str:
    home = next((home for home in homes if path.startswith(home)), "")
    return path[len(home) :]


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}…")


def _portable(path: str, home: str) -> str:
    if not path:
        return path
    if ".." in Path(path).parts:  # after a link it leads elsewhere than the text of the path says
        folder, name = os.path.split(path)
        path = os.path.join(os.path.realpath(folder), name)
    absolute = os.path.abspath(path)
    below = home.rstrip(os.sep) + os.sep
    return absolute[len(below) :] if absolute.startswith(below) else absolute
