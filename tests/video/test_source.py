"""Files that hold less than they promise, and what the probe notes of them."""

from pathlib import Path

import pytest

from signrep_core.sources.sheet import Row
from signrep_core.video.probe import probe_shard
from signrep_core.video.reader import probe_video, read_frames
from signrep_core.video.source import VideoFile, open_video
from tests.video.painted import number_in, write_video

FAST = {"movflags": "+faststart"}


def cut(folder: Path, name: str, codec: str, share: float = 0.6) -> Path:
    """A download of 100 frames that ended early, with its index, if any, in front."""
    path = folder / name
    options = {"crf": "10"} if codec == "libx264" else {}
    write_video(
        path, range(100), codec=codec, gop=20, options=options, container_options=FAST if ".mp4" in name else {}
    )
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


@pytest.mark.parametrize(
    ("name", "codec", "note"),
    [
        ("a.mp4", "libx264", "cut off: the file promises 100 frames and gives {n}"),
        ("b.mp4", "libx265", "cut off: the file promises 100 frames and gives {n}"),
        ("c.mp4", "libsvtav1", "cut off: the file promises 100 frames and gives {n}"),
        ("d.avi", "mpeg4", "cut off: the file promises 100 frames and gives {n}"),
        ("e.mkv", "libx264", "the file promises 4.0 s and its frames end at {last:.1f} s"),
        ("f.webm", "libvpx", "the file promises 4.0 s and its frames end at {last:.1f} s"),
        ("g.flv", "libx264", "the file promises 4.0 s and its frames end at {last:.1f} s"),
    ],
)
def test_a_cut_download_gives_the_frames_that_are_there_and_is_noted(
    tmp_path: Path, name: str, codec: str, note: str
) -> None:
    path = cut(tmp_path, name, codec)
    info = probe_video(path)
    assert 40 < info.n_frames < 80
    assert info.note == note.format(n=info.n_frames, last=(info.n_frames - 1) / 25)
    frames = list(read_frames(path))
    assert len(frames) == info.n_frames
    good = [frame for frame in frames if not frame.damaged]
    assert [number_in(frame.rgb) for frame in good] == [frame.index for frame in good]
    assert len(good) > info.n_frames - 21


def test_decoding_has_one_thread_since_frames_around_an_error_depend_on_their_number(tmp_path: Path) -> None:
    with open_video(write_video(tmp_path / "a.mp4", range(16)), None) as source:
        assert isinstance(source, VideoFile)
        assert source.stream.codec_context.thread_count == 1


def test_the_video_status_says_what_is_missing(tmp_path: Path) -> None:
    videos = probe_shard([Row("cut", str(cut(tmp_path, "a.mp4", "libx264")))])
    assert videos["status"] == ["ok"]
    assert videos["detail"] == [f"cut off: the file promises 100 frames and gives {videos['n_frames'][0]}"]


def test_a_whole_file_and_a_span_of_a_cut_one_are_not_noted(tmp_path: Path) -> None:
    assert probe_video(write_video(tmp_path / "whole.mp4", range(40), options={"bf": "2"})).note == ""
    assert probe_video(write_video(tmp_path / "late.mkv", range(40), times=[7 + k / 25 for k in range(40)])).note == ""
    assert probe_video(cut(tmp_path, "a.mp4", "libx264"), 0.0, 1.0).note == ""
