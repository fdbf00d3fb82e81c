"""Speed of reading windows from a five-hour shard, compared with raw sequential decoding and open-and-seek.

The shard is an encoded minute of moving, noisy frames, repeated by stream copy. All ways read windows of 16
frames in one thread and in turn; figures are medians. "Raw" is the bound: frames decoded one after the other from an
open file, none for nothing. A window that starts between keyframes also decodes the frames since the last one.
"""

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from signrep_core.bench.shards import SETTINGS, build_shard
from signrep_core.store.shards import ShardReader
from signrep_core.window import WINDOW

HOURS = 5
PIECE = 1500  # frames of each video: one minute
WINDOWS = 150


def rows() -> list[tuple[str, str]]:
    """Window reading against raw decoding and open-and-seek."""
    with tempfile.TemporaryDirectory() as folder:
        reader = build_shard(Path(folder), HOURS * 60, PIECE)
        starts = _window_starts(len(reader), random.Random(0))
        found = _measure(reader, starts)
        found += _first_reads(reader)
        return found


def _measure(reader: ShardReader, starts: list[tuple[int, int]]) -> list[tuple[str, str]]:
    mp4 = reader.folder / "00000.mp4"
    aligned = [(row, start - start % reader.info.gop) for row, start in starts]
    raw = Sequential(mp4)
    ways: dict[str, tuple[Callable[[int, int], Any], list[tuple[int, int]]]] = {
        "raw": (lambda row, start: raw.read(rgb=True), starts),
        "random": (reader.read_window, starts),
        "aligned": (reader.read_window, aligned),
        "seek": (lambda row, start: _open_and_seek(mp4, row * PIECE + start), starts),
        "raw yuv": (lambda row, start: raw.read(rgb=False), starts),
        "random yuv": (reader.read_planes, starts),
        "aligned yuv": (reader.read_planes, aligned),
        "targets": (reader.read_targets, starts),
    }
    for way, places in ways.values():  # warm up
        way(*places[0])
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for i in range(len(starts)):  # in turn, so that other load affects all ways alike
        for name, (way, places) in ways.items():
            began = time.perf_counter()
            way(*places[i])
            spent[name].append(time.perf_counter() - began)
    ms = {name: statistics.median(times) * 1e3 for name, times in spent.items()}
    lead = statistics.mean(start % reader.info.gop for _, start in starts)
    bound = ms["raw"] + lead * ms["raw yuv"] / WINDOW  # the frames before the window are decoded but not converted
    return [
        (f"shard of {HOURS} h", f"{mp4.stat().st_size / 1e6:.0f} MB, {reader.info.counts['frames']:,} frames"),
        ("16 frames, raw sequential decode + RGB", f"{ms['raw']:.2f} ms"),
        ("window at a keyframe + RGB", f"{ms['aligned']:.2f} ms = {ms['raw'] / ms['aligned']:.0%} of raw speed"),
        ("window anywhere + RGB", f"{ms['random']:.2f} ms = {ms['raw'] / ms['random']:.0%} of raw speed"),
        (f"  bound: raw with {lead:.1f} frames before it", f"{bound:.2f} ms, reached to {bound / ms['random']:.0%}"),
        ("open and seek (PyAV) + RGB", f"{ms['seek']:.2f} ms = {ms['seek'] / ms['random']:.1f} x a window anywhere"),
        ("16 frames, raw sequential decode, YUV", f"{ms['raw yuv']:.2f} ms"),
        ("window at a keyframe, YUV", f"{ms['aligned yuv']:.2f} ms = {ms['raw yuv'] / ms['aligned yuv']:.0%} of raw"),
        ("window anywhere, YUV", f"{ms['random yuv']:.2f} ms = {ms['raw yuv'] / ms['random yuv']:.0%} of raw speed"),
        ("targets of a window", f"{ms['targets']:.2f} ms"),
    ]  # fmt: skip


def _first_reads(reader: ShardReader) -> list[tuple[str, str]]:
    """Time to open the shard, and to read a window with its targets as training does."""
    opening, both = [], []
    for row in range(8):
        fresh = ShardReader(reader.folder)
        began = time.perf_counter()
        fresh.read_planes(row, 0, 1)
        opening.append(time.perf_counter() - began)
        began = time.perf_counter()
        fresh.read_targets(row, 800)
        fresh.read_window(row, 800)
        both.append(time.perf_counter() - began)
    footer = pq.read_metadata(reader.folder / "00000.parquet").serialized_size
    return [
        ("first read of a shard", f"{statistics.median(opening) * 1e3:.0f} ms, {footer / 1e6:.1f} MB of footer"),
        ("window with its targets", f"{statistics.median(both) * 1e3:.2f} ms"),
    ]


class Sequential:
    """Raw decoding: the next frames of an open file, from its beginning again at its end."""

    def __init__(self, mp4: Path) -> None:
        self._mp4, self._reformatter = mp4, VideoReformatter()
        self._frames = self._decode()

    def _decode(self) -> Any:
        while True:
            with av.open(str(self._mp4)) as container:
                stream = container.streams.video[0]
                stream.codec_context.thread_count = 1
                yield from container.decode(stream)

    def read(self, rgb: bool) -> Any:
        frames = [next(self._frames) for _ in range(WINDOW)]
        return np.stack([_to_rgb(self._reformatter, frame) if rgb else frame.to_ndarray() for frame in frames])


def _open_and_seek(mp4: Path, first: int) -> Any:
    """Read the same frames with only the MP4: open, seek, decode."""
    reformatter = VideoReformatter()
    with av.open(str(mp4)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        wanted = int(first / SETTINGS.fps / stream.time_base)
        container.seek(wanted, stream=stream)
        frames = []
        for frame in container.decode(stream):
            if frame.pts >= wanted:
                frames.append(_to_rgb(reformatter, frame))
            if len(frames) == WINDOW:
                return np.stack(frames)
    raise RuntimeError(f"frame {first} was not found")


def _to_rgb(reformatter: VideoReformatter, frame: Any) -> Any:
    return reformatter.reformat(
        frame, format="rgb24", src_colorspace=Colorspace.ITU709, src_color_range=ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG, threads=1,
    ).to_ndarray()  # fmt: skip


def _window_starts(n_videos: int, rng: random.Random) -> list[tuple[int, int]]:
    return [(rng.randrange(n_videos), rng.randrange(PIECE - WINDOW + 1)) for _ in range(WINDOWS)]
