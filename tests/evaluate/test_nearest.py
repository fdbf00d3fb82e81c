"""The nearest windows and glosses, by hand and against a naive search."""

import math
from collections import Counter

import numpy as np
import pytest

from signrep_core.evaluate.nearest import draw_references, nearest_windows, search
from signrep_core.evaluate.retrieval import pool
from signrep_core.evaluate.windows import VideoFeatures


def video(name: str, features: list[list[float]], activity: list[list[float]] | None = None) -> VideoFeatures:
    n = len(features)
    return VideoFeatures(
        name,
        np.arange(0, 2 * n, 2, dtype=np.int32),
        np.array(features, np.float32),
        np.array(activity if activity else [[1.0, 0.0]] * n, np.float32),
    )


def test_the_nearest_windows_are_of_other_videos_one_of_each() -> None:
    videos = [
        video("ref", [[0, 0, 1], [1, 0, 0]], [[0.1, 0.2], [0.9, 0.0]]),
        video("near", [[0, 1, 0], [0.9, 0.1, 0], [0.8, 0.1, 0]], [[0.6, 0.3]] * 3),
        video("far", [[0, 0, 1]], [[0.5, 0.5]]),
        video("resting", [[1, 0, 0]], [[0.4, 0.2]]),
        video("middle", [[0.5, 0.5, 0]], [[0.2, 0.7]]),
    ]
    references, vectors = draw_references(videos[:1], 1, seed=0)  # its only active window
    assert (references[0].video_id, references[0].start_frame) == ("ref", 2)
    (found,) = nearest_windows(videos, references, vectors, 2)
    assert [(w.video_id, w.start_frame) for w in found] == [("near", 2), ("middle", 0)]
    assert found[1].similarity == pytest.approx(math.sqrt(0.5))


def test_if_no_window_is_active_all_windows_count() -> None:
    videos = [video("ref", [[1, 0]], [[0.3, 0.2]]), video("a", [[0, 1], [1, 1]], [[0.1, 0.1], [0.4, 0.2]])]
    ((found,),) = nearest_windows(videos, *draw_references(videos[:1], 1, seed=0))
    assert (found.video_id, found.start_frame) == ("a", 2)


def test_references_are_drawn_by_the_seed_each_of_another_video_with_an_active_signer() -> None:
    """Three active windows in `long`, one in `short`: each of the four is drawn first as often as any other."""
    active, resting = [0.9, 0.0], [0.2, 0.1]
    videos = [
        video("long", [[1, 0]] * 4, [active, resting, active, active]),
        video("short", [[0, 1]] * 3, [resting, active, resting]),
        video("idle", [[1, 1]] * 9, [resting] * 9),
    ]
    drawn = [draw_references(videos, 2, seed)[0] for seed in range(800)]
    assert draw_references(videos, 2, seed=5)[0] == drawn[5]
    assert all({window.video_id for window in pair} == {"long", "short"} for pair in drawn)
    first = Counter((pair[0].video_id, pair[0].start_frame) for pair in drawn)
    assert first.keys() == {("long", 0), ("long", 4), ("long", 6), ("short", 2)}
    assert all(150 < count < 250 for count in first.values())  # 200 expected, four standard deviations of 12
    assert draw_references([], 2, seed=0)[0] == []


def test_a_search_equals_a_naive_one() -> None:
    rng = np.random.default_rng(0)
    gallery = [video(f"v{k}", rng.normal(size=(k % 6 + 1, 5)).tolist(), rng.random((k % 6 + 1, 2)).tolist())
               for k in range(50)]  # fmt: skip
    glosses = {f"v{k}": f"g{k % 7}" for k in range(45)}  # five without one
    query = video("q", rng.normal(size=(4, 5)).tolist(), rng.random((4, 2)).tolist())
    found = search(query, gallery, glosses, n_glosses=8, n_windows=3)

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    wanted = pool(query.features, query.activity, "weighted")
    best: dict[str, float] = {}
    for v in gallery:
        name = glosses.get(v.video_id, v.video_id)
        best[name] = max(best.get(name, -2), cosine(wanted, pool(v.features, v.activity, "weighted")))
    ordered = sorted(best, key=lambda name: -best[name])[:8]
    assert [match.gloss for match in found.matches] == ordered
    assert [match.similarity for match in found.matches] == pytest.approx([best[name] for name in ordered], abs=1e-6)
    assert (found.n_videos, found.n_windows) == (50, sum(len(v.features) for v in gallery))
    assert found.reference.start_frame == 2 * query.activity.max(1).argmax()
    reference = query.features[query.activity.max(1).argmax()]
    nearest = []
    for v in gallery:
        active = [cosine(reference, z) for z, hands in zip(v.features, v.activity, strict=True) if max(hands) >= 0.5]
        if active:
            nearest.append((max(active), v.video_id))
    assert [window.video_id for window in found.windows] == [name for _, name in sorted(nearest, reverse=True)[:3]]
