"""Ids of data sets in the names of video files, whatever tool named them; for all sources and the overlap audit.

Names of one video, the best first; the last line are excerpts, not the whole video:

    ID.mp4    Title [ID].mp4 (yt-dlp)    Title-ID.mp4, ID - Title.mp4, ID_720p.mp4    x ID y.mp4    ID/video.mp4
    ID_12_20.mp4, ID-Scene-001.mp4, Title [ID] part 2.mp4

An id inside a word is none, but for YouTube's: 11 random characters are not found by chance.
"""

import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

_log = logging.getLogger(__name__)

WHOLE_NAME, BRACKETED, AT_AN_END, INSIDE, FOLDER = range(5)  # places of an id, the best first
_YOUTUBE: Final = re.compile(r"(?=([A-Za-z0-9_-]{11}))")
# What follows the id of an excerpt: a number, and not that of a resolution, a frame rate or a bit rate.
_EXCERPT: Final = re.compile(
    r"\]?[\s_.,-]*((part|clip|scene|seg|segment|chunk|cut|split)[\s_.-]*)?\d+(?!\d*(p|fps|kbps|k|bit|x\d+)(?![a-z]))",
    re.IGNORECASE | re.ASCII,
)


class IdInName(NamedTuple):
    """An id in a text: where it stands and where it begins."""

    place: int
    start: int
    id: str


class NamedVideo(NamedTuple):
    """A file whose name holds an id."""

    path: str
    place: int
    excerpt: tuple[str, ...]  # of an excerpt the numbers in its name after the id; empty for the whole video


class IdFinder:
    """Finds known ids in names."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._ids = frozenset(ids)
        self._youtube = {known for known in self._ids if _YOUTUBE.match(known) and len(known) == 11}
        self._lengths = sorted({len(known) for known in self._ids - self._youtube} - {0})

    def find(self, text: str) -> list[IdInName]:
        """Find the ids in a text, such as a name without its suffix: the best place first, else from left to right."""
        return sorted(set(self._occurrences(text)), key=lambda found: (found.place, found.start, -len(found.id)))

    def match(self, paths: Iterable[str]) -> dict[str, list[NamedVideo]]:
        """Match files with ids by the files' names, or else by their folders' names: id -> its files, the best first.

        A file belongs to one id; excerpts come after whole videos; equals stay in the order of `paths`.
        """
        paths = list(paths)
        alongside = Counter(map(os.path.dirname, paths))
        matched: dict[str, list[NamedVideo]] = {}
        for path in paths:
            folder, name = os.path.split(path)
            stem = os.path.splitext(name)[0]
            if found := self.find(stem):
                place, start, known = found[0]
                tail = stem[start + len(known) :]
                excerpt = tuple(re.findall("[0-9]+", tail)) if _EXCERPT.match(tail) else ()
            elif found := self.find(os.path.basename(folder)):
                place, known = FOLDER, found[0].id
                excerpt = tuple(re.findall("[0-9]+", stem)) or (stem,) if alongside[folder] > 1 else ()
            else:
                continue
            matched.setdefault(known, []).append(NamedVideo(path, place, excerpt))
        for videos in matched.values():
            videos.sort(key=lambda video: (bool(video.excerpt), video.place))
        _log_choices(matched)
        return matched

    def _occurrences(self, text: str) -> Iterator[IdInName]:
        if text in self._ids:
            yield IdInName(WHOLE_NAME, 0, text)
            return
        for window in _YOUTUBE.finditer(text) if self._youtube else ():
            if window[1] in self._youtube:
                yield _placed(text, window.start(), window[1])
        if not self._lengths:
            return
        edges = {k for k in range(len(text) + 1) if not (text[k - 1 : k].isalnum() and text[k : k + 1].isalnum())}
        for start in edges:
            for length in self._lengths:
                if start + length in edges and text[start : start + length] in self._ids:
                    yield _placed(text, start, text[start : start + length])


def _placed(text: str, start: int, known: str) -> IdInName:
    before, after = text[:start], text[start + len(known) :]
    bracketed = before.endswith("[") and after.startswith("]")
    return IdInName(BRACKETED if bracketed else INSIDE if before and after else AT_AN_END, start, known)


def _log_choices(matched: dict[str, list[NamedVideo]]) -> None:
    """Say which files were found by an id within a longer name, and which ids have several files."""
    loose = [(known, videos[0]) for known, videos in matched.items() if videos[0].place != WHOLE_NAME]
    if loose:
        known, video = loose[0]
        _log.info("%d videos were found by an id within a name, for example %s as %s", len(loose), video.path, known)
    several = [videos for videos in matched.values() if len(videos) > 1 and not videos[1].excerpt]
    if several:
        one, other = several[0][:2]
        said = "%d ids have several files; the best named one is taken, for example %s and not %s"
        _log.warning(said, len(several), one.path, other.path)
