"""Regions and decisions against streams recorded from MediaPipe's own graph, and by hand."""

import numpy as np
import pytest

from signrep_core.pose import graph
from signrep_core.pose.networks import DetectorOutput
from tests.pose.record_streams import STREAMS


@pytest.fixture(scope="module")
def streams() -> dict[str, np.ndarray]:
    return {key: values.astype(float) for key, values in np.load(STREAMS).items()}


def check_regions(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Agree to 0.02 px, and in the angle up to whole turns."""
    known = ~np.isnan(theirs[..., 0])
    assert known.any()
    gap = ours[known] - theirs[known]
    gap[..., 3] = (gap[..., 3] + np.pi) % (2 * np.pi) - np.pi
    np.testing.assert_allclose(gap, 0, atol=0.02)


def test_the_next_region_of_the_pose_is_mediapipes(streams: dict[str, np.ndarray]) -> None:
    check_regions(graph.next_person_region(streams["auxiliary"]), streams["next_region"])


def test_the_pose_gives_the_hands_the_regions_that_mediapipe_gives(streams: dict[str, np.ndarray]) -> None:
    check_regions(graph.hand_regions(streams["body"]), streams["first"])


def test_the_decision_to_keep_a_hands_region_is_mediapipes(streams: dict[str, np.ndarray]) -> None:
    """In the recorded frames some regions are kept and some taken anew."""
    before, anew, theirs = streams["hands"][:-1].reshape(-1, 21, 3), streams["recropped"][1:], streams["region"][1:]
    anew, theirs = anew.reshape(-1, 4), theirs.reshape(-1, 4)
    known = ~np.isnan(anew[:, 0])
    ours, kept = graph.keep_regions(before[known], anew[known])
    check_regions(ours, theirs[known])
    np.testing.assert_array_equal(kept, np.abs(theirs - anew)[known].max(-1) > 1e-3)
    assert 3 < kept.sum() < len(kept) - 3


def test_a_recropped_region_is_above_the_wrist() -> None:
    """An upright axis of 20 pixels: a square of 40 around the wrist, turned by 180°, shifted up by a tenth of it."""
    regions = graph.recropped(np.array([[[100.0, 100.0], [100.0, 80.0]]]))
    np.testing.assert_allclose(regions, [[100, 104, 40, -np.pi]], atol=1e-9)


def test_a_hand_that_was_not_seen_before_gets_the_new_region() -> None:
    anew = np.array([[50.0, 60.0, 30.0, 0.1]])
    regions, kept = graph.keep_regions(np.full((1, 21, 3), np.nan), anew)
    np.testing.assert_array_equal(regions, anew)
    assert not kept[0]


def test_a_person_is_the_weighted_mean_of_overlapping_boxes() -> None:
    """Two equally sure boxes at one anchor, hips at x = 100 and 110 of 224, heads 50 above: the mean is 105.

    In a picture of 448 by 448 that is (210, 200); the side is 2 · 100 · 1.25.
    """
    logits, boxes = np.full((1, 2254), -100.0, np.float32), np.zeros((1, 2254, 12), np.float32)
    anchor = graph.anchors()[[0, 1]] * 224
    for k, x in enumerate((100.0, 110.0)):
        logits[0, k] = 3
        boxes[0, k, :4] = [100 - anchor[k, 0], 100 - anchor[k, 1], 80, 80]
        boxes[0, k, 4:8] = np.array([x, 100, x, 50]) - np.tile(anchor[k], 2)
    region = graph.person_region(DetectorOutput(boxes, logits), 0, 224, (448, 448))
    assert region is not None
    np.testing.assert_allclose(region, [210, 200, 250, 0], atol=1e-4)


def test_no_sure_person_is_none() -> None:
    output = DetectorOutput(np.zeros((1, 2254, 12), np.float32), np.full((1, 2254), -1, np.float32))
    assert graph.person_region(output, 0, 224, (100, 100)) is None
