"""Image folders are read like videos."""

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from signrep_core.errors import VideoError
from signrep_core.sources.sheet import Row
from signrep_core.store.schemas import POSE
from signrep_core.store.tables import TableWriter
from signrep_core.video.probe import probe_shard
from signrep_core.video.reader import probe_video, read_frames
from tests.video.painted import crop_videos, number_in, paint, pose_of, videos_of, write_pictures, write_video


def numbers(folder: Path, *arguments: float | None, fps: float = 25) -> list[int]:
    return [number_in(frame.rgb) for frame in read_frames(folder, *arguments, folder_fps=fps)]


@pytest.mark.parametrize("name", ["images{:04d}.png", "{}.jpg", "frame-{}.JPEG"])
def test_images_come_in_the_order_of_their_numbers(tmp_path: Path, name: str) -> None:
    folder = write_pictures(tmp_path / "v", 12, name)
    (folder / "Thumbs.db").touch()
    (folder / "._images0001.png").touch()
    assert numbers(folder) == list(range(12))


def test_a_folder_has_the_timeline_of_a_video_with_the_same_frames(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "v", 30)
    for fps in (25, 30, 23.976, 50):
        video = write_video(tmp_path / "v.mp4", range(30), fps=fps)
        for arguments in [(25,), (None,), (25, 0.2, 0.8), (25, 0.5)]:
            expected = list(read_frames(video, *arguments))
            found = list(read_frames(folder, *arguments, folder_fps=fps))
            assert [number_in(f.rgb) for f in found] == [number_in(f.rgb) for f in expected], (fps, arguments)
            assert [f.index for f in found] == list(range(len(found)))
            if arguments[0] is not None:
                assert [f.time_s for f in found] == [f.time_s for f in expected]


def test_frames_are_the_files_pixels_and_read_only(tmp_path: Path) -> None:
    (frame, *_) = read_frames(write_pictures(tmp_path / "v", 2), folder_fps=25)
    np.testing.assert_array_equal(frame.rgb, paint(0))
    assert not frame.rgb.flags.writeable


def test_a_folder_is_probed(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "v", 30)
    info = probe_video(folder, folder_fps=30)
    assert (info.width, info.height, info.fps, info.n_frames, info.timeline_frames) == (160, 120, 30, 30, 25)
    assert (info.duration_s, info.codec, info.rotation, info.vfr) == (1, "png", 0, False)


def test_the_digest_depends_on_names_and_bytes(tmp_path: Path) -> None:
    one, same, other = (write_pictures(tmp_path / name, 16) for name in ("a", "b", "c"))
    cv2.imwrite(str(other / "images0016.png"), paint(99))
    digests = [probe_video(folder, folder_fps=25).sha256 for folder in (one, same, other)]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("n", "fps", "reason", "said"),
    [
        (0, 25, "not_a_video", "a folder without images"),
        (20, None, "no_duration", "give it in the sheet"),
    ],
)
def test_a_folder_that_is_no_video_has_a_reason(
    tmp_path: Path, n: int, fps: float | None, reason: str, said: str
) -> None:
    with pytest.raises(VideoError, match=said) as caught:
        probe_video(write_pictures(tmp_path / "v", n), folder_fps=fps)
    assert caught.value.reason == reason


def test_a_span_beyond_the_images_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"empty_span: .*no frame between 2\.0 s and 3\.0 s"):
        list(read_frames(write_pictures(tmp_path / "v", 20), 25, 2.0, 3.0, folder_fps=25))


def test_a_damaged_image_repeats_the_one_before_and_is_logged(tmp_path: Path, caplog) -> None:
    folder = write_pictures(tmp_path / "v", 5)
    (folder / "images0003.png").write_bytes((folder / "images0003.png").read_bytes()[:200])  # cut off
    caplog.set_level(logging.WARNING)
    assert numbers(folder) == [0, 1, 1, 3, 4]
    assert "images0003.png: cannot be decoded" in caplog.text
    (folder / "images0001.png").write_bytes(b"")
    frames = list(read_frames(folder, folder_fps=25))
    assert [(number_in(frame.rgb), frame.damaged) for frame in frames[:3]] == [(1, True), (1, False), (1, True)]
    for name in range(1, 6):
        (folder / f"images000{name}.png").write_bytes(b"no picture")
    with pytest.raises(VideoError, match=r"undecodable: .*none of its images can be decoded"):
        numbers(folder)


def test_a_missing_image_is_a_damaged_frame_and_later_ones_keep_their_time(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "v", 40, "{}.png")
    for number in (11, 12, 31):
        (folder / f"{number}.png").unlink()
    frames = list(read_frames(folder, folder_fps=25))
    assert [f.index for f in frames if f.damaged] == [10, 11, 30]
    assert [number_in(f.rgb) for f in frames if not f.damaged] == [k for k in range(40) if k not in (10, 11, 30)]
    assert [f.time_s for f in frames] == [k / 25 for k in range(40)]
    info = probe_video(folder, folder_fps=25)
    assert (info.timeline_frames, info.duration_s, info.fps, info.vfr) == (40, 1.6, 25, False)
    videos = probe_shard([Row("v", str(folder), fps=25)], threads=1)
    assert videos["detail"] == ["3 of 40 images are missing, the first is number 11"]


def test_a_span_of_a_folder_counts_missing_images(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "v", 60, "{}.png")
    for number in range(2, 12):
        (folder / f"{number}.png").unlink()
    assert numbers(folder, 25, 1.0, 2.0) == list(range(25, 50))


def test_the_same_frames_in_two_formats_are_shown_once(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "v", 20)
    for picture in sorted(folder.glob("*.png")):
        cv2.imwrite(str(picture.with_suffix(".jpg")), cv2.imread(str(picture)))
    assert numbers(folder) == list(range(20))
    videos = probe_shard([Row("v", str(folder), fps=25)], threads=1)
    assert "frames in two formats: 20 jpeg left out" in videos["detail"][0]


def test_doubles_and_a_folder_of_folders_say_what_to_do(tmp_path: Path) -> None:
    outer = tmp_path / "v"
    outer.mkdir()
    folder = write_pictures(outer / "1", 20)
    (folder / "images0001 (copy).png").write_bytes((folder / "images0001.png").read_bytes())
    with pytest.raises(VideoError, match=r"not_a_video: .* 2 images have the number 1: images0001 \(copy\)\.png and"):
        numbers(folder)
    with pytest.raises(VideoError, match=r"a folder without images .*; its folder 1 holds some: give that one"):
        numbers(outer)


def test_images_of_another_shape_begin_a_part_and_of_another_size_get_the_first(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "v", 64)
    sizes = [(160, 120), (320, 240), (120, 160), (160, 120)]  # of 16 images each
    for number in range(16, 64):
        cv2.imwrite(str(folder / f"images{number + 1:04d}.png"), paint(number, *sizes[number // 16])[..., ::-1])
    frames = list(read_frames(folder, folder_fps=25))
    assert [frame.part for frame in frames] == [0] * 32 + [1] * 16 + [2] * 16
    assert [frame.rgb.shape[1::-1] for frame in frames] == [(160, 120)] * 32 + [(120, 160)] * 16 + [(160, 120)] * 16
    assert [number_in(frame.rgb) for frame in frames] == list(range(64))
    span = list(read_frames(folder, start=1.28, folder_fps=25))
    assert [(frame.part, number_in(frame.rgb)) for frame in span[:2]] == [(0, 32), (0, 33)]
    (folder / "images0033.png").write_bytes(b"")
    damaged = list(read_frames(folder, folder_fps=25))[32]
    assert (damaged.damaged, damaged.part, damaged.rgb.shape) == (True, 0, (120, 160, 3))


@pytest.mark.parametrize("suffix", [".bmp", ".webp", ".tif", ".jpe"])
def test_other_formats_are_read(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "v").mkdir()
    for number in range(3):
        encoded = cv2.imencode(".jpg" if suffix == ".jpe" else suffix, paint(number)[..., ::-1])[1]
        (tmp_path / "v" / f"{number}{suffix}").write_bytes(encoded.tobytes())
    assert numbers(tmp_path / "v") == [0, 1, 2]


def test_what_is_no_file_is_no_image(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "v", 20)
    (folder / "images0021.png").mkdir()
    (folder / "images0004.png").unlink()
    (folder / "images0004.png").symlink_to(tmp_path / "nowhere.png")
    assert [f.index for f in read_frames(folder, folder_fps=25) if f.damaged] == [3]


def test_a_folder_is_cropped_frame_by_frame(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "v", 20)
    with TableWriter(tmp_path / "pose.parquet", POSE) as writer:
        writer.write(pose_of("v", [True] * 20))
    result = crop_videos(videos_of({"v": folder}), tmp_path / "pose.parquet", tmp_path / "out.mp4")
    assert result.rejected == {}
    (x0,), (y0,), (side,) = (result.crops[name] for name in ("x0", "y0", "side"))
    crops = list(read_frames(tmp_path / "out.mp4"))
    assert [number_in(frame.rgb, (x0, y0, side)) for frame in crops] == list(range(20))
