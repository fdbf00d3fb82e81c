"""From poses to encoded sequences."""

from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from signrep_core.config import Config, Crop, Pretrain
from signrep_core.errors import ShardError, SignRepError
from signrep_core.store.schemas import POSE
from signrep_core.store.tables import TableWriter
from signrep_core.store.video_status import finalise
from signrep_core.video.crop import CropResult, cut_box, plan_crops
from signrep_core.video.crop_boxes import signer_runs
from signrep_core.video.encode import join_pieces
from signrep_core.video.reader import read_frames
from tests.store.built import Built
from tests.video.painted import crop_videos, number_in, pose_of, videos_of, write_video


def write_pose(path: Path, *videos: dict) -> Path:
    with TableWriter(path, POSE) as writer:
        for rows in videos:
            writer.write(rows)
    return path


def decoded(mp4: Path) -> list[np.ndarray]:
    with av.open(str(mp4)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def box_of(result: CropResult) -> tuple[float, float, float]:
    """Crop box of the first sequence."""
    x0, y0, side = (float(result.crops[name][0]) for name in ("x0", "y0", "side"))
    return x0, y0, side


def test_runs_become_sequences_in_the_tables_order(packed: Built) -> None:
    crops = packed.crop.crops
    assert crops["video_id"] == ["one run", "two runs", "two runs"]
    assert crops["sequence"].tolist() == [0, 1, 2]
    assert crops["start_frame"].tolist() == [0, 0, 30]
    assert crops["n_frames"].tolist() == [40, 21, 30]


def test_a_sequence_holds_the_frames_of_its_run(packed: Built) -> None:
    square = box_of(packed.crop)
    expected = [*range(40), *range(21), *range(30, 60)]
    assert [number_in(frame, square) for frame in decoded(packed.paths()["crops_mp4"])] == expected


def test_crops_can_be_planned_without_decoding(packed: Built) -> None:
    videos = videos_of({name: Path("gone.mp4") for name in ("one run", "two runs", "nobody", "too brief")})
    planned = plan_crops(videos, packed.folder / "pose/00000.parquet")
    assert planned["video_id"] == packed.crop.crops["video_id"]
    for name in ("sequence", "start_frame", "n_frames", "x0", "y0", "side"):
        np.testing.assert_array_equal(planned[name], packed.crop.crops[name])


def test_videos_without_a_sequence_have_a_reason(packed: Built) -> None:
    rejected = packed.crop.rejected
    assert {video: outcome.reason for video, outcome in rejected.items()} == {
        "nobody": "no_signer",
        "too brief": "signer_too_brief",
    }
    assert rejected["nobody"].detail == "none of 40 frames shows a signer"
    assert rejected["too brief"].detail == "the longest run has 15 frames, pretraining needs 16"
    final = finalise(videos_of({name: Path() for name in ("nobody", "too brief")}), rejected)
    assert final["status"] == ["rejected", "rejected"]


@pytest.mark.parametrize(
    ("present", "reason", "detail"),
    [
        ([True] * 15, "too_few_frames", "15 frames, pretraining needs 16"),
        ([True] * 7 + [False] * 6 + [True] * 9 + [False] * 6, "signer_too_brief", "the longest run has 9 frames"),
    ],
)
def test_a_short_video_is_rejected_for_pretraining_alone(
    tmp_path: Path, present: list[bool], reason: str, detail: str
) -> None:
    """Four videos with the same frames: of the pretraining's splits and data sets, of another split, of another set."""
    table = videos_of({name: Path() for name in "abcd"})
    table |= {"split": ["train", "val", "train", "test"], "dataset": ["yt", "yt", "wlasl", "wlasl"]}
    pose = write_pose(tmp_path / "pose.parquet", *(pose_of(name, present) for name in "abcd"))
    config = Config(pretrain=Pretrain(datasets=["yt"]))
    longest = max(signer_runs(present, 1), key=lambda run: run[1])
    cuts = plan_crops(table, pose, config)
    assert cuts["video_id"] == ["b", "c", "d"]
    assert list(zip(cuts["start_frame"], cuts["n_frames"], strict=True)) == [longest] * 3
    assert plan_crops(table, pose)["video_id"] == ["b", "d"], "without data sets all of the split are pretrained on"
    videos = {"a": write_video(tmp_path / "a.mp4", range(len(present)))}
    rejected = crop_videos(videos_of(videos), pose, tmp_path / "out.mp4").rejected
    assert rejected["a"].reason == reason
    assert detail in rejected["a"].detail


def test_runs_shorter_than_a_window_are_left_out_beside_longer_ones(tmp_path: Path) -> None:
    table = videos_of({"a": Path()})
    table["split"] = ["test"]
    pose = write_pose(tmp_path / "pose.parquet", pose_of("a", [True] * 15 + [False] * 6 + [True] * 16))
    assert plan_crops(table, pose)["start_frame"].tolist() == [21]


def test_a_video_that_no_longer_decodes_fails_alone(tmp_path: Path) -> None:
    videos = {name: write_video(tmp_path / f"{name}.mp4", range(20)) for name in "abc"}
    videos["b"].write_text("no longer a video")
    pose = write_pose(tmp_path / "pose.parquet", *(pose_of(name, [True] * 20) for name in videos))
    result = crop_videos(videos_of(videos), pose, tmp_path / "out.mp4", threads=2)
    assert result.crops["video_id"] == ["a", "c"]
    assert result.rejected["b"].reason == "not_a_video"
    assert len(decoded(tmp_path / "out.mp4")) == 40


def test_a_video_shorter_than_its_pose_is_rejected(tmp_path: Path) -> None:
    videos = {"a": write_video(tmp_path / "a.mp4", range(20))}
    pose = write_pose(tmp_path / "pose.parquet", pose_of("a", [True] * 24))
    outcome = crop_videos(videos_of(videos), pose, tmp_path / "out.mp4").rejected["a"]
    assert outcome.reason == "undecodable"
    assert "its pose goes to frame 24, decoding ended at frame 20" in outcome.detail


@pytest.mark.parametrize(
    ("absent", "fps", "said"),
    [(8, 30, "frame 8 is at 0.32 s, its pose at 0.26"), (0, 15, "frame 1 is at 0.04 s, its pose at 0.066")],
)
def test_frames_at_other_times_than_their_poses_end_the_job(tmp_path: Path, absent: int, fps: float, said: str) -> None:
    videos = {"a": write_video(tmp_path / "a.mp4", range(40))}
    pose = write_pose(tmp_path / "pose.parquet", pose_of("a", [False] * absent + [True] * 20, fps=fps))
    with pytest.raises(SignRepError, match=f"{said}.*import them again"):
        crop_videos(videos_of(videos), pose, tmp_path / "out.mp4")


def test_final_videos_are_not_cropped(tmp_path: Path) -> None:
    videos = {"a": write_video(tmp_path / "a.mp4", range(20)), "b": tmp_path / "missing.mp4"}
    pose = write_pose(tmp_path / "pose.parquet", pose_of("a", [True] * 20))
    result = crop_videos(videos_of(videos, {"b": "rejected"}), pose, tmp_path / "out.mp4")
    assert result.crops["video_id"] == ["a"]
    assert result.rejected == {}


def test_a_missing_pose_names_the_stage_to_rerun(tmp_path: Path) -> None:
    videos = {name: write_video(tmp_path / f"{name}.mp4", range(20)) for name in "ab"}
    pose = write_pose(tmp_path / "pose.parquet", pose_of("a", [True] * 20))
    with pytest.raises(ShardError, match="1 are missing, the first 'b'; rerun the stage extract_pose"):
        crop_videos(videos_of(videos), pose, tmp_path / "out.mp4")


def test_a_span_is_cropped_from_its_start(tmp_path: Path) -> None:
    videos = videos_of({"a": write_video(tmp_path / "a.mp4", range(100))})
    videos["start"], videos["end"] = np.ma.MaskedArray([2.0], [False]), np.ma.MaskedArray([3.0], [False])
    pose = write_pose(tmp_path / "pose.parquet", pose_of("a", [True] * 25))
    square = box_of(crop_videos(videos, pose, tmp_path / "out.mp4"))
    assert [number_in(frame, square) for frame in decoded(tmp_path / "out.mp4")] == list(range(50, 75))


def test_rows_with_the_same_video_have_pieces_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = dict.fromkeys("abcd", write_video(tmp_path / "v.mp4", range(20)))
    pose = write_pose(tmp_path / "pose.parquet", *(pose_of(name, [True] * 20) for name in rows))
    joined: list[Path] = []

    def join(pieces: list[tuple[Path, int]], *others: Any) -> None:
        joined.extend(path for path, _ in pieces)
        join_pieces(pieces, *others)

    monkeypatch.setattr("signrep_core.video.crop.join_pieces", join)
    result = crop_videos(videos_of(rows), pose, tmp_path / "out.mp4", threads=2)
    assert len(set(joined)) == len(rows)
    assert result.rejected == {}
    assert result.crops["video_id"] == list(rows)
    assert len(decoded(tmp_path / "out.mp4")) == 80


def test_failing_and_finished_jobs_leave_no_pieces(tmp_path: Path, packed: Built) -> None:
    assert not list((packed.folder / "crops").glob(".*"))
    with pytest.raises(SignRepError, match="nonsense"):
        crop_videos(
            videos_of({"a": write_video(tmp_path / "a.mp4", range(20))}),
            write_pose(tmp_path / "pose.parquet", pose_of("a", [True] * 20)),
            tmp_path / "out.mp4",
            Config(crop=Crop(preset="nonsense")),
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.resume", "a.mp4", "pose.parquet"]
    assert [path.name for path in (tmp_path / ".out.resume").iterdir()] == ["begun"]


def test_a_killed_job_continues_with_what_it_had_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    videos = videos_of({name: write_video(tmp_path / f"{name}.mp4", range(20)) for name in "ab"})
    pose = write_pose(tmp_path / "pose.parquet", *(pose_of(name, [True] * 20) for name in "ab"))
    crop_videos(videos, pose, tmp_path / "whole.mp4")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("signrep_core.video.crop.join_pieces", killed)
        with pytest.raises(KeyboardInterrupt):
            crop_videos(videos, pose, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()
    monkeypatch.setattr("signrep_core.video.crop.WORKER", ("no such module:function",))  # it has nothing left to do
    crop_videos(videos, pose, tmp_path / "out.mp4")
    frames, expected = decoded(tmp_path / "out.mp4"), decoded(tmp_path / "whole.mp4")
    assert [number_in(frame) for frame in frames] == [number_in(frame) for frame in expected]


# ---------------------------------------------------------------- cutting


def test_a_box_inside_the_frame_is_cut_exactly() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    assert np.array_equal(cut_box(picture, 20, 10, 256, 256), picture[10:266, 20:276])


def test_outside_the_frame_a_crop_is_black() -> None:
    picture = np.full((100, 100, 3), 200, np.uint8)
    crop = cut_box(picture, -50, 50, 100, 100)
    assert crop[:50, 50:].min() == 200
    assert crop[50:].max() == crop[:, :50].max() == 0
    assert cut_box(picture, 500, 500, 100, 100).max() == 0


def test_large_boxes_are_averaged_down() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    means = picture.reshape(256, 2, 256, 2, 3).mean((1, 3))
    assert np.abs(cut_box(picture, 0, 0, 512, 256) - means).max() <= 1
    assert cut_box(cv2.resize(picture, (64, 64)), 0, 0, 64, 256).shape == (256, 256, 3)


def test_a_real_clip_is_cropped_frame_by_frame(clips: Path, tmp_path: Path) -> None:
    path = clips / "asl_milk_B.mkv"
    pose = write_pose(tmp_path / "pose.parquet", pose_of("milk", [True] * 43, center=(320, 260), width=160))
    result = crop_videos(videos_of({"milk": path}), pose, tmp_path / "out.mp4")
    square = box_of(result)
    for frame, crop in zip(read_frames(path), decoded(tmp_path / "out.mp4"), strict=True):
        error = crop.astype(int) - cut_box(frame.rgb, *square, 256)
        assert 10 * np.log10(255**2 / (error**2).mean()) > 34  # dB


@pytest.mark.parametrize("column", ["part", "shot"])
def test_a_sequence_ends_where_the_picture_changes(column: str, tmp_path: Path) -> None:
    rows = pose_of("call", [True] * 50)
    rows[column][20:] = 1
    with TableWriter(tmp_path / "pose.parquet", POSE) as writer:
        writer.write(rows)
    crops = plan_crops(videos_of({"call": tmp_path / "call.mp4"}), tmp_path / "pose.parquet")
    assert [crops[name].tolist() for name in ("start_frame", "n_frames")] == [[0, 20], [20, 30]]
