"""Smoothing without delay."""

import numpy as np
import pytest

from signrep_core.pose.filters import OneEuro
from signrep_core.pose.smooth import smooth, smooth_share

RATE = 25.0


GENTLE = OneEuro(0.5, 10.0)


def run(values: np.ndarray, filter_: OneEuro = GENTLE, unit: float = 1.0, rate: float = RATE) -> np.ndarray:
    n = len(values)
    return smooth(values.reshape(n, -1), np.full(n, unit), np.arange(n) / rate, filter_).reshape(values.shape)


def test_by_hand_two_frames() -> None:
    """0 then 1 with a cutoff of 1 / 2 pi Hz that does not rise, a second apart: each way the new value has half."""
    steady = OneEuro(1 / (2 * np.pi), 0.0)
    np.testing.assert_allclose(run(np.array([0.0, 1.0]), steady, rate=1.0), [0.25, 0.75])


def test_a_still_joint_stays_where_it_is() -> None:
    np.testing.assert_allclose(run(np.full((30, 4), 7.0)), 7.0)


def test_there_is_no_lag() -> None:
    """A movement and back, symmetric in time, stays symmetric, with its peak in place; forwards alone it lags."""
    t = np.arange(101)
    there_and_back = np.exp(-(((t - 50) / 8.0) ** 2))
    smoothed = run(there_and_back)
    np.testing.assert_allclose(smoothed, smoothed[::-1], atol=1e-12)
    assert smoothed.argmax() == 50


def test_jitter_goes_and_a_fast_joint_keeps_its_place() -> None:
    rng = np.random.default_rng(0)
    still = rng.normal(0, 0.002, 200)
    assert run(still)[20:-20].std() < 0.5 * still.std()
    fast = np.linspace(0, 40, 50)  # 20 units a second
    np.testing.assert_allclose(run(fast)[5:-5], fast[5:-5], atol=0.02)


def test_a_gap_begins_anew_on_both_sides() -> None:
    values = np.r_[np.zeros(10), [np.nan] * 3, np.ones(10)]
    smoothed = run(values)
    np.testing.assert_array_equal(np.isnan(smoothed), np.isnan(values))
    np.testing.assert_array_equal(smoothed[:10], 0)
    np.testing.assert_allclose(smoothed[13:], 1)


def test_columns_are_smoothed_on_their_own() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(0, 1, (40, 3))
    values[10:20, 1] = np.nan
    together = run(values)
    for column in range(3):
        np.testing.assert_array_equal(together[:, column], run(values[:, column].copy()))


def test_speeds_count_in_the_unit() -> None:
    """The same movement in pixels twice as small."""
    walk = np.cumsum(np.random.default_rng(2).normal(0, 1, 60))
    np.testing.assert_allclose(run(walk, unit=10.0) / 2, run(walk / 2, unit=5.0))


def test_a_rate_of_sixty_smooths_over_the_same_time() -> None:
    """A step's slope spreads over as many seconds at 25 and at 60 frames a second."""
    width = []
    for rate in (25.0, 60.0):
        step = run((np.arange(round(4 * rate)) >= 2 * rate).astype(float), OneEuro(0.5, 0.0), rate=rate)
        width.append(((step > 0.25) & (step < 0.75)).sum() / rate)
    assert width[0] == pytest.approx(width[1], rel=0.1)


@pytest.mark.parametrize("n", [1])
def test_nothing_to_smooth(n: int) -> None:
    assert run(np.ones((n, 2))).shape == (n, 2)
    assert smooth_share(np.ones((n, 2))).shape == (n, 2)


def test_shares_are_smoothed_from_both_ends() -> None:
    """Half of the new value: forwards 0, 0.5; backwards 0.5, 1."""
    np.testing.assert_allclose(smooth_share(np.array([[0.0], [1.0]]), 0.5), [[0.25], [0.75]])


def test_a_gap_in_shares_is_bridged() -> None:
    smoothed = smooth_share(np.array([[0.0], [np.nan], [1.0]]), 0.5)
    np.testing.assert_allclose(smoothed, [[0.25], [np.nan], [0.75]])
