"""Crops of video files without pose: the middle square, or the square around a box."""

from pathlib import Path

import numpy as np
import pytest

from signrep_core.errors import ConfigError
from signrep_core.video.crop_file import crop_frames, video_file_window
from signrep_core.video.reader import Frame
from tests.video.painted import write_video


def frame(width: int = 30, height: int = 20) -> Frame:
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[..., 0], rgb[..., 1] = np.arange(width), np.arange(height)[:, None]
    return Frame(0, 0.0, rgb)


def test_the_crop_is_the_middle_square_or_the_square_around_the_box() -> None:
    (middle,) = crop_frames([frame()], None)
    assert middle.shape == (256, 256, 3)
    assert (middle[128, 0, 0], middle[128, -1, 0], middle[0, 0, 1], middle[-1, 0, 1]) == (5, 24, 0, 19)
    (boxed,) = crop_frames([frame()], (10, 5, 14, 13))  # 4 wide, 8 high: the square goes from x 8 to 16
    assert (boxed[128, 0, 0], boxed[128, -1, 0], boxed[0, 128, 1], boxed[-1, 128, 1]) == (8, 15, 5, 12)
    with pytest.raises(ConfigError, match=r"the box 30,0,40,10 lies outside the frame of 30×20 pixels"):
        list(crop_frames([frame()], (30, 0, 40, 10)))


def test_a_window_holds_its_16_frames_and_fewer_at_the_end(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "v.mp4", range(20)))
    whole = video_file_window(path, 2)
    assert whole.shape == (16, 256, 256, 3)
    assert np.array_equal(video_file_window(path, 8), np.concatenate([whole[6:], video_file_window(path, 18)]))
