"""`.pose` files, read with the pose-format library."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions

from signrep_core.__main__ import main
from signrep_core.errors import SignRepError, TableError
from signrep_core.interop import pose_format
from signrep_core.interop.pose_format import export_pose, import_poses
from signrep_core.lift.solver import open_solver
from signrep_core.skeleton import MIN_CONFIDENCE
from signrep_core.store.records import read_record
from signrep_core.store.schemas import KEYPOINTS, POSE
from signrep_core.store.tables import read_table, read_videos, write_table


def test_detections_are_exported_in_pixels(packed, tmp_path):
    assert export_pose(packed.folder, "two runs", tmp_path / "x.pose") == 60
    pose = Pose.read((tmp_path / "x.pose").read_bytes())
    assert [component.name for component in pose.header.components] == ["BODY", "RIGHT_HAND", "LEFT_HAND"]
    assert [len(component.points) for component in pose.header.components] == [19, 21, 21]
    assert pose.body.fps == pytest.approx(25)
    table = read_table(packed.folder / "pose/00000.parquet", POSE)
    mine = [k for k, name in enumerate(table["video_id"]) if name == "two runs"]
    data = pose.body.data[:, 0]
    present = table["present"][mine]
    assert np.allclose(np.ma.getdata(data)[present], table["image_xy"][mine][present])
    assert np.ma.getmaskarray(data)[~present].all()
    assert not np.ma.getmaskarray(data)[present].any()


def test_keypoints_are_exported_in_millimetres(packed, tmp_path):
    export_pose(packed.folder, "one run", tmp_path / "x.pose", points="keypoints")
    data = Pose.read((tmp_path / "x.pose").read_bytes()).body.data
    table = read_table(packed.folder / "keypoints/00000.parquet", KEYPOINTS)
    mine = [k for k, name in enumerate(table["video_id"]) if name == "one run"]
    assert np.allclose(np.ma.getdata(data)[:, 0] / 1000, table["keypoints"][mine], atol=1e-3)


def holistic(n_frames: int = 3, size: int = 200, fps: float = 50) -> Pose:
    """A file like those of pose-format's Holistic estimator: an upright body, a right hand in the first frame."""
    names = {"POSE_LANDMARKS": 33, "LEFT_HAND_LANDMARKS": 21, "RIGHT_HAND_LANDMARKS": 21, "POSE_WORLD_LANDMARKS": 33}
    rng = np.random.default_rng(0)
    body = rng.random((n_frames, 33, 3)) * 0.2
    body[:, 11] = (0.7, 0.3, 0)  # left shoulder
    body[:, 12] = (0.3, 0.3, 0)
    hand = rng.random((n_frames, 21, 3)) * 0.1
    data = np.concatenate([body, np.zeros((n_frames, 21, 3)), hand, body - 0.5], 1) * (size, size, 1)
    confidence = np.ones(data.shape[:2])
    confidence[:, 33:54] = 0
    confidence[1:, 54:75] = 0
    components = [PoseHeaderComponent(name, [str(k) for k in range(n)], [], [], "XYZC") for name, n in names.items()]
    header = PoseHeader(0.2, PoseHeaderDimensions(size, size, 0), components)
    return Pose(header, NumPyPoseBody(fps, np.ma.array(data[:, None]), confidence[:, None]))


def test_holistic_files_become_a_pose_table(tmp_path):
    with open(tmp_path / "someone.pose", "wb") as file:
        holistic().write(file)
    command = ["import", str(tmp_path / "someone.pose"), "--out", str(tmp_path / "pose.parquet"), "--fps", "50"]
    assert main(command) == 0
    table = read_table(tmp_path / "pose.parquet", POSE)
    assert table["video_id"] == ["someone"] * 3
    assert table["time_s"].tolist() == pytest.approx([0, 0.02, 0.04])
    assert table["image_xy"][0, 0].tolist() == pytest.approx([60, 60])  # right shoulder, pixels
    assert table["landmarks"][0, 3].tolist() == pytest.approx([0.2, 0, 0], abs=1e-6)  # left shoulder, from the neck
    assert np.isfinite(table["image_xy"][0, 19:40]).all()
    assert np.isnan(table["image_xy"][1:, 19:40]).all()
    assert (table["confidence"][:, 40:] == 0).all()
    assert len(pd.read_parquet(tmp_path / "pose.parquet")) == 3


def test_a_file_of_another_kind_is_named(tmp_path):
    (tmp_path / "x.pose").write_bytes(b"nonsense")
    with pytest.raises(SignRepError, match=r"x\.pose: cannot be read as a \.pose file"):
        import_poses([tmp_path / "x.pose"], tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


def test_exported_detections_are_imported_unchanged_and_can_be_solved(packed, tmp_path):
    export_pose(packed.folder, "two runs", tmp_path / "two runs.pose")
    assert import_poses([tmp_path / "two runs.pose"], tmp_path / "pose.parquet") == {"two runs": 60}
    there = read_table(packed.folder / "pose/00000.parquet", POSE)
    mine = [k for k, name in enumerate(there["video_id"]) if name == "two runs"]
    back = read_table(tmp_path / "pose.parquet", POSE)
    seen = there["confidence"][mine] >= MIN_CONFIDENCE
    assert (back["confidence"] > 0).tolist() == seen.tolist()
    np.testing.assert_allclose(back["image_xy"][seen], there["image_xy"][mine][seen], rtol=1e-6)
    np.testing.assert_allclose(back["confidence"][seen], there["confidence"][mine][seen], rtol=1e-6)
    np.testing.assert_allclose(back["time_s"], there["time_s"][mine], atol=1e-6)
    assert back["present"].tolist() == there["present"][mine].tolist()
    ((_, video),) = read_videos(tmp_path / "pose.parquet", POSE)
    assert np.isfinite(open_solver("lifter", None, 5)(video).joints()).all()


def test_the_error_for_a_file_without_detections_names_what_is_missing(packed, tmp_path):
    export_pose(packed.folder, "one run", tmp_path / "posed.pose", points="keypoints")
    with pytest.raises(SignRepError, match=r"posed\.pose: expected detections in pixels .* export with --points image"):
        import_poses([tmp_path / "posed.pose"], tmp_path / "out.parquet")
    pose = holistic()
    pose.header.components[0].name = "FACE"
    with open(tmp_path / "other.pose", "wb") as file:
        pose.write(file)
    with pytest.raises(SignRepError, match="expected the component POSE_LANDMARKS of MediaPipe Holistic, found FACE"):
        import_poses([tmp_path / "other.pose"], tmp_path / "out.parquet")


def moving(path: Path, fps: float, seconds: float) -> Path:
    """A file in pixels whose joints are all at x = 100 times the time in seconds; at the start without hands."""
    n = round(fps * seconds)
    values = np.zeros((n, 61, 2), np.float32) + (100 * np.arange(n) / fps)[:, None, None]
    confidence = np.ones((n, 61), np.float32)
    confidence[:2, 19:] = 0
    with open(path, "wb") as file:
        pose_format._to_pose(pose_format._library(), values, confidence, fps, (400, 400, 0)).write(file)
    return path


@pytest.fixture
def results(packed, tmp_path) -> Path:
    """A results folder with the poses of some videos at 25 frames per second, that may be changed."""
    shutil.copytree(packed.folder, tmp_path / "results")
    return tmp_path / "results"


def rows_of(table: Path, video_id: str) -> dict:
    return next(rows for found, rows in read_videos(table, POSE) if found == video_id)


@pytest.mark.parametrize("fps", [5, 10, 12.5, 15, 23.976, 24, 29.97, 30, 50, 59.94, 120])
def test_poses_at_another_rate_are_resampled_by_time(results, tmp_path, fps):
    table = results / "pose/00000.parquet"
    frames = {video: len(rows["frame"]) for video, rows in read_videos(table, POSE)}
    seconds = frames["two runs"] / 25
    assert import_poses([moving(tmp_path / "two runs.pose", fps, seconds)], table) == {"two runs": 60}
    rows = rows_of(table, "two runs")
    np.testing.assert_allclose(rows["time_s"], np.arange(60) / 25)
    inside = rows["time_s"] <= (round(fps * seconds) - 1) / fps  # after the last frame it stays
    np.testing.assert_allclose(rows["image_xy"][inside, 0, 0], 100 * rows["time_s"][inside], atol=1e-2)
    assert {video: len(rows["frame"]) for video, rows in read_videos(table, POSE)} == frames
    seen = rows["confidence"] > 0
    assert (np.isfinite(rows["image_xy"]).all(-1) == seen).all()
    assert rows["present"].all()
    assert not seen[0, 19:].any()


def test_a_new_table_has_the_frames_of_the_common_timeline(tmp_path):
    file = moving(tmp_path / "x.pose", 15, 3.6)
    assert import_poses([file], tmp_path / "pose.parquet") == {"x": 90}
    assert import_poses([file], tmp_path / "pose.parquet", 30) == {"x": 108}


def test_a_pose_of_another_length_or_of_no_video_is_refused_with_both_rates(results, tmp_path):
    table = results / "pose/00000.parquet"
    before = table.read_bytes()
    with pytest.raises(SignRepError, match=r"36 frames at 30 per second last 1\.20 s, the video has 60 frames at 25"):
        import_poses([moving(tmp_path / "two runs.pose", 30, 1.2)], table)
    with pytest.raises(SignRepError, match=r"new\.pose: .*00000\.parquet holds no video 'new'; its \d videos are"):
        import_poses([moving(tmp_path / "new.pose", 25, 2.4)], table)
    with pytest.raises(SignRepError, match=r"00007\.parquet: expected a pose table to take the frames' times from"):
        import_poses([moving(tmp_path / "two runs.pose", 25, 2.4)], results / "pose/00007.parquet")
    assert table.read_bytes() == before


def test_damaged_frames_of_the_video_stay_without_a_signer(results, tmp_path):
    table = results / "pose/00000.parquet"
    columns = read_table(table, POSE)
    place = [k for k, video in enumerate(columns["video_id"]) if video == "two runs"][7]
    columns["damaged"] = np.arange(len(columns["frame"])) == place
    write_table(table, POSE, columns)
    import_poses([moving(tmp_path / "two runs.pose", 30, 2.4)], table)
    rows = rows_of(table, "two runs")
    assert np.flatnonzero(rows["damaged"]).tolist() == np.flatnonzero(~rows["present"]).tolist() == [7]
    assert (rows["confidence"][7] == 0).all()
    assert np.isnan(rows["image_xy"][7]).all()


def test_imported_poses_keep_the_parts_of_the_video(results, tmp_path):
    table = results / "pose/00000.parquet"
    columns = read_table(table, POSE)
    columns["part"] = np.where(np.equal(columns["video_id"], "two runs") & (columns["frame"] >= 30), 1, 0)
    write_table(table, POSE, columns)
    import_poses([moving(tmp_path / "two runs.pose", 30, 2.4)], table)
    assert rows_of(table, "two runs")["part"].tolist() == [0] * 30 + [1] * 30


def test_the_command_records_the_table_as_made_by_hand(results, tmp_path):
    table = results / "pose/00000.parquet"
    file = moving(tmp_path / "two runs.pose", 15, 2.4)
    assert main(["import", str(file), "--out", str(table)]) == 0
    record = read_record(table)
    assert record is not None
    assert (record.rule, record.by_hand, record.finished) == ("extract_pose", True, True)


@pytest.mark.parametrize("fps", [0, -25, 0.5, 301, 1000, float("nan"), float("inf")])
def test_a_rate_that_no_video_has_is_refused(tmp_path, fps):
    with open(tmp_path / "x.pose", "wb") as file:
        holistic(4, fps=fps).write(file)
    with pytest.raises(SignRepError, match=r"x\.pose: its rate is \S+ frames per second, expected 1 to 300"):
        import_poses([tmp_path / "x.pose"], tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data, confidence: (data[:0], confidence[:0]), "has 0 frames"),
        (lambda data, confidence: (data[:1], confidence[:1]), "has 1 frames"),
        (lambda data, confidence: (data[:, :0], confidence[:, :0]), "shows 0 people"),
        (lambda data, confidence: (data, confidence * 0), "shows 0 people"),
        (lambda data, confidence: (np.ma.concatenate([data] * 2, 1), np.concatenate([confidence] * 2, 1)), "shows 2"),
    ],
    ids=["empty", "one frame", "no person", "nobody seen", "two people"],
)
def test_a_file_that_is_not_of_one_signer_is_refused(tmp_path, change, message):
    pose = holistic()
    pose.body.data, pose.body.confidence = change(pose.body.data, pose.body.confidence)
    with open(tmp_path / "x.pose", "wb") as file:
        pose.write(file)
    with pytest.raises(SignRepError, match=rf"x\.pose: {message}"):
        import_poses([tmp_path / "x.pose"], tmp_path / "out.parquet")


def test_a_second_person_who_is_never_seen_is_left_out(tmp_path):
    pose = holistic()
    alone = pose.body.data.copy()
    pose.body.data = np.ma.concatenate([alone * 0, alone], 1)
    pose.body.confidence = np.concatenate([pose.body.confidence * 0, pose.body.confidence], 1)
    for name, body in (("two", pose.body), ("one", holistic().body)):
        with open(tmp_path / f"{name}.pose", "wb") as file:
            Pose(pose.header, body).write(file)
        import_poses([tmp_path / f"{name}.pose"], tmp_path / f"{name}.parquet", 50)
    two, one = (read_table(tmp_path / f"{name}.parquet", POSE) for name in ("two", "one"))
    np.testing.assert_array_equal(two["image_xy"], one["image_xy"])


@pytest.mark.parametrize(("first", "second"), [("a", "a"), ("caf\u00e9", "cafe\u0301")], ids=["equal", "NFC and NFD"])
def test_two_files_of_one_name_are_refused_with_both_names(tmp_path, first, second):
    for folder, name in (("one", first), ("two", second)):
        (tmp_path / folder).mkdir()
        moving(tmp_path / folder / f"{name}.pose", 25, 1)
    files = [tmp_path / "one" / f"{first}.pose", tmp_path / "two" / f"{second}.pose"]
    with pytest.raises(SignRepError, match=rf"{re.escape(str(files[0]))} and {re.escape(str(files[1]))} have one name"):
        import_poses(files, tmp_path / "out.parquet")


def test_a_missing_video_is_an_error(packed, tmp_path):
    with pytest.raises(TableError, match="holds a video 'nosuch'"):
        export_pose(packed.folder, "nosuch", tmp_path / "x.pose")
    with pytest.raises(TableError, match="expected tables in videos/, found none; run the workflow to crop_signers"):
        export_pose(tmp_path, "nosuch", tmp_path / "x.pose")


def test_a_missing_file_is_named_before_anything_else(results, tmp_path):
    with pytest.raises(SignRepError, match=r"\*\.pose: no such file"):
        import_poses([tmp_path / "*.pose"], results / "pose/00000.parquet")
