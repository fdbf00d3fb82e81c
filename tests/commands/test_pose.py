"""`signrep pose`: pose of plain videos, with the worker's networks and decoding replaced."""

import shutil
from pathlib import Path

import pytest

from signrep_core.__main__ import main
from signrep_core.store.schemas import POSE, VIDEOS
from signrep_core.store.tables import read_table


@pytest.fixture
def videos(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A video and a text file."""
    monkeypatch.setattr("signrep_core.pose.shard.WORKER", ("tests.pose.fake_worker:prepare",))
    shutil.copyfile(clips / "asl_yes_A.mkv", tmp_path / "yes.mkv")
    (tmp_path / "text.mp4").write_text("no video")
    return [str(tmp_path / "yes.mkv"), str(tmp_path / "text.mp4")]


@pytest.mark.slow
def test_tables_and_pose_files_are_written_and_rejected_videos_named(
    videos: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pose_format import Pose

    out = tmp_path / "poses"
    assert main(["pose", *videos, "--out", str(out), "--format", "pose", "--threads", "1"]) == 0
    printed = capsys.readouterr().out
    assert "text: not_a_video: " in printed
    assert "pose.parquet and 1 .pose files: 1 videos; 1 have no pose" in printed
    assert set(read_table(out / "pose.parquet", POSE)["video_id"]) == {"yes"}
    assert read_table(out / "videos.parquet", VIDEOS)["status"] == ["ok", "rejected"]
    pose = Pose.read((out / "yes.pose").read_bytes())
    assert (len(pose.body.data), pose.body.fps) == (20, 25)
    assert (pose.header.dimensions.width, pose.header.dimensions.height) == (640, 480)


def test_two_videos_of_one_name_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pose", "a/x.mp4", "b/x.mkv", "--out", str(tmp_path)]) == 2
    assert "a/x.mp4 and b/x.mkv have one name, which is the video_id 'x'; rename one" in capsys.readouterr().err


def test_no_pose_at_all_is_an_error(videos: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pose", videos[1], "--out", str(tmp_path / "poses"), "--threads", "1"]) == 2
    assert "none of 1 videos has a pose; the reasons are above and in" in capsys.readouterr().err
