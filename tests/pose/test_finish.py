"""Finishing a stretch of sightings."""

import numpy as np
import pytest

from signrep_core.pose.body_track import Body
from signrep_core.pose.finish import MAX_GAP, finish, hand_confidence, label_gaps
from signrep_core.pose.follow import Sighting
from signrep_core.pose.hands import Hands
from signrep_core.skeleton import MEDIAPIPE_POSE, SHOULDERS, WRISTS
from signrep_core.store.schemas import INTERPOLATED, MISSING, OUTSIDE, RECOVERED, SEEN
from signrep_core.video.reader import Frame

NO_RGB = np.empty((0, 0, 3), np.uint8)


def sighting(t: int, x: float | None, visibility: float = 0.9, hand: float | None = None) -> Sighting:
    """A body 100 px wide at x, and its right hand at `hand`."""
    body = None
    if x is not None:
        points = np.zeros((33, 3))
        points[:, 0] = x
        points[12, 0], points[11, 0] = x - 50, x + 50
        body = Body(points, np.full(33, visibility), np.zeros((33, 3)), on_face=True)
    hands = np.full((1, 2, 21, 3), np.nan)
    odds = np.full((1, 2), -np.inf)
    if hand is not None:
        hands[0, 0], odds[0, 0] = hand, 4.0
    states = np.array([[SEEN if hand is not None else MISSING, OUTSIDE]])
    return Sighting(Frame(t, t / 25, NO_RGB), (480, 640), body, False, Hands(hands, odds, states))


def labels(text: str) -> np.ndarray:
    """(T, 1) states of the letters s, r, o and of spaces."""
    names = {"s": SEEN, "r": RECOVERED, "o": OUTSIDE, " ": MISSING, "i": INTERPOLATED}
    return np.array([[names[letter]] for letter in text])


@pytest.mark.parametrize(
    ("states", "labelled"),
    [
        ("s     s", "siiiiis"),
        ("s      s", "s      s"),
        ("r s", "ris"),
        ("  s  ", "  s  "),
        ("s o s", "s o s"),
        ("ss", "ss"),
        ("   ", "   "),
    ],
)
def test_short_gaps_between_detections_are_interpolated(states: str, labelled: str) -> None:
    assert MAX_GAP == 5
    np.testing.assert_array_equal(label_gaps(labels(states)), labels(labelled))


def test_the_confidence_rises_with_the_odds() -> None:
    odds = np.array([[-np.inf, -4.0], [0.3, 3.0], [8.0, 1e6]])
    confidence = hand_confidence(odds)
    assert confidence[0, 0] == 0
    assert confidence[1, 0] == pytest.approx(0.5)
    assert (np.diff(confidence.ravel()) > 0).sum() >= 4
    assert confidence.max() <= 1


def test_a_still_signer_is_written_down_as_seen() -> None:
    finished = finish([sighting(t, 300.0, hand=250.0) for t in range(10)])
    assert finished.present.all()
    seen = finished.detections
    width = seen.body_xy[:, SHOULDERS[1], 0] - seen.body_xy[:, SHOULDERS[0], 0]
    np.testing.assert_allclose(width, 100)
    np.testing.assert_allclose(seen.visibility, 0.9)
    np.testing.assert_allclose(seen.hand_xyz[:, 0], 250)
    assert np.isnan(seen.hand_xyz[:, 1]).all()
    assert (seen.hand_presence[:, 1] == 0).all()
    assert seen.body_xy.shape == (10, len(MEDIAPIPE_POSE), 2)
    assert finished.hand_states.tolist() == [[SEEN, OUTSIDE]] * 10


def test_a_found_hand_moves_the_bodys_wrist_towards_its_own() -> None:
    """Six tenths of the way from the body's (300, 0) to the hand's (250, 250)."""
    seen = finish([sighting(t, 300.0, hand=250.0) for t in range(4)]).detections
    right, left = (seen.body_xy[:, wrist] for wrist in WRISTS)
    np.testing.assert_allclose(right, [(270, 150)] * 4)
    np.testing.assert_allclose(left, [(300, 0)] * 4)


def test_hidden_shoulders_are_no_signer() -> None:
    assert not finish([sighting(t, 300.0, visibility=0.3) for t in range(5)]).present.any()


def test_lost_frames_are_absent_and_smoothing_begins_anew_behind_them() -> None:
    places = [300.0] * 5 + [None] * 2 + [400.0] * 5
    finished = finish([sighting(t, x) for t, x in enumerate(places)])
    assert finished.present.tolist() == [x is not None for x in places]
    nose = finished.detections.body_xy[:, 8, 0]
    np.testing.assert_allclose(nose[:5], 300)
    np.testing.assert_allclose(nose[7:], 400)


def test_a_stretch_of_nobody_is_absent() -> None:
    finished = finish([sighting(t, None) for t in range(3)])
    assert not finished.present.any()
    assert np.isnan(finished.detections.body_xy).all()
    assert (finished.detections.visibility == 0).all()


def test_jitter_is_smoothed_and_a_movement_keeps_its_place() -> None:
    rng = np.random.default_rng(0)
    still = finish([sighting(t, 300 + jitter, hand=250 + jitter) for t, jitter in enumerate(rng.normal(0, 1, 60))])
    assert still.detections.body_xy[10:-10, 8, 0].std() < 0.5
    assert still.detections.hand_xyz[10:-10, 0, 0, 0].std() < 0.7
    fast = finish([sighting(t, 300.0 + 20 * t) for t in range(30)])
    np.testing.assert_allclose(fast.detections.body_xy[5:-5, 8, 0], 300 + 20 * np.arange(30)[5:-5], atol=2)
