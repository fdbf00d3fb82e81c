"""Sentences: selection, batches and order."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from signrep_core.data.sentences import (
    TrainingBatches,
    evaluation_batches,
    feature_statistics,
    load_batches,
    order_batches,
    read_batch,
    select_sentences,
)
from signrep_core.data.stream import Loading
from signrep_core.errors import TrainingError
from signrep_core.store.feature_table import FeatureTable
from tests.store.test_feature_table import windows, write_features


@pytest.fixture
def table(tmp_path) -> FeatureTable:
    videos = {f"v{k}": windows(k, 3 + k % 4) for k in range(10)}
    return FeatureTable(write_features(tmp_path / "features.parquet", videos))


def index_of(*rows: tuple[str, str, str]) -> dict[str, list[str]]:
    ids, splits, texts = zip(*rows, strict=True)
    return {"video_id": list(ids), "dataset": ["d"] * len(ids), "split": list(splits), "text": list(texts)}


TEN = index_of(*[(f"v{k}", "train", f"text {k}") for k in range(10)])
select = partial(select_sentences, dataset="d", split="train", clean=str.strip, max_windows=100)


def batches_of(table, batch_size=4, seed=0, **options) -> TrainingBatches:
    return TrainingBatches(select(table, TEN), [[2, k + 4, 3] for k in range(10)], batch_size, seed, 100, **options)


def test_a_video_of_several_sequences_is_one_sentence(table):
    found = select(table, index_of(("v0", "train", "one"), ("v0", "train", "one"), ("v1", "train", "two")))
    assert (found.video_ids, found.texts) == (["v0", "v1"], ["one", "two"])
    assert found.n_windows.tolist() == [3, 4]


def test_other_splits_and_data_sets_are_not_selected(table):
    rows = index_of(("v0", "train", "one"), ("v1", "val", "two"), ("v2", "train", "three"))
    rows["dataset"][2] = "other"
    assert select(table, rows).video_ids == ["v0"]


def test_unusable_sentences_are_counted_and_named(table, caplog):
    rows = index_of(("v0", "train", "one"), ("v1", "train", "  "), ("gone", "train", "two"), ("v3", "train", "three"))
    found = select(table, rows, max_windows=4)
    assert found.video_ids == ["v0", "v3"]
    assert found.counts == {"sentences": 2, "without_text": 1, "without_features": 1, "cut": 1}
    assert found.n_windows.tolist() == [3, 4]
    assert "1 sentences of split 'train': without a text, left out: v1" in caplog.text
    assert "features.parquet, left out: gone" in caplog.text
    assert "truncated to 4 windows: v3" in caplog.text


def test_a_split_without_sentences_is_empty(table):
    assert len(select(table, TEN, split="val")) == 0


@settings(max_examples=60)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 3), st.integers(0, 3))
def test_every_sentence_is_in_every_epoch_and_every_batch_is_full(n, batch_size, seed, epoch):
    n_windows = np.random.default_rng(n).integers(1, 50, n)
    batches = order_batches(n_windows, batch_size, seed, epoch)
    assert batches.shape == (-(-n // batch_size), batch_size)
    assert set(batches.flat) == set(range(n))
    np.testing.assert_array_equal(batches, order_batches(n_windows, batch_size, seed, epoch))


def test_sentences_of_a_batch_have_similar_lengths():
    n_windows = np.random.default_rng(0).integers(1, 1000, 640)
    spread = [np.ptp(n_windows[batch]) for batch in order_batches(n_windows, 10, 0, 0)]
    assert np.mean(spread) < 30  # by chance about 820


def test_epochs_and_seeds_differ():
    n_windows = np.arange(64)
    first = order_batches(n_windows, 4, 0, 0).tolist()
    assert first != order_batches(n_windows, 4, 0, 1).tolist()
    assert first != order_batches(n_windows, 4, 1, 0).tolist()


def test_a_batch_is_padded_to_its_longest_sentence(table):
    batch = read_batch(table, ["v0", "v3"], [[2, 9, 3], [2, 5, 6, 7, 3]], 100)
    assert batch.features.shape == (2, 6, 3)
    assert batch.n_windows.tolist() == [3, 6]
    np.testing.assert_array_equal(batch.features[0, :3], windows(0, 3))
    assert not batch.features[0, 3:].any()
    assert batch.pieces.tolist() == [[2, 9, 3, 0, 0], [2, 5, 6, 7, 3]]
    assert batch.n_pieces.tolist() == [3, 5]


def test_a_long_sentence_is_truncated(table):
    assert read_batch(table, ["v3"], [[2, 3]], 4).features.shape == (1, 4, 3)


def test_any_step_is_read_without_the_ones_before_it(table):
    whole = [batch.video_ids for batch in load_batches(batches_of(table), range(7))]
    later = [batch.video_ids for batch in load_batches(batches_of(table), range(4, 7))]
    assert later == whole[4:]
    assert sorted({name for batch in whole[:3] for name in batch}) == sorted(TEN["video_id"])


def test_batches_are_the_same_with_worker_processes(table):
    alone = list(load_batches(batches_of(table), range(5)))
    helped = list(load_batches(batches_of(table, loading=Loading(workers=2)), range(5)))
    for a, b in zip(alone, helped, strict=True):
        assert a.video_ids == b.video_ids
        assert torch.equal(a.features, b.features)


def test_ranks_share_a_batch_without_overlap(table):
    whole = batches_of(table)[3].video_ids
    parts = [batches_of(table, loading=Loading(rank, 2))[3].video_ids for rank in (0, 1)]
    assert sorted(parts[0] + parts[1]) == sorted(whole)
    assert [len(part) for part in parts] == [2, 2]


def test_ranks_share_the_sentences_of_a_validation(table):
    whole = batches_of(table).sentences
    parts = [whole.share(rank, 2) for rank in (0, 1)]
    pairs = [pair for part in parts for pair in zip(part.video_ids, part.texts, part.n_windows.tolist(), strict=True)]
    assert sorted(pairs) == sorted(zip(whole.video_ids, whole.texts, whole.n_windows.tolist(), strict=True))
    assert abs(len(parts[0]) - len(parts[1])) <= 1


def test_a_sentence_that_cannot_be_read_is_left_out_of_its_batch(tmp_path):
    path = write_features(tmp_path / "f.parquet", {"a": windows(0, 500), "b": windows(1, 2)})
    data = bytearray(path.read_bytes())
    data[200:1500] = bytes(1300)
    path.write_bytes(data)
    table = FeatureTable(path)
    batch = read_batch(table, ["a", "b"], [[2, 3], [2, 4, 3]], 100)
    assert batch.video_ids == ["b"]
    assert batch.pieces.tolist() == [[2, 4, 3]]
    assert list(batch.unread) == ["a"]
    assert batch.broken[0].startswith("a: ")
    with pytest.raises(TrainingError, match=r"none of 1 sentences can be read: .*the windows of video 'a'"):
        TrainingBatches(select(table, index_of(("a", "train", "x"))), [[2, 3]], 1, 0, 100)[0]


def test_evaluation_reads_each_sentence_once_the_longest_first(table):
    batches = list(evaluation_batches(select(table, TEN), 4, 100))
    assert sorted(name for batch in batches for name in batch.video_ids) == sorted(TEN["video_id"])
    assert [len(batch.video_ids) for batch in batches] == [4, 4, 2]
    assert batches[0].n_windows.min() >= batches[-1].n_windows.max()


def test_statistics_are_those_of_all_windows(table):
    sentences = select(table, TEN)
    x = np.concatenate([windows(k, 3 + k % 4) for k in range(10)])
    mean, std = feature_statistics(sentences)
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(std, x.std(0), rtol=1e-4)
