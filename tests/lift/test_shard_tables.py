"""Tables of a shard from pose to targets: each row is that of the function on arrays."""

from pathlib import Path

import numpy as np
import pytest

from signrep_core.__main__ import main
from signrep_core.body.bones import BoneHistogram, median_offsets
from signrep_core.body.kinematics import forward_kinematics
from signrep_core.body.priors import activity, distances
from signrep_core.errors import TableError
from signrep_core.lift.shard_tables import (
    write_activity,
    write_angles,
    write_distances,
    write_keypoints,
    write_median_bones,
)
from signrep_core.lift.solver import open_solver
from signrep_core.store.files import read_json, write_json
from signrep_core.store.schemas import ACTIVITY, ANGLES, DISTANCES, KEYPOINTS, POSE
from signrep_core.store.tables import TableWriter, read_table
from signrep_core.synthetic.corpus import plan_corpus, true_columns

FRAMES = 24
PROVENANCE = {"rule": "x"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables of two videos, from the true joints of two synthetic signers to activity."""
    folder = tmp_path_factory.mktemp("shard_tables")
    with TableWriter(folder / "pose.parquet", POSE) as writer:
        for video in plan_corpus(signers=3, glosses=2, takes=1, size=64, seed=0, kind="isolated")[:2]:
            truth = {name: values[:FRAMES] for name, values in true_columns(video).items()}
            xy = np.float32(truth["image_xy"])
            seen = np.ones(FRAMES, bool)
            writer.write({
                **{name: truth[name] for name in ("video_id", "frame", "time_s")}, "present": seen,
                "doubtful": ~seen, "damaged": ~seen,
                "part": np.zeros(FRAMES, np.int32), "shot": np.zeros(FRAMES, np.int32),
                "right_hand": ["seen"] * FRAMES, "left_hand": ["seen"] * FRAMES,
                "landmarks": truth["joints"], "image_xy": xy,
                "confidence": np.ones((FRAMES, 61)), "box": np.concatenate([xy.min(1), xy.max(1)], 1),
            })  # fmt: skip
    first = read_table(folder / "pose.parquet", POSE, ["video_id"])["video_id"][0]
    solve = open_solver("closed_form", None, 5)
    bones = write_angles(folder / "pose.parquet", folder / "angles.parquet", solve, {first}, PROVENANCE)
    write_json(folder / "part.json", bones.to_dict())
    write_median_bones([folder / "part.json"] * 2, folder / "bones.json", PROVENANCE)
    write_keypoints(folder / "angles.parquet", folder / "bones.json", folder / "keypoints.parquet", PROVENANCE)
    write_distances(folder / "keypoints.parquet", folder / "distances.parquet", PROVENANCE)
    write_activity(folder / "keypoints.parquet", folder / "activity.parquet", 0.05, "norm", PROVENANCE)
    return folder


def test_every_table_has_the_rows_of_the_pose(folder: Path) -> None:
    pose = read_table(folder / "pose.parquet", POSE)
    for schema in (ANGLES, KEYPOINTS, DISTANCES, ACTIVITY):
        table = read_table(folder / f"{schema.name}.parquet", schema)
        assert table["video_id"] == pose["video_id"]
        np.testing.assert_array_equal(table["frame"], pose["frame"])


def test_the_command_writes_the_angles_of_a_pose_table(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "angles.parquet"
    assert main(["angles", str(folder / "pose.parquet"), "--out", str(out), "--solver", "closed_form"]) == 0
    ours, theirs = (read_table(path, ANGLES, ["body_angles"])["body_angles"] for path in (out, folder / out.name))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_bones_are_counted_of_the_measured_videos_only_and_merged(folder: Path) -> None:
    part = read_json(folder / "part.json", BoneHistogram.from_dict, "solve_angles")
    both = write_angles(
        folder / "pose.parquet", folder / "again.parquet", open_solver("closed_form", None, 5),
        set(read_table(folder / "pose.parquet", POSE, ["video_id"])["video_id"]),
    )  # fmt: skip
    assert 0 < part.counts.max() <= FRAMES * 2  # left and right are pooled
    assert both.counts.max() == 2 * part.counts.max()
    with pytest.raises(TableError, match="forcerun solve_angles"):
        write_median_bones([folder / "missing.json"], folder / "none.json")


def test_keypoints_are_forward_kinematics_with_the_median_bones(folder: Path) -> None:
    angles, table = (read_table(folder / f"{schema.name}.parquet", schema) for schema in (ANGLES, KEYPOINTS))
    offsets = read_json(folder / "bones.json", median_offsets, "median_bones")
    expected = forward_kinematics(angles["body_angles"], angles["right_angles"], angles["left_angles"], *offsets)
    np.testing.assert_allclose(table["keypoints"], expected, atol=1e-5)


def test_distances_and_activity_are_those_of_the_keypoints(folder: Path) -> None:
    rows = {name: values[:FRAMES] for name, values in read_table(folder / "keypoints.parquet", KEYPOINTS).items()}
    table = read_table(folder / "distances.parquet", DISTANCES)
    for name, values in distances(rows["keypoints"], rows["confidence"])[0].items():
        np.testing.assert_allclose(table[name][:FRAMES], values, atol=1e-5)
    right, _ = activity(rows["keypoints"], rows["confidence"], threshold=0.05, deviation="norm")
    labels = read_table(folder / "activity.parquet", ACTIVITY)["right_active"][:FRAMES]
    np.testing.assert_array_equal(np.ma.getmaskarray(labels), np.ma.getmaskarray(right))
    assert labels.filled(False).tolist() == np.ma.filled(right, False).tolist()


@pytest.mark.parametrize("column", ["part", "shot"])
def test_each_part_and_shot_of_a_video_is_solved_alone(column: str, folder: Path, tmp_path: Path) -> None:
    rows = read_table(folder / "pose.parquet", POSE)
    rows[column] = np.int32(rows["frame"] >= 10)
    with TableWriter(tmp_path / "pose.parquet", POSE) as writer:
        for first in (0, FRAMES):
            writer.write({name: values[first : first + FRAMES] for name, values in rows.items()})
    solve, lengths = open_solver("closed_form", None, 5), []

    def noted(part):
        lengths.append(len(part["frame"]))
        return solve(part)

    write_angles(tmp_path / "pose.parquet", tmp_path / "angles.parquet", noted, set())
    assert lengths == [10, 14] * 2
    assert read_table(tmp_path / "angles.parquet", ANGLES)["frame"].tolist() == [*range(FRAMES)] * 2
