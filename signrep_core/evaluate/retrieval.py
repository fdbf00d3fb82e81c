"""Zero-shot retrieval: rank the glosses of a gallery for each query video.

Supplement A7 (the ASL-Citizen protocol): cosine, with the best gallery video of each gloss. Exact search in blocks,
so that memory is bounded.

Legend: Q queries, V gallery videos, G glosses, n windows, D features, r 0-based rank of the right gloss.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from signrep_core.config import Pooling, digest
from signrep_core.errors import CheckpointError
from signrep_core.evaluate.windows import VideoFeatures
from signrep_core.store.feature_table import features_width
from signrep_core.store.files import file_digest, write_json
from signrep_core.store.schemas import features_schema
from signrep_core.store.tables import read_videos
from signrep_core.store.video_status import count_lost_videos

log = logging.getLogger(__name__)

BLOCK: Final = 256  # queries compared at a time
GALLERY_BLOCK: Final = 16_384  # gallery videos compared at a time
CONFUSIONS: Final = 100  # pairs of glosses that are listed
RECALLS: Final = (1, 5, 10)


class Ranking(NamedTuple):
    """Rank (0-based) of each query's own gloss, and the gloss ranked first."""

    ranks: NDArray[np.int64]  # (Q,)
    nearest: list[str]  # (Q,)


def pool(features: NDArray[np.float32], activity: NDArray[np.float32], pooling: Pooling) -> NDArray[np.float32]:
    """Pool a video's windows to one vector: (n, D), (n, 2) → (D,).

    `weighted` = Σ γ z / Σ γ with γ the larger probability of the two hands to be active; `average` = the mean.
    """
    gamma = activity.max(1) if pooling == "weighted" else np.ones(len(features), np.float32)
    total = gamma.sum()
    return (gamma / total if total > 0 else np.full_like(gamma, 1 / len(gamma))) @ features


def pool_videos(
    videos: Iterable[VideoFeatures], pooling: Pooling, splits: dict[str, str] | None = None
) -> tuple[list[str], Tensor]:
    """Pool videos: ids and vectors (V, D), one video in memory at a time; only those in `splits`, if given."""
    ids, vectors = [], []
    for video in videos:
        if splits is None or video.video_id in splits:
            ids.append(video.video_id)
            vectors.append(torch.from_numpy(pool(video.features, video.activity, pooling)))
    return ids, torch.stack(vectors) if vectors else torch.zeros(0, 0)


def read_features(path: str | Path) -> Iterable[VideoFeatures]:
    """Read the videos of a features table, one at a time.

    Raises:
        TableError: not a features table of this version.
    """
    for video_id, columns in read_videos(path, features_schema(features_width(path))):
        activity = np.stack((columns["right_active"], columns["left_active"]), 1)
        yield VideoFeatures(video_id, columns["start_frame"], columns["features"], activity)


def rank_glosses(
    queries: Tensor, query_glosses: Sequence[str], gallery: Tensor, gallery_glosses: Sequence[str]
) -> Ranking:
    """Rank the gallery's glosses for each query, comparing a block of queries with a block of the gallery at a time.

    Args:
        queries, gallery: (Q, D), (V, D).
        query_glosses, gallery_glosses: glosses of these; every query's gloss must be in the gallery.

    Ties count against the query, so that collapsed features score 0.
    """
    if not len(query_glosses):
        return Ranking(np.zeros(0, np.int64), [])
    names = sorted(set(gallery_glosses))
    number = {name: k for k, name in enumerate(names)}
    own = torch.tensor([number[gloss] for gloss in query_glosses], dtype=torch.long, device=queries.device)
    of_gallery = torch.tensor([number[gloss] for gloss in gallery_glosses], device=gallery.device)
    ranks, nearest = [], []
    for block, right in zip(queries.split(BLOCK), own.split(BLOCK), strict=True):
        block = F.normalize(block.float(), dim=1)
        best = block.new_full((len(block), len(names)), -torch.inf)  # (BLOCK, G)
        for part, glosses in zip(gallery.split(GALLERY_BLOCK), of_gallery.split(GALLERY_BLOCK), strict=True):
            similarity = block @ F.normalize(part.float(), dim=1).T  # (BLOCK, GALLERY_BLOCK)
            best.scatter_reduce_(1, glosses.expand_as(similarity), similarity, "amax")
        ranks.append((best >= best.gather(1, right[:, None])).sum(1) - 1)
        nearest += best.argmax(1).tolist()
    return Ranking(torch.cat(ranks).cpu().numpy(), [names[k] for k in nearest])


def metrics_of_ranks(ranks: NDArray[np.int64]) -> dict[str, float]:
    """DCG, MRR and R@1/5/10, each × 100, of 0-based ranks."""
    values = {"DCG": float(np.mean(1 / np.log2(ranks + 2))), "MRR": float(np.mean(1 / (ranks + 1)))}
    values |= {f"R@{k}": float(np.mean(ranks < k)) for k in RECALLS}
    return {name: 100 * value for name, value in values.items()}


def chance_metrics(n_glosses: int) -> dict[str, float]:
    """Average metrics of ranking the glosses at random."""
    return metrics_of_ranks(np.arange(n_glosses))


def compare_tables(
    features: str | Path,
    index: Mapping[str, Any],
    *,
    baselines: Mapping[str, str | Path] = MappingProxyType({}),
    gallery: str = "train",
    queries: str = "test",
    pooling: Pooling = "weighted",
) -> dict[str, Any]:
    """Evaluate retrieval with a features table and, for comparison, with other tables (raw keypoints, angles).

    Returns:
        the result of evaluate_retrieval, with `baselines` (name -> metrics) and `digests` of weights and settings.
    """
    settings: dict[str, Any] = {"gallery": gallery, "queries": queries, "pooling": pooling}
    result = evaluate_retrieval(read_features(features), index, **settings)
    result["baselines"] = {}
    for name, path in baselines.items():
        found = evaluate_retrieval(read_features(path), index, **settings)
        if found["counts"] != result["counts"]:
            log.warning("%s: not the same videos as %s: %s, %s", path, features, found["counts"], result["counts"])
        if found["metrics"] is not None:
            result["baselines"][name] = found["metrics"]
    result["digests"] = {"weights": weights_digest(features), "settings": digest(settings)}
    return result


def write_evaluation(
    features: str | Path,
    index: Mapping[str, Any],
    metrics: str | Path,
    *,
    dataset: str,
    videos: Sequence[str | Path],
    provenance: Mapping[str, str] | None = None,
    **settings: Any,
) -> None:
    """Evaluate the features of a data set and write the metrics (JSON).

    Args:
        index: of the shards, or its columns `video_id`, `dataset`, `split` and `gloss`.
        videos: tables of the shards' videos, to count those that never reached the shards (`lost`).
        settings: arguments of `compare_tables`.
    """
    own = [row for row, name in enumerate(index["dataset"]) if name == dataset]
    index = {name: [values[row] for row in own] for name, values in index.items()}
    result = compare_tables(features, index, **settings)
    if result["note"]:
        log.warning("%s", result["note"])
    result["lost"] = count_lost_videos(videos, dataset, "gloss")
    write_json(metrics, {**result, "provenance": dict(provenance or {})})


def evaluate_retrieval(
    videos: Iterable[VideoFeatures],
    index: Mapping[str, Any],
    *,
    gallery: str = "train",
    queries: str = "test",
    pooling: Pooling = "weighted",
) -> dict[str, Any]:
    """Metrics of retrieving the queries' glosses from the gallery, with protocol, counts and chance.

    Args:
        videos: features of the videos of both splits.
        index: columns `video_id`, `split` and `gloss` of the sequences (`ShardReader.index`).

    Returns:
        `protocol`, `counts`, `metrics`, `chance`, `per_gloss` and `confusions`; metrics and chance are None if no
        query has a gloss of the gallery (for example in a folder of unlabelled clips), and `note` gives the reason.
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
    own = [glosses[k] for k in usable]
    ranking = rank_glosses(vectors[usable], own, vectors[places[gallery]], [glosses[k] for k in places[gallery]])
    counts = {
        "gallery_videos": len(places[gallery]), "query_videos": len(usable), "glosses": len(known),
        "queries_without_gallery_gloss": len(places[queries]) - len(usable),
        "videos_without_features": len(labels) - len(ids),
    }  # fmt: skip
    return {
        "protocol": {"gallery": gallery, "queries": queries, "pooling": pooling, "similarity": "cosine",
                     "gloss_score": "best gallery video", "ties": "against the query"},
        "counts": counts,
        "note": _explain(counts, gallery, queries),
        "metrics": metrics_of_ranks(ranking.ranks) if usable else None,
        "chance": chance_metrics(len(known)) if usable else None,
        "per_gloss": _per_gloss(own, ranking.ranks),
        "confusions": _confusions(own, ranking.nearest),
    }  # fmt: skip


def weights_digest(features: str | Path) -> str:
    """SHA-256 of the weights that a features table was made with; empty if not recorded."""
    return _recorded(features, "weights_sha256")


def folder_rate(features: str | Path) -> float | None:
    """Frame rate of the image folders that a features table describes; None if not recorded."""
    return float(_recorded(features, "fps") or 0) or None


def _recorded(features: str | Path, key: str) -> str:
    return (pq.read_schema(features).metadata or {}).get(key.encode(), b"").decode()


def check_weights(features: str | Path, weights: str | Path) -> None:
    """Check that a features table was made with these weights.

    Raises:
        TableError: the table cannot be read.
        CheckpointError: there is no such file, or the table is of other weights.
    """
    features_width(features)
    if not Path(weights).is_file():
        raise CheckpointError(f"{weights}: no such weights; give those that made {features} (--weights)")
    made, given = weights_digest(features), file_digest(weights)
    if made and made != given:
        raise CheckpointError(
            f"{features} was made with weights of SHA-256 {made[:12]}…, {weights} has {given[:12]}…: features of "
            "different weights cannot be compared; give the weights that made it, or extract its features again"
        )


def _explain(counts: Mapping[str, int], gallery: str, queries: str) -> str:
    """Why videos are left out of the metrics, in words; empty if none are."""
    said = []
    if gallery == queries:
        said.append(f"gallery and queries are both split {queries!r}: every query would find itself")
    elif not counts["gallery_videos"]:
        said.append(f"split {gallery!r}, the gallery, has no labelled video with features")
    elif not counts["query_videos"] + counts["queries_without_gallery_gloss"]:
        said.append(f"split {queries!r}, the queries, has no labelled video with features")
    elif counts["queries_without_gallery_gloss"]:
        n = counts["queries_without_gallery_gloss"]
        said.append(f"{n} queries have a gloss that the gallery lacks, and are left out")
    if counts["videos_without_features"]:
        said.append(f"{counts['videos_without_features']} labelled videos have no features, and are left out")
    return "; ".join(said)


def _per_gloss(glosses: Sequence[str], ranks: NDArray[np.int64]) -> dict[str, dict[str, float]]:
    """Gloss -> how many queries it has, and their metrics; the worst DCG first."""
    of_gloss: dict[str, list[int]] = defaultdict(list)
    for gloss, rank in zip(glosses, ranks.tolist(), strict=True):
        of_gloss[gloss].append(rank)
    found = {gloss: {"queries": len(own), **metrics_of_ranks(np.array(own))} for gloss, own in of_gloss.items()}
    return dict(sorted(found.items(), key=lambda item: (item[1]["DCG"], item[0])))


def _confusions(glosses: Sequence[str], nearest: Sequence[str]) -> list[dict[str, Any]]:
    """The commonest pairs of a query's gloss and another one that came first."""
    pairs = Counter((own, found) for own, found in zip(glosses, nearest, strict=True) if own != found)
    return [{"gloss": own, "found": found, "queries": n} for (own, found), n in pairs.most_common(CONFUSIONS)]
