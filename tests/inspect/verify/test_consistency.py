"""Consistency checks between tables: each is changed and given a matching record, so its digest is right."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from signrep_core.inspect.verify.corpus import verify
from signrep_core.inspect.verify.frames import align
from signrep_core.store.records import record_path
from tests.inspect.verify.conftest import change_json, change_table, record_again


def add(column: str, amount: Any, row: int = 5) -> Callable[[dict[str, Any]], None]:
    def change(columns: dict[str, Any]) -> None:
        columns[column][row] += amount

    return change


def put(column: str, value: Any, row: int = 5) -> Callable[[dict[str, Any]], None]:
    def change(columns: dict[str, Any]) -> None:
        columns[column][row] = value

    return change


def drop_last(columns: dict[str, Any]) -> dict[str, Any]:
    return {name: values[:-1] for name, values in columns.items()}


@pytest.mark.parametrize(
    ("name", "change", "what"),
    [
        ("pose/00000.parquet", put("landmarks", np.nan), "landmarks contradict their confidence"),
        ("pose/00000.parquet", put("confidence", 1.5), "confidences outside 0..1"),
        ("pose/00000.parquet", put("present", False), "presence contradicts confidence"),
        ("pose/00000.parquet", put("damaged", True), "a signer in a damaged frame"),
        ("angles/00000.parquet", put("right_angles", np.inf), "angles that are not finite"),
        ("angles/00000.parquet", add("time_s", 0.001), "rows differ from the other stages"),
        ("keypoints/00000.parquet", add("keypoints", 0.01), "differs from forward kinematics of angles and bones"),
        ("keypoints/00000.parquet", add("confidence", -0.5), "confidence differs from angles/"),
        ("keypoints/00000.parquet", drop_last, "wrong number of rows"),
        ("distances/00000.parquet", put("body", np.nan), "distances that are not finite"),
        ("activity/00000.parquet", put("right_active", np.ma.masked), "windows differ between the hands"),
        ("crops/00000.parquet", put("n_frames", 0, 0), "sequence too short"),
        ("shards/00000.parquet", add("packet_offset", 1), "packet index does not match the MP4"),
        ("shards/00000.parquet", put("keyframe", True), "packet index does not match the MP4"),
        ("shards/00000.parquet", add("body_angles", 0.1), "values differ from the stages"),
        ("shards/00000.parquet", add("sequence", 1), "wrong sequence numbers"),
        ("sequences/00000.parquet", put("gloss", "another", 0), "wrong gloss"),
        ("sequences/00000.parquet", add("first_row", 1, 1), "wrong first_row"),
        ("shards/index.parquet", put("split", "val", 0), "differs from the shards' sequences"),
        ("videos/00000.parquet", put("reason", "no_signer", 0), "invalid status"),
        ("video_status/extract_pose/00001.parquet", put("detail", "changed", 0), None),
    ],
)  # fmt: skip
def test_an_inconsistency_is_reported_for_the_wrong_file(
    scratch: Path, name: str, change: Callable[[dict[str, Any]], Any], what: str | None
) -> None:
    change_table(scratch, name, change)
    found = [problem for problem in verify(scratch).problems if problem.what != "older than its inputs"]
    if what is None:
        assert found == []  # the detail is free text
    else:
        assert (name, what) in {(problem.file, problem.what) for problem in found}, found


def test_a_final_status_may_not_change(scratch: Path) -> None:
    def reopen(columns: dict[str, Any]) -> None:
        columns["status"][1] = "ok"
        columns["reason"][1] = ""

    change_table(scratch, "videos/00000.parquet", reopen)
    found = {(problem.file, problem.what) for problem in verify(scratch).problems}
    assert ("videos/00000.parquet", "final status changed by a later stage") in found
    assert ("crops/00000.parquet", "videos differ from those with status ok") in found


def test_a_video_belongs_to_one_shard_only(scratch: Path) -> None:
    source = "{stage}/00000.parquet"
    for stage in ("video_status/probe", "video_status/deduplicate", "video_status/extract_pose", "videos"):
        first, second = scratch / source.format(stage=stage), scratch / f"{stage}/00001.parquet"
        shutil.copyfile(first, second)
        record_again(second)
    found = {problem.what for problem in verify(scratch).problems}
    assert "a video in two shards" in found


@pytest.mark.parametrize(
    ("name", "values", "what"),
    [
        ("bones.json", {"body_offsets": [0.3] * 16}, "differs from the median of the shards' bones"),
        ("shards/info.json", {"counts": {"shards": 2, "sequences": 5, "frames": 1}}, "counts differ from the index"),
        ("shards/info.json", {"version": 99}, "cannot be read"),
        ("summary.json", {"reasons": {}}, "counts differ from the tables in videos/"),
    ],
)
def test_figures_over_all_shards_are_counted_again(scratch: Path, name: str, values: Any, what: str) -> None:
    change_json(scratch, name, **values)
    assert (name, what) in {(problem.file, problem.what) for problem in verify(scratch).problems}


@pytest.mark.parametrize(
    ("run", "made"),
    [
        ("pretrain/test", "features/test/made.parquet"),
        ("recognition/test/made", "recognition/test/made.parquet"),
        ("translation/test/made", "translation/test/made.parquet"),
    ],
)
def test_outputs_of_a_model_name_its_current_weights(scratch: Path, run: str, made: str) -> None:
    weights = scratch / run / "best.safetensors"
    save_file({"w": np.ones(7)}, weights)
    record_again(weights)
    found = {(problem.file, problem.what) for problem in verify(scratch).problems}
    assert {(made, "made with other weights"), (made, "older than its inputs")} <= found
    assert not {name for name, what in found if what != "older than its inputs"} - {made}


@pytest.mark.parametrize("run", ["pretrain/test", "recognition/test/made", "translation/test/made", "lifter"])
def test_weights_are_finite_and_steps_increase(scratch: Path, run: str) -> None:
    weights, metrics = scratch / run / "best.safetensors", scratch / run / "metrics.csv"
    save_file({"w": np.array([1, np.nan])}, weights)
    metrics.write_text("step,loss\n4,1\n2,1\n")
    record_again(weights)
    record_again(metrics)
    found = {(problem.file, problem.what) for problem in verify(scratch).problems}
    assert (f"{run}/best.safetensors", "weights that are not finite") in found
    assert (f"{run}/metrics.csv", "steps do not increase") in found


@pytest.mark.parametrize(
    ("name", "change", "what"),
    [
        ("recognition/test/made.parquet", put("probability_1", np.nan, 0), "values that are NaN"),
        ("recognition/test/made.parquet", put("video_id", "a stranger", 0), "unknown video"),
        ("translation/test/made.parquet", put("score", np.nan, 0), "values that are NaN"),
        ("translation/test/made.parquet", lambda columns: columns["video_id"].__setitem__(0, columns["video_id"][1]),
         "duplicate video"),
    ],
)  # fmt: skip
def test_predictions_are_numbers_for_videos_of_the_sheet(
    scratch: Path, name: str, change: Callable[[dict[str, Any]], None], what: str
) -> None:
    change_table(scratch, name, change)
    assert [(problem.file, problem.what) for problem in verify(scratch).problems] == [(name, what)]


def test_an_mp4_with_sound_is_found(scratch: Path, tmp_path: Path) -> None:
    import subprocess

    import imageio_ffmpeg

    mp4 = scratch / "shards/00000.mp4"
    sound = tmp_path / "sound.mp4"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", mp4, "-f", "lavfi", "-i", "sine=duration=1",
               "-c:v", "copy", sound]  # fmt: skip
    subprocess.run([str(part) for part in command], check=True)
    shutil.copyfile(sound, mp4)
    record_again(mp4)
    found = {(problem.file, problem.what) for problem in verify(scratch).problems}
    assert ("shards/00000.mp4", "wrong streams") in found


def test_tables_are_read_in_parallel_whatever_their_row_groups() -> None:
    def cut(*sizes: int) -> Any:
        ends = np.cumsum(sizes)
        return ({"x": np.arange(end - n, end)} for n, end in zip(sizes, ends, strict=True))

    slices = list(align({"a": cut(3, 4, 2), "b": cut(5, 4), "c": cut(9)}))
    assert [len(part["a"]["x"]) for part in slices] == [3, 2, 2, 2]
    for part in slices:
        assert part["a"]["x"].tolist() == part["b"]["x"].tolist() == part["c"]["x"].tolist()


def test_the_record_folder_is_hidden(finished: Path) -> None:
    assert record_path(finished / "pose/00000.parquet") == finished / "pose/.records/00000.parquet.json"
    assert record_path(finished / "pose/00000.parquet").is_file()


def test_poses_imported_in_pixels_need_no_landmarks(scratch: Path) -> None:
    change_table(scratch, "pose/00000.parquet", put("landmarks", np.nan, slice(None)))
    assert "landmarks contradict their confidence" not in {problem.what for problem in verify(scratch).problems}


def test_poses_at_another_rate_than_the_frames_are_found(scratch: Path) -> None:
    def slower(columns: dict[str, Any]) -> dict[str, Any]:
        return {**columns, "time_s": columns["time_s"] * 25 / 15}

    for name in ("pose", "angles", "keypoints", "distances", "activity"):
        change_table(scratch, f"{name}/00000.parquet", slower)
    found = {(problem.file, problem.what) for problem in verify(scratch).problems}
    assert ("pose/00000.parquet", "times are not the frames'") in found
