"""Tables against each other: each is broken in a way that its own digest does not show."""

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
        ("pose/00000.parquet", put("landmarks", np.nan), "landmarks unlike their confidence"),
        ("pose/00000.parquet", put("confidence", 1.5), "confidences outside 0..1"),
        ("pose/00000.parquet", put("present", False), "presence unlike confidence"),
        ("pose/00000.parquet", put("damaged", True), "a signer in a damaged frame"),
        ("angles/00000.parquet", put("right_angles", np.inf), "angles that are no numbers"),
        ("angles/00000.parquet", add("time_s", 0.001), "its rows are not those of the other stages"),
        ("keypoints/00000.parquet", add("keypoints", 0.01), "not what angles and bones give"),
        ("keypoints/00000.parquet", add("confidence", -0.5), "another confidence than the angles'"),
        ("keypoints/00000.parquet", drop_last, "another number of rows"),
        ("distances/00000.parquet", put("body", np.nan), "distances that are no numbers"),
        ("activity/00000.parquet", put("right_active", np.ma.masked), "one hand's windows are others"),
        ("crops/00000.parquet", put("n_frames", 7, 0), "a sequence too short"),
        ("shards/00000.parquet", add("packet_offset", 1), "a packet index of another MP4"),
        ("shards/00000.parquet", put("keyframe", True), "a packet index of another MP4"),
        ("shards/00000.parquet", add("body_angles", 0.1), "not the stages' values"),
        ("shards/00000.parquet", add("sequence", 1), "rows of other sequences"),
        ("sequences/00000.parquet", put("gloss", "another", 0), "another gloss"),
        ("sequences/00000.parquet", add("first_row", 1, 1), "another first_row"),
        ("shards/index.parquet", put("split", "val", 0), "not the shards' sequences"),
        ("videos/00000.parquet", put("reason", "no_signer", 0), "a state that there is not"),
        ("video_status/extract_pose/00001.parquet", put("detail", "changed", 0), None),
    ],
)  # fmt: skip
def test_a_disagreement_is_told_of_the_file_that_is_wrong(
    scratch: Path, name: str, change: Callable[[dict[str, Any]], Any], what: str | None
) -> None:
    change_table(scratch, name, change)
    found = [problem for problem in verify(scratch).problems if problem.what != "older than what it is made from"]
    if what is None:
        assert found == []  # a detail may say anything
    else:
        assert (name, what) in {(problem.file, problem.what) for problem in found}, found


def test_a_settled_video_stays_settled(scratch: Path) -> None:
    def take_back(columns: dict[str, Any]) -> None:
        columns["status"][1] = "ok"
        columns["reason"][1] = ""

    change_table(scratch, "videos/00000.parquet", take_back)
    found = {(problem.file, problem.what) for problem in verify(scratch).problems}
    assert ("videos/00000.parquet", "a state taken back") in found
    assert ("crops/00000.parquet", "not the videos that ended ok") in found


def test_a_video_lies_in_one_shard_only(scratch: Path) -> None:
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
        ("bones.json", {"body_offsets": [0.3] * 16}, "not the median of the shards' bones"),
        ("shards/info.json", {"counts": {"shards": 2, "sequences": 5, "frames": 1}}, "other counts than the index"),
        ("shards/info.json", {"version": 99}, "cannot be read"),
        ("summary.json", {"reasons": {}}, "not the video status tables' counts"),
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
def test_what_a_model_gives_is_of_the_weights_that_lie_there(scratch: Path, run: str, made: str) -> None:
    weights = scratch / run / "best.safetensors"
    save_file({"w": np.ones(7)}, weights)
    record_again(weights)
    found = {(problem.file, problem.what) for problem in verify(scratch).problems}
    assert {(made, "of other weights"), (made, "older than what it is made from")} <= found
    assert not {name for name, what in found if what != "older than what it is made from"} - {made}


@pytest.mark.parametrize("run", ["pretrain/test", "recognition/test/made", "translation/test/made", "lifter"])
def test_weights_are_numbers_and_steps_rise(scratch: Path, run: str) -> None:
    weights, metrics = scratch / run / "best.safetensors", scratch / run / "metrics.csv"
    save_file({"w": np.array([1, np.nan])}, weights)
    metrics.write_text("step,loss\n4,1\n2,1\n")
    record_again(weights)
    record_again(metrics)
    found = {(problem.file, problem.what) for problem in verify(scratch).problems}
    assert (f"{run}/best.safetensors", "weights that are no numbers") in found
    assert (f"{run}/metrics.csv", "steps that do not rise") in found


@pytest.mark.parametrize(
    ("name", "change", "what"),
    [
        ("recognition/test/made.parquet", put("probability_1", np.nan, 0), "answers that are no numbers"),
        ("recognition/test/made.parquet", put("video_id", "a stranger", 0), "of an unknown video"),
        ("translation/test/made.parquet", put("score", np.nan, 0), "answers that are no numbers"),
        ("translation/test/made.parquet", lambda columns: columns["video_id"].__setitem__(0, columns["video_id"][1]),
         "a video twice"),
    ],
)  # fmt: skip
def test_answers_are_numbers_about_the_videos(
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
    assert ("shards/00000.mp4", "other streams") in found


def test_tables_are_walked_in_step_however_they_are_cut() -> None:
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
