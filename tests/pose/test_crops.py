"""Rotated crops and the way back, against OpenCV's perspective warp (MediaPipe's own) and by hand."""

import cv2
import numpy as np
import pytest

from signrep_core.pose.crops import cut_crop, cut_crops, rotate, to_picture

PICTURE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


def test_an_upright_crop_of_the_same_size_is_the_slice() -> None:
    crop = cut_crop(PICTURE, np.array([30.0, 20.0, 16.0, 0.0]), 16)
    np.testing.assert_array_equal(crop, PICTURE[12:28, 22:38])


def test_a_quarter_turn_is_clockwise() -> None:
    """The crop's upper edge is the region's right one."""
    crop = cut_crop(PICTURE, np.array([30.0, 20.0, 16.0, np.pi / 2]), 16)
    np.testing.assert_array_equal(crop[1:, 1:], np.rot90(PICTURE[12:28, 22:38])[:-1, 1:][:, :])


def test_outside_the_picture_is_the_nearest_pixel_or_black() -> None:
    region = np.array([0.0, 0.0, 16.0, 0.0])
    assert (cut_crop(PICTURE, region, 16)[0, 0] == PICTURE[0, 0]).all()
    assert (cut_crop(PICTURE, region, 16, black=True)[0, 0] == 0).all()


@pytest.mark.parametrize("region", [(30, 20, 40, 0.3), (5, 40, 25, -2.0), (60, 10, 90, 1.2)])
def test_crops_are_those_of_the_perspective_warp_to_a_grey_level(region: tuple[float, ...]) -> None:
    """MediaPipe maps the corners of an OpenCV RotatedRect to the crop's."""
    x, y, side, angle = region
    smooth = cv2.resize(PICTURE, (640, 480))
    corners = cv2.boxPoints(((x * 10, y * 10), (side * 10, side * 10), np.rad2deg(angle)))
    target = np.array([[0, 96], [0, 0], [96, 0], [96, 96]], np.float32)
    matrix = cv2.getPerspectiveTransform(corners, target)
    expected = cv2.warpPerspective(smooth, matrix, (96, 96), borderMode=cv2.BORDER_REPLICATE)
    ours = cut_crop(smooth, np.array([x * 10, y * 10, side * 10, angle]), 96)
    gap = np.abs(ours.astype(int) - expected)
    assert gap.max() <= 2
    assert (gap > 0).mean() < 0.05


def test_crops_of_pictures_of_several_sizes_come_in_their_order() -> None:
    other = np.full((20, 20, 3), 7, np.uint8)
    crops = cut_crops([PICTURE, other], np.array([[30, 20, 16, 0.0], [10, 10, 8, 0.4]]), 16)
    np.testing.assert_array_equal(crops[0], PICTURE[12:28, 22:38])
    assert (crops[1] == 7).all()
    assert cut_crops([], np.zeros((0, 4)), 16).shape == (0, 16, 16, 3)


def test_points_go_back_to_where_the_crop_was_cut() -> None:
    """The crop's centre is the region's; its upper right corner lies half a side right and up, turned by 90°."""
    points = np.array([[[8.0, 8.0, 4.0], [16.0, 0.0, 0.0]]])
    placed = to_picture(points, np.array([[30.0, 20.0, 32.0, np.pi / 2]]), 16)
    np.testing.assert_allclose(placed, [[[30, 20, 8], [46, 36, 0]]])
    assert points[0, 1].tolist() == [16, 0, 0], "the argument is left as it was"


def test_rotation_leaves_a_third_coordinate() -> None:
    np.testing.assert_allclose(rotate(np.array([[[1.0, 0.0, 5.0]]]), np.array([np.pi / 2])), [[[0, 1, 5]]], atol=1e-12)
