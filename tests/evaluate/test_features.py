"""Features of windows, and their table."""

import dataclasses
import hashlib
import logging
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from signrep_core.data.augment import prepare
from signrep_core.errors import TrainingError
from signrep_core.evaluate import features as module
from signrep_core.evaluate.feature_parts import Part, join_parts
from signrep_core.evaluate.features import Inference, Selection, cut_windows, extract_features, video_features
from signrep_core.evaluate.retrieval import read_features
from signrep_core.evaluate.windows import select_rows, window_starts
from signrep_core.model.signrep import PRESETS, SignRep
from tests.fake_reader import FakeReader, use_reader

CONFIG = dataclasses.replace(
    PRESETS["tiny"],
    encoder=dataclasses.replace(PRESETS["tiny"].encoder, image_size=32, embed_dim=8, stages=(1, 1, 1, 1)),
)


class Long(FakeReader):
    n_videos, n_frames = 2, 90  # 38 windows in each sequence: more than one chunk


class Short(FakeReader):
    n_videos, n_frames = 2, 10


class Broken(FakeReader):
    broken_rows = (3, 4, 5)  # one sequence of video01, both of video02


class Sharded(FakeReader):
    """Four videos in the first shard, two in the second."""

    def __init__(self, folder: Path = Path()) -> None:
        super().__init__(folder)
        self.index["shard"] = ["00000"] * 8 + ["00001"] * 4


def extract(weights: Path, out: Path, reader: Any = Sharded, **selection: Any) -> int:
    with use_reader(reader, module):
        return extract_features(weights, Path("shards"), out, Selection(**selection), Inference("cpu"))


@pytest.fixture(scope="module")
def model() -> SignRep:
    torch.manual_seed(0)
    return SignRep(CONFIG).eval()


def test_windows_start_at_every_second_frame_and_end_within_the_sequence() -> None:
    assert window_starts(16).tolist() == [0]
    assert window_starts(17).tolist() == [0]
    assert window_starts(21).tolist() == [0, 2, 4]
    assert window_starts(5).tolist() == [0]


def test_windows_are_cut_out_of_the_frames_and_padded_with_the_last() -> None:
    frames = torch.arange(20.0).reshape(1, 20, 1, 1)
    windows = cut_windows(frames, 3)
    assert windows[:, 0, :, 0, 0].tolist() == [[float(t) for t in range(s, s + 16)] for s in (0, 2, 4)]
    padded = cut_windows(frames[:, :10], 1)[0, 0, :, 0, 0]
    assert padded.tolist() == [*range(10), *[9] * 6]


def test_the_features_are_those_of_the_model_on_each_window(model: SignRep) -> None:
    reader = Long()
    (video, _) = list(video_features(model, Long, np.arange(4), Inference(batch_size=10)))
    assert video.video_id == "video00"
    assert video.start_frame.tolist() == [*range(0, 75, 2), *range(100, 175, 2)]  # the fake's second starts at 100
    for k in (0, 23, 24, 37, 38, 75):  # at the seams of chunks and sequences too
        row, start = divmod(int(video.start_frame[k]), 100)
        frames = torch.from_numpy(reader.read_planes(row, start))[None]
        with torch.no_grad():
            output = model(prepare(frames, 32))
        np.testing.assert_allclose(video.features[k], output.features[0], atol=1e-5)
        np.testing.assert_allclose(video.activity[k], output.activity[0].sigmoid(), atol=1e-5)


def test_features_do_not_depend_on_batches_or_workers(model: SignRep) -> None:
    one, other = (
        list(video_features(model, Long, np.arange(4), Inference(batch_size=size, workers=workers)))
        for size, workers in ((1, 0), (200, 1))
    )
    for a, b in zip(one, other, strict=True):
        assert a.start_frame.tolist() == b.start_frame.tolist()
        np.testing.assert_allclose(a.features, b.features, atol=1e-5)


def test_a_larger_stride_gives_the_features_of_fewer_windows(model: SignRep) -> None:
    every_second, every_eighth = (
        list(video_features(model, Long, np.arange(4), Inference(stride=stride))) for stride in (2, 8)
    )
    for few, all_ in zip(every_eighth, every_second, strict=True):
        assert few.start_frame.tolist() == [*range(0, 75, 8), *range(100, 175, 8)]
        same = np.isin(all_.start_frame, few.start_frame)
        np.testing.assert_allclose(few.features, all_.features[same], atol=1e-5)


def test_a_short_sequence_has_one_window(model: SignRep) -> None:
    found = list(video_features(model, Short, np.arange(4)))
    assert [len(video.features) for video in found] == [2, 2]
    assert all(np.isfinite(video.features).all() for video in found)


def test_a_broken_sequence_is_logged_and_left_out(model: SignRep, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    found = list(video_features(model, Broken, np.arange(12)))
    assert [video.video_id for video in found] == ["video00", "video01", "video03", "video04", "video05"]
    assert [len(video.features) for video in found] == [10, 5, 10, 10, 10]
    assert sum("do not decode" in record.message for record in caplog.records) == 3


def test_a_table_is_written_for_the_wanted_videos(model: SignRep, tmp_path: Path) -> None:
    model.save(tmp_path / "model.safetensors")
    out = tmp_path / "features.parquet"
    write = partial(extract, tmp_path / "model.safetensors", out)
    assert write(splits=["val", "test"]) == 2
    found = list(read_features(out))
    assert [video.video_id for video in found] == ["video04", "video05"]
    assert found[0].features.shape == (10, model.n_features)
    assert write(dataset="fake") == 6


class KilledError(Exception):
    pass


class KilledInTheSecondShard(Sharded):
    def read_window(self, row: int, start: int, n_frames: int = 16) -> np.ndarray:
        if row == 11:  # the last; the first shard is complete
            raise KilledError
        return super().read_window(row, start, n_frames)


class NothingLeftToReadInTheFirst(Sharded):
    def read_window(self, row: int, start: int, n_frames: int = 16) -> np.ndarray:
        assert self.index["shard"][row] == "00001"
        return super().read_window(row, start, n_frames)


def test_a_killed_extraction_continues_with_the_first_unfinished_shard(model: SignRep, tmp_path: Path) -> None:
    model.save(tmp_path / "model.safetensors")
    write = partial(extract, tmp_path / "model.safetensors")
    write(tmp_path / "whole.parquet")
    out = tmp_path / "features.parquet"
    with pytest.raises(KilledError):
        write(out, KilledInTheSecondShard)
    assert not out.exists()
    assert len(list((tmp_path / ".features.resume").glob("*.parquet"))) == 1
    assert write(out, NothingLeftToReadInTheFirst) == 6
    assert not (tmp_path / ".features.resume").exists()
    for one, other in zip(read_features(out), read_features(tmp_path / "whole.parquet"), strict=True):
        assert (one.video_id, one.start_frame.tolist()) == (other.video_id, other.start_frame.tolist())
        np.testing.assert_allclose(one.features, other.features, atol=1e-5)


def test_a_cached_shard_of_other_weights_is_extracted_again(model: SignRep, tmp_path: Path) -> None:
    torch.manual_seed(1)
    SignRep(CONFIG).save(tmp_path / "other.safetensors")
    model.save(tmp_path / "model.safetensors")
    out = tmp_path / "features.parquet"
    with pytest.raises(KilledError):
        extract(tmp_path / "other.safetensors", out, KilledInTheSecondShard)
    extract(tmp_path / "model.safetensors", out)
    (first, *_) = read_features(out)
    (expected, *_) = video_features(model, FakeReader, np.arange(2))
    np.testing.assert_allclose(first.features, expected.features, atol=1e-5)


def test_the_table_records_the_digest_of_the_weights(model: SignRep, tmp_path: Path) -> None:
    model.save(tmp_path / "model.safetensors")
    extract(tmp_path / "model.safetensors", tmp_path / "f.parquet")
    metadata = pq.read_schema(tmp_path / "f.parquet").metadata
    digest = hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()
    assert metadata[b"weights_sha256"].decode() == digest


def test_an_unknown_split_or_data_set_is_an_error_that_lists_the_existing_ones() -> None:
    index = FakeReader().index
    with pytest.raises(TrainingError, match=r"splits \['dev'\].*'test', 'train', 'val'"):
        select_rows(index, ["dev"])
    with pytest.raises(TrainingError, match=r"data set 'wlasl'.*\['fake'\]"):
        select_rows(index, None, "wlasl")


def test_a_data_set_whose_videos_were_all_rejected_can_have_an_empty_table(
    model: SignRep, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model.save(tmp_path / "model.safetensors")
    assert extract(tmp_path / "model.safetensors", tmp_path / "f.parquet", dataset="lost", empty_ok=True) == 0
    assert list(read_features(tmp_path / "f.parquet")) == []
    assert "no sequence of data set 'lost'" in caplog.text


def test_rows_of_one_video_are_adjacent() -> None:
    index = {"video_id": ["b", "a", "b"], "split": ["train"] * 3, "dataset": ["d"] * 3}
    assert select_rows(index, None).tolist() == [1, 0, 2]


def test_every_forward_pass_has_the_same_number_of_windows(model: SignRep, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    forward = module._forward
    monkeypatch.setattr(
        module, "_forward", lambda model, windows: sizes.append(len(windows)) or forward(model, windows)
    )
    found = list(video_features(model, FakeReader, np.arange(12), Inference(batch_size=3)))
    assert sum(len(video.features) for video in found) == 60
    assert sizes == [3] * 20
    list(video_features(model, Short, np.arange(4), Inference(batch_size=3)))  # four windows
    assert sizes[20:] == [3, 3]


@pytest.mark.parametrize("half", [False, True])
def test_the_parts_of_several_machines_join_to_the_whole_table(model: SignRep, tmp_path: Path, half: bool) -> None:
    weights = tmp_path / "model.safetensors"
    model.save(weights)
    inference = Inference("cpu", half=half)
    whole, out = tmp_path / "whole.parquet", tmp_path / "features.parquet"
    with use_reader(FakeReader, module):  # three shards of two videos
        extract_features(weights, "shards", whole, inference=inference)
        for number, videos in ((2, 0), (1, 2), (4, 2), (3, 2)):
            part = Selection(part=Part(number, 4))
            assert extract_features(weights, "shards", out, part, inference) == videos
    assert join_parts(out, 4) == pq.read_metadata(whole).num_rows == 60
    schemas = [pq.read_schema(path) for path in (out, whole)]
    assert schemas[0].metadata == schemas[1].metadata
    assert schemas[0].field("features").type.value_type == (pa.float16() if half else pa.float32())
    for one, other in zip(read_features(out), read_features(whole), strict=True):
        assert (one.video_id, one.start_frame.tolist()) == (other.video_id, other.start_frame.tolist())
        assert one.features.dtype == np.float32
        np.testing.assert_allclose(one.features, other.features, atol=1e-3 if half else 1e-5)
