"""Features of videos: one vector for every window of 16 frames, stride 2 as in the released code.

Legend: n windows, T = 16 frames, S pixels of the model's input, D features.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from signrep_core.data.augment import prepare
from signrep_core.data.stream import read_ahead
from signrep_core.data.windows import WindowReader
from signrep_core.errors import ShardError, VideoError
from signrep_core.evaluate.windows import STRIDE, VideoFeatures, select_rows, window_starts
from signrep_core.model.signrep import SignRep
from signrep_core.progress import Progress
from signrep_core.store.files import file_digest
from signrep_core.store.resume import open_resume_cache, work_key
from signrep_core.store.schemas import Schema, features_schema
from signrep_core.store.shards import ShardReader
from signrep_core.store.tables import TableWriter, join_tables
from signrep_core.window import WINDOW

log = logging.getLogger(__name__)

CHUNK: Final = 24  # windows decoded together, since their frames overlap
CPU_BATCH: Final = 4  # windows in a forward pass on a CPU, where larger batches are no faster


@dataclass(frozen=True)
class Chunk:
    """Consecutive frames of a sequence and the windows that start in them."""

    row: int
    starts: NDArray[np.int64]  # (n,) window starts within the sequence
    first_frame: int  # of the sequence, on the common timeline
    frames: NDArray[np.uint8] | None  # (m, 3H/2, W) planes or (m, H, W, 3) from starts[0] on; None = unreadable
    error: str = ""


@dataclass(frozen=True)
class Selection:
    """Videos of the shards."""

    dataset: str | None = None  # None = all
    splits: Sequence[str] | None = None  # None = all
    empty_ok: bool = False  # no such video is no error (all of a sheet's may have been rejected)


@dataclass(frozen=True)
class Inference:
    """Settings of applying a model to many videos."""

    accelerator: str = "auto"  # as Lightning Fabric takes it
    batch_size: int = 32  # windows, or clips, in a forward pass
    workers: int = 0  # loader processes
    stride: int = STRIDE  # frames from one window to the next

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

    Each shard gets a table of its own in the job's resume cache until all are done: a killed run continues with the
    first unfinished shard.

    Args:
        weights: a safetensors file of `SignRep`.
        shards: folder of the packed shards.
        provenance: noted in the table's metadata, with the weights' digest.

    Returns:
        Videos written; one that cannot be read at all is logged and left out.

    Raises:
        CheckpointError: the weights cannot be used.
        TrainingError: there is no such sequence, and the selection does not allow that.
    """
    model = SignRep.load(weights, inference.device)
    schema, out = features_schema(model.n_features), Path(out)
    opener = partial(ShardReader, Path(shards))
    index = opener().index
    rows = select_rows(index, selection.splits, selection.dataset, selection.empty_ok)
    about = {**(provenance or {}), "weights": Path(weights).name, "weights_sha256": file_digest(weights)}
    tables, n_videos = [], 0
    progress = Progress(f"extract_features {selection.dataset or ''}".strip(), _count_videos(index, rows), "videos")
    with open_resume_cache(out) as cache, progress:
        for shard, own in _by_shard(index, rows):
            key = work_key(Path(shards) / "info.json", about, _describe_rows(index, own))
            table = cache.folder / f"{key}.parquet"
            if (done := cache.find(key)) is None:
                done = {"videos": _write_videos(table, schema, video_features(model, opener, own, inference), progress)}
                cache.record(key, done, [table.name])
            else:
                progress.advance(_count_videos(index, own), note=f"shard {shard} was finished before")
            tables.append(table)
            n_videos += done["videos"]
        join_tables(tables, out, schema, about)
    return n_videos


def _write_videos(path: Path, schema: Schema, videos: Iterator[VideoFeatures], progress: Progress) -> int:
    """Write videos as they come, and count them."""
    n = 0
    with TableWriter(path, schema) as writer:
        for video in videos:
            writer.write(features_columns(video))
            progress.advance()
            n += 1
    return n


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
    dataset = _Chunks(open_reader, rows, inference.stride)
    ids = dataset.video_ids
    chunks_read = read_ahead(dataset, inference.workers, batch_size=None, collate_fn=_as_is)
    pending: list[tuple[str, NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]] = []
    for chunks in _gather(chunks_read, inference.batch_size):
        for chunk, features, activity in encode(model, chunks, inference.stride):
            video_id = ids[chunk.row]
            if pending and pending[0][0] != video_id:
                yield _join(pending)
                pending = []
            pending.append((video_id, (chunk.first_frame + chunk.starts).astype(np.int32), features, activity))
    if pending:
        yield _join(pending)


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
        index = open_reader().index
        ids, n_frames = index["video_id"], np.asarray(index["n_frames"])
        self.video_ids = {int(row): str(ids[row]) for row in rows}
        self._n_frames = n_frames
        windows = np.maximum(n_frames[rows] - WINDOW, 0) // stride + 1
        pieces = -(-windows // CHUNK)
        self._rows = np.repeat(rows, pieces)
        before = np.repeat(np.cumsum(pieces) - pieces, pieces)
        self._piece = np.arange(len(self._rows)) - before

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
            first_frame = int(self._reader.read_targets(row, 0, 1)["frame"][0])
            return Chunk(row, starts, first_frame, self._reader.read_planes(row, begin, end - begin))
        except (ShardError, VideoError, OSError) as error:
            return Chunk(row, starts, 0, None, str(error))


def _gather(chunks: Iterator[Chunk], batch_size: int) -> Iterator[list[Chunk]]:
    """Group readable chunks until each group has at least `batch_size` windows (except the last)."""
    group: list[Chunk] = []
    n_broken = 0
    for chunk in chunks:
        if chunk.frames is None:
            n_broken += 1
            log.warning("no features of row %d (%d unreadable so far): %s", chunk.row, n_broken, chunk.error)
            continue
        group.append(chunk)
        if sum(len(c.starts) for c in group) >= batch_size:
            yield group
            group = []
    if group:
        yield group


@torch.inference_mode()
def encode(
    model: SignRep, chunks: list[Chunk], stride: int = STRIDE
) -> Iterator[tuple[Chunk, NDArray[np.float32], NDArray[np.float32]]]:
    """Compute features (n, D) and activity probabilities (n, 2) of each chunk's windows (on a GPU all at once)."""
    device = next(model.parameters()).device
    size = model.config.encoder.image_size
    windows = []
    for chunk in chunks:
        frames = torch.from_numpy(np.ascontiguousarray(chunk.frames)).to(device)
        windows.append(cut_windows(prepare(frames[None], size)[0], len(chunk.starts), stride))
    videos = torch.cat(windows)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        outputs = [model(part) for part in videos.split(CPU_BATCH if device.type == "cpu" else len(videos))]
    sizes = [len(chunk.starts) for chunk in chunks]
    features = torch.cat([output.features.float().cpu() for output in outputs]).split(sizes)
    activity = torch.cat([output.activity.float().sigmoid().cpu() for output in outputs]).split(sizes)
    for chunk, f, a in zip(chunks, features, activity, strict=True):
        yield chunk, f.numpy(), a.numpy()


def _join(pieces: list[tuple[str, NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]]) -> VideoFeatures:
    _, starts, features, activity = zip(*pieces, strict=True)
    return VideoFeatures(pieces[0][0], np.concatenate(starts), np.concatenate(features), np.concatenate(activity))


def _as_is(chunk: Any) -> Any:
    return chunk
