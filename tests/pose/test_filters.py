"""Filters against streams recorded from MediaPipe's own graph, and by hand."""

import numpy as np

from signrep_core.pose import graph
from signrep_core.pose.filters import POSE, Lanes, LowPass, OneEuro
from tests.pose.record_streams import STREAMS

ON = np.array([True])


def test_landmarks_are_smoothed_as_mediapipe_does_and_begin_anew_after_a_loss() -> None:
    streams = {key: values.astype(float) for key, values in np.load(STREAMS).items()}
    smooth = Lanes((1, 33, 3), POSE)
    for raw, auxiliary, expected in zip(streams["raw_body"], streams["raw_auxiliary"], streams["body"], strict=True):
        if np.isnan(raw[0, 0]):
            smooth.reset(ON)
            continue
        scale = graph.aligned(auxiliary[0, :2], auxiliary[1, :2], graph.UP)[2]
        np.testing.assert_allclose(smooth(raw[None], ON, np.array([scale]))[0], expected, atol=0.02)


def test_visibility_goes_on_after_a_loss() -> None:
    streams = np.load(STREAMS)
    smooth = LowPass(np.full((1, 33), np.nan))
    for raw, expected in zip(streams["raw_body_visibility"], streams["body_visibility"], strict=True):
        on = raw.any(keepdims=True)
        smoothed = smooth(raw[None].astype(float), on)
        if on:
            np.testing.assert_allclose(smoothed[0], expected, atol=1e-5)


def test_a_first_value_passes_and_a_resting_one_stays() -> None:
    smooth = Lanes((1, 1, 3), OneEuro(1, 0))
    value = np.array([[[1.0, 2.0, 3.0]]])
    for _ in range(3):
        np.testing.assert_allclose(smooth(value, ON), value)


def test_a_step_moves_by_the_share_of_the_cutoff() -> None:
    """One Hz and 33.333 ms: 1 / (1 + 1 / (2π · 0.033333)) = 0.17317 of the step."""
    smooth = Lanes((1, 1, 3), OneEuro(1, 0))
    smooth(np.zeros((1, 1, 3)), ON)
    np.testing.assert_allclose(smooth(np.ones((1, 1, 3)), ON), 0.17317, atol=1e-5)


def test_a_lane_without_a_value_keeps_its_state() -> None:
    smooth = Lanes((2, 1, 3), OneEuro(1, 0))
    smooth(np.zeros((2, 1, 3)), np.array([True, True]))
    smooth(np.full((2, 1, 3), 9.0), np.array([True, False]))
    after = smooth(np.zeros((2, 1, 3)), np.array([True, True]))
    assert after[0, 0, 0] > 0
    assert after[1, 0, 0] == 0
