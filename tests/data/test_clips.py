"""Frames of a labelled video in a clip."""

import logging
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signrep_core.data.clips import Clips, iterate_clips, read_clip, select_labelled, spread_frames
from signrep_core.data.stream import Loading, load_items
from signrep_core.data.windows import collate
from tests.fake_reader import FakeReader


class Numbered(FakeReader):
    """Each frame shows its own number within the sequence, plus 100 in a video's second sequence."""

    n_frames = 90

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[tuple[int, int, int]] = []

    def read_planes(self, row: int, start: int, n_frames: int = 16) -> np.ndarray:
        self._check(row)
        self.reads.append((row, start, n_frames))
        number = np.arange(start, start + n_frames) + 100 * (row % 2)
        return np.broadcast_to(number[:, None, None], (n_frames, 3, 2)).astype(np.uint8)


class Broken(Numbered):
    broken_rows = (2, 3)  # video01


def labelled(reader: FakeReader, splits: tuple[str, ...] = ("train",), **options: Any) -> Any:
    return select_labelled(reader.index, "fake", splits, **options)


@given(st.integers(1, 500), st.integers(1, 100))
def test_frames_are_evenly_spaced(n_frames: int, n: int) -> None:
    frames = spread_frames(n_frames, n)
    assert len(frames) == n
    assert 0 <= frames[0] <= frames[-1] < n_frames
    steps = np.diff(frames)
    assert (steps >= 0).all()
    if n > 1:
        assert steps.max() - steps.min() <= 1
    assert set(frames) == set(range(n_frames)) if n >= n_frames else len(set(frames)) == n


def test_a_short_video_repeats_its_frames_and_a_long_one_leaves_some_out() -> None:
    assert spread_frames(3, 6).tolist() == [0, 0, 1, 1, 2, 2]
    assert spread_frames(6, 6).tolist() == [0, 1, 2, 3, 4, 5]
    assert spread_frames(12, 4).tolist() == [1, 4, 7, 10]


def test_a_clip_covers_all_sequences_of_its_video() -> None:
    """180 frames, 9 of them: 10, 30, 50, 70 of the first 90, then 90 - 90 = 0, 20, 40, 60, 80 of the second."""
    reader = Numbered()
    clip = read_clip(reader, labelled(reader), 1, 9, "video")
    assert clip["frames"].shape == (1, 9, 3, 2)
    assert clip["frames"][0, :, 0, 0].tolist() == [10, 30, 50, 70, 100, 120, 140, 160, 180]
    assert clip["label"].tolist() == [1]


def test_distant_frames_are_read_separately_and_near_ones_together() -> None:
    reader = Numbered()
    read_clip(reader, labelled(reader), 0, 6, "video")  # every thirtieth
    assert [n for _, _, n in reader.reads] == [1] * 6
    reader.reads.clear()
    read_clip(reader, labelled(reader), 0, 64, "video")
    assert [(row, n) for row, _, n in reader.reads] == [(0, 88), (1, 88)]


def test_keypoints_are_of_the_same_frames() -> None:
    reader = Numbered()
    clip = read_clip(reader, labelled(reader), 0, 9, "keypoints")
    whole = reader.read_targets(0, 0, 90)["keypoints"]
    np.testing.assert_array_equal(clip["keypoints"][0, :4], whole[[10, 30, 50, 70]])
    assert clip["body_angles"].shape == (1, 9, 22)


def test_labels_are_indices_into_the_trained_glosses() -> None:
    reader = FakeReader()
    train = labelled(reader)
    assert train.video_ids == ["video00", "video01", "video02", "video03"]
    assert train.labels.tolist() == [0, 1, 2, 0]
    test = labelled(reader, ("val", "test"), glosses=["gloss1", "gloss7"])
    assert test.glosses == ["gloss1", "gloss2"]
    assert test.labels.tolist() == [0, -1]
    assert labelled(reader, ("val", "test"), glosses=["gloss1"], only_these=True).video_ids == ["video04"]


def test_videos_of_other_data_sets_or_without_a_gloss_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    reader = FakeReader()
    reader.index["gloss"][0:2] = ["", ""]
    reader.index["dataset"][2] = reader.index["dataset"][3] = "another"
    assert labelled(reader).video_ids == ["video02", "video03"]
    assert "2 sequences without a gloss" in caplog.text


def test_an_item_is_a_pure_function_of_seed_and_number_and_ranks_share_a_batch() -> None:
    def stream() -> Clips:
        return Clips(Numbered, labelled(FakeReader()), 0, 5)

    alone = list(load_items(stream(), collate, range(2, 5), 2))
    shared = [list(load_items(stream(), collate, range(2, 5), 2, Loading(rank, 2))) for rank in (0, 1)]
    for k in range(3):
        assert alone[k].windows == shared[0][k].windows + shared[1][k].windows
        assert alone[k].tensors["frames"].shape == (2, 5, 3, 2)
    seen = [name for batch in load_items(stream(), collate, range(4), 2) for name in batch.windows]
    assert sorted(seen[:4]) == sorted(seen[4:]) == ["video00", "video01", "video02", "video03"]


def test_every_video_comes_once_in_order_and_unreadable_ones_are_named() -> None:
    batches = list(iterate_clips(Broken, labelled(FakeReader()), 5, "video", batch_size=3))
    assert [batch.windows for batch in batches] == [["video00", "video02"], ["video03"]]
    assert [len(batch.broken) for batch in batches] == [1, 0]
    assert "video01" in batches[0].broken[0]
    assert batches[0].tensors["label"].tolist() == [0, 2]
    only_broken = list(iterate_clips(Broken, labelled(FakeReader()), 5, "video", batch_size=1))[1]
    assert len(only_broken) == 0
    assert only_broken.broken


def test_batches_do_not_depend_on_workers() -> None:
    one, other = (
        list(iterate_clips(Numbered, labelled(FakeReader()), 5, "video", batch_size=2, workers=n)) for n in (0, 1)
    )
    assert [b.windows for b in one] == [b.windows for b in other]
