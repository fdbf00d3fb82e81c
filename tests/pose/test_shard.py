"""Pose of a shard: order, results, and errors that stay with their video."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from signrep_core.config import Config, Pose
from signrep_core.errors import SignRepError
from signrep_core.pose.shard import PoseResult, describe_backend, extract_shard
from signrep_core.store.resume import open_resume_cache
from signrep_core.store.schemas import POSE
from signrep_core.store.tables import Columns, read_table, read_videos


@pytest.fixture(autouse=True)
def fake_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signrep_core.pose.shard.WORKER", ("tests.pose.fake_worker:prepare",))


def videos_of(*paths: str, **status: str) -> Columns:
    """Status table of videos that are ok, except for the status given by path."""
    n = len(paths)
    return {
        "video_id": [f"id-{path}" for path in paths],
        "path": list(paths),
        "start": np.ma.masked_all(n),
        "end": np.ma.masked_all(n),
        "fps": np.full(n, 25, np.float32),
        "status": [status.get(path, "ok") for path in paths],
        "reason": [""] * n,
        "detail": [""] * n,
        "sha256": [f"digest of {path}" for path in paths],
        "n_frames": np.full(n, 20),
        "duration_s": np.full(n, 0.8),
    }


def extract(tmp_path: Path, videos: Columns, threads: int = 1, model: str = "mediapipe") -> list[PoseResult]:
    config = Config(pose=Pose(model=model, min_shoulder_px=24))
    out = tmp_path / "00000.parquet"
    with open_resume_cache(out) as cache:
        return extract_shard(videos, out, cache, config, threads=threads)


def test_rows_come_in_the_sheets_order_whichever_video_is_done_first(tmp_path: Path) -> None:
    names = ["slow-a", "b", "c", "slow-d", "e"]
    outcomes = extract(tmp_path, videos_of(*names), threads=2)
    assert [o.video_id for o in outcomes] == [f"id-{name}" for name in names]
    assert [(o.reason, o.frames, o.present) for o in outcomes] == [("", 20, 20)] * 5
    table = dict(read_videos(tmp_path / "00000.parquet", POSE))
    assert list(table) == [f"id-{name}" for name in names]
    for columns in table.values():
        np.testing.assert_array_equal(columns["frame"], np.arange(20))
        np.testing.assert_allclose(columns["time_s"], np.arange(20) / 25)


def test_an_error_in_one_video_does_not_affect_the_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    videos = videos_of("a", "kill", "b", "raise", "damaged", "short", "c")
    outcomes = {o.video_id: o for o in extract(tmp_path, videos)}
    assert {name: o.reason for name, o in outcomes.items()} == {
        "id-a": "",
        "id-kill": "pose_failed",
        "id-b": "",
        "id-raise": "pose_failed",
        "id-damaged": "undecodable",
        "id-short": "",
        "id-c": "",
    }
    assert "SIGSEGV" in outcomes["id-kill"].detail
    assert "RuntimeError: a bug met its video" in outcomes["id-raise"].detail
    assert outcomes["id-short"].frames == 8, "whether that is enough is decided when the signers are cropped"
    assert "Traceback" in caplog.text, "the worker's log reaches ours"
    written = read_table(tmp_path / "00000.parquet", POSE)
    assert list(dict.fromkeys(written["video_id"])) == ["id-a", "id-b", "id-short", "id-c"]
    assert len(written["video_id"]) == 68
    assert [path.name for path in tmp_path.iterdir()] == ["00000.parquet"], "no other file is left"


@pytest.mark.slow
def test_a_killed_job_continues_with_the_video_it_was_killed_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole.parquet", tmp_path / "00000.parquet"
    videos = videos_of("a", "short", "b", "kill")

    def job(path: Path) -> list[PoseResult]:
        with open_resume_cache(path) as cache:
            return extract_shard(videos, path, cache, Config(pose=Pose(min_shoulder_px=24)))

    def killed(*_: object) -> Iterator[Columns]:
        if len(list((tmp_path / ".00000.resume").glob("*.json"))) == 3:
            raise KeyboardInterrupt
        return iter(())

    undisturbed = job(whole)
    with monkeypatch.context() as patch:
        patch.setattr("signrep_core.pose.shard.read_groups", killed)
        with pytest.raises(KeyboardInterrupt):
            job(out)
    caplog.set_level("INFO")
    assert job(out) == undisturbed
    assert "3 of 4 videos were finished before" in caplog.text, "all but the one that failed"
    table, expected = (read_table(path, POSE) for path in (out, whole))
    assert table["video_id"] == expected["video_id"]
    for name in ("frame", "present", "image_xy", "landmarks", "confidence"):
        np.testing.assert_allclose(table[name], expected[name], rtol=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000.parquet", "whole.parquet"]


def test_damaged_frames_are_marked_counted_and_without_a_signer(tmp_path: Path) -> None:
    (outcome,) = extract(tmp_path, videos_of("spoilt"))
    assert (outcome.final_status, outcome.note) == (None, "2 of 20 frames are damaged")
    pose = read_table(tmp_path / "00000.parquet", POSE)
    assert np.flatnonzero(pose["damaged"]).tolist() == [18, 19]
    assert np.flatnonzero(~pose["present"]).tolist() == [18, 19]
    assert np.isnan(pose["landmarks"][18:]).all()


@pytest.mark.parametrize(("cuts", "note"), [(0, ""), (1, "1 shot cut"), (3, "3 shot cuts")])
def test_shot_cuts_are_noted(cuts: int, note: str) -> None:
    assert PoseResult("v", "", "", frames=100, present=90, cuts=cuts).note == note


def test_deinterlaced_frames_are_noted_wherever_they_begin(tmp_path: Path) -> None:
    outcomes = extract(tmp_path, videos_of("a", "combed"))
    assert [outcome.note for outcome in outcomes] == ["", "deinterlaced"]


def test_rejected_and_excluded_videos_are_not_worked_on(tmp_path: Path) -> None:
    outcomes = extract(tmp_path, videos_of("kill", "a", "b", kill="rejected", b="excluded"))
    assert [o.video_id for o in outcomes] == ["id-a"]


def test_a_shard_without_a_usable_video_gives_an_empty_table(tmp_path: Path) -> None:
    assert extract(tmp_path, videos_of("kill", kill="rejected")) == []
    assert read_table(tmp_path / "00000.parquet", POSE)["video_id"] == []


@pytest.mark.parametrize(("model", "says"), [("broken", "pose.model: broken"), ("dies", "ended with code 3")])
def test_a_backend_that_cannot_start_fails_the_job_and_leaves_no_table(
    tmp_path: Path, model: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signrep_core.pose.shard.describe_backend", lambda model: {})
    with pytest.raises(SignRepError, match=says):
        extract(tmp_path, videos_of("a", "b"), model=model)
    assert not (tmp_path / "00000.parquet").exists()


def test_a_video_without_a_signer_is_rejected_and_another_stays_ok() -> None:
    assert PoseResult("id-a", "", "").final_status is None
    assert PoseResult("id-b", "no_signer", "nobody").final_status == ("rejected", "no_signer", "nobody")


def test_the_backend_is_described_by_version_and_models(tmp_path: Path) -> None:
    described = describe_backend(Pose(engine="mediapipe"))
    assert described["backend"].startswith("mediapipe 0.10.")
    assert len(described["model_sha256"].split(",")) == 5
    assert describe_backend(Pose())["backend"].startswith("signrep engine, offline, on cpu, mediapipe 0.10.")
    model = tmp_path / "holistic.task"
    model.write_bytes(b"model")
    assert describe_backend(Pose(model=str(model)))["backend"].endswith(" holistic.task")
    with pytest.raises(SignRepError, match=r"no file at .*nowhere\.task"):
        describe_backend(Pose(model=str(tmp_path / "nowhere.task")))
