"""Hostile and odd videos in one shard: each ends well or as a row with a reason, and the others are unaffected."""

import html
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from signrep_core.pose.shard import extract_shard
from signrep_core.store.resume import open_resume_cache
from signrep_core.store.schemas import VIDEOS
from signrep_core.store.tables import read_table
from tests.workflow.bad_videos import CASES, LOST, NOTES, SECONDS
from tests.workflow.conftest import Finished

pytestmark = pytest.mark.slow

CLIPS = ("asl_milk_B", "asl_walk_C", "asl_yes_A", "robust_no_person_cars")


@pytest.fixture(scope="module")
def videos(clips_run: Finished) -> pd.DataFrame:
    return pd.read_parquet(clips_run.results / "videos/00000.parquet").set_index("video_id")


@pytest.mark.parametrize("case", CASES)
def test_each_video_has_its_status_and_reason(videos, case):
    row = videos.loc[case]
    assert (row.status, row.reason) == CASES[case], row.detail
    if row.status == "ok":
        assert row.detail == NOTES.get(case, "")
    else:
        assert row.detail


def test_every_row_of_the_sheet_has_a_status(videos):
    assert list(videos.index) == [*CLIPS, *CASES, *LOST]


def test_only_good_videos_are_in_the_shard(clips_run: Finished):
    sequences = pd.read_parquet(clips_run.results / "shards/index.parquet")
    good = [case for case, (status, _) in CASES.items() if status == "ok"]
    assert list(dict.fromkeys(sequences.video_id)) == [*CLIPS[:3], *good, "sign_test", "sentence_test"]


def test_a_short_video_for_evaluation_has_features_of_one_window(clips_run: Finished):
    features = pd.read_parquet(clips_run.results / "features/test/cases.parquet", columns=["video_id"])
    assert (features.video_id == "ten_frames_test").sum() == 1


def test_the_sequence_ends_where_the_person_leaves(clips_run: Finished):
    crops = pd.read_parquet(clips_run.results / "crops/00000.parquet").set_index("video_id")
    signing = crops.loc[["leaves_halfway"]]
    last = (signing.start_frame + signing.n_frames).max()
    leaves = 25 * SECONDS  # a tracker may hold on for a few frames
    assert leaves - 6 <= last <= leaves + 8


def test_the_timeline_does_not_depend_on_the_file_s_rate(clips_run: Finished):
    pose = pd.read_parquet(clips_run.results / "pose/00000.parquet", columns=["video_id", "frame", "time_s"])
    frames = pose.groupby("video_id").frame.count()
    for case in ("portrait", "phone_120fps", "vfr", "rotated", "gif"):
        assert abs(frames[case] - frames["good"]) <= 2, case
    assert np.allclose(pose.time_s, pose.frame / 25, atol=1e-6)


def test_a_rotated_video_is_upright(clips_run: Finished, videos):
    assert tuple(videos.loc["rotated", ["width", "height"]]) == (640, 480)
    pose = pd.read_parquet(clips_run.results / "pose/00000.parquet", columns=["video_id", "image_xy", "present"])
    nose = {case: np.stack(rows[rows.present].image_xy)[:, 16:18].mean(0) for case, rows in pose.groupby("video_id")}
    assert np.abs(nose["rotated"] - nose["good"]).max() < 10


def test_bad_neighbours_do_not_change_a_video(clips_run: Finished, tmp_path: Path):
    videos = read_table(clips_run.results / "video_status/probe/00000.parquet", VIDEOS)
    alone = {name: column[4:5] for name, column in videos.items()}
    assert alone["video_id"] == ["good"]
    with open_resume_cache(tmp_path / "pose.parquet") as cache:
        extract_shard(alone, tmp_path / "pose.parquet", cache)
    mine = pd.read_parquet(clips_run.results / "pose/00000.parquet").query("video_id == 'good'")
    other = pd.read_parquet(tmp_path / "pose.parquet")
    assert len(mine) == len(other)
    assert list(mine.present) == list(other.present)
    difference = np.abs(np.stack(mine.image_xy) - np.stack(other.image_xy))
    assert np.nanmedian(difference) < 0.5


def test_the_summary_counts_each_reason(clips_run: Finished):
    text = (clips_run.results / "summary.txt").read_text()
    for status, reason in CASES.values():
        assert status == "ok" or reason in text


def test_a_data_set_without_training_videos_has_no_numbers_and_the_others_go_on(clips_run: Finished):
    for task, dataset, inputs in (
        ("recognition", "signs", "test"), ("recognition", "signs", "keypoints"),
        ("translation", "sentences", "test"), ("translation", "sentences", "keypoints"),
    ):  # fmt: skip
        found = json.loads((clips_run.results / f"{task}/{inputs}/{dataset}.json").read_text())
        assert (found["metrics"], found["chance"], found["baselines"]) == (None, None, {})
        assert found["lost"] == {"train": {"missing_file": 2}}
        if inputs == "test":  # the run's last lines have the representation's results
            assert f"{task} of {dataset}: {found['note']}; videos lost before the shards: train 2" in clips_run.output
        assert found["note"] in html.unescape((clips_run.results / "report.html").read_text(encoding="utf-8"))
    signs = json.loads((clips_run.results / "recognition/test/signs.json").read_text())
    assert "data set 'signs' has no video with a gloss in split 'train'" in signs["note"]
    assert signs["counts"]["videos_without_trained_gloss"] == 1
    sentences = json.loads((clips_run.results / "translation/test/sentences.json").read_text())
    assert "no training sentence of data set 'sentences' has features and a text" in sentences["note"]
    assert sentences["counts"]["test"]["sentences"] == 1
    for answers in ("recognition/test/signs.parquet", "translation/test/sentences.parquet"):
        assert not len(pd.read_parquet(clips_run.results / answers))
