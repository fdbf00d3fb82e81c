"""Regions of hands, by hand calculation."""

import numpy as np
import pytest

from signrep_core.pose.hand_regions import (
    blend_regions,
    carried_regions,
    forearm_regions,
    palm_lengths,
    similar,
)


def arms(right_hand: tuple[float, float]) -> np.ndarray:
    """(1, 33, 2) a pose whose right forearm points right, its wrist at (100, 100); the left one up, at (300, 100)."""
    pose = np.zeros((1, 33, 2))
    pose[0, [14, 16]] = (40, 100), (100, 100)
    pose[0, [18, 20]] = right_hand
    pose[0, [13, 15]] = (300, 160), (300, 100)
    pose[0, [17, 19]] = (300, 80)
    return pose


def test_the_forearms_region_begins_at_the_wrist() -> None:
    right, left = forearm_regions(arms((130, 100)), np.array([[100.0, 50.0]]))[0]
    np.testing.assert_allclose(right, [128, 100, 100, np.pi / 2])
    np.testing.assert_allclose(left, [300, 86, 50, 0], atol=1e-9)


def test_a_region_is_carried_along_with_its_forearm() -> None:
    """From a forearm that points up to one that points right: what was 10 px right of the wrist is 10 px below."""
    up, right = arms((130, 100)), arms((130, 100))
    up[0, 14] = (100, 160)
    regions = np.zeros((2, 2, 4))
    regions[0, 0] = (110, 60, 80, 0.1)
    carried = carried_regions(np.concatenate([up, right]), regions, np.array([[-1, -1], [0, -1]]))
    np.testing.assert_allclose(carried[1, 0], [140, 110, 80, 0.1 + np.pi / 2])
    assert np.isnan(carried[0]).all()
    assert np.isnan(carried[:, 1]).all()


def test_regions_blend_by_the_shorter_way_round() -> None:
    a, b = np.array([0, 0, 10, np.radians(170)]), np.array([10, 20, 20, np.radians(-170)])
    np.testing.assert_allclose(blend_regions(a, b, np.array(0.5)), [5, 10, 15, np.radians(180)])


def test_a_palms_length_is_the_root_of_its_area() -> None:
    points = np.zeros((21, 3))
    points[[0, 5, 17]] = (0, 0, 0), (8, 0, 5), (0, 4, 9)
    assert palm_lengths(points) == pytest.approx(4)


@pytest.mark.parametrize(
    ("other", "same"),
    [((105, 0, 100, 0), True), ((107, 0, 100, 0), False), ((100, 0, 109, 0), False), ((100, 0, 100, 0.15), False)],
)
def test_similar_regions(other: tuple[float, ...], same: bool) -> None:
    assert similar(np.array(other, float), np.array([100.0, 0, 100, 2 * np.pi])) == same
