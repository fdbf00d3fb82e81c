"""WLASL as published, `WLASL_v0.3.json`: a list of glosses, each with its instances.

Its frame numbers refer to 25 frames per second, whatever the frame rate of the video.
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from signrep_core.errors import SourceError
from signrep_core.sources.listing import Listing, find_named, whole_video
from signrep_core.sources.metadata import clean
from signrep_core.sources.names import NamedVideo
from signrep_core.sources.sheet import Row
from signrep_core.sources.youtube import named_youtube_id, youtube_id

_log = logging.getLogger(__name__)


class Instance(NamedTuple):
    """One performance of a gloss: a clip, or a span of a longer video."""

    gloss: str
    video_id: str
    url: str
    split: str  # train, val or test
    signer_id: int
    fps: int
    frame_start: int  # counts from 1
    frame_end: int  # -1 = to the end
    bbox: tuple[int, int, int, int]  # xmin, ymin, xmax, ymax, pixels
    source: str
    instance_id: int
    variation_id: int


DATASET = "wlasl"
FPS = 25.0  # of frame_start and frame_end
SUBSETS = (100, 300, 1000, 2000)  # numbers of glosses, the first ones in the file

_KINDS = {name: kind for name, kind in Instance.__annotations__.items() if name not in ("gloss", "bbox")}
_SPLITS = ("train", "val", "test")


def read_wlasl(path: str | Path) -> list[Instance]:
    """Read the instances in WLASL's JSON, in its order.

    Raises:
        SourceError: the file is missing, not JSON, or not in WLASL's schema; the message names the entry.
    """
    entries = _read_json(path)
    if not isinstance(entries, list) or not entries:
        raise SourceError(f"{path}: expected a list of glosses, found {_came(entries)}; {_GET}")
    instances = []
    for number, entry in enumerate(entries):
        at = f"{path}, entry {number}"
        gloss = _field(entry, "gloss", str, at)
        for place, instance in enumerate(_field(entry, "instances", list, f"{at} ({gloss})")):
            instances.append(_to_instance(gloss, instance, f"{at} ({gloss}), instance {place}"))
    return instances


def list_wlasl(metadata: str | Path, videos: str | Path, subset: int = 2000) -> Listing:
    """List the instances of the first `subset` glosses.

    Args:
        videos: folder of the videos, including subfolders. A file named with the instance's video_id is its clip and
            is taken whole; a file named with the id of the YouTube video is uncut, and the row is a span of it, but for
            an excerpt named `ID_{frame_start}_{frame_end}`, which is the clip. Other excerpts are not taken.

    Raises:
        SourceError: as read_wlasl.
    """
    instances = read_wlasl(metadata)
    uncut_ids = {instance.video_id: youtube_id(instance.url) or "" for instance in instances}
    found = find_named(videos, {*uncut_ids, *uncut_ids.values()} - {""})
    glosses = set(list(dict.fromkeys(instance.gloss for instance in instances))[:subset])
    listing = Listing()
    for instance in instances:
        if instance.gloss not in glosses:
            continue
        uncut_id = uncut_ids[instance.video_id]
        row = Row(instance.video_id, "", DATASET, instance.split, clean(instance.gloss), "ase", str(instance.signer_id))
        path = _find_clip(instance, found, uncut_id)
        if path is None and (path := whole_video(found, uncut_id)):
            start, end = _span(instance)
            row = row._replace(start=start, end=end)
        named = " or ".join(filter(None, [instance.video_id, uncut_id]))
        others = f" that is whole; {found[uncut_id][0].path} is an excerpt" if uncut_id in found else ""
        listing.add(row, path, f"video named {named} below {videos}{others}")
    return listing


def _find_clip(instance: Instance, found: Mapping[str, Sequence[NamedVideo]], uncut_id: str) -> str | None:
    """Path of the instance's own clip, named by its video_id or by its frames of the YouTube video."""
    frames = str(instance.frame_start), str(instance.frame_end)
    clips = [video for video in found.get(uncut_id, ()) if video.excerpt == frames]
    return next((video.path for video in [*found.get(instance.video_id, ()), *clips]), None)


def _span(instance: Instance) -> tuple[float | None, float | None]:
    """Start and end in seconds; frames are numbered from 1, and the last one is included."""
    start = max(instance.frame_start - 1, 0) / FPS
    return start or None, instance.frame_end / FPS if instance.frame_end > 0 else None


def wlasl_youtube_ids(instances: Iterable[Instance]) -> dict[str, set[str]]:
    """The YouTube ids of WLASL's videos, each with the video_ids of its instances.

    Clips from other sites are included if their file name contains a YouTube id.
    """
    ids: dict[str, set[str]] = {}
    for instance in instances:
        found = youtube_id(instance.url) or named_youtube_id(instance.url)
        if found:
            ids.setdefault(found, set()).add(instance.video_id)
        elif "youtu" in instance.url.lower():
            _log.warning(
                "WLASL %s: no YouTube id found in %r; its overlaps cannot be detected", instance.video_id, instance.url
            )
    return ids


_GET = "give WLASL_v0.3.json as its authors publish it"


def _read_json(path: str | Path) -> Any:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); {_GET}") from error
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path}: expected JSON, found something else ({error}); {_GET}") from error


def _to_instance(gloss: str, entry: Any, at: str) -> Instance:
    values = {name: _field(entry, name, kind, at) for name, kind in _KINDS.items()}
    if values["split"] not in _SPLITS:
        raise SourceError(f"{at}: split must be one of {', '.join(_SPLITS)}, found {values['split']!r}; {_GET}")
    bbox = _field(entry, "bbox", list, at)
    if len(bbox) != 4 or not all(_is(value, int) for value in bbox):
        raise SourceError(f"{at}: bbox must be 4 integers, found {_came(bbox)}; {_GET}")
    return Instance(gloss=gloss, bbox=tuple(bbox), **values)


def _field(entry: Any, name: str, kind: type, at: str) -> Any:
    if not isinstance(entry, dict):
        raise SourceError(f"{at}: expected an object with {name!r}, found {_came(entry)}; {_GET}")
    if name not in entry:
        raise SourceError(
            f"{at}: {name!r} is missing; the entry has {', '.join(map(repr, entry)) or 'nothing'}; {_GET}"
        )
    if not _is(entry[name], kind):
        word = {str: "text", int: "an integer", list: "a list"}[kind]
        raise SourceError(f"{at}: {name!r} must be {word}, found {_came(entry[name])}; {_GET}")
    return entry[name]


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _came(value: Any) -> str:
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= 80 else f"{shown[:80]}…"
