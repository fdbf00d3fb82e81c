"""Overlays and contact sheets of painted videos, whose frames show their number."""

import shutil
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from signrep_core.__main__ import main
from signrep_core.errors import TableError
from signrep_core.inspect.overlay import (
    HEIGHT,
    PANEL,
    TIMELINE,
    _encode,
    draw_joints,
    draw_skeleton,
    write_overlay,
    write_sheet,
)
from signrep_core.video.reader import read_frames
from tests.inspect.damaged import flip_page_byte
from tests.store.built import build_shard
from tests.video.painted import number_in


def frames_of(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_every_frame_is_next_to_its_skeleton(packed, tmp_path):
    assert write_overlay(packed.folder, "one run", tmp_path / "o.mp4") == 40
    frames = frames_of(tmp_path / "o.mp4")
    assert len(frames) == 40
    width = HEIGHT * 160 // 120
    assert frames[0].shape == (HEIGHT + TIMELINE, width + 2 * PANEL, 3)
    assert [number_in(frame[:HEIGHT, :width]) for frame in frames] == list(range(40))


def test_a_part_of_the_beginning_can_be_shown(packed, tmp_path):
    assert write_overlay(packed.folder, "two runs", tmp_path / "o.mp4", seconds=1.0) == 25


def test_a_sheet_has_every_sequence_of_the_shard(packed, tmp_path):
    assert write_sheet(packed.folder, "00000", tmp_path / "s.jpg", columns=2) == 3
    assert cv2.imread(str(tmp_path / "s.jpg")).shape[1] == 2 * 256
    with pytest.raises(TableError, match="holds no sequence, so there is nothing to show"):
        write_sheet(packed.folder, "00001", tmp_path / "empty.jpg")


@pytest.fixture
def folders(tmp_path):
    """A results folder whose videos are image folders of 50 frames a second."""
    return build_shard(tmp_path / "results", {"one": [True] * 20, "gone": [True] * 20}, images=True).folder


def test_an_image_folder_is_shown_at_the_rate_of_the_sheet(folders, tmp_path):
    assert write_overlay(folders, "one", tmp_path / "o.mp4") == 20
    frames = frames_of(tmp_path / "o.mp4")
    width = HEIGHT * 160 // 120
    assert [number_in(frame[:HEIGHT, :width]) for frame in frames] == list(range(0, 40, 2))


def test_a_sheet_goes_on_after_a_source_that_is_gone(folders, tmp_path, caplog):
    shutil.rmtree(folders / "sources/00000 gone")
    assert write_sheet(folders, "00000", tmp_path / "s.jpg", columns=2) == 2
    sheet = cv2.imread(str(tmp_path / "s.jpg")).astype(int)
    assert np.ptp(sheet[:256, :256]) > 100
    assert np.ptp(sheet[40:256, 264:504]) < 16  # grey
    assert "gone: an image of the sheet stays grey: missing_file" in caplog.text


def test_a_video_without_poses_says_why(packed, tmp_path):
    with pytest.raises(TableError, match=r"too brief: rejected as .*it has no poses"):
        write_overlay(packed.folder, "too brief", tmp_path / "o.mp4")
    with pytest.raises(TableError, match=r"none of its 2 shards holds a video 'nosuch'; give an id of the sheet"):
        write_overlay(packed.folder, "nosuch", tmp_path / "o.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_page_is_one_message(packed, tmp_path, capsys):
    results = shutil.copytree(packed.folder, tmp_path / "results")
    flip_page_byte(results / "pose/00000.parquet", "image_xy")
    out = tmp_path / "o.mp4"
    assert main(["overlay", "one run", "--results", str(results), "--out", str(out)]) == 2
    assert "pose/00000.parquet" in (said := capsys.readouterr().err)
    assert "snakemake --forcerun extract_pose" in said
    assert not out.exists()


def test_joints_that_were_not_detected_are_not_drawn():
    picture = np.zeros((100, 100, 3), np.uint8)
    xy, confidence = np.full((61, 2), np.nan), np.zeros(61)
    xy[0], xy[1] = (20, 20), (80, 80)
    confidence[0] = 1
    draw_joints(picture, xy, confidence)
    assert not picture.any()
    confidence[1] = 0.5
    draw_joints(picture, xy, confidence)
    assert picture[50, 50].any()
    assert not picture[20, 80].any()


def test_the_side_view_puts_the_camera_on_the_left():
    keypoints = np.zeros((61, 3))
    keypoints[19:40, 2] = -0.3  # the right hand, in front of the body
    drawn = draw_skeleton(keypoints, np.ones(61), 2, "side")[30:]
    paper = drawn[0, 0]
    columns = np.flatnonzero((drawn != paper).any(-1).any(0))
    assert columns.min() < PANEL // 2 - 50


def test_the_command_names_what_to_give(capsys):
    assert main(["overlay", "--out", "x.mp4"]) == 2
    assert "give a video file, or an id with --results, or --shard with --results" in capsys.readouterr().err


@pytest.mark.slow
def test_a_video_file_without_results_goes_through_the_stages_first(clips, tmp_path):
    out = tmp_path / "o.mp4"
    assert main(["overlay", str(clips / "asl_milk_B.mkv"), "--seconds", "0.4", "--out", str(out)]) == 0
    frames = frames_of(out)
    assert len(frames) == 10
    picture = frames[0][:HEIGHT, : HEIGHT * 640 // 480].astype(int).mean(-1)
    edges = (picture[1:-1] - np.minimum(picture[:-2], picture[2:]) > 60).sum(1)
    assert edges.max() > 250  # a white line amid dark ones: the crop's square


def test_a_picture_of_another_shape_is_fitted_with_black_borders(tmp_path: Path) -> None:
    pictures = [np.full((64, 96, 3), 200, np.uint8)] * 3 + [np.full((96, 64, 3), 200, np.uint8)] * 3
    assert _encode(iter(pictures), tmp_path / "out.mp4", 25) == 6
    shown = [frame.rgb for frame in read_frames(tmp_path / "out.mp4")]
    assert all(rgb.shape == (64, 96, 3) for rgb in shown)
    assert shown[0][32, 90].min() > 190
    assert shown[5][32, 20].min() > 190
    assert shown[5][32, 90].max() < 10  # a third as wide as before: 43 columns
