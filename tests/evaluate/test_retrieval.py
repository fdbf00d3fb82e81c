"""Retrieval against a naive implementation and by hand."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from signrep_core.errors import TableError
from signrep_core.evaluate import retrieval
from signrep_core.evaluate.features import features_columns
from signrep_core.evaluate.retrieval import (
    chance_metrics,
    compare_tables,
    evaluate_retrieval,
    metrics_of_ranks,
    pool,
    rank_glosses,
    read_features,
)
from signrep_core.evaluate.windows import VideoFeatures
from signrep_core.store.schemas import VIDEOS, features_schema
from signrep_core.store.tables import TableWriter, write_table


def video(name: str, features: list[list[float]], activity: list[list[float]] | None = None) -> VideoFeatures:
    n = len(features)
    return VideoFeatures(
        name,
        np.arange(0, 2 * n, 2, dtype=np.int32),
        np.array(features, np.float32),
        np.array(activity if activity else [[1.0, 0.0]] * n, np.float32),
    )


def naive_ranks(
    queries: np.ndarray, own: list[str], gallery: np.ndarray, glosses: list[str]
) -> tuple[list[int], list[str]]:
    """Word by word after the protocol, one query and one gallery video at a time."""
    ranks, nearest = [], []
    for q, right in zip(queries, own, strict=True):
        score: dict[str, float] = {}
        for g, gloss in zip(gallery, glosses, strict=True):
            cosine = float(q @ g / (np.linalg.norm(q) * np.linalg.norm(g)))
            score[gloss] = max(score.get(gloss, -math.inf), cosine)
        ordered = sorted(score, key=lambda gloss: -score[gloss])
        ranks.append(ordered.index(right))
        nearest.append(ordered[0])
    return ranks, nearest


def naive_metrics(ranks: list[int]) -> dict[str, float]:
    """The metrics as sums over queries, a query at a time."""
    found = {"DCG": 0.0, "MRR": 0.0, "R@1": 0.0, "R@5": 0.0, "R@10": 0.0}
    for rank in ranks:
        place = rank + 1
        found["DCG"] += 100 / math.log(place + 1, 2) / len(ranks)
        found["MRR"] += 100 / place / len(ranks)
        for k in (1, 5, 10):
            found[f"R@{k}"] += 100 / len(ranks) if place <= k else 0
    return found


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 600), st.integers(2, 30), st.integers(1, 8))
def test_ranks_equal_those_of_a_naive_implementation(seed: int, n_queries: int, n_gallery: int, n_glosses: int) -> None:
    rng = np.random.default_rng(seed)
    n_queries = n_queries if seed % 10 == 0 else n_queries % 20 + 1  # now and then more than one block
    gallery, queries = rng.normal(size=(n_gallery, 5)), rng.normal(size=(n_queries, 5))
    glosses = [f"g{k % n_glosses}" for k in range(n_gallery)]
    own = [glosses[int(k)] for k in rng.integers(0, n_gallery, n_queries)]
    found = rank_glosses(torch.from_numpy(queries), own, torch.from_numpy(gallery), glosses)
    ranks, nearest = naive_ranks(queries, own, gallery, glosses)
    assert found.ranks.tolist() == ranks
    assert found.nearest == nearest


def test_a_gallery_of_several_blocks_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    gallery, queries = rng.normal(size=(100, 5)), rng.normal(size=(30, 5))
    glosses, own = [f"g{k % 7}" for k in range(100)], [f"g{k % 7}" for k in range(30)]
    monkeypatch.setattr(retrieval, "GALLERY_BLOCK", 13)
    monkeypatch.setattr(retrieval, "BLOCK", 4)
    found = rank_glosses(torch.from_numpy(queries), own, torch.from_numpy(gallery), glosses)
    assert (found.ranks.tolist(), found.nearest) == naive_ranks(queries, own, gallery, glosses)


@settings(max_examples=25)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=50))
def test_metrics_equal_those_of_a_naive_implementation(ranks: list[int]) -> None:
    assert metrics_of_ranks(np.array(ranks)) == pytest.approx(naive_metrics(ranks))


@pytest.mark.parametrize("pooling", ["weighted", "average"])
def test_a_whole_evaluation_equals_a_naive_one(pooling: retrieval.Pooling) -> None:
    rng = np.random.default_rng(2)
    names = [f"v{k:02d}" for k in range(60)]
    videos = [video(n, rng.normal(size=(k % 5 + 1, 4)).tolist(), rng.random((k % 5 + 1, 2)).tolist())
              for k, n in enumerate(names)]  # fmt: skip
    split = [("train", "train", "test")[k % 3] for k in range(60)]
    gloss = [f"g{k % 10}" for k in range(60)]
    pooled = []
    for v in videos:
        total, weights = np.zeros(4), 0.0
        for z, hands in zip(v.features, v.activity, strict=True):
            gamma = max(hands) if pooling == "weighted" else 1.0
            total, weights = total + gamma * z, weights + gamma
        pooled.append(total / weights)
    train = [k for k in range(60) if split[k] == "train"]
    usable = [k for k in range(60) if split[k] == "test" and gloss[k] in {gloss[t] for t in train}]
    own = [gloss[k] for k in usable]
    ranks, nearest = naive_ranks(
        np.stack([pooled[k] for k in usable]), own, np.stack([pooled[k] for k in train]), [gloss[k] for k in train]
    )
    found = evaluate_retrieval(videos, {"video_id": names, "split": split, "gloss": gloss}, pooling=pooling)
    assert found["metrics"] == pytest.approx(naive_metrics(ranks))
    for name, of_gloss in found["per_gloss"].items():
        mine = [rank for rank, query in zip(ranks, own, strict=True) if query == name]
        assert of_gloss == pytest.approx({"queries": len(mine), **naive_metrics(mine)})
    wrong = [(a, b) for a, b in zip(own, nearest, strict=True) if a != b]
    assert {(c["gloss"], c["found"]): c["queries"] for c in found["confusions"]} == {
        pair: wrong.count(pair) for pair in wrong
    }


def test_metrics_by_hand() -> None:
    found = metrics_of_ranks(np.array([0, 2, 7]))
    assert found["DCG"] == pytest.approx(100 * (1 + 1 / 2 + 1 / math.log2(9)) / 3)
    assert found["MRR"] == pytest.approx(100 * (1 + 1 / 3 + 1 / 8) / 3)
    assert found["R@1"] == pytest.approx(100 / 3)
    assert found["R@5"] == pytest.approx(200 / 3)
    assert found["R@10"] == 100


def test_chance_by_hand() -> None:
    found = chance_metrics(20)
    assert (found["R@1"], found["R@5"], found["R@10"]) == pytest.approx((5, 25, 50))
    assert found["MRR"] == pytest.approx(100 * sum(1 / k for k in range(1, 21)) / 20)


def test_collapsed_features_score_nothing() -> None:
    ranks = rank_glosses(torch.ones(3, 4), ["a", "b", "c"], torch.ones(3, 4), ["a", "b", "c"])
    assert ranks.ranks.tolist() == [2, 2, 2]


def test_weighted_pooling_follows_the_more_active_hand() -> None:
    features = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    activity = np.array([[0.9, 0.1], [0.2, 0.3]], np.float32)
    np.testing.assert_allclose(pool(features, activity, "weighted"), [0.75, 0.25], rtol=1e-6)
    np.testing.assert_allclose(pool(features, activity, "average"), [0.5, 0.5])
    np.testing.assert_allclose(pool(features, np.zeros((2, 2), np.float32), "weighted"), [0.5, 0.5])


def labelled() -> tuple[list[VideoFeatures], dict[str, list[str]]]:
    videos = [
        video("a", [[1, 0, 0]]), video("b", [[0, 1, 0]]), video("c", [[0, 0, 1]]),
        video("x", [[0.9, 0.1, 0]]), video("y", [[0.9, 0.5, 0]]), video("z", [[0, 0, 1]]), video("w", [[1, 1, 1]]),
    ]  # fmt: skip
    index = {
        "video_id": ["a", "b", "c", "x", "y", "z", "w"],
        "split": ["train", "train", "train", "test", "test", "test", "val"],
        "gloss": ["ONE", "TWO", "THREE", "ONE", "TWO", "UNKNOWN", "ONE"],
    }
    return videos, index


def test_queries_are_looked_up_in_the_gallery() -> None:
    videos, index = labelled()
    found = evaluate_retrieval(videos, index)
    assert found["counts"] == {
        "gallery_videos": 3, "query_videos": 2, "glosses": 3, "queries_without_gallery_gloss": 1,
        "videos_without_features": 0,
    }  # fmt: skip
    assert found["metrics"]["R@1"] == 50  # y is nearer to ONE than to TWO
    assert found["metrics"]["MRR"] == 75
    assert found["chance"]["R@1"] == pytest.approx(100 / 3)


def test_without_glosses_there_are_no_metrics_but_counts() -> None:
    videos, index = labelled()
    found = evaluate_retrieval(videos, index | {"gloss": [""] * 7})
    assert found["metrics"] is None
    assert found["counts"]["query_videos"] == 0
    assert evaluate_retrieval(videos, index, gallery="train", queries="train")["metrics"] is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"split": ["val"] * 3 + ["test"] * 4}, "split 'train', the gallery, has no labelled video with features"),
        ({"split": ["train"] * 3 + ["val"] * 4}, "split 'test', the queries, has no labelled video with features"),
        ({}, "1 queries have a gloss that the gallery lacks, and are left out"),
        ({"video_id": ["a", "b", "gone", "x", "y", "z", "w"]}, "1 labelled videos have no features, and are left out"),
    ],
)
def test_what_is_left_out_is_counted_and_said(change: dict[str, list[str]], said: str) -> None:
    videos, index = labelled()
    assert said in evaluate_retrieval(videos, index | change)["note"]


def write_features(path: Path, videos: list[VideoFeatures], **about: str) -> Path:
    with TableWriter(path, features_schema(videos[0].features.shape[1]), about) as writer:
        for one in videos:
            writer.write(features_columns(one))
    return path


def test_baselines_stand_beside_the_metrics_with_the_digest_of_the_weights(tmp_path: Path, caplog) -> None:
    videos, index = labelled()
    features = write_features(tmp_path / "f.parquet", videos, weights_sha256="abc")
    glosses = ["ONE", "TWO", "THREE", "UNKNOWN"]
    perfect = [video(v.video_id, [np.eye(4)[glosses.index(gloss)].tolist()])
               for v, gloss in zip(videos, index["gloss"], strict=True)]  # fmt: skip
    keypoints = write_features(tmp_path / "k.parquet", perfect)
    found = compare_tables(features, index, baselines={"keypoints": keypoints})
    assert found["metrics"]["R@1"] == 50
    assert found["baselines"]["keypoints"]["R@1"] == 100
    assert found["digests"]["weights"] == "abc"
    assert not caplog.records
    compare_tables(features, index, baselines={"keypoints": write_features(tmp_path / "k2.parquet", perfect[1:])})
    assert "not the same videos" in caplog.text


def test_features_come_back_from_their_table(tmp_path: Path) -> None:
    path = tmp_path / "features.parquet"
    columns = {"video_id": ["a", "a", "b"], "start_frame": np.array([0, 2, 0]),
               "features": np.arange(9, dtype=np.float32).reshape(3, 3),
               "right_active": np.array([0.1, 0.2, 0.3]), "left_active": np.array([0.4, 0.5, 0.6])}  # fmt: skip
    with TableWriter(path, features_schema(3)) as writer:  # a row group per video
        for rows in (slice(0, 2), slice(2, 3)):
            writer.write({name: values[rows] for name, values in columns.items()})
    found = list(read_features(path))
    assert [v.video_id for v in found] == ["a", "b"]
    np.testing.assert_array_equal(found[0].features, [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_allclose(found[0].activity, [[0.1, 0.4], [0.2, 0.5]], rtol=1e-6)


def test_a_table_of_something_else_says_which_stage_to_rerun(tmp_path: Path) -> None:
    write_table(tmp_path / "x.parquet", VIDEOS, {c.name: [] for c in VIDEOS.columns})
    with pytest.raises(TableError, match=r"x.parquet: .*rerun: snakemake --forcerun extract_features"):
        list(read_features(tmp_path / "x.parquet"))
