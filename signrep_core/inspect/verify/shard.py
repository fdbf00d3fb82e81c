"""Consistency checks of one shard: its tables against each other and against its MP4.

Files that are broken or do not exist (yet) are skipped.
"""

import mmap
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import pyarrow as pa

from signrep_core.errors import REASONS, SignRepError
from signrep_core.inspect.verify.files import check_file
from signrep_core.inspect.verify.frames import TABLES, align, check_frames
from signrep_core.inspect.verify.problems import Problem, Results
from signrep_core.store.layout import PER_SHARD, VIDEO_TABLES, find_output
from signrep_core.store.pack import read_packets
from signrep_core.store.records import read_record
from signrep_core.store.schemas import CROPS, FRAMES, SEQUENCES, SHEET_COLUMNS, VIDEOS
from signrep_core.store.shards import GOP
from signrep_core.store.tables import Columns, arrow_schema, open_table, read_groups, read_table
from signrep_core.store.video_status import STATUSES
from signrep_core.video.encode import EncoderSettings
from signrep_core.window import WINDOW

SIDE: Final = EncoderSettings.size  # pixels
Bones = tuple[Any, Any]
SLICE_NAL: Final = (1, 5)  # H.264 NAL unit types: slice of a non-IDR picture, of an IDR picture


@dataclass(frozen=True)
class CheckedShard:
    """Result of checking a shard's files, with the data that the check of the corpus needs."""

    problems: list[Problem]
    files: int = 0
    bytes: int = 0
    pending: dict[str, str] = field(default_factory=dict)  # file not written yet -> UNDER_WAY or STOPPED
    videos_file: str = ""  # table of these videos
    videos: list[str] = field(default_factory=list)


def check_shard(results: Results, shard: str, names: list[str], bones: Bones | None) -> CheckedShard:
    """Check each file of a shard against its record, then all against each other.

    Args:
        names: the shard's files, as paths below the results folder.
        bones: body and hand offsets of the corpus; None = unknown.
    """
    problems: list[Problem] = []
    whole: dict[str, Path] = {}  # by pattern
    pending, size = {}, 0
    digests: dict[tuple[int, int], str] = {}
    for name in names:
        checked = check_file(results, name, digests)
        problems += checked.problems
        size += checked.size
        if checked.pending:
            pending[name] = checked.pending
        if checked.whole and (found := find_output(name)):
            whole[found[0].pattern] = results.path(name)
    consistency = _ConsistencyCheck(results, shard, whole, bones)
    problems += consistency.check()
    return CheckedShard(problems, len(names), size, pending, VIDEO_TABLES[-1].path(shard=shard), consistency.videos)


class _ConsistencyCheck:
    """Comparisons between the intact files of a shard."""

    def __init__(self, results: Results, shard: str, whole: dict[str, Path], bones: Bones | None) -> None:
        self.results, self.shard, self.whole, self.bones = results, shard, whole, bones
        self.videos: list[str] = []

    def check(self) -> Iterator[Problem]:
        """Run every comparison whose files exist."""
        problems = list(self._schemas())
        for problem in problems:
            self.whole.pop(problem.file.replace(self.shard, "{shard}"), None)
        yield from problems
        for comparison in (self._videos, self._frames, self._crops, self._packets, self._targets, self._sequences):
            try:
                yield from comparison()
            except (SignRepError, av.FFmpegError, pa.ArrowException, ValueError, KeyError, IndexError) as error:
                name = comparison.__name__.strip("_")
                yield Problem(f"shards/{self.shard}.parquet", f"its {name} cannot be checked", "readable files",
                              f"{type(error).__name__}: {error}", "pack_shards")  # fmt: skip

    def _path(self, pattern: str) -> Path | None:
        return self.whole.get(pattern)

    def _problem(self, pattern: str, what: str, expected: str, found: str) -> Problem:
        rule = next(output.rule for output in PER_SHARD if output.pattern == pattern)
        return Problem(pattern.format(shard=self.shard), what, expected, found, rule)

    def _schemas(self) -> Iterator[Problem]:
        """Compare schema names, versions and column types."""
        for output in PER_SHARD:
            path = self._path(output.pattern)
            if path is None or output.schema is None:
                continue
            try:
                with open_table(path, output.schema) as file:
                    expected, found = arrow_schema(output.schema), file.schema_arrow
                    if not found.equals(expected):
                        yield self._problem(output.pattern, "wrong columns", str(expected), str(found))
            except SignRepError as error:
                yield self._problem(output.pattern, "wrong table", f"a {output.schema.name} table", str(error))

    def _videos(self) -> Iterator[Problem]:
        """Check that each video has one valid status, and that no later stage changes a final one."""
        before: dict[str, tuple[str, str]] | None = None
        for pattern in (output.pattern for output in VIDEO_TABLES):
            path = self._path(pattern)
            if path is None:
                continue
            videos = read_table(path, VIDEOS, ["video_id", "status", "reason"])
            states = dict(zip(videos["video_id"], zip(videos["status"], videos["reason"], strict=True), strict=True))
            if len(states) != len(videos["video_id"]):
                yield self._problem(pattern, "duplicate video", "one row per video", f"{len(videos['video_id'])} rows")
            for video, (status, reason) in states.items():
                if status not in STATUSES or (reason not in REASONS if status != "ok" else reason):
                    found = f"{status!r}, {reason!r} for {video!r}"
                    yield self._problem(pattern, "invalid status", "ok, or a final status with a reason", found)
            if before is not None:
                yield from self._final_statuses(pattern, before, states)
            before = states
        if self._path(VIDEO_TABLES[-1].pattern) is not None and before is not None:
            self.videos = list(before)

    def _final_statuses(self, pattern: str, before: Mapping[str, Any], states: Mapping[str, Any]) -> Iterator[Problem]:
        if list(before) != list(states):
            expected, found = f"the {len(before)} videos of the previous stage", f"{len(states)} videos, not the same"
            yield self._problem(pattern, "videos lost or added", expected, found)
        for video, state in states.items():
            if (was := before.get(video, state))[0] != "ok" and was != state:
                yield self._problem(
                    pattern, "final status changed by a later stage", f"{was} for {video!r}", f"{state}"
                )

    def _frames(self) -> Iterator[Problem]:
        """Compare pose, angles, keypoints, distances and activity row by row."""
        paths = {name: path for name in TABLES if (path := self._path(f"{name}/{{shard}}.parquet"))}
        if not paths:
            return
        counts = {}
        for name, path in paths.items():
            with open_table(path, TABLES[name]) as file:
                counts[name] = file.metadata.num_rows
        first = next(iter(counts))
        for name, n in counts.items():
            if n != counts[first]:
                pattern = f"{name}/{{shard}}.parquet"
                yield self._problem(pattern, "wrong number of rows", f"{counts[first]} as in {first}", f"{n}")
        posed = self._path("video_status/extract_pose/{shard}.parquet")
        videos = None
        if posed is not None and "pose" in paths:
            states = read_table(posed, VIDEOS, ["video_id", "status"])
            videos = [v for v, status in zip(states["video_id"], states["status"], strict=True) if status == "ok"]
        packed = self._path("shards/{shard}.parquet")
        record = None if packed is None else read_record(packed)
        rate = None if record is None else record.params.get("target_fps")
        yield from check_frames(paths, lambda name: f"{name}/{self.shard}.parquet", videos, self.bones, rate)

    def _crops(self) -> Iterator[Problem]:
        """Check the order and length of the sequences, and that they belong to the videos with status ok."""
        crops, videos = self._path("crops/{shard}.parquet"), self._path("videos/{shard}.parquet")
        if crops is None:
            return
        pattern = "crops/{shard}.parquet"
        cuts = read_table(crops, CROPS)
        if not np.array_equal(cuts["sequence"], np.arange(len(cuts["sequence"]))):
            yield self._problem(pattern, "sequences out of order", "0, 1, 2 ...", f"{cuts['sequence'][:5]} ...")
        sequences: Counter[str] = Counter(cuts["video_id"])
        several = np.array([sequences[video] > 1 for video in cuts["video_id"]], bool)
        if (short := np.flatnonzero(cuts["n_frames"] < np.where(several, WINDOW, 1))).size:
            found = f"{cuts['n_frames'][short[0]]} in sequence {short[0]}"
            expected = f"at least {WINDOW} frames, or the only sequence of its video"
            yield self._problem(pattern, "sequence too short", expected, found)
        if videos is not None:
            states = read_table(videos, VIDEOS, ["video_id", "status"])
            ok = [v for v, status in zip(states["video_id"], states["status"], strict=True) if status == "ok"]
            if list(dict.fromkeys(cuts["video_id"])) != ok:
                differ = sorted(set(ok) ^ set(cuts["video_id"]))
                found = f"{differ[0]!r} in only one of them" if differ else "another order"
                yield self._problem(
                    pattern, "videos differ from those with status ok", f"{len(ok)} videos of videos/", found
                )

    def _packets(self) -> Iterator[Problem]:
        """Check that the MP4 has one video stream, and a packet at the indexed position for each row of the frames."""
        mp4, crops, frames = (
            self._path(p) for p in ("shards/{shard}.mp4", "crops/{shard}.parquet", "shards/{shard}.parquet")
        )
        if mp4 is None:
            return
        pattern = "shards/{shard}.mp4"
        packets = read_packets(mp4)
        if mp4.stat().st_size:
            with av.open(str(mp4)) as container:
                kinds = [stream.type for stream in container.streams]
                codec = container.streams.video[0].codec_context
                if (kinds, codec.width, codec.height) != (["video"], SIDE, SIDE):
                    found = f"{kinds} of {codec.width}×{codec.height}"
                    yield self._problem(pattern, "wrong streams", f"one video of {SIDE}×{SIDE}, no audio", found)
        n = len(packets["size"])
        if crops is not None and n != (total := int(read_table(crops, CROPS, ["n_frames"])["n_frames"].sum())):
            yield self._problem(pattern, "wrong number of frames", f"{total} as in crops/", f"{n}")
        if frames is not None:
            names = ["packet_offset", "packet_size", "keyframe"]
            rows = read_table(frames, FRAMES, names)
            if not all(np.array_equal(rows[name], packets[name.removeprefix("packet_")]) for name in names):
                found = f"{len(rows['keyframe'])} rows that differ from them"
                pattern = "shards/{shard}.parquet"
                yield self._problem(pattern, "packet index does not match the MP4", f"the MP4's {n} packets", found)
            elif n:
                yield from self._units(mp4, rows)

    def _units(self, mp4: Path, rows: Columns) -> Iterator[Problem]:
        """Check that the indexed bytes are H.264 slices, IDR slices at keyframes."""
        with open(mp4, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            places = (rows[name].tolist() for name in ("packet_offset", "packet_size", "keyframe"))
            for row, (offset, size, key) in enumerate(zip(*places, strict=True)):
                if _nal_kinds(data, offset, size) != {SLICE_NAL[key]}:
                    found = f"other bytes at {offset} for row {row}"
                    yield self._problem(
                        "shards/{shard}.parquet", "no frame at the indexed position", "H.264 slices", found
                    )
                    return

    def _targets(self) -> Iterator[Problem]:
        """Check that the frame table has the rows of angles, keypoints and activity within sequences."""
        names = ("angles", "keypoints", "activity")
        crops, frames = self._path("crops/{shard}.parquet"), self._path("shards/{shard}.parquet")
        paths = {name: self._path(f"{name}/{{shard}}.parquet") for name in names}
        if crops is None or frames is None or None in paths.values():
            return
        cuts = read_table(crops, CROPS, ["video_id", "start_frame", "n_frames"])
        wanted: dict[str, list[tuple[int, int]]] = {}
        for video, start, n in zip(cuts["video_id"], cuts["start_frame"], cuts["n_frames"], strict=True):
            wanted.setdefault(video, []).append((int(start), int(start + n)))
        tables = align({name: read_groups(path, TABLES[name]) for name, path in paths.items() if path})
        expected = (_kept(slices, wanted) for slices in tables)
        pattern, row = "shards/{shard}.parquet", 0
        for pair in align({"expected": expected, "found": read_groups(frames, FRAMES)}):
            for column in ("video_id", "frame", "time_s", *(c.name for c in FRAMES.columns[7:])):
                if not _same(pair["expected"][column], pair["found"][column]):
                    found = f"{column} differs in rows {row}..{row + len(pair['found']['frame'])}"
                    yield self._problem(
                        pattern,
                        "values differ from the stages",
                        "the values of angles/, keypoints/ and activity/",
                        found,
                    )
                    return
            row += len(pair["found"]["frame"])
        if row != (total := int(cuts["n_frames"].sum())):
            yield self._problem(pattern, "wrong number of rows", f"{total} as in crops/", f"{row}")
        sequence = read_table(frames, FRAMES, ["sequence", "keyframe"])
        expected_sequence = np.repeat(np.arange(len(cuts["n_frames"])), cuts["n_frames"])
        places = np.concatenate([np.arange(n) for n in cuts["n_frames"]]) if len(cuts["n_frames"]) else np.zeros(0)
        if not np.array_equal(sequence["sequence"], expected_sequence):
            yield self._problem(pattern, "wrong sequence numbers", "as in crops/", "other numbers")
        elif not np.array_equal(sequence["keyframe"], places % GOP == 0):
            yield self._problem(pattern, "wrong keyframes", f"one every {GOP} frames of a sequence", "other rows")

    def _sequences(self) -> Iterator[Problem]:
        """Check the sequences against the crops and the table of videos."""
        ours, crops, videos = (self._path(f"{stage}/{{shard}}.parquet") for stage in ("sequences", "crops", "videos"))
        if ours is None or crops is None or videos is None:
            return
        of_sheet = [column.name for column in SHEET_COLUMNS]
        sequences, cuts = read_table(ours, SEQUENCES), read_table(crops, CROPS)
        states = read_table(videos, VIDEOS, ["video_id", *of_sheet])
        place = {video: k for k, video in enumerate(states["video_id"])}
        expected = {
            "shard": [self.shard] * len(cuts["sequence"]),
            "video_id": cuts["video_id"],
            "sequence": cuts["sequence"],
            "n_frames": cuts["n_frames"],
            "first_row": np.cumsum(cuts["n_frames"], dtype=np.int64) - cuts["n_frames"],
            **{name: [states[name][place[video]] for video in cuts["video_id"]] for name in of_sheet},
        }
        for column, values in expected.items():
            if not _same(values, sequences[column]):
                pattern = "sequences/{shard}.parquet"
                yield self._problem(pattern, f"wrong {column}", "as in crops/ and videos/", "other values")


def _kept(slices: dict[str, Columns], wanted: Mapping[str, list[tuple[int, int]]]) -> Columns:
    """The rows of a slice within sequences, columns of all tables joined."""
    ids, frames = slices["angles"]["video_id"], slices["angles"]["frame"]
    keep = np.zeros(len(frames), bool)
    for video in dict.fromkeys(ids):
        own = np.array([other == video for other in ids])
        for start, stop in wanted.get(video, ()):
            keep |= own & (frames >= start) & (frames < stop)
    joined = dict(chain.from_iterable(columns.items() for columns in slices.values()))
    return {
        name: [v for v, k in zip(values, keep, strict=True) if k] if isinstance(values, list) else values[keep]
        for name, values in joined.items()
    }


def _same(a: Any, b: Any) -> bool:
    """Whether values are equal; NaN equals NaN and null equals null."""
    if isinstance(a, list) or isinstance(b, list):
        return list(a) == list(b)
    mask = np.ma.getmaskarray(a)
    if a.shape != b.shape or not np.array_equal(mask, np.ma.getmaskarray(b)):
        return False
    x, y = np.ma.getdata(a)[~mask], np.ma.getdata(b)[~mask]
    return bool(np.array_equal(x, y, equal_nan=x.dtype.kind == "f"))


def _nal_kinds(data: Any, offset: int, size: int) -> set[int]:
    """NAL unit types in a packet; empty if the lengths of the units do not add up to its size."""
    kinds: set[int] = set()
    at, end = offset, offset + size
    while at + 5 <= end <= len(data):
        kinds.add(data[at + 4] & 31)
        at += 4 + int.from_bytes(data[at : at + 4])
    return kinds if at == end else set()
