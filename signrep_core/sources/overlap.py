"""Overlap audit: find videos of the sheet that also belong to evaluation data, by their YouTube id (supplement A2).

Every substring of a video_id or path that could be a YouTube id is looked up among the ids of the evaluation data, so
an id is found however the file is named. A row whose video_id or file name is an instance's own id is that instance,
and no overlap, whatever its data set is called. `overlap.tsv` has a row per video and evaluation instance; its column
`rule` says where the id was found: in the `video_id`, in the `filename` or in a `folder` of the path.
"""

import csv
import io
import os
import posixpath
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from signrep_core.errors import TableError
from signrep_core.sources.names import IdFinder
from signrep_core.store.files import write_text
from signrep_core.store.tables import Columns
from signrep_core.store.video_status import FinalStatus, finalise, pretrained_on
from signrep_core.text import normalise


class Overlap(NamedTuple):
    """A video of the sheet and an instance of an evaluation data set that come from one YouTube video."""

    video_id: str
    youtube_id: str
    matched_dataset: str
    matched_id: str  # the evaluation data set's own id of the instance
    rule: str  # video_id, filename or folder


def find_overlap(videos: Columns, evaluation_ids: Mapping[str, Mapping[str, Collection[str]]]) -> list[Overlap]:
    """Find the overlaps of a table's videos, whatever their status and split, in the order of the table.

    Args:
        videos: its columns `video_id` and `path` are read.
        evaluation_ids: data set -> YouTube id -> the data set's own ids of its instances. A row that is one of these
            instances does not count as an overlap with the others.
    """
    holders: dict[str, list[tuple[str, Collection[str]]]] = defaultdict(list)
    for dataset, ids in evaluation_ids.items():
        for youtube_id, matched in ids.items():
            holders[youtube_id].append((dataset, matched))
    finder = IdFinder(holders)
    return [
        Overlap(video_id, youtube_id, holder, matched_id, rule)
        for video_id, path in zip(videos["video_id"], videos["path"], strict=True)
        for youtube_id, rule in _known_ids(video_id, path, finder)
        for holder, matched in holders[youtube_id]
        if not _own_ids(video_id, path) & set(matched)
        for matched_id in sorted(matched)
    ]


def exclude(
    videos: Columns,
    overlaps: Iterable[Overlap],
    splits: Collection[str] = ("train",),
    datasets: Collection[str] | None = None,
) -> Columns:
    """Exclude the overlapping videos that would be pretrained on: a copy of the table with their final status.

    Only videos with status ok are changed; overlaps of videos outside the table are ignored.

    Args:
        splits, datasets: of the pretraining; None = all data sets.
    """
    found: dict[str, list[Overlap]] = defaultdict(list)
    for overlap in overlaps:
        found[overlap.video_id].append(overlap)
    rows = zip(videos["video_id"], videos["status"], pretrained_on(videos, splits, datasets), strict=True)
    return finalise(
        videos,
        {
            video_id: FinalStatus("excluded", "overlap", _describe(found[video_id]))
            for video_id, status, used in rows
            if status == "ok" and used and video_id in found
        },
    )


def write_overlap(path: str | Path, overlaps: Iterable[Overlap]) -> None:
    """Write `overlap.tsv` atomically, rows in the given order; without overlaps it has only its header."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(Overlap._fields)
    writer.writerows(overlaps)
    write_text(path, text.getvalue())


def read_overlap(path: str | Path) -> list[Overlap]:
    """Read a file of `write_overlap`.

    Raises:
        TableError: the file is missing or has another format.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file, delimiter="\t", strict=True)
        if tuple(header) != Overlap._fields:
            raise ValueError(f"expected the columns {', '.join(Overlap._fields)}, found {', '.join(header)}")
        return [Overlap(*row) for row in rows]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise TableError(
            f"{path}: cannot be read as an overlap table ({error}); "
            "rerun the stage that writes it: snakemake --forcerun deduplicate"
        ) from error


def _own_ids(video_id: str, path: str) -> set[str]:
    """The ids that a video may have in its data set: the sheet's and the file's name, without folders and suffix."""
    names = (posixpath.basename(normalise(video_id)), os.path.basename(path))
    return {stem for name in names for stem in (name, os.path.splitext(name)[0])}


def _known_ids(video_id: str, path: str, known: IdFinder) -> Iterator[tuple[str, str]]:
    """The known YouTube ids in the names of a video, each once, with the first place where it occurs."""
    folder, filename = os.path.split(path)
    seen = set()
    for rule, text in (("video_id", video_id), ("filename", filename), ("folder", folder)):
        for _, _, youtube_id in known.find(text):
            if youtube_id not in seen:
                seen.add(youtube_id)
                yield youtube_id, rule


def _describe(overlaps: list[Overlap]) -> str:
    """Detail text of an excluded video: its YouTube videos and the evaluation instances from them."""
    instances: dict[tuple[str, str], list[str]] = defaultdict(list)
    for overlap in overlaps:
        instances[overlap.youtube_id, overlap.matched_dataset].append(overlap.matched_id)
    return "; ".join(
        f"YouTube {youtube_id} is in {dataset} ({', '.join(ids[:3])}{f' and {len(ids) - 3} more' if ids[3:] else ''})"
        for (youtube_id, dataset), ids in instances.items()
    )
