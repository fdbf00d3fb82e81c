"""Sentences for translation: features and text of a video, in batches of similar length.

The order is a pure function of (seed, epoch), so training resumes at any step. Only ids, texts, numbers of windows and
the table's footer are kept in memory (the 35,000 sentences of How2Sign: 0.2 GB per process, opened in a second);
features are read batch by batch, each sentence from its own row groups (0.5 ms).

Legend: B sentences of a batch, N windows, F values of a window, L word pieces.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from signrep_core.data.stream import ALONE, Loading, read_ahead
from signrep_core.errors import TableError, TrainingError
from signrep_core.store.feature_table import FeatureTable

log = logging.getLogger(__name__)

POOL: Final = 64  # batches whose sentences are jointly sorted by length
NAMED: Final = 5  # videos named in a message


@dataclass(frozen=True)
class Sentences:
    """Sentences of one split that have both features and text."""

    table: FeatureTable
    video_ids: list[str]
    texts: list[str]
    n_windows: NDArray[np.int64]
    counts: dict[str, int]  # of sentences, and of those left out by reason

    def __len__(self) -> int:
        return len(self.video_ids)

    def share(self, rank: int, ranks: int) -> "Sentences":
        """The sentences of one of several ranks."""
        own = slice(rank, None, ranks)
        return replace(self, video_ids=self.video_ids[own], texts=self.texts[own], n_windows=self.n_windows[own])


def select_sentences(
    table: FeatureTable,
    index: Mapping[str, Any],
    dataset: str,
    split: str,
    clean: Callable[[str], str],
    max_windows: int,
) -> Sentences:
    """Select the sentences of a data set's split, in the order of the index; unusable ones are counted and logged.

    Args:
        index: columns `video_id`, `dataset`, `split` and `text` of the sequences (`ShardReader.index`).
        clean: normalises a text for training.
        max_windows: longer sentences are truncated when they are read.
    """
    found: dict[str, str] = {}
    for video, name, part, text in zip(index["video_id"], index["dataset"], index["split"], index["text"], strict=True):
        if name == dataset and part == split:
            found[video] = clean(text)
    untold = [video for video, text in found.items() if not text]
    unseen = [video for video, text in found.items() if text and video not in table]
    left = [video for video, text in found.items() if text and video in table]
    n_windows = np.array([table.n_windows(video) for video in left], np.int64)
    cut = [video for video, n in zip(left, n_windows, strict=True) if n > max_windows]
    _tell(untold, f"split {split!r}: without a text, left out")
    _tell(unseen, f"split {split!r}: not in {table.path}, left out")
    _tell(cut, f"split {split!r}: truncated to {max_windows} windows")
    counts = {"sentences": len(left), "without_text": len(untold), "without_features": len(unseen), "cut": len(cut)}
    return Sentences(table, left, [found[video] for video in left], n_windows.clip(max=max_windows), counts)


def order_batches(n_windows: NDArray[np.int64], batch_size: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Batches of an epoch (n, B): sentences of similar length together, batches in random order.

    Sentences are permuted, divided into pools, sorted by length within each pool, and the batches are shuffled. The
    first sentences complete the last batch, so that every batch is full.
    """
    rng = np.random.default_rng((seed, 0, epoch))
    order = rng.permutation(len(n_windows))
    order = np.resize(order, -(-len(order) // batch_size) * batch_size)
    pool = POOL * batch_size
    for first in range(0, len(order), pool):
        part = order[first : first + pool]
        order[first : first + pool] = part[np.argsort(n_windows[part], kind="stable")]
    batches = order.reshape(-1, batch_size)
    return batches[rng.permutation(len(batches))]


@dataclass(frozen=True)
class SentenceBatch:
    """B sentences, padded with zeros to the longest of them."""

    features: Tensor  # (B, N, F)
    n_windows: Tensor  # (B,)
    pieces: Tensor  # (B, L) with start and end
    n_pieces: Tensor  # (B,)
    video_ids: list[str]
    unread: dict[str, str]  # videos that could not be read and are left out, with the reasons

    @property
    def broken(self) -> list[str]:
        """Unreadable videos with the reasons, for the log."""
        return [f"{video_id}: {why}" for video_id, why in self.unread.items()]

    def __len__(self) -> int:
        return len(self.video_ids)

    def to(self, device: torch.device) -> "SentenceBatch":
        """The batch on another device."""
        return self._with(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "SentenceBatch":
        """The batch in page-locked memory, from which copies to the GPU are asynchronous."""
        return self._with(lambda tensor: tensor.pin_memory())

    def _with(self, change: Callable[[Tensor], Tensor]) -> "SentenceBatch":
        return SentenceBatch(
            change(self.features), change(self.n_windows), change(self.pieces), change(self.n_pieces),
            self.video_ids, self.unread,
        )  # fmt: skip


def read_batch(
    table: FeatureTable, video_ids: Sequence[str], pieces: Sequence[Sequence[int]], max_windows: int
) -> SentenceBatch:
    """Read and pad sentences; unreadable ones are left out."""
    features, unread, said = [], {}, []
    for video_id, own in zip(video_ids, pieces, strict=True):
        try:
            features.append(torch.from_numpy(np.array(table.read(video_id)[:max_windows])))
            said.append(torch.tensor(own, dtype=torch.long))
        except TableError as error:
            unread[video_id] = str(error)
    pad = partial(torch.nn.utils.rnn.pad_sequence, batch_first=True)
    return SentenceBatch(
        pad(features) if features else torch.zeros(0, 1, table.width),
        torch.tensor([len(x) for x in features], dtype=torch.long),
        pad(said) if said else torch.zeros(0, 1, dtype=torch.long),
        torch.tensor([len(p) for p in said], dtype=torch.long),
        [video_id for video_id in video_ids if video_id not in unread],
        unread,
    )


class TrainingBatches(Dataset[SentenceBatch]):
    """Endless batches: item s is this rank's share of the batch of step s.

    Raises:
        TrainingError: none of a batch's sentences can be read.
    """

    def __init__(
        self, sentences: Sentences, pieces: Sequence[Sequence[int]], batch_size: int, seed: int, max_windows: int,
        loading: Loading = ALONE,
    ) -> None:  # fmt: skip
        assert not batch_size % loading.ranks
        self.loading = loading
        self.sentences, self._pieces, self._seed, self._max_windows = sentences, pieces, seed, max_windows
        self._batch_size, self._rows = batch_size, slice(loading.rank, None, loading.ranks)
        self._epoch: tuple[int, NDArray[np.int64]] | None = None

    @property
    def per_epoch(self) -> int:
        """Number of batches in an epoch."""
        return -(-len(self.sentences) // self._batch_size)

    def members(self, step: int) -> NDArray[np.int64]:
        """Sentences in the batch of a step, on all ranks."""
        epoch, place = divmod(step, self.per_epoch)
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = (epoch, order_batches(self.sentences.n_windows, self._batch_size, self._seed, epoch))
        return self._epoch[1][place]

    def __getitem__(self, step: int) -> SentenceBatch:
        rows = self.members(step)[self._rows]
        sentences = self.sentences
        ids, pieces = [sentences.video_ids[row] for row in rows], [self._pieces[row] for row in rows]
        batch = read_batch(sentences.table, ids, pieces, self._max_windows)
        if not len(batch):
            raise TrainingError(f"none of {len(ids)} sentences can be read: {batch.broken[0]}")
        return batch


def load_batches(dataset: TrainingBatches, steps: range) -> Iterator[SentenceBatch]:
    """The batches of the given steps, in order."""
    loading = dataset.loading
    if loading.workers:
        dataset.sentences.table.close()
    yield from read_ahead(dataset, loading.workers, loading.pin_memory, batch_size=None, sampler=steps)


def evaluation_batches(sentences: Sentences, batch_size: int, max_windows: int) -> Iterator[SentenceBatch]:
    """Yield all sentences once, the longest first, without pieces."""
    order = np.argsort(-sentences.n_windows, kind="stable")
    for first in range(0, len(order), batch_size):
        ids = [sentences.video_ids[row] for row in order[first : first + batch_size]]
        yield read_batch(sentences.table, ids, [[]] * len(ids), max_windows)


def feature_statistics(sentences: Sentences, n: int = 1000, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (F,) over the windows of at most n sentences."""
    order = np.random.default_rng((seed, 1)).permutation(len(sentences))[:n]
    total = np.zeros((2, sentences.table.width))
    count = 0
    for row in order:
        try:
            x = sentences.table.read(sentences.video_ids[row]).astype(np.float64)
        except TableError:
            continue  # logged by the training
        total += x.sum(0), (x**2).sum(0)
        count += len(x)
    mean = total[0] / max(count, 1)
    std = np.sqrt(np.maximum(total[1] / max(count, 1) - mean**2, 0))
    return torch.from_numpy(mean).float(), torch.from_numpy(std).float()


def _tell(videos: Sequence[str], what: str) -> None:
    if videos:
        named = ", ".join(videos[:NAMED]) + (", …" if len(videos) > NAMED else "")
        log.warning("%d sentences of %s: %s", len(videos), what, named)
