"""Probing a shard: every video gets a row, whatever happens to the others."""

import csv
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from signrep_core.sources.folder import list_folder
from signrep_core.sources.sheet import Row
from signrep_core.store.schemas import VIDEOS
from signrep_core.store.tables import Columns, read_table, write_table
from signrep_core.video.probe import probe_shard
from tests.video.painted import write_video

Probe = Callable[..., Columns]


@pytest.fixture
def probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Probe:
    """Make the table of videos that a fake worker probes."""

    def probe(*paths: str, threads: int = 1) -> Columns:
        rows = [Row(path, path, "yt", "train", start=1.0, end=3.0, fps=30.0) for path in paths]
        return probe_shard(rows, threads=threads)

    monkeypatch.setattr("signrep_core.video.probe.WORKER", ("tests.video.fake_worker:prepare", str(tmp_path)))
    return probe


def test_a_row_holds_what_was_probed(tmp_path, probe):
    write_table(tmp_path / "videos.parquet", VIDEOS, probe("a.mp4"))
    back = {name: values[0] for name, values in read_table(tmp_path / "videos.parquet", VIDEOS).items()}
    assert (back["status"], back["reason"], back["detail"]) == ("ok", "", "")
    assert (back["width"], back["height"], back["n_frames"], back["codec"], back["rotation"]) == (
        640, 480, 77, "h264", 90,
    )  # fmt: skip
    assert (back["fps"], back["duration_s"]) == (pytest.approx(29.97), 2.5)
    assert (back["start"], back["end"]) == (1.0, 3.0)
    assert back["vfr"]
    assert back["sha256"] == "ab" * 32


def test_a_video_that_cannot_be_used_is_rejected_and_the_others_go_on(probe, caplog):
    videos = probe("a", "empty", "bug", "bloats", "b", threads=2)
    assert videos["video_id"] == ["a", "empty", "bug", "bloats", "b"]
    assert videos["status"] == ["ok", "rejected", "rejected", "rejected", "ok"]
    assert videos["reason"] == ["", "empty_file", "undecodable", "too_large", ""]
    assert videos["detail"][1:3] == ["empty: zero bytes", "RuntimeError: decoder fell over"]
    assert videos["width"].tolist() == [640, 0, 0, 0, 640]
    assert "Traceback" in caplog.text


def test_a_video_that_crashes_the_decoder_fails_alone(probe):
    videos = probe("a", "crashes", "b")
    assert videos["status"] == ["ok", "rejected", "ok"]
    assert videos["reason"][1] == "undecodable"
    assert videos["detail"][1] == "crashes: its worker process died of SIGSEGV"


@pytest.mark.slow
def test_a_video_that_hangs_the_decoder_fails_alone_within_the_limit(probe, monkeypatch):
    monkeypatch.setattr("signrep_core.video.probe.LIMIT_S", 3)
    began = time.monotonic()
    videos = probe("a", "hangs", "b")
    assert videos["status"] == ["ok", "rejected", "ok"]
    assert "died of SIGKILL" in videos["detail"][1]
    assert time.monotonic() - began < 40


def test_after_a_worker_was_killed_from_outside_its_video_is_tried_again(probe):
    assert probe("a", "killed", "b")["status"] == ["ok"] * 3


def test_videos_are_probed_in_parallel_with_results_in_the_order_of_the_rows(probe):
    videos = probe("waits c", "waits a", "waits b", threads=3)
    assert videos["video_id"] == ["waits c", "waits a", "waits b"]
    assert videos["status"] == ["ok"] * 3


def test_a_span_beyond_its_video_is_cut_with_a_note_and_one_after_it_rejected(tmp_path, caplog):
    path = str(write_video(tmp_path / "v.mp4", range(50)))  # two seconds
    spans = {"whole": (0.5, 2.0), "beyond": (0.5, 60.0), "after": (50.0, 60.0), "open": (0.5, None)}
    videos = probe_shard([Row(name, path, start=start, end=end) for name, (start, end) in spans.items()])
    assert videos["status"] == ["ok", "ok", "rejected", "ok"]
    assert videos["reason"][2] == "empty_span"
    assert videos["detail"] == ["", "the span ends 58.0 s after the video", videos["detail"][2], ""]
    assert videos["duration_s"].tolist() == pytest.approx([1.5, 1.5, 0, 1.5], abs=0.03)
    assert "1 spans end after their video, and are cut at its end: beyond" in caplog.text


@pytest.mark.parametrize(("folder", "n_clips"), [("clips", 4), ("all_clips", 18)])
def test_the_real_clips_are_probed_as_in_their_manifest(folder, n_clips, request):
    clips = request.getfixturevalue(folder)
    with open(clips / "MANIFEST.csv", encoding="utf-8", newline="") as file:
        manifest = {line["file"]: line for line in csv.DictReader(file)}
    videos = probe_shard(list_folder(clips), threads=2)
    assert len(videos["video_id"]) == len(manifest) == n_clips
    assert set(videos["status"]) == {"ok"}
    for place, path in enumerate(videos["path"]):
        known = manifest[path.rsplit("/", 1)[1]]
        assert videos["sha256"][place] == known["sha256"]
        assert (videos["width"][place], videos["height"][place]) == (int(known["width"]), int(known["height"]))
        assert videos["n_frames"][place] == int(known["n_frames"])
        assert videos["codec"][place] == known["codec"]
        assert videos["fps"][place] == pytest.approx(float(known["fps"]), rel=0.02)
