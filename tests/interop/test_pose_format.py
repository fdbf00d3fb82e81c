"""`.pose` files, read with the pose-format library."""

import numpy as np
import pandas as pd
import pytest
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions

from signrep_core.__main__ import main
from signrep_core.errors import SignRepError, TableError
from signrep_core.interop.pose_format import export_pose, import_poses
from signrep_core.lift.solver import open_solver
from signrep_core.skeleton import MIN_CONFIDENCE
from signrep_core.store.schemas import KEYPOINTS, POSE
from signrep_core.store.tables import read_table, read_videos


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


def holistic(n_frames: int = 3, size: int = 200) -> Pose:
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
    return Pose(header, NumPyPoseBody(50, np.ma.array(data[:, None]), confidence[:, None]))


def test_holistic_files_become_a_pose_table(tmp_path):
    with open(tmp_path / "someone.pose", "wb") as file:
        holistic().write(file)
    assert main(["import", str(tmp_path / "someone.pose"), "--out", str(tmp_path / "pose.parquet")]) == 0
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


def test_a_missing_video_is_an_error(packed, tmp_path):
    with pytest.raises(TableError, match="holds a video 'nosuch'"):
        export_pose(packed.folder, "nosuch", tmp_path / "x.pose")
