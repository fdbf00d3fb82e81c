"""Packing: the tables of a shard must agree with its MP4."""

import dataclasses
import shutil
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from signrep_core.data.windows import group_videos
from signrep_core.errors import ShardError, TrainingError
from signrep_core.store.pack import pack_shard, write_index
from signrep_core.store.schemas import ACTIVITY, ANGLES, CROPS, FRAMES, KEYPOINTS, SEQUENCES, VIDEOS, Schema
from signrep_core.store.shards import ShardReader, read_info
from signrep_core.store.tables import TableWriter, read_table
from signrep_core.video.encode import Encoder, EncoderSettings
from tests.store.built import Built, build_shard


def test_a_frame_table_has_a_row_per_packet_with_that_frames_targets(packed: Built) -> None:
    frames = read_table(packed.paths()["out_frames"], FRAMES)
    numbers = [*range(40), *range(21), *range(30, 60)]
    assert frames["frame"].tolist() == numbers
    assert frames["video_id"] == ["one run"] * 40 + ["two runs"] * 51
    assert frames["sequence"].tolist() == [0] * 40 + [1] * 21 + [2] * 30
    assert np.allclose(frames["time_s"], np.array(numbers) / 25)
    for name in ("body_angles", "right_angles", "left_angles", "keypoints", "confidence"):
        assert (frames[name].reshape(len(numbers), -1) == np.array(numbers)[:, None]).all(), name
    assert np.flatnonzero(frames["keyframe"]).tolist() == [*range(0, 40, 6), *range(40, 61, 6), *range(61, 91, 6)]


def test_packet_offsets_point_at_the_frames_bytes(packed: Built) -> None:
    frames = read_table(packed.paths()["out_frames"], FRAMES)
    data = packed.paths()["out_mp4"].read_bytes()
    for offset, size, key in zip(frames["packet_offset"], frames["packet_size"], frames["keyframe"], strict=True):
        packet = data[offset : offset + size]
        assert int.from_bytes(packet[:4]) <= size - 4  # the length of the first unit
        assert packet[4] & 31 == (5 if key else 1)  # an H.264 slice: IDR or not


def test_unknown_activity_stays_unknown(packed: Built) -> None:
    active = read_table(packed.paths()["out_frames"], FRAMES)["right_active"]
    assert np.ma.getmaskarray(active)[:40].tolist() == [False] * 25 + [True] * 15
    assert active[:25].tolist() == [k % 2 == 0 for k in range(25)]


def test_the_index_has_a_row_per_sequence(packed: Built) -> None:
    index = read_table(packed.folder / "shards" / "index.parquet", SEQUENCES)
    assert index["shard"] == ["00000"] * 3
    assert index["video_id"] == ["one run", "two runs", "two runs"]
    assert index["first_row"].tolist() == [0, 40, 61]
    assert index["n_frames"].tolist() == [40, 21, 30]
    assert index["gloss"] == ["gloss of one run", "gloss of two runs", "gloss of two runs"]
    assert index["split"] == ["train"] * 3
    assert index["fps"].tolist() == [25, 25, 25]


def test_a_short_evaluation_video_is_stored_with_the_frames_it_has(tmp_path: Path) -> None:
    built = build_shard(tmp_path, {"five": [True] * 5, "one": [False, True, False]}, split="test")
    pack_shard("00000", *built.files())
    paths = built.paths()
    write_index([paths["out_sequences"]], [paths["out_mp4"]], tmp_path / "shards/index.parquet",
                tmp_path / "shards/info.json")  # fmt: skip
    reader = ShardReader(tmp_path / "shards")
    assert reader.index["video_id"] == ["five", "one"]
    assert reader.index["n_frames"].tolist() == [5, 1]
    assert len(reader.read_planes(0, 0, 5)) == 5
    targets = reader.read_targets(1, 0, 1)
    assert targets["frame"].tolist() == [1]
    assert np.ma.getmaskarray(targets["right_active"]).all(), "no full window starts here"
    with pytest.raises(TrainingError, match="no sequence of at least 16 frames"):
        group_videos(reader.index, None)


def test_the_info_holds_the_parameters_of_the_decoder(packed: Built) -> None:
    info = read_info(packed.folder / "shards" / "info.json")
    assert info.counts == {"shards": 2, "sequences": 3, "frames": 91}
    assert (info.codec, info.width, info.height, info.pix_fmt, info.gop) == ("h264", 256, 256, "yuv420p", 6)
    assert info.encoder == packed.crop.encoder
    assert info.extradata[0] == 1  # avcC


def test_the_mp4_is_linked_and_newer_than_its_inputs(packed: Built) -> None:
    paths = packed.paths()
    assert paths["out_mp4"].samefile(paths["crops_mp4"])
    assert paths["out_mp4"].stat().st_mtime >= paths["activity"].stat().st_mtime


def test_a_shard_without_sequences_is_empty_and_valid(packed: Built) -> None:
    paths = packed.paths("00001")
    assert paths["out_mp4"].stat().st_size == 0
    assert len(read_table(paths["out_frames"], FRAMES)["frame"]) == 0
    assert len(read_table(paths["out_sequences"], SEQUENCES)["sequence"]) == 0


# ---------------------------------------------------------------- what disagrees


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build_shard(tmp_path_factory.mktemp("built"), {"a": [True] * 20, "b": [True] * 24})


@pytest.fixture
def unpacked(built: Built, tmp_path: Path) -> Built:
    """A copy of the shard's files that a test may damage."""
    return dataclasses.replace(built, folder=Path(shutil.copytree(built.folder, tmp_path / "built")))


def rewrite(path: Path, schema: Schema, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change a table, keeping a video per row group."""
    columns = {name: values.copy() for name, values in read_table(path, schema).items()}
    columns = change(columns) or columns
    begin = 0
    with TableWriter(path, schema) as writer:
        for _, rows in groupby(columns["video_id"]):
            end = begin + len(list(rows))
            writer.write({name: values[begin:end] for name, values in columns.items()})
            begin = end


def take(rows: slice) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda columns: {name: values[rows] for name, values in columns.items()}


def put(name: str, row: int, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda columns: columns[name].__setitem__(row, value)


@pytest.mark.parametrize(
    ("table", "schema", "change", "said"),
    [
        ("crops", CROPS, put("n_frames", 0, 19), r"crops/00000.parquet has 43 frames, .*crops/00000.mp4 44"),
        ("crops", CROPS, put("start_frame", 1, 3), r"video 'b': angles has 24 frames, the crops go to 26"),
        ("crops", CROPS, put("n_frames", slice(None), [19, 25]), r"frame 19 of the MP4 is no keyframe"),
        ("videos", VIDEOS, put("status", 1, "rejected"), r"videos and crops disagree on video 'b'"),
        ("keypoints", KEYPOINTS, put("time_s", 30, 9.0), r"'b': keypoints and angles disagree on the frames' times"),
        ("keypoints", KEYPOINTS, put("frame", 5, 4), r"video 'a': the frames of keypoints do not count from 0"),
        ("keypoints", KEYPOINTS, take(slice(20, None)), r"disagree on the next video: angles 'a', keypoints 'b'"),
        ("keypoints", KEYPOINTS, take(slice(0, 20)), r"disagree on the next video: angles 'b', keypoints None"),
        ("angles", ANGLES, take(slice(10, None)), r"video 'a': angles has 10 frames, the crops go to 19"),
    ],
)  # fmt: skip
def test_disagreeing_tables_are_named_and_nothing_is_written(
    unpacked: Built, table: str, schema: Schema, change: Callable[[dict[str, Any]], Any], said: str
) -> None:
    paths = unpacked.paths()
    rewrite(paths[table], schema, change)
    with pytest.raises(ShardError, match=said):
        pack_shard("00000", *unpacked.files())
    assert not paths["out_mp4"].exists()


@pytest.mark.parametrize(("first", "time_s"), [(1, 1 / 15), (19, 0.75)], ids=["second row", "last row"])
def test_poses_at_another_time_than_their_frames_are_refused(unpacked: Built, first: int, time_s: float) -> None:
    paths = unpacked.paths()
    for table, schema in (("angles", ANGLES), ("keypoints", KEYPOINTS), ("activity", ACTIVITY)):
        rewrite(paths[table], schema, put("time_s", first, time_s))
    with pytest.raises(
        ShardError, match=rf"'a': frame {first} is at {first / 25:g} s, its pose at {time_s:g} s; .*import"
    ):
        pack_shard("00000", *unpacked.files())
    pack_shard("00000", *unpacked.files(), target_fps=None)  # their own frames, whose times the crops have checked


def test_shards_encoded_differently_are_not_indexed_together(packed: Built, tmp_path: Path) -> None:
    with Encoder(tmp_path / "00002.mp4", EncoderSettings(size=128)) as encoder:
        encoder.write(np.zeros((128, 128, 3), np.uint8))
    shutil.copy(packed.paths()["out_mp4"], tmp_path / "00000.mp4")
    with pytest.raises(
        ShardError, match=r"00002\.mp4: its encoder, extradata, width, height differs from that of .*00000"
    ):
        write_index(
            [], [tmp_path / "00000.mp4", tmp_path / "00002.mp4"], tmp_path / "index.parquet", tmp_path / "info.json"
        )


def test_a_corpus_without_any_sequence_has_an_empty_index(packed: Built, tmp_path: Path) -> None:
    paths = packed.paths("00001")
    write_index([paths["out_sequences"]], [paths["out_mp4"]], tmp_path / "index.parquet", tmp_path / "info.json")
    assert len(read_table(tmp_path / "index.parquet", SEQUENCES)["shard"]) == 0
    assert read_info(tmp_path / "info.json").counts == {"shards": 1, "sequences": 0, "frames": 0}
