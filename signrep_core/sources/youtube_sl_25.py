"""YouTube-SL-25 as published: `youtube-sl-25-metadata.csv`, lines of `video_id,iso639-3` without a header."""

import logging
from pathlib import Path

from signrep_core.errors import SourceError
from signrep_core.sources.listing import Listing, find_named, whole_video
from signrep_core.sources.metadata import read_delimited
from signrep_core.sources.sheet import Row
from signrep_core.sources.youtube import youtube_id

DATASET = "youtube_sl_25"

log = logging.getLogger(__name__)


def list_youtube_sl_25(metadata: str | Path, videos: str | Path) -> Listing:
    """List the downloaded videos, all of split `train`.

    Args:
        videos: folder of the videos, including subfolders; a video is recognised by a YouTube id anywhere in its file
            name or in the name of its folder. Of a video that exists in excerpts only, each excerpt is a row.

    Raises:
        SourceError: the file is missing, or a line is not an id and a language.
    """
    languages = _read_languages(metadata)
    found = find_named(videos, languages)
    listing = Listing()
    for video_id, language in languages.items():
        row = Row(video_id, "", DATASET, "train", language=language)
        whole = whole_video(found, video_id)
        if whole or video_id not in found:
            listing.add(row, whole, f"video named {video_id} below {videos}")
            continue
        for excerpt in found[video_id]:
            listing.add(row._replace(video_id="_".join([video_id, *excerpt.excerpt])), excerpt.path, "")
    return listing


def _read_languages(path: str | Path) -> dict[str, str]:
    """YouTube id -> language, ISO 639-3."""
    languages: dict[str, str] = {}
    repeated = 0
    for number, entry in enumerate(read_delimited(path, ("video_id", "language"), header=False), 1):
        if youtube_id(entry["video_id"]) != entry["video_id"]:
            raise SourceError(
                f"{path}, line {number}: expected a YouTube id of 11 characters, found {entry['video_id']!r}; "
                "give youtube-sl-25-metadata.csv as published"
            )
        repeated += entry["video_id"] in languages
        languages.setdefault(entry["video_id"], entry["language"])
    if repeated:
        log.info("%s: %d lines repeat a video; the first language of each is kept", path, repeated)
    return languages
