"""Frames of a video on the timeline, and the reasons of unusable files."""

import os
import re
import struct
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest

from signrep_core.errors import VideoError
from signrep_core.video.reader import Frame, probe_video, read_frames
from tests.video.painted import number_in, paint, write_video


def numbers(path: Path, *args: float | None) -> list[int]:
    return [number_in(frame.rgb) for frame in read_frames(path, *args)]


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)],
        check=True,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def forty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames 0..39 at 25 fps with B-frames."""
    return write_video(tmp_path_factory.mktemp("video") / "forty.mp4", range(40), options={"bf": "2"})


# ---------------------------------------------------------------- the timeline


def test_a_video_at_the_timelines_rate_gives_each_frame_once(forty: Path) -> None:
    frames = list(read_frames(forty))
    assert [number_in(frame.rgb) for frame in frames] == list(range(40))
    assert [frame.index for frame in frames] == list(range(40))
    assert np.allclose([frame.time_s for frame in frames], np.arange(40) / 25)


def test_every_call_gives_the_same_frames(forty: Path) -> None:
    one, four = list(read_frames(forty)), list(read_frames(forty))
    assert [(a.index, a.time_s) for a in one] == [(b.index, b.time_s) for b in four]
    assert all(np.array_equal(a.rgb, b.rgb) for a, b in zip(one, four, strict=True))


def test_frames_are_read_only_and_repeats_are_the_same_array(tmp_path: Path) -> None:
    path = write_video(tmp_path / "slow.mp4", range(8), fps=12.5)
    frames = list(read_frames(path))
    assert not frames[0].rgb.flags.writeable
    # Frame 1 is at 0.04 s, as near to source frame 0 (0 s) as to 1 (0.08 s): the earlier one is taken.
    assert [number_in(frame.rgb) for frame in frames] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7]
    assert frames[0].rgb is frames[1].rgb


def test_thirty_frames_a_second_drop_every_sixth(tmp_path: Path) -> None:
    path = write_video(tmp_path / "thirty.mp4", range(30), fps=30)
    # k / 25 s is nearest to source frame 1.2 k
    assert numbers(path) == [round(1.2 * k) for k in range(25)]


def test_a_phone_video_of_120_fps_with_repeats_has_25_frames_a_second(tmp_path: Path) -> None:
    path = write_video(tmp_path / "phone.mp4", [k // 4 for k in range(120)], fps=120)
    assert numbers(path) == [round(4.8 * k) // 4 for k in range(25)]


def test_variable_frame_rate_shows_the_frame_nearest_in_time(tmp_path: Path) -> None:
    times = [0, 0.033, 0.1, 0.5, 0.52, 0.61]  # a long gap after frame 2
    path = write_video(tmp_path / "vfr.mkv", range(6), times=times)
    expected = [int(np.argmin(np.abs(np.array(times) - k / 25))) for k in range(16)]
    assert numbers(path)[:16] == expected
    assert probe_video(path).vfr


def test_times_count_from_the_first_shown_frame(tmp_path: Path) -> None:
    path = write_video(tmp_path / "late.mkv", range(20), times=[7 + k / 25 for k in range(20)])
    frames = list(read_frames(path))
    assert frames[0].time_s == 0
    assert [number_in(frame.rgb) for frame in frames] == list(range(20))


def test_native_frames_come_once_at_their_own_times(tmp_path: Path) -> None:
    path = write_video(tmp_path / "native.mkv", range(5), times=[0, 0.01, 0.5, 0.6, 1.5])
    frames = list(read_frames(path, None))
    assert [number_in(frame.rgb) for frame in frames] == [0, 1, 2, 3, 4]
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.01, 0.5, 0.6, 1.5])


# ---------------------------------------------------------------- spans


def test_a_span_shows_the_same_frames_as_the_whole_video_does(tmp_path: Path) -> None:
    path = write_video(tmp_path / "long.mp4", range(200), gop=25, options={"bf": "2"})
    assert numbers(path, 25, 4.0, 5.0) == list(range(100, 125))
    assert numbers(path, 25, None, 0.4) == list(range(10))
    assert numbers(path, 25, 7.6) == list(range(190, 200))
    assert numbers(path, None, 4.0, 5.0) == list(range(100, 125))
    assert next(read_frames(path, 25, 4.0, 5.0)).time_s == 0


@pytest.mark.parametrize("name", ["span.avi", "span.ts", "span.mkv"])
def test_spans_are_exact_in_containers_that_seek_badly(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, range(120), gop=40, codec="mpeg4" if name.endswith("avi") else "libx264")
    assert numbers(path, 25, 2.0, 2.4) == list(range(50, 60))


def test_a_span_outside_the_video_is_empty(forty: Path) -> None:
    for start, end in ((10.0, 12.0), (1.0, 1.0), (1.0, 0.5)):
        with pytest.raises(VideoError, match="empty_span"):
            list(read_frames(forty, 25, start, end))
        with pytest.raises(VideoError, match="empty_span"):
            probe_video(forty, start, end)


# ---------------------------------------------------------------- the picture


def quarters(path: Path) -> Path:
    """Sixteen frames of 64 × 48: red, green over blue, white; lossless but for chroma."""
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24, :32], picture[:24, 32:], picture[24:, :32], picture[24:][:, 32:] = (
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        255,
    )
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(16):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def corners(rgb: np.ndarray) -> str:
    """The colours of the four quarters in reading order."""
    height, width = rgb.shape[:2]
    names = {(1, 0, 0): "R", (0, 1, 0): "G", (0, 0, 1): "B", (1, 1, 1): "W", (0, 0, 0): "K"}
    places = [(y, x) for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]
    return "".join(names[tuple((rgb[place] > 128).astype(int))] for place in places)


@pytest.mark.parametrize(
    ("option", "expected", "shape", "rotation"),
    [
        (["-display_rotation", "90"], "GWRB", (64, 48), 90),  # a quarter turn counterclockwise
        (["-display_rotation", "-90"], "BRWG", (64, 48), -90),
        (["-display_rotation", "180"], "WBGR", (48, 64), -180),
        (["-display_rotation", "0", "-display_hflip"], "GRWB", (48, 64), -180),  # a mirror swaps left and right hand
    ],
)  # fmt: skip
def test_rotation_and_mirroring_of_the_file_are_applied(
    tmp_path: Path, option: list[str], expected: str, shape: tuple[int, int], rotation: int
) -> None:
    source = quarters(tmp_path / "upright.mp4")
    ffmpeg(*option, "-i", source, "-c", "copy", tmp_path / "turned.mp4")
    frame = next(read_frames(tmp_path / "turned.mp4"))
    assert corners(frame.rgb) == expected
    info = probe_video(tmp_path / "turned.mp4")
    assert (info.height, info.width) == frame.rgb.shape[:2] == shape
    assert abs(info.rotation) == abs(rotation)


def test_pixels_that_are_not_square_are_made_square(tmp_path: Path) -> None:
    ffmpeg(
        "-i",
        quarters(tmp_path / "a.mp4"),
        "-c",
        "copy",
        "-bsf:v",
        "h264_metadata=sample_aspect_ratio=2/1",
        tmp_path / "wide.mp4",
    )
    assert next(read_frames(tmp_path / "wide.mp4")).rgb.shape == (48, 128, 3)
    assert probe_video(tmp_path / "wide.mp4").width == 128


def test_odd_sizes_are_kept(tmp_path: Path) -> None:
    path = write_video(tmp_path / "odd.mkv", range(16), size=(161, 99), codec="ffv1", pix_fmt="yuv444p")
    assert next(read_frames(path)).rgb.shape == (99, 161, 3)


@pytest.mark.parametrize(
    ("pix_fmt", "codec"), [("yuvj420p", "mjpeg"), ("yuv420p", "libx264"), ("yuv420p10le", "ffv1"), ("gray", "ffv1")]
)
def test_brightness_survives_every_range_and_depth(tmp_path: Path, pix_fmt: str, codec: str) -> None:
    path = write_video(tmp_path / "range.mkv", [0b01010101] * 16, codec=codec, pix_fmt=pix_fmt)
    rgb = next(read_frames(path)).rgb.astype(int)
    assert abs(np.median(rgb[:, 10]) - 215) <= 4
    assert abs(np.median(rgb[:, 30]) - 40) <= 4


def test_a_transparent_frame_is_drawn_on_black(tmp_path: Path) -> None:
    rgba = np.zeros((32, 32, 4), np.uint8)
    rgba[..., 0] = 200  # red all over
    rgba[16:, :, 3] = 255  # but transparent in the upper half
    with av.open(str(tmp_path / "alpha.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "bgra"
        for _ in range(16):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format="bgra")))
        container.mux(stream.encode(None))
    rgb = next(read_frames(tmp_path / "alpha.mkv")).rgb
    assert rgb[:16].max() == 0
    assert np.array_equal(np.unique(rgb[16:].reshape(-1, 3), axis=0), [[200, 0, 0]])


def test_a_change_of_size_in_mid_file_keeps_the_first_size(tmp_path: Path) -> None:
    parts = [
        write_video(tmp_path / f"{i}.ts", range(20 * i, 20 * i + 20), size=size)
        for i, size in enumerate([(160, 120), (320, 240)])
    ]
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames = list(read_frames(path))
    assert {frame.rgb.shape for frame in frames} == {(120, 160, 3)}
    assert [frame.index for frame in frames] == list(range(40))
    assert all(number_in(frame.rgb) == frame.index for frame in frames if not frame.damaged)
    damaged = [frame.index for frame in frames if frame.damaged]  # the transport stream's counters jump at the joint
    assert set(damaged) <= {18, 19, 20, 21, 22, 23}
    assert probe_video(path).timeline_frames == 40


def end_to_end(path: Path, *parts: Path) -> Path:
    """Streams one after the other, as a call's recording has them."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def test_a_rotation_that_changes_in_mid_stream_begins_a_part(tmp_path: Path) -> None:
    upright = quarters(tmp_path / "upright.mp4")
    turns = {"a": "0", "b": "90", "c": "0"}
    for name, angle in turns.items():
        turned = f"h264_metadata=display_orientation=insert:rotate={angle}"
        ffmpeg("-i", upright, "-c", "copy", "-bsf:v", f"h264_mp4toannexb,{turned}", tmp_path / f"{name}.h264")
    path = end_to_end(tmp_path / "call.h264", *(tmp_path / f"{name}.h264" for name in turns))
    frames = list(read_frames(path))
    assert [frame.part for frame in frames] == [0] * 16 + [1] * 16 + [2] * 16
    assert {frame.rgb.shape for frame in frames[:16] + frames[32:]} == {(48, 64, 3)}
    assert {frame.rgb.shape for frame in frames[16:32]} == {(64, 48, 3)}
    assert [corners(frames[k].rgb) for k in (5, 20, 40)] == ["RGBW", "GWRB", "RGBW"]


@pytest.mark.parametrize("suffix", [".h264", ".mpg"])
def test_another_shape_of_the_picture_begins_a_part_and_is_not_squeezed(tmp_path: Path, suffix: str) -> None:
    codec = {".h264": "libx264", ".mpg": "mpeg2video"}[suffix]
    sizes = [(160, 120), (120, 160), (120, 160), (160, 90)]
    parts = [
        write_video(tmp_path / f"{i}{suffix}", range(16 * i, 16 * i + 16), size=size, codec=codec)
        for i, size in enumerate(sizes)
    ]
    frames = list(read_frames(end_to_end(tmp_path / f"call{suffix}", *parts)))
    good = [frame for frame in frames if not frame.damaged]
    assert len(good) >= 61  # MPEG-2's decoder drops the frame that it holds where the size changes
    for frame in good:
        number = number_in(frame.rgb)
        assert frame.part == [0, 1, 1, 2][number // 16]
        assert frame.rgb.shape == (*sizes[number // 16][::-1], 3)
    assert [number_in(frame.rgb) for frame in good] == sorted(number_in(frame.rgb) for frame in good)


# ---------------------------------------------------------------- odd and broken files


def test_a_gif_is_a_video(tmp_path: Path) -> None:
    ffmpeg("-i", write_video(tmp_path / "a.mp4", range(24), fps=12), tmp_path / "a.gif")
    info = probe_video(tmp_path / "a.gif")
    assert (info.codec, info.n_frames) == ("gif", 24)
    shown = numbers(tmp_path / "a.gif")
    assert len(shown) == info.timeline_frames
    assert sorted(set(shown)) == list(range(24))


def test_names_may_hold_spaces_letters_of_any_script_colons_and_percent_signs(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", range(16)).rename(tmp_path / "手話 été: 100%d?#.mp4")
    assert numbers(path) == list(range(16))
    assert probe_video(str(path)).n_frames == 16


def test_a_video_truncated_after_its_index_gives_the_existing_part(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", range(100), options={"crf": "1"}, gop=10)
    ffmpeg("-i", path, "-c", "copy", "-movflags", "+faststart", tmp_path / "fast.mp4")
    whole = (tmp_path / "fast.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    shown = numbers(tmp_path / "cut.mp4")
    assert 16 < len(shown) < 100
    assert shown[:-1] == list(range(len(shown) - 1))
    assert abs(probe_video(tmp_path / "cut.mp4").timeline_frames - len(shown)) <= 4


def spoil(path: Path, share: float, how: str) -> Path:
    """Damage 200 bytes at a share of a file."""
    data = bytearray(path.read_bytes())
    at = int(share * len(data))
    data[at : at + 200] = {"zeros": bytes(200), "noise": np.random.default_rng(0).bytes(200), "a hole": b""}[how]
    path.write_bytes(data)
    return path


# Not every damage is to be seen: VP8 and VP9 have no check sums, and where Matroska skips to its next cluster without a
# damaged frame there is only a gap in time, as a camera's pause makes one (a.mkv at 0.5).
@pytest.mark.parametrize(
    ("name", "how", "share"),
    [
        *(("a.mkv", how, share) for how in ("zeros", "a hole") for share in (0.35, 0.65)),
        *((name, how, share) for name, how in (("a.mp4", "noise"), ("a.ts", "zeros")) for share in (0.35, 0.5, 0.65)),
        ("a.ts", "a hole", 0.5),
    ],
)
def test_damage_in_mid_file_marks_every_affected_frame_and_at_most_its_groups(
    tmp_path: Path, name: str, how: str, share: float
) -> None:
    path = write_video(tmp_path / name, range(100), options={"crf": "10", "bf": "2"}, gop=10)
    whole = [frame.rgb.astype(int) for frame in read_frames(path)]
    frames = list(read_frames(spoil(path, share, how)))
    assert [frame.index for frame in frames] == list(range(100))
    for frame in frames:
        if not frame.damaged:
            assert np.abs(frame.rgb - whole[frame.index]).max() <= 8, f"frame {frame.index} is wrong and not marked"
    damaged = [frame.index for frame in frames if frame.damaged]
    assert damaged == sorted(damaged)
    assert len(damaged) <= 25
    assert probe_video(path).timeline_frames == 100
    again = [(f.index, f.time_s, f.damaged) for f in read_frames(path)]
    assert again == [(f.index, f.time_s, f.damaged) for f in frames], "pose and crop see the same"


def test_a_whole_file_has_no_damage(tmp_path: Path) -> None:
    for name, codec in {"a.mp4": "libx264", "b.webm": "libvpx", "c.avi": "mpeg4", "d.ts": "libx264"}.items():
        options = {"deadline": "realtime", "auto-alt-ref": "1", "lag-in-frames": "10"} if codec == "libvpx" else {}
        frames = list(read_frames(write_video(tmp_path / name, range(60), codec=codec, gop=10, options=options)))
        assert not any(frame.damaged for frame in frames), name


# ---------------------------------------------------------------- bounds


def claims_to_be(side: int, folder: Path) -> Path:
    """A GIF of 32 × 32 pixels whose header says side × side."""
    path = folder / "bomb.gif"
    ffmpeg("-f", "lavfi", "-i", "testsrc=size=32x32:rate=10:duration=3", path)
    data = path.read_bytes()
    path.write_bytes(data[:6] + struct.pack("<HH", side, side) + data[10:])
    return path


def claims_ten_million_frames(folder: Path) -> Path:
    """An MP4 of 40 frames whose tables say 10,000,000 frames of 100 bytes."""
    path = write_video(folder / "many.mp4", range(40))
    data = bytearray(path.read_bytes())
    many = struct.pack(">I", 10**7)
    for box, offset, values in ((b"stsz", 4, struct.pack(">I", 100) + many), (b"stts", 8, many), (b"stsc", 12, many)):
        at = data.rindex(box) + len(box) + offset
        data[at : at + len(values)] = values
    path.write_bytes(data)
    return path


def thousand_per_second(folder: Path) -> Path:
    return write_video(folder / "fast.mkv", range(64), fps=1000, times=[k / 1000 for k in range(64)])


def five_hours(folder: Path) -> Path:
    """A frame a minute."""
    return write_video(folder / "long.mkv", range(300), times=[59.0 * k for k in range(300)], size=(32, 32))


def retimed(path: Path, time_ms: Callable[[int], int]) -> Path:
    """A Matroska video whose frame k is at time_ms(k) after its cluster."""
    blocks = re.compile(rb"(\xa3(?:[\x81-\xff]|[\x40-\x7f].)\x81)(..)(?=[\x00\x80])", re.DOTALL)
    number = iter(range(1000))
    data = blocks.sub(lambda m: m[1] + struct.pack(">h", time_ms(next(number))), path.read_bytes())
    assert next(number) == 40, "the pattern finds the frames"
    path.write_bytes(data)
    return path


def timed_backwards(folder: Path) -> Path:
    return retimed(write_video(folder / "back.mkv", range(40), gop=1, size=(48, 32)), lambda k: 400 - 10 * k)


def timed_alike(folder: Path) -> Path:
    return retimed(write_video(folder / "alike.mkv", range(40), gop=1, size=(48, 32)), lambda _: 0)


@pytest.mark.parametrize(
    ("make", "reason", "said"),
    [
        (partial(claims_to_be, 12000), "too_large", "12000×12000 pixels, at most 33177600"),
        (partial(claims_to_be, 16384), "undecodable", "no frame of its gif stream decodes"),  # FFmpeg's own limit
        (claims_ten_million_frames, "too_long", "10000000 frames by its header"),
        (thousand_per_second, "broken_clock", "1000 frames a second, at most 300"),
        (timed_backwards, "broken_clock", "timed no later than one before"),
        (timed_alike, "broken_clock", "38 of 40 frames"),
        (five_hours, "too_long", r"cut it into spans \(start, end\) in the sheet"),
    ],
)
def test_files_that_would_take_unbounded_time_or_memory_are_refused(
    tmp_path: Path, make: Callable[[Path], Path], reason: str, said: str
) -> None:
    with pytest.raises(VideoError, match=said) as caught:
        probe_video(make(tmp_path))
    assert caught.value.reason == reason


def test_times_below_zero_count_from_the_first_frame(tmp_path: Path) -> None:
    path = retimed(write_video(tmp_path / "below.mkv", range(40), size=(48, 32)), lambda k: 40 * k - 800)
    assert numbers(path) == list(range(40))
    assert probe_video(path).timeline_frames == 40


def test_a_span_of_a_long_video_is_read(tmp_path: Path) -> None:
    assert probe_video(five_hours(tmp_path), 7200.0, 7320.0).timeline_frames == 3000


def test_an_mp4_without_its_index_is_not_a_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", range(40))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(VideoError, match=r"not_a_video: .*moov.*cut off"):
        probe_video(path)


def audio_only(path: Path) -> Path:
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", path)
    return path


def text(path: Path, content: str = "no video at all\n" * 100) -> Path:
    path.write_text(content)
    return path


@pytest.mark.parametrize(
    ("make", "reason", "said"),
    [
        (lambda d: d / "nowhere.mp4", "missing_file", "correct its path"),
        (lambda d: text(d / "empty.mp4", ""), "empty_file", "zero bytes"),
        (lambda d: text(d / "text.mp4"), "not_a_video", "no demuxer"),
        (lambda d: text(d / "list.mp4", "#EXTM3U\n#EXTINF:1,\na.ts\n"), "not_a_video", "no demuxer"),
        (lambda d: text(d / "list2.mp4", "ffconcat version 1.0\nfile /etc/hostname\n"), "not_a_video", "no demuxer"),
        (lambda d: d, "not_a_video", "folder"),
        (lambda d: audio_only(d / "voice.m4a"), "no_video_stream", "audio"),
        (lambda d: audio_only(d / "voice.wav").rename(d / "voice.mp4"), "no_video_stream", "audio"),
    ],
)  # fmt: skip
def test_an_unusable_video_has_a_reason(tmp_path: Path, make: object, reason: str, said: str) -> None:
    path = make(tmp_path)  # type: ignore[operator]
    with pytest.raises(VideoError) as caught:
        probe_video(path)
    assert caught.value.reason == reason
    assert said in caught.value.detail
    assert str(path) in caught.value.detail


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"not_a_video: '.*a\\udcff\.mp4': tables cannot hold"):
        probe_video(tmp_path / os.fsdecode(b"a\xff.mp4"))


def test_a_device_is_not_a_video(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(VideoError, match="not_a_video"):
        probe_video(tmp_path / "pipe.mp4")


def test_a_stream_of_rubbish_is_undecodable(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", range(40), gop=40)
    data = bytearray(path.read_bytes())
    begin = data.index(b"\x1f\x43\xb6\x75") + 16  # the first cluster of frames
    rng = np.random.default_rng(0)
    data[begin + 20 :] = rng.integers(0, 256, len(data) - begin - 20, dtype=np.uint8).tobytes()
    path.write_bytes(data)
    with pytest.raises(VideoError, match="undecodable"):
        list(read_frames(path))
    with pytest.raises(VideoError, match="undecodable"):
        probe_video(path)


def test_a_file_is_probed(forty: Path) -> None:
    info = probe_video(forty)
    assert (info.width, info.height, info.n_frames, info.timeline_frames) == (160, 120, 40, 40)
    assert (info.codec, info.rotation, info.vfr) == ("h264", 0, False)
    assert info.fps == pytest.approx(25)
    assert info.duration_s == pytest.approx(1.6)
    assert len(info.sha256) == 64
    assert probe_video(forty, 0.4, 1.2).n_frames == 20


def test_probe_counts_the_frames_that_are_read(tmp_path: Path) -> None:
    for name, options in {"a.mp4": {"bf": "3"}, "b.mkv": {}, "c.avi": {}, "d.ts": {"bf": "2"}}.items():
        codec = "mpeg4" if name == "c.avi" else "libx264"
        path = write_video(tmp_path / name, range(50), fps=30, codec=codec, options=options)
        assert probe_video(path).timeline_frames == len(numbers(path)), name


def test_an_abandoned_reader_closes_its_file(forty: Path) -> None:
    def open_files() -> int:
        return sum(
            os.readlink(f"/proc/self/fd/{fd}") == str(forty)
            for fd in os.listdir("/proc/self/fd")
            if os.path.exists(f"/proc/self/fd/{fd}")
        )

    frames = read_frames(forty)
    assert isinstance(next(frames), Frame)
    assert open_files() == 1
    frames.close()  # type: ignore[attr-defined]
    assert open_files() == 0


def check_timeline(clips: Path, expected: dict[str, int]) -> None:
    """Each clip's frames on the common timeline, by its header and read."""
    for name, n_frames in expected.items():
        info = probe_video(clips / name)
        assert info.timeline_frames == n_frames, name
        assert abs(info.duration_s * 25 - n_frames) < 1, name
        assert len(list(read_frames(clips / name))) == n_frames, name


def test_the_real_clips_are_read_completely(clips: Path) -> None:
    check_timeline(clips, {"asl_milk_B.mkv": 43, "asl_walk_C.mkv": 75, "robust_no_person_cars.mp4": 76})


def test_the_eighteen_clips_are_read_completely(all_clips: Path) -> None:
    check_timeline(all_clips, {"asl_book_C.mkv": 91, "asl_brother_A.mkv": 55, "robust_two_people_walking.gif": 73,
                               "robust_no_person_cars.mp4": 754})  # fmt: skip
    assert probe_video(all_clips / "asl_brother_A.mkv").vfr  # a dropped frame


def test_paint_and_read_agree() -> None:
    assert [number_in(paint(number)) for number in range(256)] == list(range(256))
