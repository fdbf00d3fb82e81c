"""Speed of loading windows for training, compared with raw decoding of the same number of frames, per core.

The shards are one shard of noisy frames under many names, an hour each; times are means of processor time, measured
in turn. "Raw" decodes frame after frame from an open file and is the bound: a window at random also needs the
frames since its keyframe.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.shards import PIECE, Sequential
from signrep_core.bench.shards import build_shard
from signrep_core.data.windows import WindowPairs, collate
from signrep_core.store.schemas import SEQUENCES
from signrep_core.store.shards import ShardReader
from signrep_core.store.tables import write_table

VIDEOS: Final = 64  # of a minute, in a shard
SHARDS: Final = 600
ITEMS: Final = 240  # two windows each


def rows() -> list[tuple[str, str]]:
    """Milliseconds per window, and the share of raw speed."""
    with tempfile.TemporaryDirectory() as folder:
        reader = build_shard(Path(folder), VIDEOS, PIECE)
        many = _link_shards(reader, Path(folder) / "many")
        one = WindowPairs(partial(ShardReader, reader.folder), None, 0)
        corpus = WindowPairs(partial(ShardReader, many), None, 0)
        meeting = _meet_shards(corpus)
        raw = Sequential(reader.folder / "00000.mp4")
        ms = _measure(
            {
                "raw": lambda _: [raw.read(rgb=False) for _ in range(2)],
                "one": one.__getitem__,
                "corpus": corpus.__getitem__,
            }
        )
        batch = [one[item] for item in range(10)]
        joining = _measure({"collate": lambda _: collate(batch)})["collate"] / 10
    return [
        ("16 frames decoded one after the other", f"{ms['raw']:.2f} ms"),
        ("window with targets", _share(ms["one"], ms["raw"])),
        (f"  out of {SHARDS} shards", _share(ms["corpus"], ms["raw"])),
        ("a worker meets a shard, of an hour, for the first time", f"{meeting:.0f} ms"),
        ("joining a batch", f"{joining:.2f} ms a window"),
    ]


def _meet_shards(dataset: WindowPairs) -> float:
    """Milliseconds for the first row of a shard; its index is then in memory."""
    first = np.unique(dataset.reader.index["shard"], return_index=True)[1]
    began = time.process_time()
    for row in first.tolist():
        dataset.reader.read_targets(row, 0, 1)
    return (time.process_time() - began) / len(first) * 1e3


def _share(ms: float, raw: float) -> str:
    return f"{ms:.2f} ms = {1000 / ms:.0f} windows/s per core = {raw / ms:.0%} of raw speed"


def _measure(ways: dict[str, Callable[[int], Any]]) -> dict[str, float]:
    """Mean milliseconds per window of each way, measured in turn."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way(0)
    for item in range(1, ITEMS + 1):
        for name, way in ways.items():
            began = time.process_time()
            way(item)
            spent[name].append(time.process_time() - began)
    return {name: statistics.mean(times) * 1e3 / 2 for name, times in spent.items()}


def _link_shards(reader: ShardReader, folder: Path) -> Path:
    """Make a folder with the same shard under SHARDS names."""
    folder.mkdir()
    names = [f"{k:05d}" for k in range(SHARDS)]
    for name in names:
        for end in ("mp4", "parquet"):
            os.link(reader.folder / f"00000.{end}", folder / f"{name}.{end}")
    os.link(reader.folder / "info.json", folder / "info.json")
    n = len(reader)
    columns = {key: np.tile(np.asarray(values), SHARDS) for key, values in reader.index.items()}
    columns["shard"] = np.repeat(names, n)
    columns["video_id"] = np.array([f"{name}-{video}" for name in names for video in reader.index["video_id"]])
    write_table(folder / "index.parquet", SEQUENCES, columns)
    return folder
