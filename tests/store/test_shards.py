"""Random windows of packed shards."""

import json
import multiprocessing
import os
import pickle
import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from signrep_core.errors import ShardError, TableError
from signrep_core.skeleton import SKELETON_VERSION
from signrep_core.store.schemas import FRAMES
from signrep_core.store.shards import ShardReader
from signrep_core.store.tables import TableWriter, read_table
from tests.store.built import Built


@pytest.fixture(scope="module")
def reader(packed: Built) -> ShardReader:
    return ShardReader(packed.folder / "shards")


@pytest.fixture(scope="module")
def sequential(packed: Built) -> np.ndarray:
    """All frames of shard 00000, decoded from its beginning."""
    with av.open(str(packed.paths()["out_mp4"])) as container:
        frames = [
            frame.reformat(format="rgb24", src_colorspace=1, src_color_range=1, dst_color_range=2)
            for frame in container.decode(video=0)
        ]
    return np.stack([frame.to_ndarray() for frame in frames])


@pytest.fixture
def copied(packed: Built, tmp_path: Path) -> Path:
    """A copy of the shards, to be damaged."""
    return Path(shutil.copytree(packed.folder / "shards", tmp_path / "shards"))


def test_every_window_equals_sequential_decoding(reader: ShardReader, sequential: np.ndarray) -> None:
    for row, (first, n) in enumerate([(0, 40), (40, 21), (61, 30)]):
        for start in range(n - 15):
            window = reader.read_window(row, start)
            assert np.array_equal(window, sequential[first + start : first + start + 16]), (row, start)


def test_windows_of_any_length_are_read(reader: ShardReader, sequential: np.ndarray) -> None:
    assert np.array_equal(reader.read_window(1, 0, 21), sequential[40:61])
    assert np.array_equal(reader.read_window(2, 7, 1), sequential[68:69])


def test_planes_hold_the_same_frame_unconverted(reader: ShardReader, packed: Built) -> None:
    planes = reader.read_planes(2, 3, 5)
    with av.open(str(packed.paths()["out_mp4"])) as container:
        expected = [frame.to_ndarray() for frame in container.decode(video=0)][64:69]
    assert planes.shape == (5, 384, 256)
    assert np.array_equal(planes, expected)


def test_chosen_frames_are_those_of_the_whole_and_only_what_they_need_is_decoded(
    reader: ShardReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, gop, decoded = reader.read_planes(0, 0, 40), reader.info.gop, []

    class Counting:
        def __init__(self) -> None:
            self._decoder = type(reader.info).decoder(reader.info)

        def decode(self, packet: av.Packet | None) -> list[av.VideoFrame]:
            decoded.append(packet)
            return self._decoder.decode(packet)

        def flush_buffers(self) -> None:
            self._decoder.flush_buffers()

    assert gop == 6
    for frames, n in (
        ([0], 1), ([39], 4), ([4, 5, 6], 7), ([1, 20], 5), ([7, 9, 29, 30], 4 + 6 + 1), (list(range(3, 40)), 40),
    ):  # fmt: skip
        monkeypatch.setattr(reader, "_decoder", Counting())
        decoded.clear()
        assert np.array_equal(reader.read_planes_at(0, np.array(frames)), whole[frames])
        assert len(decoded) == n + 1, frames  # and the end
    with pytest.raises(IndexError):
        reader.read_planes_at(0, np.array([38, 40]))


def test_targets_belong_to_the_windows_frames(reader: ShardReader) -> None:
    targets = reader.read_targets(2, 4, 10)  # the sequence begins with frame 30 of its video
    shapes = {
        "body_angles": (22,), "right_angles": (41,), "left_angles": (41,), "keypoints": (61, 3), "confidence": (61,),
    }  # fmt: skip
    for name, shape in shapes.items():
        assert targets[name].shape == (10, *shape)
        assert (targets[name].reshape(10, -1) == np.arange(34, 44)[:, None]).all()
    assert targets["right_active"].tolist() == [True, False] * 5
    assert targets["left_active"].tolist() == [k % 3 == 0 for k in range(34, 44)]


def test_the_unknown_activity_at_a_videos_end_stays_unknown(reader: ShardReader) -> None:
    assert np.ma.getmaskarray(reader.read_targets(0, 20, 20)["right_active"]).tolist() == [False] * 5 + [True] * 15


@pytest.mark.parametrize(("start", "n"), [(-1, 16), (25, 16), (0, 0), (40, 1), (0, 41)])
def test_a_window_outside_its_sequence_is_refused(reader: ShardReader, start: int, n: int) -> None:
    for read in (reader.read_window, reader.read_planes, reader.read_targets):
        with pytest.raises(IndexError, match=r"sequence 0 of video 'one run': frames .* of a sequence of 40"):
            read(0, start, n)


def test_a_reader_pickles_without_its_open_files(reader: ShardReader, sequential: np.ndarray) -> None:
    reader.read_window(0, 0)
    other = pickle.loads(pickle.dumps(reader))
    assert other._open == {}
    assert np.array_equal(other.read_window(0, 3), sequential[3:19])


def _read(reader: ShardReader, start: int, queue: "multiprocessing.SimpleQueue[int]") -> None:
    queue.put(int(reader.read_window(0, start).astype(np.int64).sum()))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_read_at_the_same_time(reader: ShardReader, sequential: np.ndarray, method: str) -> None:
    reader.read_window(0, 0)  # open in the parent
    context = multiprocessing.get_context(method)
    queue = context.SimpleQueue()
    process = context.Process(target=_read, args=(reader, 5, queue))
    process.start()
    found = queue.get()
    process.join()
    assert found == int(sequential[5:21].astype(np.int64).sum())
    assert np.array_equal(reader.read_window(0, 5), sequential[5:21])


def test_no_more_shards_stay_open_than_allowed(copied: Path, sequential: np.ndarray) -> None:
    for name in ("mp4", "parquet"):
        shutil.copy(copied / f"00000.{name}", copied / f"00007.{name}")
    reader = ShardReader(copied, max_open=1)
    reader.index["shard"][2] = "00007"
    before = len(os.listdir("/proc/self/fd"))
    for row, first in ((0, 0), (2, 61), (0, 0), (2, 61)):
        assert np.array_equal(reader.read_window(row, 2), sequential[first + 2 : first + 18])
        assert list(reader._open) == [reader.index["shard"][row]]
    assert len(os.listdir("/proc/self/fd")) <= before + 2


def test_a_repacked_shard_is_read_again_when_it_is_opened_again(copied: Path) -> None:
    table = copied / "00000.parquet"
    other = copied / "00007.parquet"
    for name in ("mp4", "parquet"):
        shutil.copy(copied / f"00000.{name}", copied / f"00007.{name}")
    reader = ShardReader(copied, max_open=1)
    reader.index["shard"][2] = "00007"
    before = reader.read_targets(0, 0)
    with TableWriter(other, FRAMES, rows_per_group=50, uncompressed=True) as writer:
        writer.write(read_table(table, FRAMES))
    os.replace(other, table)  # the same rows at other places
    shutil.copy(table, other)
    reader.read_targets(2, 0)  # closes 00000
    assert all(np.array_equal(before[name], values) for name, values in reader.read_targets(0, 0).items())


# ---------------------------------------------------------------- damage


def break_packet(folder: Path, number: int, data: bytes) -> None:
    offset = int(read_table(folder / "00000.parquet", FRAMES, ["packet_offset"])["packet_offset"][number])
    content = bytearray((folder / "00000.mp4").read_bytes())
    content[offset : offset + len(data)] = data
    (folder / "00000.mp4").unlink()
    (folder / "00000.mp4").write_bytes(content)


def test_damaged_bytes_name_shard_and_sequence_and_other_sequences_are_read(
    copied: Path, sequential: np.ndarray
) -> None:
    break_packet(copied, 41, b"\xff" * 40)
    reader = ShardReader(copied)
    with pytest.raises(ShardError, match=r"shard 00000, sequence 1 of video 'two runs': its packets .*crop_signers"):
        reader.read_window(1, 0)
    assert np.array_equal(reader.read_window(0, 0), sequential[:16])
    assert np.array_equal(reader.read_window(2, 0), sequential[61:77])


def test_a_truncated_mp4_is_an_error(copied: Path) -> None:
    os.truncate(copied / "00000.mp4", 5000)
    with pytest.raises(ShardError, match=r"sequence 2 .*the MP4 has 5000 bytes, its packets go to \d+"):
        ShardReader(copied).read_window(2, 10)


def test_a_missing_file_is_named(copied: Path) -> None:
    (copied / "00000.mp4").unlink()
    with pytest.raises(ShardError, match=r"sequence 0 .*No such file.*00000\.mp4.*copy the whole folder"):
        ShardReader(copied).read_window(0, 0)
    (copied / "00000.parquet").unlink()
    with pytest.raises(ShardError, match=r"No such file.*00000\.parquet.*copy the whole folder"):
        ShardReader(copied).read_targets(0, 0)


def test_a_table_of_another_shard_is_an_error(copied: Path) -> None:
    reader = ShardReader(copied)
    reader.index["first_row"] = np.array([0, 20, 61])
    with pytest.raises(ShardError, match=r"rows 20\.\.36 of its table belong to another sequence"):
        reader.read_window(1, 0)
    reader.index["first_row"] = np.array([0, 40, 80])
    with pytest.raises(ShardError, match=r"sequence 2 .*its table cannot be read .*expected rows 80\.\.100, it has 91"):
        reader.read_window(2, 4)


def test_another_format_version_is_refused(copied: Path) -> None:
    info = json.loads((copied / "info.json").read_text())
    (copied / "info.json").write_text(json.dumps(info | {"version": 99}))
    expected = rf"version 1 and skeleton version {SKELETON_VERSION}, found 99 and {SKELETON_VERSION}; rerun"
    with pytest.raises(ShardError, match=expected):
        ShardReader(copied)
    (copied / "info.json").write_text("{}")
    with pytest.raises(ShardError, match="cannot be read as the shards' info"):
        ShardReader(copied)


def test_a_folder_without_an_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"index\.parquet.*pack_shards"):
        ShardReader(tmp_path)
