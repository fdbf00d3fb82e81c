"""Windows of the shards for pretraining: an item is one video, two random windows of 16 frames.

Supplement A2.

Legend: P pairs (videos) per batch, W = 2P windows, T = 16 frames, J = 61 joints.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from signrep_core.data.stream import ALONE, Loading, Stream, WindowReader, load_items
from signrep_core.errors import ShardError, TrainingError
from signrep_core.window import WINDOW

log = logging.getLogger(__name__)

Window = TypeVar("Window")  # result of reading a window

TARGETS: Final = ("body_angles", "right_angles", "left_angles", "keypoints", "confidence")


@dataclass(frozen=True)
class Videos:
    """Videos of an index and the starts of windows in them; the sequences of a video are adjacent."""

    video_ids: list[str]
    rows: NDArray[np.int64]  # (S,) rows of the index, by video
    starts_before: NDArray[np.int64]  # (S + 1,) window starts in all sequences before this one
    first: NDArray[np.int64]  # (V + 1,) position in `rows` of each video's first sequence

    def __len__(self) -> int:
        return len(self.video_ids)

    def locate(self, video: int, k: int) -> tuple[int, int]:
        """Row and start frame of a video's k-th window."""
        begin, end = self.first[video], self.first[video + 1]
        flat = self.starts_before[begin] + k
        place = int(np.searchsorted(self.starts_before[begin : end + 1], flat, side="right")) - 1 + int(begin)
        return int(self.rows[place]), int(flat - self.starts_before[place])

    def n_starts(self, video: int) -> int:
        """Number of windows of a video."""
        return int(self.starts_before[self.first[video + 1]] - self.starts_before[self.first[video]])


def group_videos(
    index: Mapping[str, Any], splits: Sequence[str] | None, datasets: Sequence[str] | None = None
) -> Videos:
    """Group the sequences of the given splits and data sets (None = all) by video.

    Videos without a window are left out.

    Raises:
        TrainingError: no video is left; the message lists the splits and data sets that exist.
    """
    wanted = np.asarray(index["n_frames"]) >= WINDOW
    for column, names in (("split", splits), ("dataset", datasets)):
        if names is not None:
            wanted &= np.isin(np.asarray(index[column], dtype=object), list(names))
    if not wanted.any():
        counts = Counter(zip(index["dataset"], index["split"], strict=True))
        there = ", ".join(f"{dataset} {split}: {n}" for (dataset, split), n in sorted(counts.items())) or "none"
        raise TrainingError(
            f"no sequence of at least {WINDOW} frames in the splits {splits or 'any'} of the data sets "
            f"{datasets or 'any'}; the shards contain sequences by data set and split: {there}; choose others "
            "(pretrain.splits, pretrain.datasets) or pack more videos"
        )
    return group_rows(index, np.flatnonzero(wanted), WINDOW)


def group_rows(index: Mapping[str, Any], rows: NDArray[np.int64], n_frames: int) -> Videos:
    """Group rows of an index by video, with the starts of windows of `n_frames`."""
    ids = np.asarray(index["video_id"], dtype=object)[rows].astype(str)
    video_ids, video = np.unique(ids, return_inverse=True)
    order = np.argsort(video, kind="stable")
    rows = rows[order]
    starts = np.asarray(index["n_frames"])[rows].astype(np.int64) - n_frames + 1
    first = np.searchsorted(video[order], np.arange(len(video_ids) + 1))
    return Videos(video_ids.tolist(), rows, np.concatenate(([0], np.cumsum(starts))), first)


class WindowPairs(Stream):
    """Stream whose items are two windows of one video, with their names."""

    def __init__(
        self,
        open_reader: Callable[[], WindowReader],
        splits: Sequence[str] | None,
        seed: int,
        datasets: Sequence[str] | None = None,
    ) -> None:
        self.videos = group_videos(open_reader().index, splits, datasets)
        super().__init__(open_reader, self.videos.video_ids, seed)

    def read(self, video: int, rng: np.random.Generator) -> dict[str, Any]:
        """Two arrays (T, ...) by name, the number `video`, and the names `windows`."""
        n = self.videos.n_starts(video)
        chosen = rng.choice(n, 2, replace=n < 2)  # two different windows, if there are two
        places = [self.videos.locate(video, int(k)) for k in chosen]
        windows = [read_window(self.reader, row, start) for row, start in places]
        # Not stacked here: collate does that once for all items; the frames of a window take 1.5 MB.
        pair: dict[str, Any] = {name: [window[name] for window in windows] for name in windows[0]}
        name = self.videos.video_ids[video]
        return pair | {"video": video, "windows": [f"{name} row {row} frame {start}" for row, start in places]}


def read_window(reader: WindowReader, row: int, start: int, n_frames: int = WINDOW) -> dict[str, NDArray[Any]]:
    """Read one window: `frames`, target columns (T, ...), `active` and `active_known` (2,) right, left.

    `frames` are planes as stored (T, 384, 256): half the bytes of RGB, which the model's device computes.
    """
    targets = reader.read_targets(row, start, n_frames)
    active = [targets["right_active"], targets["left_active"]]  # of the windows that start at these frames
    return {
        "frames": np.asarray(reader.read_planes(row, start, n_frames)),
        **{name: np.asarray(targets[name], dtype=np.float32) for name in TARGETS},
        "active": np.array([np.ma.getdata(hand)[0] for hand in active], bool),
        "active_known": np.array([not np.ma.getmaskarray(hand)[0] for hand in active]),
    }


def sample_windows(dataset: WindowPairs, n: int, read: Callable[[int, int], Window]) -> list[Window]:
    """Call `read(row, start)` for one window of each of the first n items; returns at most n results, always the same.

    Raises:
        TrainingError: none of the windows can be read.
    """
    found = []
    for item in range(n):
        video = dataset.video_of(item)
        row, start = dataset.videos.locate(video, item * 7919 % dataset.videos.n_starts(video))
        try:
            found.append(read(row, start))
        except (ShardError, OSError) as error:
            log.warning("no window of %s: %s", dataset.videos.video_ids[video], error)
    if not found:
        raise TrainingError(f"none of {n} windows can be read; see the log, and pack the shards again")
    return found


@dataclass(frozen=True)
class Batch:
    """W windows, those of one video adjacent; `tensors` by name (W, ...)."""

    tensors: dict[str, Tensor]
    videos: Tensor  # (W,) number of each window's video
    windows: list[str]  # which they are, for messages
    broken: list[str]  # what could not be read and was replaced

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.windows)

    def to(self, device: torch.device) -> "Batch":
        """The batch on another device."""
        tensors = {name: tensor.to(device, non_blocking=True) for name, tensor in self.tensors.items()}
        return Batch(tensors, self.videos.to(device, non_blocking=True), self.windows, self.broken)

    def record_stream(self, stream: torch.cuda.Stream) -> None:
        """Keep the batch's memory until the work on the stream so far has ended."""
        for tensor in (*self.tensors.values(), self.videos):
            tensor.record_stream(stream)

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory, from which copies to the GPU are asynchronous."""
        tensors = {name: tensor.pin_memory() for name, tensor in self.tensors.items()}
        return Batch(tensors, self.videos.pin_memory(), self.windows, self.broken)


def collate(items: Sequence[Mapping[str, Any]]) -> Batch:
    """Join P items, each with its windows (T, ...) by name, into one batch."""
    names = items[0].keys() - {"video", "windows", "broken"}
    return Batch(
        {name: torch.from_numpy(np.stack([window for item in items for window in item[name]])) for name in names},
        torch.tensor([item["video"] for item in items for _ in item["windows"]]),
        [window for item in items for window in item["windows"]],
        [line for item in items for line in item["broken"]],
    )


def load_batches(dataset: WindowPairs, steps: range, pairs: int, loading: Loading = ALONE) -> Iterator[Batch]:
    """The batches of the given steps, in order.

    Raises:
        TrainingError: there is no second video to take unmatched styles from.
    """
    if pairs < 2:
        raise TrainingError(f"a batch of {2 * pairs} windows holds {pairs} videos, two at least are needed")
    if len(dataset.videos) < 2:
        raise TrainingError(
            "pretraining needs windows of at least two videos (the style of another video); "
            f"the shards hold {len(dataset.videos)} in these splits"
        )
    yield from load_items(dataset, collate, steps, pairs, loading)
