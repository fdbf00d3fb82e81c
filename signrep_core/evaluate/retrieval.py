"""Zero-shot retrieval: rank the glosses of a gallery for each query video, and find the nearest windows.

Method section 6 (the ASL-Citizen protocol): cosine, per gloss its best gallery video. Exact search in blocks, so that
memory is bounded.

Legend: Q queries, V gallery videos, G glosses, n windows, D features, r 0-based rank of the right gloss.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from signrep_core.evaluate.features import VideoFeatures
from signrep_core.store.features import features_width
from signrep_core.store.schemas import features_schema
from signrep_core.store.tables import read_videos

log = logging.getLogger(__name__)

Pooling = Literal["weighted", "average"]
BLOCK: Final = 256  # queries compared at a time
RECALLS: Final = (1, 5, 10)


@dataclass(frozen=True)
class Window:
    """One window of a video and its similarity to a reference."""

    video_id: str
    start_frame: int
    similarity: float


def pool(features: NDArray[np.float32], activity: NDArray[np.float32], pooling: Pooling) -> NDArray[np.float32]:
    """One vector of a video's windows: (n, D), (n, 2) → (D,).

    `weighted` = Σ γ z / Σ γ with γ the larger of both hands' probability of being active; `average` = the mean.
    """
    gamma = activity.max(1) if pooling == "weighted" else np.ones(len(features), np.float32)
    total = gamma.sum()
    return (gamma / total if total > 0 else np.full_like(gamma, 1 / len(gamma))) @ features


def pool_videos(
    videos: Iterable[VideoFeatures], pooling: Pooling, splits: dict[str, str] | None = None
) -> tuple[list[str], Tensor]:
    """Video ids and their vectors (V, D), one video at a time in memory; `splits` keeps only the videos it names."""
    ids, vectors = [], []
    for video in videos:
        if splits is None or video.video_id in splits:
            ids.append(video.video_id)
            vectors.append(torch.from_numpy(pool(video.features, video.activity, pooling)))
    return ids, torch.stack(vectors) if vectors else torch.zeros(0, 0)


def read_features(path: str | Path) -> Iterable[VideoFeatures]:
    """The videos of a features table, one at a time.

    Raises:
        TableError: not a features table of this version.
    """
    for video_id, columns in read_videos(path, features_schema(features_width(path))):
        activity = np.stack((columns["right_active"], columns["left_active"]), 1)
        yield VideoFeatures(video_id, columns["start_frame"], columns["features"], activity)


def rank_glosses(
    queries: Tensor, query_glosses: Sequence[str], gallery: Tensor, gallery_glosses: Sequence[str]
) -> NDArray[np.int64]:
    """0-based rank of each query's own gloss among the gallery's (Q,).

    Args:
        queries, gallery: (Q, D), (V, D).
        query_glosses, gallery_glosses: of each; every query's gloss must be in the gallery.

    A gloss that is exactly as near as the right one counts as nearer, so that collapsed features score nothing.
    """
    if not len(query_glosses):
        return np.zeros(0, np.int64)
    names = sorted(set(gallery_glosses))
    number = {name: k for k, name in enumerate(names)}
    own = torch.tensor([number[gloss] for gloss in query_glosses], dtype=torch.long, device=queries.device)
    of_gallery = torch.tensor([number[gloss] for gloss in gallery_glosses], device=gallery.device)
    queries, gallery = F.normalize(queries.float(), dim=1), F.normalize(gallery.float(), dim=1)
    ranks = []
    for block, right in zip(queries.split(BLOCK), own.split(BLOCK), strict=True):
        similarity = block @ gallery.T  # (BLOCK, V)
        best = similarity.new_full((len(block), len(names)), -torch.inf)
        best.scatter_reduce_(1, of_gallery.expand_as(similarity), similarity, "amax")  # (BLOCK, G)
        ranks.append((best >= best.gather(1, right[:, None])).sum(1) - 1)
    return torch.cat(ranks).cpu().numpy()


def metrics_of_ranks(ranks: NDArray[np.int64]) -> dict[str, float]:
    """DCG, MRR and R@1/5/10, each × 100, of 0-based ranks."""
    values = {"DCG": float(np.mean(1 / np.log2(ranks + 2))), "MRR": float(np.mean(1 / (ranks + 1)))}
    values |= {f"R@{k}": float(np.mean(ranks < k)) for k in RECALLS}
    return {name: 100 * value for name, value in values.items()}


def chance_metrics(n_glosses: int) -> dict[str, float]:
    """What ranking the glosses at random gives on average."""
    return metrics_of_ranks(np.arange(n_glosses))


def evaluate_retrieval(
    videos: Iterable[VideoFeatures],
    index: Any,
    *,
    gallery: str = "train",
    queries: str = "test",
    pooling: Pooling = "weighted",
) -> dict[str, Any]:
    """Metrics of retrieving the queries' glosses from the gallery, with protocol, counts and chance beside.

    Args:
        videos: features of the videos of both splits.
        index: columns `video_id`, `split` and `gloss` of the sequences (`ShardReader.index`).

    Returns:
        `protocol`, `counts`, `metrics`, `chance`; the last two are None where no query has a gloss that the gallery
        has too (say, in a folder of unlabelled clips).
    """
    labels = {
        str(video): (str(split), str(gloss))
        for video, split, gloss in zip(index["video_id"], index["split"], index["gloss"], strict=True)
        if str(split) in (gallery, queries) and gloss
    }
    ids, vectors = pool_videos(videos, pooling, {video: split for video, (split, _) in labels.items()})
    places: dict[str, list[int]] = {gallery: [], queries: []}
    for k, video in enumerate(ids):
        places[labels[video][0]].append(k)
    glosses = [labels[video][1] for video in ids]
    known = {glosses[k] for k in places[gallery]}
    usable = [k for k in places[queries] if glosses[k] in known]
    if gallery == queries:
        usable = []  # each query would find itself
    ranks = rank_glosses(
        vectors[usable], [glosses[k] for k in usable], vectors[places[gallery]], [glosses[k] for k in places[gallery]]
    )
    return {
        "protocol": {"gallery": gallery, "queries": queries, "pooling": pooling, "similarity": "cosine",
                     "gloss_score": "best gallery video", "ties": "against the query"},
        "counts": {"gallery_videos": len(places[gallery]), "query_videos": len(usable), "glosses": len(known),
                   "queries_without_gallery_gloss": len(places[queries]) - len(usable)},
        "metrics": metrics_of_ranks(ranks) if usable else None,
        "chance": chance_metrics(len(known)) if usable else None,
    }  # fmt: skip


def pick_references(videos: Iterable[VideoFeatures], n: int) -> tuple[list[Window], Tensor]:
    """The most active window of each of the n videos with the most active ones, and their features (n, D)."""
    best: list[tuple[float, Window, NDArray[np.float32]]] = []
    for video in videos:
        gamma = video.activity.max(1)
        k = int(gamma.argmax())
        window = Window(video.video_id, int(video.start_frame[k]), 1.0)
        best = sorted([*best, (float(gamma[k]), window, video.features[k])], key=lambda item: -item[0])[:n]
    features = torch.from_numpy(np.stack([vector for _, _, vector in best])) if best else torch.zeros(0, 0)
    return [window for _, window, _ in best], features


def nearest_windows(
    videos: Iterable[VideoFeatures], references: Sequence[Window], features: Tensor, k: int = 3
) -> list[list[Window]]:
    """For each reference window the nearest window of each of the k nearest other videos (A7), by cosine.

    Streams over the videos once; needs no gloss.
    """
    wanted = F.normalize(features.float(), dim=1)  # (R, D)
    found: list[list[Window]] = [[] for _ in references]
    for video in videos:
        similarity = wanted @ F.normalize(torch.tensor(video.features), dim=1).T  # (R, n)
        value, place = similarity.max(1)
        for r, reference in enumerate(references):
            if reference.video_id != video.video_id:
                start = int(video.start_frame[int(place[r])])
                found[r].append(Window(video.video_id, start, float(value[r])))
                found[r] = sorted(found[r], key=lambda window: -window.similarity)[:k]
    return found
