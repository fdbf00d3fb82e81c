"""Features of videos: one vector for every window of 16 frames, stride 2 as in the released code.

Legend: n windows, T = 16 frames, S pixels of the model's input, D features.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from signrep_core.data.augment import prepare
from signrep_core.data.stream import read_ahead
from signrep_core.data.windows import WindowReader
from signrep_core.errors import ShardError, VideoError
from signrep_core.evaluate.feature_parts import WHOLE, Part, part_path, shards_of_part
from signrep_core.evaluate.windows import STRIDE, VideoFeatures, count_windows, select_rows, window_starts
from signrep_core.model.signrep import SignRep
from signrep_core.progress import Progress
from signrep_core.store.files import file_digest
from signrep_core.store.resume import ResumeCache, open_resume_cache, work_key
from signrep_core.store.schemas import Schema, features_schema
from signrep_core.store.shards import ShardReader
from signrep_core.store.tables import TableWriter, join_tables
from signrep_core.window import WINDOW

log = logging.getLogger(__name__)

CHUNK: Final = 24  # windows decoded together, since their frames overlap
CPU_BATCH: Final = 4  # windows in a forward pass on a CPU at most, where larger batches are no faster


@dataclass(frozen=True)
class Chunk:
    """Consecutive frames of a sequence and the windows that start in them."""

    row: int
    starts: NDArray[np.int64]  # (n,) window starts within the sequence
    first_frame: int  # of the sequence, on the common timeline
    frames: Tensor | None  # (m, 3H/2, W) planes or (m, H, W, 3) uint8 from starts[0] on; None = unreadable
    last: bool = False  # of its video
    error: str = ""

    @property
    def n_windows(self) -> int:
        """Number of windows that can be read."""
        return 0 if self.error else len(self.starts)

    def pin_memory(self) -> "Chunk":
        """The chunk with its frames in pinned memory, from where they are copied to a GPU in the background."""
        return self if self.frames is None else replace(self, frames=self.frames.pin_memory())


@dataclass(frozen=True)
class Selection:
    """Videos of the shards."""

    dataset: str | None = None  # None = all
    splits: Sequence[str] | None = None  # None = all
    empty_ok: bool = False  # no such video is no error (all of a sheet's may have been rejected)
    part: Part = WHOLE  # whole shards of them, a share of the work for one of several machines


@dataclass(frozen=True)
class Inference:
    """Settings of applying a model to many videos."""

    accelerator: str = "auto"  # as Lightning Fabric takes it
    batch_size: int = 32  # windows, or clips, in a forward pass
    workers: int = 0  # loader processes
    stride: int = STRIDE  # frames from one window to the next
    half: bool = False  # store features in 16 bits each: half the size, errors below 0.05 % of a value

    @property
    def device(self) -> torch.device:
        """The device that the accelerator stands for."""
        from lightning_fabric import Fabric  # slow to import

        return Fabric(accelerator=self.accelerator, devices=1).device


ALL_VIDEOS: Final = Selection()
ALONE: Final = Inference()


def extract_features(
    weights: str | Path,
    shards: str | Path,
    out: str | Path,
    selection: Selection = ALL_VIDEOS,
    inference: Inference = ALONE,
    provenance: Mapping[str, str] | None = None,
) -> int:
    """Write the features of videos as a Parquet table (`store.schemas.features_schema`).

    One loader reads all shards, so that it never runs dry between two. Each shard gets a table of its own in the job's
    resume cache until all are done: a killed run continues with the first unfinished shard.

    Args:
        weights: a safetensors file of `SignRep`.
        shards: folder of the packed shards.
        out: path of the table; a part of the selection is written to `feature_parts.part_path`.
        provenance: noted in the table's metadata, with the weights' digest.

    Returns:
        Videos written; one that cannot be read at all is logged and left out.

    Raises:
        CheckpointError: the weights cannot be used.
        TrainingError: there is no such sequence, and the selection does not allow that.
    """
    model = SignRep.load(weights, inference.device)
    schema, out = features_schema(model.n_features, inference.half), part_path(out, selection.part)
    opener = partial(ShardReader, Path(shards))
    index = opener().index
    rows = select_rows(index, selection.splits, selection.dataset, selection.empty_ok)
    work = shards_of_part(dict(_by_shard(index, rows)), index["n_frames"], selection.part)
    about = {**(provenance or {}), "weights": Path(weights).name, "weights_sha256": file_digest(weights)}
    if selection.part != WHOLE:
        about["part"] = str(selection.part)
    origin = Path(shards) / "info.json", about, inference.half, inference.stride
    keys = {shard: work_key(*origin, _describe_rows(index, own)) for shard, own in work.items()}
    n_videos = sum(_count_videos(index, own) for own in work.values())
    progress = Progress(f"extract_features {selection.dataset or ''}".strip(), n_videos, "videos")
    with open_resume_cache(out) as cache, progress:
        tables = _ShardTables(cache, schema, keys, progress)
        left = tables.unfinished()
        wanted = np.concatenate([np.zeros(0, np.int64), *(work[shard] for shard in left)])
        videos = _each_video(model, opener, wanted, inference)
        for shard in left:
            tables.write(shard, islice(videos, _count_videos(index, work[shard])))
        join_tables(map(tables.path, work), out, schema, about)
        return tables.count()


@dataclass(frozen=True)
class _ShardTables:
    """Tables of the shards in the resume cache of an extraction."""

    cache: ResumeCache
    schema: Schema
    keys: Mapping[str, str]  # by shard
    progress: Progress  # counts videos

    def path(self, shard: str) -> Path:
        return self.cache.folder / f"{self.keys[shard]}.parquet"

    def unfinished(self) -> list[str]:
        return [shard for shard, key in self.keys.items() if self.cache.find(key) is None]

    def count(self) -> int:
        """Videos of all shards, which are finished."""
        return sum(found["videos"] for key in self.keys.values() if (found := self.cache.find(key)))

    def write(self, shard: str, videos: Iterable[VideoFeatures | None]) -> None:
        """Write the readable videos of a shard as they come, and record it as finished."""
        n = 0
        with TableWriter(self.path(shard), self.schema) as writer:
            for video in videos:
                self.progress.advance()
                if video is not None:
                    writer.write(features_columns(video))
                    n += 1
        self.cache.record(self.keys[shard], {"videos": n}, [self.path(shard).name])


def _by_shard(index: Mapping[str, Any], rows: NDArray[np.int64]) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """(shard, its rows) in the shards' order."""
    shards = np.asarray(index["shard"], dtype=object)[rows].astype(str)
    for shard in np.unique(shards):
        yield str(shard), rows[shards == shard]


def _count_videos(index: Mapping[str, Any], rows: NDArray[np.int64]) -> int:
    return len({index["video_id"][row] for row in rows})


def _describe_rows(index: Mapping[str, Any], rows: NDArray[np.int64]) -> list[dict[str, str]]:
    """The sequences that a shard's features are made of."""
    return [{name: str(values[row]) for name, values in index.items()} for row in rows]


def features_columns(video: VideoFeatures) -> dict[str, Any]:
    """Rows of a video in a features table."""
    return {
        "video_id": [video.video_id] * len(video.features),
        "start_frame": video.start_frame,
        "features": video.features,
        "right_active": video.activity[:, 0],
        "left_active": video.activity[:, 1],
    }


def video_features(
    model: SignRep,
    open_reader: Callable[[], WindowReader],
    rows: NDArray[np.int64],
    inference: Inference = ALONE,
) -> Iterator[VideoFeatures]:
    """Compute the features of every video in `rows` (grouped by video), in order, one video in memory at a time.

    A sequence that cannot be read is logged and left out of its video.
    """
    for video in _each_video(model, open_reader, rows, inference):
        if video is not None:
            yield video


def _each_video(
    model: SignRep, open_reader: Callable[[], WindowReader], rows: NDArray[np.int64], inference: Inference
) -> Iterator[VideoFeatures | None]:
    """Yield every video in `rows`, as soon as its last window is done; None for one that cannot be read."""
    ids, n_broken = open_reader().index["video_id"], 0
    pinned = next(model.parameters()).device.type == "cuda"
    chunks = read_chunks(open_reader, rows, inference, pinned)
    pending: list[tuple[Chunk, NDArray[np.float32], NDArray[np.float32]]] = []
    for chunk, features, activity in encode(model, chunks, inference.batch_size, inference.stride):
        if chunk.error:
            n_broken += 1
            log.warning("no features of row %d (%d unreadable so far): %s", chunk.row, n_broken, chunk.error)
        else:
            pending.append((chunk, features, activity))
        if chunk.last:
            yield _join(str(ids[chunk.row]), pending) if pending else None
            pending = []


def read_chunks(
    open_reader: Callable[[], WindowReader], rows: NDArray[np.int64], inference: Inference, pin_memory: bool
) -> Iterator[Chunk]:
    """Read all windows of `rows` (grouped by video) in order, ahead in `inference.workers` processes."""
    chunks = _Chunks(open_reader, rows, inference.stride)
    yield from read_ahead(chunks, inference.workers, pin_memory, batch_size=None, collate_fn=_as_is)


def cut_windows(frames: Tensor, n: int, stride: int = STRIDE, window: int = WINDOW) -> Tensor:
    """Cut n windows from prepared frames: (3, m, S, S) → (n, 3, T, S, S); the last frame is repeated if necessary."""
    missing = (n - 1) * stride + window - frames.shape[1]
    if missing > 0:
        frames = torch.cat((frames, frames[:, -1:].expand(-1, missing, -1, -1)), 1)
    return torch.stack([frames[:, k * stride : k * stride + window] for k in range(n)])


class _Chunks(Dataset[Chunk]):
    """Sequences of `rows` in chunks of at most CHUNK windows."""

    def __init__(self, open_reader: Callable[[], WindowReader], rows: NDArray[np.int64], stride: int) -> None:
        self._open_reader, self._stride = open_reader, stride
        self._reader: WindowReader | None = None
        self._first = -1, 0  # the row read last, and the number of its first frame on the common timeline
        index = open_reader().index
        ids, n_frames = index["video_id"], np.asarray(index["n_frames"])
        self._n_frames = n_frames
        windows = count_windows(n_frames[rows], stride)
        pieces = -(-windows // CHUNK)
        self._rows = np.repeat(rows, pieces)
        before = np.repeat(np.cumsum(pieces) - pieces, pieces)
        self._piece = np.arange(len(self._rows)) - before
        names = np.array([ids[row] for row in rows.tolist()], dtype=object)
        self._last = np.zeros(len(self._rows), bool)  # of its video
        self._last[np.cumsum(pieces) - 1] = np.append(names[1:] != names[:-1], True)[: len(rows)]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, k: int) -> Chunk:
        if k >= len(self):
            raise IndexError(k)
        if self._reader is None:
            self._reader = self._open_reader()
        row = int(self._rows[k])
        n_frames = int(self._n_frames[row])
        starts = window_starts(n_frames, self._stride)[self._piece[k] * CHUNK :][:CHUNK]
        begin, end = int(starts[0]), min(int(starts[-1]) + WINDOW, n_frames)
        try:
            if self._first[0] != row:
                self._first = row, int(self._reader.read_targets(row, 0, 1)["frame"][0])
            frames = np.ascontiguousarray(self._reader.read_planes(row, begin, end - begin))
            return Chunk(row, starts, self._first[1], torch.from_numpy(frames), bool(self._last[k]))
        except (ShardError, VideoError, OSError) as error:
            return Chunk(row, starts, 0, None, bool(self._last[k]), str(error))


@torch.inference_mode()
def encode(
    model: SignRep, chunks: Iterable[Chunk], batch_size: int = CPU_BATCH, stride: int = STRIDE
) -> Iterator[tuple[Chunk, NDArray[np.float32], NDArray[np.float32]]]:
    """Compute features (n, D) and activity probabilities (n, 2) of each chunk's windows, in order.

    Every forward pass has `batch_size` windows (on a CPU CPU_BATCH at most), whatever the chunks hold. Its results are
    fetched after the next one has been started, so that a GPU does not wait for them.
    """
    device = next(model.parameters()).device
    size = batch_size if device.type == "cuda" else min(batch_size, CPU_BATCH)
    waiting: deque[Chunk] = deque()
    windows = _cut_chunks(chunks, waiting, device, model.config.encoder.image_size, stride)
    rows = torch.zeros(0, model.n_features + 2)
    for found in _one_late(_forward(model, batch)[:n] for batch, n in _batches(windows, size)):
        rows = torch.cat((rows, found.cpu()))
        while waiting and len(rows) >= (n := waiting[0].n_windows):
            own, rows = rows.split((n, len(rows) - n))
            yield waiting.popleft(), own[:, :-2].numpy(), own[:, -2:].numpy()
    for chunk in waiting:  # the last ones, if they cannot be read
        yield chunk, rows[:, :-2].numpy(), rows[:, -2:].numpy()


def _cut_chunks(
    chunks: Iterable[Chunk], waiting: deque[Chunk], device: torch.device, size: int, stride: int
) -> Iterator[Tensor]:
    """Yield the windows (n, 3, T, S, S) of each chunk, and append the chunk to those that wait for results."""
    for chunk in chunks:
        waiting.append(replace(chunk, frames=None))
        if chunk.frames is not None:
            frames = prepare(chunk.frames.to(device, non_blocking=True)[None], size)[0]
            yield cut_windows(frames, len(chunk.starts), stride)


def _batches(windows: Iterable[Tensor], size: int) -> Iterator[tuple[Tensor, int]]:
    """Join windows to batches of `size`, each with the number of its windows; the last is padded with zeros."""
    held: list[Tensor] = []
    for piece in windows:
        held.append(piece)
        if sum(map(len, held)) >= size:
            *full, rest = torch.cat(held).split(size)
            held = [rest] if len(rest) < size else []
            for batch in full if held else [*full, rest]:
                yield batch, size
    if held:
        last = torch.cat(held)
        yield F.pad(last, (0, 0) * (last.ndim - 1) + (0, size - len(last))), len(last)


def _forward(model: SignRep, windows: Tensor) -> Tensor:
    """Features and activity probabilities of windows: (n, 3, T, S, S) → (n, D + 2)."""
    with torch.autocast(windows.device.type, torch.bfloat16, enabled=windows.device.type == "cuda"):
        output = model(windows)
    return torch.cat((output.features.float(), output.activity.float().sigmoid()), 1)


def _one_late(values: Iterable[Tensor]) -> Iterator[Tensor]:
    """Yield each value after the next one has been computed."""
    before = None
    for value in values:
        if before is not None:
            yield before
        before = value
    if before is not None:
        yield before


def _join(video_id: str, pieces: list[tuple[Chunk, NDArray[np.float32], NDArray[np.float32]]]) -> VideoFeatures:
    starts = [(chunk.first_frame + chunk.starts).astype(np.int32) for chunk, _, _ in pieces]
    features, activity = (np.concatenate([piece[k] for piece in pieces]) for k in (1, 2))
    return VideoFeatures(video_id, np.concatenate(starts), features, activity)


def _as_is(chunk: Any) -> Any:
    return chunk
