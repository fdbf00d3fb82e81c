"""Windows of the training and their order."""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from signrep_core.data.stream import Loading, batch_items, copy_beside, shuffle_epoch
from signrep_core.data.windows import (
    WindowPairs,
    collate,
    group_videos,
    load_batches,
    read_window,
)
from signrep_core.errors import TrainingError
from tests.fake_reader import FakeReader


def pairs(seed: int = 0, reader: type[FakeReader] = FakeReader) -> WindowPairs:
    return WindowPairs(reader, None, seed)


class Broken(FakeReader):
    broken_rows = (2, 3)  # both sequences of video01


class AllBroken(FakeReader):
    broken_rows = tuple(range(12))


def test_each_epoch_contains_every_video_once_in_a_new_order() -> None:
    dataset = pairs()
    epochs = [[dataset.video_of(item) for item in range(k * 6, k * 6 + 6)] for k in range(3)]
    assert all(sorted(epoch) == list(range(6)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


@settings(max_examples=50)
@given(st.integers(2, 7), st.integers(0, 1000))
def test_neighbours_in_the_stream_are_different_videos(n: int, seed: int) -> None:
    epochs = [shuffle_epoch(n, seed, epoch) for epoch in range(12)]
    assert (np.diff(np.concatenate(epochs)) != 0).all()
    assert all(sorted(epoch) == list(range(n)) for epoch in epochs)


def test_an_item_is_a_pure_function_of_seed_and_number() -> None:
    one, other = pairs(), pairs()
    for item in (17, 3, 17, 40):  # in any order, from a fresh data set or a used one
        assert one[item]["windows"] == other[item]["windows"]
        np.testing.assert_array_equal(one[item]["frames"], other[item]["frames"])
    assert [pairs(seed=1)[k]["windows"] for k in range(6)] != [one[k]["windows"] for k in range(6)]


def test_an_item_is_two_different_windows_of_one_video() -> None:
    dataset = pairs()
    for item in range(30):
        pair = dataset[item]
        first, second = pair["windows"]
        assert first != second
        assert first.split()[0] == second.split()[0] == dataset.videos.video_ids[pair["video"]]
        assert np.shape(pair["frames"]) == (2, 16, 96, 64)
        assert np.shape(pair["keypoints"]) == (2, 16, 61, 3)


def test_every_window_start_of_a_video_is_drawn_and_no_other() -> None:
    """24 frames in each of two sequences: starts 0 to 8 in both."""
    dataset = pairs()
    drawn = Counter(w for item in range(900) if dataset.video_of(item) == 0 for w in dataset[item]["windows"])
    assert {w.split(" ", 1)[1] for w in drawn} == {f"row {r} frame {s}" for r in (0, 1) for s in range(9)}
    assert max(drawn.values()) < 4 * min(drawn.values())


def test_only_the_wanted_splits_and_long_enough_sequences_are_used() -> None:
    index = FakeReader().index
    assert group_videos(index, ["val", "test"]).video_ids == ["video04", "video05"]
    others = index | {"dataset": ["fake"] * 4 + ["other"] * 8}
    assert group_videos(others, ["train"], ["other"]).video_ids == ["video02", "video03"]
    index["n_frames"] = np.array([15, 16] + [15] * 10)
    videos = group_videos(index, None)
    assert videos.video_ids == ["video00"]
    assert videos.n_starts(0) == 1
    assert videos.locate(0, 0) == (1, 0)


def test_no_sequence_at_all_says_which_splits_exist() -> None:
    with pytest.raises(TrainingError, match=r"splits \['dev'\].*fake train: 8"):
        group_videos(FakeReader().index, ["dev"])


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_do_not_depend_on_the_number_of_workers(workers: int) -> None:
    alone = list(load_batches(pairs(), range(3), 2))
    helped = list(load_batches(pairs(), range(3), 2, Loading(workers=workers)))
    for a, b in zip(alone, helped, strict=True):
        assert a.windows == b.windows
        assert all(torch.equal(a.tensors[name], b.tensors[name]) for name in a.tensors)


def test_training_resumes_at_any_step_without_replaying() -> None:
    whole = [batch.windows for batch in load_batches(pairs(), range(10), 2)]
    rest = [batch.windows for batch in load_batches(pairs(), range(7, 10), 2)]
    assert rest == whole[7:]
    first = next(batch_items(range(400_000, 500_000), 10))
    assert first == list(range(4_000_000, 4_000_010))


def test_ranks_share_the_batch_of_one() -> None:
    alone = next(load_batches(pairs(), range(5, 6), 4))
    shared = [next(load_batches(pairs(), range(5, 6), 4, Loading(rank, 2))) for rank in range(2)]
    assert shared[0].windows + shared[1].windows == alone.windows


def test_windows_of_one_video_are_adjacent() -> None:
    batch = collate([pairs()[0], pairs()[1]])
    videos = batch.videos.tolist()
    assert videos[0] == videos[1] != videos[2] == videos[3]
    assert batch.tensors["frames"].dtype == torch.uint8


def test_a_broken_video_is_reported_and_replaced() -> None:
    dataset = pairs(reader=Broken)
    item = next(k for k in range(6) if dataset.videos.video_ids[dataset.video_of(k)] == "video01")
    pair = dataset[item]
    assert len(pair["broken"]) >= 1
    assert "video01" in pair["broken"][0]
    assert "do not decode" in pair["broken"][0]
    assert pair["video"] not in {dataset.video_of(item - 1 if item else 0), dataset.video_of(item + 1)}
    assert pair["windows"] == pairs(reader=Broken)[item]["windows"]
    assert not dataset[item + 1]["broken"]


def test_an_unreadable_corpus_stops_the_training() -> None:
    with pytest.raises(TrainingError, match="8 videos in a row cannot be read"):
        pairs(reader=AllBroken)[0]


def test_one_readable_video_of_two_replaces_the_other() -> None:
    class Two(Broken):
        n_videos = 2

    dataset = pairs(reader=Two)
    assert {dataset[item]["windows"][0].split()[0] for item in range(6)} == {"video00"}


def test_unknown_activity_is_marked() -> None:
    class Unknown(FakeReader):
        def read_targets(self, row: int, start: int, n_frames: int = 16) -> dict[str, np.ndarray]:
            targets = super().read_targets(row, start, n_frames)
            return targets | {"left_active": np.ma.masked_all(n_frames, bool)}

    assert read_window(Unknown(Path()), 0, 0)["active_known"].tolist() == [True, False]
    assert read_window(FakeReader(), 1, 0)["active"].tolist() == [True, False]


def test_a_batch_of_one_video_is_an_error() -> None:
    with pytest.raises(TrainingError, match=r"a batch of 2 windows holds 1 videos, two at least are needed"):
        next(load_batches(pairs(), range(1), 1))


def test_one_video_is_not_enough(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(TrainingError, match="at least two videos"):
        next(load_batches(WindowPairs(FakeReader, ["val"], 0), range(1), 2))


def test_a_gpu_gets_each_batch_on_a_stream_of_its_own_that_the_training_waits_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PyTorch's streams replaced by names, since no GPU is needed to see the order."""
    said: list[str] = []

    class Stream:
        def wait_stream(self, other: "Stream") -> None:
            said.append("the training waits")

    class Copied:
        def to(self, device: torch.device) -> "Copied":
            said.append(f"copied to {device}")
            return self

        def record_stream(self, stream: Stream) -> None:
            said.append("kept for the training")

    @contextmanager
    def on(stream: Stream) -> Iterator[None]:
        said.append("beside")
        yield
        said.append("back")

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream())
    monkeypatch.setattr(torch.cuda, "stream", on)
    for _ in copy_beside(iter([Copied(), Copied()]), torch.device("cuda")):
        said.append("step")
    one = ["beside", "copied to cuda", "back", "the training waits", "kept for the training", "step"]
    assert said == 2 * one
    assert Loading(device=torch.device("cuda")).pin_memory
    assert not Loading().pin_memory
