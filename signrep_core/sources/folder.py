"""Rows of the sheet from a folder: every video below it, in the same order on every machine.

A video is a file or, if a frame rate is given, an image folder.

The video_id is the path below the folder without suffix, in composed Unicode (NFC) so that it can be typed; the suffix
is kept if two files differ only in it. Hidden files are counted, hidden folders are skipped; links to files and folders
are followed, each folder once. A name that a sheet cannot contain (a tab, a line break, a control character, bytes that
are not UTF-8) is refused and not escaped, because the path in the sheet is the path on the disk.
"""

import logging
import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from signrep_core.errors import SheetError
from signrep_core.sources.sheet import CONTROL, Row
from signrep_core.text import compose, find_split
from signrep_core.video.formats import SUFFIXES
from signrep_core.video.image_names import is_image

_log = logging.getLogger(__name__)


def list_folder(
    folder: str | Path,
    suffixes: Sequence[str] = (),
    dataset: str | None = None,
    split: str = "train",
    fps: float | None = None,
) -> list[Row]:
    """List the videos below a folder, sorted by their path.

    Args:
        folder: searched including its subfolders.
        suffixes: of videos that are listed besides those of `video.formats.SUFFIXES`, in any case.
        dataset: the rows' data set; None = the folder's name.
        fps: frame rate of image folders, each of which is then a video; None = images are ignored.

    Raises:
        SheetError: the folder does not exist, a folder cannot be listed, there is no video, or a sheet cannot contain a
            name.
    """
    if not os.path.isdir(folder):
        raise SheetError(f"{folder}: expected a folder of videos, found {_kind(folder)}; give the path of a folder")
    wanted = {suffix.lower().lstrip(".") for suffix in (*SUFFIXES, *suffixes)}
    taken, image_folders, left = [], set[str](), Counter[str]()
    for file in walk(str(folder)):
        suffix = suffix_of(file)
        if os.path.basename(file).startswith("."):
            left["hidden"] += 1
        elif suffix in wanted:
            taken.append(os.path.relpath(file, folder))
        elif fps is not None and is_image(os.path.basename(file)):
            image_folders.add(os.path.relpath(os.path.dirname(file), folder))
        else:
            left[f".{suffix}" if suffix else "no suffix"] += 1
    taken += image_folders
    looked_for = ", ".join(sorted(wanted))
    if not taken:
        raise SheetError(
            f"{folder}: no video found; looked for {looked_for}, found {_counts(left) or 'no file'}; "
            "give another folder, or the suffixes of the videos (--suffixes)"
        )
    _log.info("%s: %d videos; other files, listed with --suffixes: %s", folder, len(taken), _counts(left) or "none")
    taken.sort(key=lambda file: (compose(file), file))
    _check_names(folder, taken)
    dataset = Path(folder).resolve().name if dataset is None else dataset
    ids = _to_ids(folder, taken, image_folders)
    return [
        Row(video_id, os.path.join(folder, file), dataset, split, fps=fps if file in image_folders else None)
        for video_id, file in zip(ids, taken, strict=True)
    ]


def list_gloss_folders(
    folder: str | Path,
    suffixes: Sequence[str] = (),
    dataset: str | None = None,
    split: str = "train",
    fps: float | None = None,
) -> list[Row]:
    """List the videos of `[SPLIT/]GLOSS/VIDEO`: the gloss of a video is its folder.

    Args:
        split: of the videos outside folders named like a split (`text.SPLIT_WORDS`).
        suffixes, fps: as in list_folder.

    Raises:
        SheetError: as list_folder.
    """
    rows = []
    for row in list_folder(folder, suffixes, dataset, fps=fps):
        *above, _ = Path(os.path.relpath(row.path, folder)).parts
        named = find_split(above[0]) if len(above) > 1 else None
        rows.append(row._replace(gloss=above[-1] if above else "", split=named or split))
    if bare := sum(not row.gloss for row in rows):
        _log.warning("%s: %d videos are outside the folders of glosses and have no gloss", folder, bare)
    return rows


def walk(folder: str) -> Iterator[str]:
    """Yield the paths of the files below a folder, depth first and sorted; each folder once, even with cyclic links.

    Hidden folders are skipped.
    """
    seen = set()
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            status = os.stat(here)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(here) as entries:
                shown = sorted((entry for entry in entries if not _is_hidden_folder(entry)), key=_name)
        except OSError as error:
            raise SheetError(f"{here}: the folder cannot be listed ({error.strerror}); make it readable") from error
        waiting += [entry.path for entry in reversed(shown) if entry.is_dir() and not entry.is_symlink()]
        waiting[:0] = [entry.path for entry in reversed(shown) if entry.is_dir() and entry.is_symlink()]
        # A broken link is listed, so that the probe reports it as a missing file.
        yield from (entry.path for entry in shown if entry.is_file() or (entry.is_symlink() and not entry.is_dir()))


def _is_hidden_folder(entry: "os.DirEntry[str]") -> bool:
    return entry.name.startswith(".") and entry.is_dir()


def suffix_of(path: str) -> str:
    """Suffix of a file's name in lower case, without the dot and blanks at its end."""
    return os.path.splitext(path)[1][1:].rstrip().lower()


def _name(entry: "os.DirEntry[str]") -> str:
    return entry.name


def _check_names(folder: str | Path, files: list[str]) -> None:
    bad = [file for file in files if CONTROL.search(file)]
    if bad:
        shown = ", ".join(ascii(file) for file in bad[:5]) + (f" and {len(bad) - 5} more" if len(bad) > 5 else "")
        raise SheetError(
            f"{folder}: a sheet cannot contain file names with tabs, line breaks, control characters or bytes other "
            f"than UTF-8: {shown}; rename {'it' if len(bad) == 1 else 'them'}"
        )


def _to_ids(folder: str | Path, files: list[str], folders: Collection[str]) -> list[str]:
    """One video_id per file or image folder: a file's name without suffix if that is unique."""
    paths = [Path(folder).resolve().name if file == "." else Path(file).as_posix() for file in files]
    whole = [compose(path) for path in paths]
    stems = [name if file in folders else os.path.splitext(name)[0] for name, file in zip(whole, files, strict=True)]
    ids = [stem if stem.strip() else name for stem, name in zip(stems, whole, strict=True)]
    # A kept suffix can make two names equal (a.mp4, a.mkv, a.mp4.mp4), so repeat until all differ.
    while clashing := {video_id for video_id, count in Counter(ids).items() if count > 1}:
        longer = [name if video_id in clashing else video_id for name, video_id in zip(whole, ids, strict=True)]
        if longer == ids:
            twins = [ascii(file) for file, video_id in zip(files, ids, strict=True) if video_id in clashing]
            raise SheetError(
                f"{folder}: names that look alike and differ only in Unicode normalisation: {', '.join(twins[:4])}; "
                "rename all but one"
            )
        ids = longer
    return ids


def _counts(suffixes: Counter[str]) -> str:
    return ", ".join(f"{count} {suffix}" for suffix, count in sorted(suffixes.items()))


def _kind(path: str | Path) -> str:
    return "a file" if os.path.exists(path) else "nothing there"
