"""Interlaced video: no combs, every frame once and at its time."""

from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from signrep_core.video.damage import Lost
from signrep_core.video.deinterlace import deinterlace
from signrep_core.video.reader import probe_video, read_frames
from tests.video.test_hdr import ffmpeg

MOVING = "testsrc2=s=352x288:r=50:d=1.6"
WAYS = {  # file name -> FFmpeg's arguments
    "a.mpg": "-flags +ildct+ilme -c:v mpeg2video -q:v 2",
    "b.mp4": "-flags +ildct+ilme -c:v libx264 -preset ultrafast -x264-params tff=1",
    "c.ts": "-flags +ildct+ilme -c:v libx264 -preset fast -bf 2 -x264-params tff=1",
    "d.avi": "-flags +ildct+ilme -c:v mpeg4 -q:v 2",
    "e.h264": "-flags +ildct+ilme -c:v libx264 -preset ultrafast -x264-params tff=1",
}


def combing(rgb: np.ndarray) -> float:
    """How much lines differ from the mean of their neighbours."""
    grey = rgb.astype(float).mean(2)
    return float(np.abs(2 * grey[1:-1] - grey[:-2] - grey[2:]).mean())


def write_fields(folder: Path, name: str, interlace: str = "tinterlace=interleave_top,setfield=tff") -> Path:
    """40 frames of 25 a second, woven of the fields of a moving picture."""
    path = folder / name
    ffmpeg("-f", "lavfi", "-i", MOVING, "-vf", interlace, *WAYS[name].split(), str(path))
    return path


@pytest.mark.parametrize("name", WAYS)
def test_interlaced_video_has_no_combs_and_every_frame_at_its_time(tmp_path: Path, name: str) -> None:
    path = write_fields(tmp_path, name)
    frames = list(read_frames(path))
    assert [frame.index for frame in frames] == list(range(40))
    assert np.allclose([frame.time_s for frame in frames], np.arange(40) / 25)
    every = ffmpeg("-i", str(path), "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    woven = np.frombuffer(every, np.uint8).reshape(-1, 288, 352, 3)
    assert len(woven) == 40
    for frame, combed in zip(frames, woven, strict=True):
        assert combing(frame.rgb) < 0.7 * combing(combed)
        top = frame.rgb[::2].astype(int) - combed[::2]  # the lines of one field stay, so no frame is another's
        bottom = frame.rgb[1::2].astype(int) - combed[1::2]
        assert min(np.abs(top).mean(), np.abs(bottom).mean()) < 4
    assert all(frame.deinterlaced for frame in frames)
    assert probe_video(path).n_frames == 40


def test_a_span_of_interlaced_video_shows_the_same_frames(tmp_path: Path) -> None:
    path = write_fields(tmp_path, "b.mp4")
    whole, span = list(read_frames(path)), list(read_frames(path, 25, 0.8, 1.2))
    assert len(span) == 10
    assert all(np.abs(a.rgb.astype(int) - b.rgb).max() <= 2 for a, b in zip(span[1:], whole[21:30], strict=True))


def test_frames_that_turn_interlaced_in_mid_stream_are_told(tmp_path: Path) -> None:
    first, path = tmp_path / "progressive.mpg", tmp_path / "both.mpg"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=352x288:r=25:d=0.8", "-c:v", "mpeg2video", str(first))
    path.write_bytes(first.read_bytes() + write_fields(tmp_path, "a.mpg").read_bytes())
    assert [frame.deinterlaced for frame in read_frames(path)] == [False] * 20 + [True] * 40


def test_progressive_frames_pass_untouched() -> None:
    frames = [SimpleNamespace(interlaced_frame=False, pts=k) for k in range(3)]
    items = [frames[0], Lost(1), *frames[1:]]
    assert list(deinterlace(iter(items))) == items


def test_a_change_of_size_or_a_lost_frame_begins_anew_and_loses_nothing(tmp_path: Path) -> None:
    one, two = write_fields(tmp_path, "a.mpg"), tmp_path / "two.mpg"
    ffmpeg("-i", str(one), "-vf", "scale=176:144:interl=1", *WAYS["a.mpg"].split(), str(two))
    large, small = ([*av.open(str(path)).decode(video=0)] for path in (one, two))
    items = [*large[:10], *small[:10], small[10], Lost(9), large[20], *small[21:30]]
    found = list(deinterlace(iter(items)))
    expected = [item if isinstance(item, Lost) else (item.width, item.pts) for item in items]
    assert [item if isinstance(item, Lost) else (item.width, item.pts) for item in found] == expected
