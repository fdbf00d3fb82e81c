"""Probing a shard: every video becomes a row, whatever happens to the others."""

import csv
import threading

import pytest

from signrep_core.errors import VideoError
from signrep_core.sources import probe
from signrep_core.sources.folder import list_folder
from signrep_core.sources.probe import probe_shard
from signrep_core.sources.sheet import Row
from signrep_core.store.schemas import VIDEOS
from signrep_core.store.tables import read_table, write_table
from signrep_core.store.video import VideoInfo

INFO = VideoInfo(
    width=640, height=480, fps=29.97, n_frames=77, timeline_frames=64, duration_s=2.5, codec="h264", rotation=90,
    vfr=True, sha256="ab" * 32,
)  # fmt: skip


@pytest.fixture
def probed(monkeypatch):
    """Replaces the look into a file by an answer or an error per path; keeps the calls."""
    answers, calls = {}, []

    def probe_video(path, *arguments):
        calls.append((path, *arguments))
        answer = answers.get(path, INFO)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    monkeypatch.setattr(probe, "probe_video", probe_video)
    return answers, calls


def test_what_a_video_holds_stands_in_its_row(probed, tmp_path):
    account = probe_shard(
        [Row("a", "a.mp4", "yt", "train", start=1.0, end=3.0, fps=30.0)], target_fps=25, min_frames=16, threads=2
    )
    assert probed[1] == [("a.mp4", 1.0, 3.0, 25, 16, 30.0)]
    write_table(tmp_path / "account.parquet", VIDEOS, account)
    (row,) = read_table(tmp_path / "account.parquet", VIDEOS)["width"]
    back = {name: values[0] for name, values in read_table(tmp_path / "account.parquet", VIDEOS).items()}
    assert row == 640
    assert (back["status"], back["reason"], back["detail"]) == ("ok", "", "")
    assert (back["height"], back["n_frames"], back["codec"], back["rotation"]) == (480, 77, "h264", 90)
    assert (back["fps"], back["duration_s"]) == (pytest.approx(29.97), 2.5)
    assert back["vfr"]
    assert back["sha256"] == "ab" * 32


def test_a_video_that_cannot_be_used_is_rejected_and_the_others_go_on(probed):
    answers, _ = probed
    answers["b.mp4"] = VideoError("empty_file", "b.mp4: zero bytes")
    answers["c.mp4"] = RuntimeError("decoder\n  fell over")
    account = probe_shard([Row(name, f"{name}.mp4") for name in "abcd"], threads=3)
    assert account["video_id"] == ["a", "b", "c", "d"]
    assert account["status"] == ["ok", "rejected", "rejected", "ok"]
    assert account["reason"] == ["", "empty_file", "undecodable", ""]
    assert account["detail"] == ["", "b.mp4: zero bytes", "RuntimeError: decoder fell over", ""]
    assert account["width"].tolist() == [640, 0, 0, 640]


def test_an_unexpected_error_is_logged_with_its_trace(probed, caplog):
    probed[0]["a.mp4"] = RuntimeError("decoder fell over")
    probe_shard([Row("a", "a.mp4")])
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "a: the probe failed" in record.getMessage()
    assert record.exc_info[0] is RuntimeError


def test_want_of_memory_is_no_property_of_a_video(probed):
    probed[0]["a.mp4"] = MemoryError()
    with pytest.raises(MemoryError):
        probe_shard([Row("a", "a.mp4")])


def test_videos_are_probed_side_by_side_in_the_order_of_the_rows(monkeypatch):
    together = threading.Barrier(3, timeout=10)

    def probe_video(*arguments):
        together.wait()
        return INFO

    monkeypatch.setattr(probe, "probe_video", probe_video)
    account = probe_shard([Row(name, f"{name}.mp4") for name in "cab"], threads=3)
    assert account["video_id"] == ["c", "a", "b"]
    assert account["status"] == ["ok"] * 3


def test_the_real_clips_are_what_their_manifest_says(clips):
    with open(clips / "MANIFEST.csv", encoding="utf-8", newline="") as file:
        manifest = {line["file"]: line for line in csv.DictReader(file)}
    account = probe_shard(list_folder(clips), threads=2)
    assert len(account["video_id"]) == len(manifest) == 18
    assert set(account["status"]) == {"ok"}
    for place, path in enumerate(account["path"]):
        known = manifest[path.rsplit("/", 1)[1]]
        assert account["sha256"][place] == known["sha256"]
        assert (account["width"][place], account["height"][place]) == (int(known["width"]), int(known["height"]))
        assert account["n_frames"][place] == int(known["n_frames"])
        assert account["codec"][place] == known["codec"]
        assert account["fps"][place] == pytest.approx(float(known["fps"]), rel=0.02)
