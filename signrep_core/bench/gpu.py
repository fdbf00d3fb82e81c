"""The benchmark of a GPU: its parts in the order in which they are measured."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from signrep_core.bench.agreement import measure_agreement
from signrep_core.bench.figures import Figure
from signrep_core.bench.inference import measure_inference
from signrep_core.bench.pose import measure_served_pose
from signrep_core.bench.shards import build_shard
from signrep_core.bench.step import measure_step
from signrep_core.bench.training import measure_training
from signrep_core.bench.workload import Workload
from signrep_core.errors import SignRepError
from signrep_core.store.shards import ShardReader

VIDEOS: Final = 64  # of the shard that is made where none is given
FRAMES: Final = {"base": 750, "tiny": 48}  # of each: half a minute, or six windows that do not overlap much


def gpu_parts(work: Workload, minutes: float) -> Mapping[str, Callable[[], Iterable[Figure]]]:
    """Name → function that yields the figures of a part; none begins when the minutes are over.

    The pose networks are measured where the extra [pose] is installed, which brings them.
    """
    parts: dict[str, Callable[[Workload], Iterator[Figure]]] = {
        "shards": _measure_shards,
        "agreement": measure_agreement,
        "step": measure_step,
        "training": measure_training,
        "inference": measure_inference,
    }
    if find_spec("mediapipe") is not None:
        parts["pose"] = measure_served_pose
    end = time.monotonic() + 60 * minutes

    def measure(part: Callable[[Workload], Iterator[Figure]]) -> Iterator[Figure]:
        if time.monotonic() > end:
            raise SignRepError(f"not begun within {minutes:g} minutes; give more with --minutes")
        yield from part(work)

    return {name: partial(measure, part) for name, part in parts.items()}


def _measure_shards(work: Workload) -> Iterator[Figure]:
    """Make a shard if there is none, and say what is read."""
    if not (work.shards / "index.parquet").exists():
        n_videos = VIDEOS if work.preset == "base" else work.sentences
        build_shard(work.shards.parent, n_videos, FRAMES[work.preset])
    reader = ShardReader(work.shards)
    yield Figure("sequences of the shards", len(reader), at_least=2)
    yield Figure("frames of the shards", float(reader.info.counts["frames"]))


def default_shards(out: Path) -> Path:
    """Folder of the shards that the benchmark makes."""
    return out / "made" / "shards"
