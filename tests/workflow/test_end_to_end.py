"""The main job on real clips, as a user sees it: what lies in the results folder afterwards."""

import json
import re
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest

from signrep_core.inspect.verify.corpus import verify
from tests.workflow.conftest import Finished, snakemake, write_sheet


def check_shards(results: Path, n_signers: int) -> None:
    """All signers are in the shards; the car park is rejected."""
    videos = pd.read_parquet(results / "videos/00000.parquet").set_index("video_id")
    signers = [video for video in videos.index if video.startswith("asl_")]
    assert len(signers) == n_signers
    assert (videos.loc[signers, "status"] == "ok").all()
    assert videos.loc["robust_no_person_cars", ["status", "reason"]].tolist() == ["rejected", "no_signer"]
    sequences = pd.read_parquet(results / "shards/index.parquet")
    assert set(signers) <= set(sequences.video_id)


def test_three_signers_are_in_the_shards_and_the_car_park_is_rejected(clips_run: Finished):
    check_shards(clips_run.results, 3)


@pytest.mark.slow
def test_fifteen_signers_are_in_the_shards_and_the_car_park_is_rejected(all_clips: Path, tmp_path: Path):
    results = tmp_path / "results"
    sheet = write_sheet(all_clips, tmp_path / "videos.tsv")
    rows = pd.read_csv(sheet, sep="\t", dtype={"start": float, "end": float})
    assert len(rows) == 18
    rows.assign(start=0.5, end=1.3).to_csv(sheet, sep="\t", index=False)
    done = snakemake(results / "shards/index.parquet", "--config", f"sheet={sheet}", f"results={results}")
    assert done.returncode == 0, done.stdout[-8000:]
    check_shards(results, 15)


def test_frames_rows_and_index_agree(clips_run: Finished):
    frames = pd.read_parquet(clips_run.results / "shards/00000.parquet")
    sequences = pd.read_parquet(clips_run.results / "shards/index.parquet")
    with av.open(str(clips_run.results / "shards/00000.mp4")) as container:
        decoded = [(frame.width, frame.height) for frame in container.decode(video=0)]
    assert len(decoded) == len(frames) == sequences.n_frames.sum()
    assert set(decoded) == {(256, 256)}
    lengths = sequences.set_index("video_id").n_frames
    assert lengths.pop("ten_frames_test") < 16, "evaluation data may be short"
    assert (lengths >= 16).all()
    starts = frames.loc[sequences.first_row]
    assert list(starts.video_id) == list(sequences.video_id)
    assert starts.keyframe.all()


@pytest.mark.parametrize("stage", ["pose", "angles", "keypoints", "distances", "activity"])
def test_each_stage_has_a_row_per_frame_of_the_timeline(clips_run: Finished, stage):
    rows = pd.read_parquet(clips_run.results / f"{stage}/00000.parquet", columns=["video_id", "frame"])
    pose = pd.read_parquet(clips_run.results / "pose/00000.parquet", columns=["video_id", "frame"])
    pd.testing.assert_frame_equal(rows, pose)
    assert (rows.groupby("video_id").frame.diff().dropna() == 1).all()


def test_keypoints_have_the_median_bones(clips_run: Finished):
    bones = json.loads((clips_run.results / "bones.json").read_text())
    keypoints = pd.read_parquet(clips_run.results / "keypoints/00000.parquet").keypoints
    joints = np.stack(keypoints).reshape(-1, 61, 3)
    assert np.allclose(np.linalg.norm(joints[:, 1] - joints[:, 0], axis=-1), bones["body_offsets"][0], atol=1e-4)
    assert np.allclose(np.linalg.norm(joints[:, 24] - joints[:, 19], axis=-1), bones["hand_offsets"][0], atol=1e-4)
    assert 0.15 < bones["body_offsets"][0] < 0.40  # an adult's upper arm, metres


def test_signing_hands_are_found_and_active(clips_run: Finished):
    pose = pd.read_parquet(clips_run.results / "pose/00000.parquet", columns=["video_id", "confidence"])
    signing = pose[pose.video_id.str.startswith("asl_")]
    confidence = np.stack(signing.confidence)
    assert (confidence[:, [19, 40]] >= 0.5).any(1).mean() > 0.7  # at least one hand in most frames
    activity = pd.read_parquet(clips_run.results / "activity/00000.parquet").dropna()
    active = (activity.right_active | activity.left_active).groupby(activity.video_id).any()
    assert active[[video for video in active.index if video.startswith("asl_")]].all()


def test_training_leaves_weights_metrics_and_a_figure(clips_run: Finished):
    metrics = pd.read_csv(clips_run.results / "pretrain/test/metrics.csv")
    assert np.isfinite(metrics.filter(like="loss").to_numpy(float)).any()
    assert (clips_run.results / "pretrain/test/best.safetensors").stat().st_size > 1000
    assert (clips_run.results / "figures/retrieval_test_clips.png").read_bytes().startswith(b"\x89PNG")


def test_the_run_ends_with_a_summary(clips_run: Finished):
    summary = (clips_run.results / "summary.txt").read_text()
    assert "no_signer" in summary
    assert summary.strip() in clips_run.output


def test_the_terminal_shows_one_line_per_finished_stage_and_no_lists_of_files(clips_run: Finished):
    finished = re.findall(r"^[\d:]{8} (\w+) .* done in [\d:]+", clips_run.output, re.MULTILINE)
    assert sorted(finished) == sorted(set(finished))
    assert {"probe", "extract_pose", "crop_signers", "pack_shards", "pretrain", "report"} <= set(finished)
    assert not re.search(r"^ *(input|output|reason|jobid): ", clips_run.output, re.MULTILINE)
    assert "log of the run: " in clips_run.output.splitlines()[-1]


def test_every_file_is_as_its_record_and_the_other_files_say(clips_run: Finished):
    report = verify(clips_run.results)
    assert report.problems == []
    assert report.pending == {}
    assert report.unknown == []


def test_no_temporary_file_is_left(clips_run: Finished):
    assert [path for path in clips_run.results.rglob("*") if ".partial" in path.name] == []
