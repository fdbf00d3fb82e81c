"""Endless stream of examples from the shards: order, replacement of unreadable examples, loading.

Item i is position i mod n of epoch i div n; each epoch is a permutation of the n examples. An item is a pure function
of (seed, i), so the order does not depend on workers or ranks, and training resumes at any step without replaying
earlier ones.
"""

import functools
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from signrep_core.errors import ShardError, TrainingError, VideoError
from signrep_core.video.encode import EncoderSettings
from signrep_core.window import WINDOW

MAX_ATTEMPTS: Final = 8  # videos tried for one item before the training stops
CPU: Final = torch.device("cpu")
PREFETCH: Final = 4  # batches that each process reads ahead
ENDING: Final = (signal.SIGTERM, signal.SIGINT)


class WindowReader(Protocol):
    """Interface of the shards' reader (`signrep_core.store.shards.ShardReader`)."""

    @property
    def index(self) -> Mapping[str, Any]: ...

    def read_window(self, row: int, start: int, n_frames: int = WINDOW) -> NDArray[np.uint8]: ...

    def read_planes(self, row: int, start: int, n_frames: int = WINDOW) -> NDArray[np.uint8]: ...

    def read_planes_at(self, row: int, frames: NDArray[np.int64]) -> NDArray[np.uint8]: ...

    def read_targets(self, row: int, start: int, n_frames: int = WINDOW) -> Mapping[str, Any]: ...


def shuffle_epoch(n: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Order of n videos in an epoch: a pure function of (seed, epoch).

    No epoch starts with the last video of the epoch before, so any two consecutive items are different videos.
    """
    if n < 3:
        return np.arange(n)
    order = _shuffle(n, seed, epoch)
    if epoch and order[0] == _shuffle(n, seed, epoch - 1)[-1]:
        order[:2] = order[1::-1]  # the last one keeps its place
    return order


def _shuffle(n: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, 0, epoch)).permutation(n)


class Stream(Dataset[dict[str, Any]]):
    """Endless stream over the videos `ids`; subclasses define how a video is read."""

    def __init__(self, open_reader: Callable[[], WindowReader], ids: Sequence[str], seed: int) -> None:
        self._open_reader, self._ids, self._seed = open_reader, ids, seed
        self._reader: WindowReader | None = None
        self._epoch: tuple[int, NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        """Number of videos, which is the number of items in an epoch."""
        return len(self._ids)

    def read(self, video: int, rng: np.random.Generator) -> dict[str, Any]:
        """Read one example of a video as arrays."""
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_reader": None, "_epoch": None}  # each process opens files of its own

    @property
    def reader(self) -> WindowReader:
        """Reader of the shards, opened once per process."""
        if self._reader is None:
            self._reader = self._open_reader()
        return self._reader

    def detach(self) -> None:
        """Close the shards before forking, since processes must not share open files."""
        self._reader = None

    def video_of(self, item: int) -> int:
        """Number of an item's video."""
        epoch, position = divmod(item, len(self))
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = (epoch, shuffle_epoch(len(self), self._seed, epoch))
        return int(self._epoch[1][position])

    def __getitem__(self, item: int) -> dict[str, Any]:
        """The arrays of `read`, and `broken`: the videos that could not be read, with the reasons.

        An unreadable video is replaced by another, drawn from (seed, item, attempt), so that the batch keeps its shape;
        the training logs and counts it.

        Raises:
            TrainingError: MAX_ATTEMPTS videos in a row could not be read.
        """
        broken: list[str] = []
        video = self.video_of(item)
        for attempt in range(MAX_ATTEMPTS):
            rng = np.random.default_rng((self._seed, 1, item, attempt))
            if attempt:  # no neighbour in the stream: a batch of pairs needs at least two videos
                near = {self.video_of(max(item - 1, 0)), self.video_of(item + 1)}
                order = rng.permutation(len(self)).tolist()
                video = next((v for v in order if v not in near or attempt > 4), order[0])
            try:
                return self.read(video, rng) | {"broken": broken}
            except (ShardError, VideoError, OSError) as error:
                broken.append(f"{self._ids[video]}: {error}")
        raise TrainingError(f"item {item}: {MAX_ATTEMPTS} videos in a row cannot be read, the last: {broken[-1]}")


@dataclass(frozen=True)
class Loading:
    """Settings of one rank for loading its share of each batch."""

    rank: int = 0
    ranks: int = 1
    workers: int = 0  # processes that read ahead; 0 = the training process itself reads
    device: torch.device = CPU  # of the training

    @property
    def pin_memory(self) -> bool:
        """Whether batches are put in page-locked memory, from which copies to a GPU are asynchronous."""
        return self.device.type == "cuda"


ALONE: Final = Loading()


def batch_items(steps: range, items: int, rank: int = 0, ranks: int = 1) -> Iterator[list[int]]:
    """Items of a rank at each step; step s of the run consists of the items s·n to (s + 1)·n of the stream."""
    assert not items % ranks, "train.launch.check_shares must come first"
    own = items // ranks
    for step in steps:
        first = step * items + rank * own
        yield list(range(first, first + own))


class _Steps:
    """`batch_items` as a batch sampler: iterable, with a length."""

    def __init__(self, steps: range, items: int, rank: int, ranks: int) -> None:
        self._iterate = functools.partial(batch_items, steps, items, rank, ranks)
        self._n = len(steps)

    def __iter__(self) -> Iterator[list[int]]:
        return self._iterate()

    def __len__(self) -> int:
        return self._n


def load_items(
    stream: Stream,
    collate: Callable[[Sequence[Mapping[str, Any]]], Any],
    steps: range,
    items: int,
    loading: Loading = ALONE,
) -> Iterator[Any]:
    """The batches of the given steps in order, with `items` of the stream in each (this rank's share of them), on the
    device of the training.
    """
    if loading.workers:
        stream.detach()
    own = _Steps(steps, items, loading.rank, loading.ranks)
    batches = read_ahead(stream, loading.workers, loading.pin_memory, batch_sampler=own, collate_fn=collate)
    yield from copy_beside(batches, loading.device)


def copy_beside(batches: Iterator[Any], device: torch.device) -> Iterator[Any]:
    """Yield batches on the device. To a GPU they are copied on a stream of their own, while it runs the step before.

    Args:
        batches: have `to(device)` and `record_stream(stream)`.
    """
    if device.type != "cuda":
        yield from batches
        return
    beside = torch.cuda.Stream(device)
    for batch in batches:
        with torch.cuda.stream(beside):
            copied = batch.to(device)
        here = torch.cuda.current_stream(device)
        here.wait_stream(beside)
        copied.record_stream(here)  # so that its memory is not used again before the step has ended
        yield copied


def shared_memory_need(frames: int, workers: int) -> int:
    """Bytes of shared memory that batches of `frames` take, all that `workers` processes read ahead."""
    side = EncoderSettings().size
    return workers * PREFETCH * frames * side * side * 3 // 2  # yuv420p


def read_ahead(dataset: Dataset[Any], workers: int, pin_memory: bool = False, **options: Any) -> Iterator[Any]:
    """Iterate over a dataset that `workers` processes read ahead; they end only when this process ends them.

    SIGTERM and SIGINT that the whole process group or a whole Slurm step receives are for this process to handle, which
    still needs its workers to end in order.

    Args:
        options: as PyTorch's `DataLoader` takes them.
    """
    loader = DataLoader(
        dataset,
        num_workers=workers,
        pin_memory=pin_memory,
        worker_init_fn=_start_worker,
        prefetch_factor=PREFETCH if workers else None,
        **options,
    )
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # the workers inherit it
    try:
        batches = iter(loader)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    yield from batches


def _start_worker(worker: int) -> None:
    torch.set_num_threads(1)
    threading.Thread(target=_await_parent, daemon=True).start()


def _await_parent() -> None:
    """End this process at the SIGTERM of its parent, and ignore that of others."""
    while True:
        sender = signal.sigwaitinfo(ENDING)
        if sender.si_signo == signal.SIGTERM and sender.si_pid == os.getppid():
            os._exit(0)
