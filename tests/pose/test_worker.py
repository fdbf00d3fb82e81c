"""The real worker on real videos: frames from a file, a span of it, names beyond ASCII."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from signrep_core.config import Config, Pose
from signrep_core.pose.shard import extract_shard
from signrep_core.store.resume import open_resume_cache
from signrep_core.store.schemas import POSE
from signrep_core.store.tables import read_table


@pytest.mark.slow
def test_a_span_of_a_video_with_an_odd_name_and_a_damaged_neighbour(clips: Path, tmp_path: Path) -> None:
    """asl_yes_A from 0.5 s to 1.5 s is 25 frames; its neighbour is text."""
    video = tmp_path / "Gebärde 手話 #1: 'ja'.mkv"
    shutil.copyfile(clips / "asl_yes_A.mkv", video)
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    videos = {
        "video_id": ["text", "手話"],
        "path": [str(text), str(video)],
        "start": np.ma.MaskedArray([0.0, 0.5], [True, False]),
        "end": np.ma.MaskedArray([0.0, 1.5], [True, False]),
        "fps": np.array([0, 0], np.float32),
        "status": ["ok", "ok"],
        "sha256": ["", ""],
        "n_frames": np.array([0, 30]),
        "duration_s": np.array([np.nan, 1.0]),
    }
    out = tmp_path / "00007.parquet"
    with open_resume_cache(out) as cache:
        config = Config(pose=Pose(min_shoulder_px=24))
        damaged, good = extract_shard(videos, out, cache, config, provenance={"rule": "x"})
    assert damaged.reason == "not_a_video"
    assert (good.final_status, good.frames, good.present) == (None, 25, 25)
    pose = read_table(out, POSE)
    assert set(pose["video_id"]) == {"手話"}
    np.testing.assert_allclose(pose["time_s"], np.arange(25) / 25, atol=1e-9)
    assert np.isfinite(pose["landmarks"][:, :19]).all()
