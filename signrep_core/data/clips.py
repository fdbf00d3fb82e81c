"""Clips of whole labelled videos for recognition: a fixed number of frames, evenly spaced over the video.

Supplement A6. The frames of a video are those in which its signer is present: all its sequences, concatenated.

Legend: V videos, B clips, T frames of a clip, J joints.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from signrep_core.data.stream import Stream, WindowReader, read_ahead
from signrep_core.data.windows import TARGETS, Batch, Videos, collate, group_rows
from signrep_core.errors import ShardError, VideoError

log = logging.getLogger(__name__)

Inputs = Literal["video", "keypoints"]
NEAR: Final = 8  # frames: packets of wanted frames with smaller gaps are read in one go
NAMED: Final = 5  # glosses or videos named in a message


@dataclass(frozen=True)
class LabelledVideos:
    """Videos of one split; `labels` (V,) are indices into the list of trained glosses, -1 = the gloss is not in it."""

    videos: Videos
    glosses: list[str]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.glosses)

    @property
    def video_ids(self) -> list[str]:
        """Ids of the videos, in order."""
        return self.videos.video_ids


def select_labelled(
    index: Mapping[str, Any],
    dataset: str,
    splits: Sequence[str],
    glosses: Sequence[str] | None = None,
    only_these: bool = False,
) -> LabelledVideos:
    """Select the videos of a data set's splits that have a gloss, ordered by id.

    Args:
        index: columns of the sequences (`ShardReader.index`).
        glosses: list that the labels refer to; None = the glosses of these videos, sorted.
        only_these: leave out the videos of other glosses.
    """
    names, split, gloss = (np.asarray(index[name], dtype=object) for name in ("dataset", "split", "gloss"))
    wanted = (names == dataset) & np.isin(split, list(splits))
    usable = np.isin(gloss, list(glosses)) if glosses is not None and only_these else gloss != ""
    if (wanted & ~usable).any():
        log.info("%s, splits %s: %d sequences without a gloss, or of one that is not trained on, are left out",
                 dataset, list(splits), int((wanted & ~usable).sum()))  # fmt: skip
    videos = group_rows(index, np.flatnonzero(wanted & usable), 1)
    own = [str(gloss[row]) for row in videos.rows[videos.first[:-1]]]
    place = {name: k for k, name in enumerate(glosses if glosses is not None else sorted(set(own)))}
    return LabelledVideos(videos, own, np.array([place.get(name, -1) for name in own], np.int64))


def spread_frames(n_frames: int, n: int) -> NDArray[np.int64]:
    """Choose n of `n_frames` frames, the middles of n equal parts; frames of a short video are repeated."""
    return ((np.arange(n) + 0.5) * n_frames / n).astype(np.int64)


def read_clip(
    reader: WindowReader, labelled: LabelledVideos, video: int, n_frames: int, inputs: Inputs
) -> dict[str, NDArray[Any]]:
    """Read one clip: `frames` (1, T, 384, 256), planes as stored, or target columns (1, T, ...); `label` (1,).

    Raises:
        ShardError: it cannot be read.
    """
    videos = labelled.videos
    wanted = spread_frames(videos.n_starts(video), n_frames)
    unique, place = np.unique(wanted, return_inverse=True)
    pieces = [_read(reader, row, frames, inputs) for row, frames in _runs(videos, video, unique)]
    columns = {name: np.concatenate([piece[name] for piece in pieces])[place][None] for name in pieces[0]}
    return columns | {"label": labelled.labels[video : video + 1]}


def _runs(videos: Videos, video: int, frames: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Split ascending frames of a video into runs without large gaps: (row, frames within it)."""
    places = [videos.locate(video, int(frame)) for frame in frames]
    rows, starts = (np.array(values, np.int64) for values in zip(*places, strict=True))
    cuts = np.flatnonzero((np.diff(rows) != 0) | (np.diff(starts) > NEAR)) + 1
    for row, run in zip(np.split(rows, cuts), np.split(starts, cuts), strict=True):
        yield int(row[0]), run


def _read(reader: WindowReader, row: int, frames: NDArray[np.int64], inputs: Inputs) -> dict[str, NDArray[Any]]:
    if inputs != "keypoints":
        return {"frames": np.asarray(reader.read_planes_at(row, frames))}
    start, n = int(frames[0]), int(frames[-1] - frames[0] + 1)
    targets = reader.read_targets(row, start, n)
    return {name: np.asarray(targets[name], np.float32)[frames - start] for name in TARGETS}


class Clips(Stream):
    """Stream whose items are clips of one video."""

    def __init__(
        self,
        open_reader: Callable[[], WindowReader],
        labelled: LabelledVideos,
        seed: int,
        n_frames: int,
        inputs: Inputs = "video",
    ) -> None:
        super().__init__(open_reader, labelled.video_ids, seed)
        self.labelled, self._n_frames, self._inputs = labelled, n_frames, inputs

    def read(self, video: int, rng: np.random.Generator) -> dict[str, Any]:
        """The columns of `read_clip`, and the video's number and name."""
        clip = read_clip(self.reader, self.labelled, video, self._n_frames, self._inputs)
        return clip | {"video": video, "windows": [self.labelled.video_ids[video]]}


def iterate_clips(
    open_reader: Callable[[], WindowReader],
    labelled: LabelledVideos,
    n_frames: int,
    inputs: Inputs,
    *,
    videos: Sequence[int] | None = None,
    batch_size: int = 8,
    workers: int = 0,
) -> Iterator[Batch]:
    """Yield every video once (of `videos`, if given), in order, in batches; unreadable ones are listed in `broken`."""
    clips = _Once(open_reader, labelled, n_frames, inputs)
    yield from read_ahead(clips, workers, sampler=videos, batch_size=batch_size, collate_fn=_collate_readable)


class _Once(Dataset[dict[str, Any]]):
    def __init__(
        self, open_reader: Callable[[], WindowReader], labelled: LabelledVideos, n_frames: int, inputs: Inputs
    ) -> None:
        self._clips = Clips(open_reader, labelled, 0, n_frames, inputs)

    def __len__(self) -> int:
        return len(self._clips.labelled)

    def __getitem__(self, video: int) -> dict[str, Any]:
        try:
            return self._clips.read(video, np.random.default_rng(0)) | {"broken": []}
        except (ShardError, VideoError, OSError) as error:
            return {"broken": [f"{self._clips.labelled.video_ids[video]}: {error}"]}


def _collate_readable(items: Sequence[Mapping[str, Any]]) -> Batch:
    readable = [item for item in items if "windows" in item]
    broken = [line for item in items for line in item["broken"]]
    if not readable:
        return Batch({}, torch.zeros(0, dtype=torch.long), [], broken)
    batch = collate(readable)
    return Batch(batch.tensors, batch.videos, batch.windows, broken)
