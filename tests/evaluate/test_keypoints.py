"""Raw poses pooled over windows, as a features table."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from signrep_core.errors import TrainingError
from signrep_core.evaluate import keypoints
from signrep_core.evaluate.keypoints import pool_keypoints, pool_windows
from signrep_core.evaluate.retrieval import read_features
from signrep_core.store.feature_table import FeatureTable
from tests.fake_reader import FakeReader, use_reader


def pool(out: Path, reader: Any = FakeReader, **options: Any) -> int:
    with use_reader(reader, keypoints):
        return pool_keypoints("shards", out, **options)


class OneBrokenSequence(FakeReader):
    broken_rows = (2,)


class AllBroken(FakeReader):
    broken_rows = tuple(range(12))


def test_a_window_is_the_mean_and_the_deviation_of_its_frames():
    frames = np.arange(20.0)[:, None] * [1.0, -2.0]  # (20, 2): windows begin at 0, 2 and 4
    pooled = pool_windows(frames)
    assert pooled.shape == (3, 4)
    np.testing.assert_allclose(pooled[:, 0], [7.5, 9.5, 11.5])
    np.testing.assert_allclose(pooled[:, 1], [-15, -19, -23])
    np.testing.assert_allclose(pooled[:, 2], np.arange(16).std(), rtol=1e-6)
    np.testing.assert_allclose(pooled[:, 3], 2 * np.arange(16).std(), rtol=1e-6)


def test_a_sequence_shorter_than_a_window_repeats_its_last_frame():
    np.testing.assert_allclose(pool_windows(np.array([[0.0], [4.0]]))[0, 0], 4 * 15 / 16)


@pytest.mark.parametrize(("kind", "width"), [("keypoints", 2 * 183), ("angles", 2 * 2 * 104)])
def test_the_table_can_be_read_as_a_features_table(tmp_path, kind, width):
    assert pool(tmp_path / "k.parquet", kind=kind) == 6
    assert FeatureTable(tmp_path / "k.parquet").width == width
    videos = {video.video_id: video for video in read_features(tmp_path / "k.parquet")}
    video = videos["video00"]  # two sequences of 24 frames: windows at 0, 2, 4, 6, 8 of each
    assert video.start_frame.tolist() == [0, 2, 4, 6, 8, 100, 102, 104, 106, 108]
    assert video.activity.tolist() == [[1, 1]] * 5 + [[1, 0]] * 5


def test_the_values_are_those_of_the_frames(tmp_path):
    pool(tmp_path / "k.parquet")
    frames = FakeReader().read_targets(1, 4, 16)["keypoints"].reshape(16, -1)
    found = FeatureTable(tmp_path / "k.parquet").read("video00")[5 + 2]
    np.testing.assert_allclose(found, np.concatenate((frames.mean(0), frames.std(0))), atol=1e-6)


def test_a_sequence_that_cannot_be_read_is_left_out(tmp_path, caplog):
    pool(tmp_path / "k.parquet", OneBrokenSequence)
    assert FeatureTable(tmp_path / "k.parquet").n_windows("video01") == 5
    assert "no keypoints of row 2: row 2: the packets do not decode" in caplog.text
    with pytest.raises(TrainingError, match="no sequence of data set 'any' can be read"):
        pool(tmp_path / "x.parquet", AllBroken)
    assert not (tmp_path / "x.parquet").exists()


def test_a_data_set_whose_videos_were_all_rejected_can_have_an_empty_table(tmp_path, caplog):
    assert pool(tmp_path / "k.parquet", dataset="lost", empty_ok=True) == 0
    assert list(read_features(tmp_path / "k.parquet")) == []
    assert "no sequence of data set 'lost'" in caplog.text
    with pytest.raises(TrainingError, match="name one of these"):
        pool(tmp_path / "k.parquet", dataset="lost")
