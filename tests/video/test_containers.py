"""Every frame once, in the order of showing, at its time, whatever codec and container hold it."""

from pathlib import Path

import pytest

from benchmarks.containers import COMBINATIONS, EXACT_S, FRAMES, measure
from signrep_core.video.reader import probe_video, read_frames
from tests.video.painted import number_in, write_video


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all, so that the clip is written once."""
    return tmp_path_factory.mktemp("containers")


@pytest.mark.parametrize(
    "name",
    [
        *("h264_b.avi", "h264_open_gop.avi", "h264_b_ntsc.avi", "h264_b.asf", "h264_b.h264", "hevc_b.hevc"),
        *("h264_b_variable.mp4", "h264_b_late.mkv", "h264_b.ts", "h264_b.flv", "mpeg4_b.avi", "xvid_b.avi"),
        *("mpeg2_b.mpg", "vp8_hidden.webm", "wmv2.wmv", "mjpeg.avi", "gif.gif"),
    ],
)
def test_frames_and_times_are_those_that_ffmpeg_gives(folder: Path, name: str) -> None:
    result = measure(name, folder)
    assert result.same
    assert result.error_s <= EXACT_S


@pytest.mark.parametrize("name", ["h264_b.mxf", "h264_b.mpg", "mpeg1.avi"])
def test_times_follow_the_frame_rate_where_ffmpegs_own_do_not(folder: Path, name: str) -> None:
    result = measure(name, folder)
    assert result.read.numbers == list(range(FRAMES))
    assert result.n_probed == FRAMES
    assert result.source_error_s <= EXACT_S
    assert result.error_s > EXACT_S


def test_two_frames_in_a_packet_come_once_each_in_order(folder: Path) -> None:
    result = measure("xvid_b.mkv", folder)  # neither timestamp is in order there
    assert result.same
    assert len(result.read.numbers) >= FRAMES - 2  # as many as the encoder writes
    assert result.read.numbers == sorted(set(result.read.numbers))
    assert result.source_error_s <= 2 / 25


def test_at_least_forty_combinations_are_measured() -> None:
    assert len(COMBINATIONS) >= 40


@pytest.mark.parametrize(("name", "codec"), [("b.avi", "libx264"), ("b.asf", "libx264"), ("b.h264", "libx264")])
def test_spans_and_whole_videos_agree_without_presentation_times(tmp_path: Path, name: str, codec: str) -> None:
    path = write_video(tmp_path / name, range(120), codec=codec, gop=24, options={"bf": "3", "b_strategy": "0"})
    whole = [number_in(frame.rgb) for frame in read_frames(path)]
    assert whole == list(range(120))
    assert [number_in(frame.rgb) for frame in read_frames(path, 25, 2.0, 2.8)] == list(range(50, 70))
    assert probe_video(path, 2.0, 2.8).n_frames == 20
