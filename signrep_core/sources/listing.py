"""Listing of a data set: rows of the sheet for the videos that exist, and the missing ones by split."""

import csv
import io
import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from signrep_core.errors import SourceError
from signrep_core.sources.folder import suffix_of, walk
from signrep_core.sources.names import IdFinder, NamedVideo
from signrep_core.sources.sheet import CONTROL, Row, write_sheet
from signrep_core.store.files import write_text
from signrep_core.video.formats import SUFFIXES

log = logging.getLogger(__name__)


class Missing(NamedTuple):
    """A video that is named in the data set's metadata but cannot be listed."""

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
        """Add a row whose video is at `path`; None = missing, and `expected` describes the file searched for."""
        if path is None:
            self.leave_out(row, f"no {expected}")
        elif CONTROL.search(path):
            self.leave_out(row, f"a sheet cannot hold the name {path!a}; rename the file")
        elif row.end is not None and row.end <= (row.start or 0):
            self.leave_out(row, f"its span {row.start or 0:g}..{row.end:g} s is empty")
        elif row.video_id in self._taken:
            self.leave_out(row, "the data set names it twice; only the first is taken")
        else:
            self._taken.add(row.video_id)
            self.rows.append(row._replace(path=path))

    def leave_out(self, row: Row, why: str) -> None:
        """Count a row as missing."""
        self.missing.append(Missing(row.video_id, row.split, row.gloss, why))

    def coverage(self) -> dict[str, tuple[int, int]]:
        """Split -> (existing videos, named videos), in the order of the data set."""
        existing = Counter(row.split for row in self.rows)
        named = existing + Counter(row.split for row in self.missing)
        return {split: (existing[split], named[split]) for split in named}


def write_listing(path: str | Path, listing: Listing) -> str:
    """Write the sheet, and `{name}.missing.tsv` next to it if videos are missing; returns the coverage as text.

    Raises:
        SourceError: no video exists.
        SheetError: the rows do not form a valid sheet.
    """
    if not listing.rows:
        raise SourceError(_nothing(listing.missing))
    write_sheet(path, listing.rows)
    missing_file = Path(path).with_suffix(".missing.tsv")
    if listing.missing:
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter="\t", lineterminator="\n")
        writer.writerow(Missing._fields)
        writer.writerows(listing.missing)
        write_text(missing_file, text.getvalue())
    else:
        missing_file.unlink(missing_ok=True)  # from an earlier listing
    splits = [f"{split} {existing} of {named}" for split, (existing, named) in listing.coverage().items()]
    missing = f"; {len(listing.missing)} missing, listed in {missing_file}" if listing.missing else ""
    return f"{path}: {len(listing.rows)} videos ({', '.join(splits)}){missing}"


def first_of(base: str | Path) -> str | None:
    """The image folder at `base`, or the video file of this name with any suffix; None if neither exists."""
    if os.path.isdir(base):
        return str(base)
    suffixes = (written for suffix in SUFFIXES for written in (suffix, suffix.upper()))
    return next((path for suffix in suffixes if os.path.isfile(path := f"{base}.{suffix}")), None)


def find_named(folder: str | Path, ids: Iterable[str]) -> dict[str, list[NamedVideo]]:
    """Find the videos below a folder whose names hold one of the ids: id -> its files, the best first.

    Raises:
        SourceError: the folder does not exist.
    """
    return IdFinder(ids).match(find_videos(folder))


def whole_video(found: Mapping[str, Sequence[NamedVideo]], video_id: str) -> str | None:
    """Path of the best file of an id that is no excerpt, or None."""
    return next((video.path for video in found.get(video_id, ()) if not video.excerpt), None)


def find_videos(folder: str | Path) -> list[str]:
    """The paths of all videos below a folder, sorted.

    Raises:
        SourceError: the folder does not exist.
    """
    if not os.path.isdir(folder):
        raise SourceError(f"{folder}: expected a folder of videos, found none; give the folder of the videos")
    files = (path for path in walk(str(folder)) if not os.path.basename(path).startswith("."))
    return sorted(path for path in files if suffix_of(path) in SUFFIXES)


def first_folder(*candidates: Path) -> Path:
    """The first folder that exists.

    Raises:
        SourceError: none exists; the message names them all.
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
        return "the data set's metadata name no video; give the files as published"
    return f"none of the data set's {len(why)} videos exists; for example {why[0]}; give the folder of the videos"
