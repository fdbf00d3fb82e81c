"""What an adapter finds: rows of the sheet for the videos that are there, and which are missing, split by split."""

import csv
import io
import logging
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from signrep_core.errors import SourceError
from signrep_core.sources.folder import EXTENSIONS, walk
from signrep_core.sources.sheet import Row, write_sheet
from signrep_core.store.files import write_text

log = logging.getLogger(__name__)


class Missing(NamedTuple):
    """A video that the data set names and that cannot be listed."""

    video_id: str
    split: str
    gloss: str
    why: str


@dataclass
class Listing:
    """The videos of a data set."""

    rows: list[Row] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    _taken: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    def add(self, row: Row, path: str | None, expected: str) -> None:
        """Take a row whose video is at `path`; None = missing, `expected` says what was looked for."""
        if path is None:
            self.leave_out(row, f"no {expected}")
        elif row.end is not None and row.end <= (row.start or 0):
            self.leave_out(row, f"its span {row.start or 0:g}..{row.end:g} s is empty")
        elif row.video_id in self._taken:
            self.leave_out(row, "the data set names it twice; the first is taken")
        else:
            self._taken.add(row.video_id)
            self.rows.append(row._replace(path=path))

    def leave_out(self, row: Row, why: str) -> None:
        """Count a row as missing."""
        self.missing.append(Missing(row.video_id, row.split, row.gloss, why))

    def coverage(self) -> dict[str, tuple[int, int]]:
        """Split -> videos that are there, videos that the data set names; in the data set's order."""
        there = Counter(row.split for row in self.rows)
        named = there + Counter(row.split for row in self.missing)
        return {split: (there[split], named[split]) for split in named}


def write_listing(path: str | Path, listing: Listing) -> str:
    """Write the sheet, and beside it `{name}.missing.tsv` where videos are missing; gives the coverage as text.

    Raises:
        SourceError: no video is there at all.
        SheetError: the rows make no sheet.
    """
    if not listing.rows:
        raise SourceError(_nothing(listing.missing))
    write_sheet(path, listing.rows)
    beside = Path(path).with_suffix(".missing.tsv")
    if listing.missing:
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter="\t", lineterminator="\n")
        writer.writerow(Missing._fields)
        writer.writerows(listing.missing)
        write_text(beside, text.getvalue())
    else:
        beside.unlink(missing_ok=True)  # of an earlier listing
    splits = [f"{split} {there} of {named}" for split, (there, named) in listing.coverage().items()]
    missing = f"; {len(listing.missing)} missing, listed in {beside}" if listing.missing else ""
    return f"{path}: {len(listing.rows)} videos ({', '.join(splits)}){missing}"


def first_of(base: str | Path) -> str | None:
    """The folder of pictures at `base`, or the video file of that name with any suffix; None if there is neither."""
    if os.path.isdir(base):
        return str(base)
    return next((path for suffix in EXTENSIONS if os.path.isfile(path := f"{base}.{suffix}")), None)


def index_videos(folder: str | Path) -> dict[str, str]:
    """File name without suffix -> path of every video below a folder, the first in sorted order where names repeat."""
    found: dict[str, str] = {}
    for path in find_videos(folder):
        found.setdefault(Path(path).stem, path)
    return found


def find_videos(folder: str | Path) -> list[str]:
    """The paths of all videos below a folder, sorted.

    Raises:
        SourceError: no such folder.
    """
    if not os.path.isdir(folder):
        raise SourceError(f"{folder}: expected a folder of videos, found none; give the folder that the videos lie in")
    return sorted(path for path in walk(str(folder)) if Path(path).suffix[1:].lower() in EXTENSIONS)


def first_folder(*candidates: Path) -> Path:
    """The first of some folders that exists.

    Raises:
        SourceError: none does; names them.
    """
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise SourceError(
        f"expected a folder {' or '.join(map(str, candidates))}, found none; give the data set's folder as published"
    )


def _nothing(missing: Iterable[Missing]) -> str:
    why = [f"{entry.video_id}: {entry.why}" for entry in missing]
    if not why:
        return "the data set's metadata name no video; give them as published"
    return f"none of the data set's {len(why)} videos is there; for example {why[0]}; give the folder they lie in"
