"""How2Sign with its re-aligned spans: `how2sign_realigned_{split}.csv`, tab-separated, and the uncut videos."""

import logging
from pathlib import Path

from signrep_core.errors import SourceError
from signrep_core.sources.listing import Listing, find_named, whole_video
from signrep_core.sources.metadata import read_delimited, to_seconds
from signrep_core.sources.sheet import Row

DATASET = "how2sign"
COLUMNS = ("VIDEO_NAME", "SENTENCE_NAME", "START_REALIGNED", "END_REALIGNED", "SENTENCE")

log = logging.getLogger(__name__)


def list_how2sign(metadata: str | Path, videos: str | Path) -> Listing:
    """List the spans of every split whose file exists.

    Args:
        metadata: folder with the tables.
        videos: folder with the uncut videos (`VIDEO_NAME.mp4`, or the name within a longer one), including
            subfolders; the published clips are cut at the spans before re-alignment.

    Raises:
        SourceError: no table exists, or one has another format.
    """
    listing, entries = Listing(), []
    tables = {split: Path(metadata, f"how2sign_realigned_{split}.csv") for split in ("train", "val", "test")}
    for split, table in tables.items():
        if not table.is_file():
            log.warning("%s: no such file; the sheet has no split %r", table, split)
            continue
        lines = read_delimited(table, COLUMNS, "\t", quoted=False, names=("VIDEO_NAME", "SENTENCE_NAME"))
        entries += [(split, f"{table}, line {number}", entry) for number, entry in enumerate(lines, 2)]
    found = find_named(videos, {entry["VIDEO_NAME"] for _, _, entry in entries})
    for split, at, entry in entries:
        start, end = (to_seconds(entry[name], at) for name in ("START_REALIGNED", "END_REALIGNED"))
        name = entry["VIDEO_NAME"]
        row = Row(
            entry["SENTENCE_NAME"], "", DATASET, split, language="ase", start=start, end=end, text=entry["SENTENCE"]
        )
        listing.add(row, whole_video(found, name), f"video {name} below {videos}")
    if not entries:
        raise SourceError(
            f"{metadata}: expected how2sign_realigned_train.csv and the like, found none; give their folder"
        )
    return listing
