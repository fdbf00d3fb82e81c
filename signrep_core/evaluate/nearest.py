"""Nearest windows of a reference window, and nearest glosses of a query video, in a gallery that is streamed.

Supplement A7 (Figs. 3-5): segments with an active signer, by cosine. The gallery is read video by video, so memory does
not grow with it; the search is exact.

Legend: R references, n windows, D features.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from signrep_core.config import Pooling
from signrep_core.evaluate.retrieval import pool
from signrep_core.evaluate.windows import VideoFeatures

AROUND: Final = np.array([1, 2, 3, 4, 5, 4, 3, 2, 1]) / 25  # weights of neighbours, to find a sign's middle
ACTIVE: Final = 0.5  # probability of an active hand from which a window counts as active


@dataclass(frozen=True)
class Window:
    """One window of a video and its similarity to a reference."""

    video_id: str
    start_frame: int
    similarity: float


class Match(NamedTuple):
    """A gloss and its gallery video that is nearest to the query."""

    gloss: str
    video_id: str
    similarity: float


class SearchResult(NamedTuple):
    """Result of a search, the nearest first."""

    matches: list[Match]  # one per gloss, or per video without a gloss
    reference: Window  # the query's most active window
    windows: list[Window]  # of each of the nearest videos the window nearest to the reference
    n_videos: int  # in the gallery
    n_windows: int


def draw_references(videos: Iterable[VideoFeatures], n: int, seed: int) -> tuple[list[Window], Tensor]:
    """Draw n windows with an active signer at random, each of another video, and their features (n, D) (A7).

    A video is drawn with a probability in proportion to its active windows, so that every such window is as likely as
    any other. If no window is active (as with an untrained model), all windows count. Reads the videos once.
    """
    rng = np.random.default_rng(seed)
    active, others = _Sample(n), _Sample(n)
    for video in videos:
        for sample, able in ((active, np.flatnonzero(_is_active(video))), (others, np.arange(len(video.features)))):
            sample.offer(video, able, rng)
    drawn = (active if active.kept else others).kept
    features = torch.from_numpy(np.stack([vector for _, _, vector in drawn])) if drawn else torch.zeros(0, 0)
    return [window for _, window, _ in drawn], features


class _Sample:
    """A weighted random sample without replacement from a stream (Efraimidis and Spirakis 2006)."""

    def __init__(self, n: int) -> None:
        self._n = n
        self.kept: list[tuple[float, Window, NDArray[np.float32]]] = []  # by descending key

    def offer(self, video: VideoFeatures, able: NDArray[np.intp], rng: np.random.Generator) -> None:
        """Offer one of a video's windows `able`; the video's weight is their number."""
        if len(able):
            key, k = -float(rng.exponential()) / len(able), int(rng.choice(able))
            drawn = (key, Window(video.video_id, int(video.start_frame[k]), 1.0), video.features[k])
            self.kept = sorted([*self.kept, drawn], key=lambda item: -item[0])[: self._n]


def find_middle(video: VideoFeatures) -> tuple[Window, NDArray[np.float32]]:
    """Find the window in the middle of a video's most active signing, and its features (D,)."""
    gamma = np.convolve(np.pad(video.activity.max(1), len(AROUND) // 2), AROUND, "valid")
    k = int(gamma.argmax())
    return Window(video.video_id, int(video.start_frame[k]), 1.0), video.features[k]


def _is_active(video: VideoFeatures) -> NDArray[np.bool_]:
    """Whether each window shows an active signer, (n,)."""
    return video.activity.max(1) >= ACTIVE


def nearest_windows(
    videos: Iterable[VideoFeatures], references: Sequence[Window], features: Tensor, k: int = 3
) -> list[list[Window]]:
    """Find, for each reference window, the nearest active window of each of the k nearest other videos (A7), by cosine.

    Reads the videos once; needs no glosses. If no window is active (as with an untrained model), all windows count.
    """
    nearest = _Nearest(references, features, k)
    for video in videos:
        nearest.add(video)
    return nearest.windows()


class _Nearest:
    """The nearest windows of the videos seen so far."""

    def __init__(self, references: Sequence[Window], features: Tensor, k: int) -> None:
        self._references, self._k = references, k
        self._wanted = F.normalize(features.float(), dim=1)  # (R, D)
        self._active: list[list[Window]] = [[] for _ in references]
        self._any: list[list[Window]] = [[] for _ in references]

    def add(self, video: VideoFeatures) -> None:
        """Add a video."""
        similarity = self._wanted @ F.normalize(torch.tensor(video.features), dim=1).T  # (R, n)
        active = torch.from_numpy(_is_active(video))
        self._keep(video, similarity, self._any)
        if active.any():
            self._keep(video, similarity.where(active, -torch.inf), self._active)

    def windows(self) -> list[list[Window]]:
        """Windows of each reference, the nearest first."""
        return [active or other for active, other in zip(self._active, self._any, strict=True)]

    def _keep(self, video: VideoFeatures, similarity: Tensor, found: list[list[Window]]) -> None:
        value, place = similarity.max(1)
        for r, reference in enumerate(self._references):
            if reference.video_id != video.video_id:
                window = Window(video.video_id, int(video.start_frame[int(place[r])]), float(value[r]))
                found[r] = sorted([*found[r], window], key=lambda one: -one.similarity)[: self._k]


def search(
    query: VideoFeatures,
    gallery: Iterable[VideoFeatures],
    glosses: Mapping[str, str],
    *,
    n_glosses: int = 10,
    n_windows: int = 3,
    pooling: Pooling = "weighted",
) -> SearchResult:
    """Find the glosses whose best video is nearest to a query video, and the windows nearest to its most active one.

    Args:
        glosses: video_id -> gloss; a video without a gloss counts as a gloss of its own.
    """
    reference, vector = find_middle(query)
    pooled = _unit(pool(query.features, query.activity, pooling))
    best: dict[str, Match] = {}
    nearest = _Nearest([reference], torch.from_numpy(vector[None]), n_windows)
    n_videos = n_seen = 0
    for video in gallery:
        n_videos, n_seen = n_videos + 1, n_seen + len(video.features)
        gloss = glosses.get(video.video_id) or video.video_id
        similarity = float(pooled @ _unit(pool(video.features, video.activity, pooling)))
        if gloss not in best or similarity > best[gloss].similarity:
            best[gloss] = Match(gloss, video.video_id, similarity)
        nearest.add(video)
    matches = sorted(best.values(), key=lambda match: -match.similarity)[:n_glosses]
    return SearchResult(matches, reference, nearest.windows()[0], n_videos, n_seen)


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector
