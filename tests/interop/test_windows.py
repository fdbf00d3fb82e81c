"""WebDataset tars, read with the webdataset library."""

import io
import json

import av
import numpy as np
import pytest
import webdataset

from signrep_core.__main__ import main
from signrep_core.errors import ShardError
from signrep_core.interop.windows import export_windows
from signrep_core.store.shards import ShardReader


def samples(folder):
    urls = [str(path) for path in sorted(folder.glob("*.tar"))]
    return list(webdataset.WebDataset(urls, shardshuffle=False, empty_check=False))


def test_windows_are_the_shards_frames_and_targets(packed, tmp_path):
    made = export_windows(packed.folder / "shards", tmp_path, stride=12, per_tar=4)
    reader = ShardReader(packed.folder / "shards")
    expected = [(row, start) for row in range(3) for start in range(0, int(reader.index["n_frames"][row]) - 15, 12)]
    found = samples(tmp_path)
    assert made == {"windows": len(expected), "tars": 2}
    assert len(found) == len(expected)
    for sample, (row, start) in zip(found, expected, strict=True):
        about, targets = json.loads(sample["json"]), np.load(io.BytesIO(sample["npz"]))
        assert about["video_id"] == reader.index["video_id"][row]
        assert about["gloss"] == f"gloss of {about['video_id']}"
        assert about["first_frame"] == targets["frame"][0]
        with av.open(io.BytesIO(sample["mp4"])) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert np.abs(np.stack(frames).astype(int) - reader.read_window(row, start)).mean() < 1.0
        assert targets["keypoints"].shape == (16, 61, 3)


def test_sequences_shorter_than_a_window_are_left_out_and_counted(packed, tmp_path, caplog):
    made = export_windows(packed.folder / "shards", tmp_path, n_frames=25)
    assert made["windows"] == 2  # of 40 and 30 frames; the third sequence has 21
    assert "1 sequences of fewer than 25 frames are left out" in caplog.text


def test_names_with_spaces_and_dots_keep_the_parts_together(packed, tmp_path):
    export_windows(packed.folder / "shards", tmp_path)
    keys = [sample["__key__"] for sample in samples(tmp_path)]
    assert len(set(keys)) == len(keys)
    assert all("." not in key and " " not in key for key in keys)


def test_a_stride_between_keyframes_is_refused(packed, tmp_path, capsys):
    with pytest.raises(ShardError, match="expected a multiple of the keyframe interval 6, got 16"):
        export_windows(packed.folder / "shards", tmp_path, stride=16)
    assert main(["export", "webdataset", str(packed.folder / "shards"), "--out", str(tmp_path / "w")]) == 0
    assert "windows in 1 tars" in capsys.readouterr().out
