"""Smooth landmarks without delay: the mean of a One-Euro filter that runs forwards and one that runs backwards.

One-Euro (Casiez, Roussel, Vogel 2012) is a low-pass filter whose cutoff rises with the speed: slow joints lose their
jitter, fast ones keep their place. MediaPipe runs it forwards only, so that its landmarks lag behind; a recording can
be filtered from both ends, and the two delays cancel.

Legend: T frames, M numbers a frame.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

SPEED_CUTOFF_HZ: Final = 1.0  # of the speed's own low-pass filter


class OneEuro(NamedTuple):
    """Parameters of a filter."""

    cutoff_hz: float  # of a joint at rest
    rise: float  # Hz by which the cutoff rises with the speed, units a second


# MediaPipe's pose_landmark_filtering, whose unit is the side of the pose's region.
POSE: Final = OneEuro(0.05, 80.0)
WORLD: Final = OneEuro(0.1, 40.0)  # unit: metres
HAND: Final = OneEuro(0.5, 80.0)  # unit as POSE; halves the jitter of slow hands and costs 3 % of their accuracy
VISIBILITY: Final = 0.1  # share of the new value


def smooth(values: Floats, unit: Floats, times: Floats, filter_: OneEuro) -> Floats:
    """Smooth numbers frame by frame; each begins anew after a gap.

    Args:
        values: (T, M), NaN where missing.
        unit: (T,) length that speeds are measured in.
        times: (T,) seconds, ascending.

    Returns:
        (T, M), NaN where values are.
    """
    both = np.stack([values, values[::-1]], 1)
    units = np.stack([unit, unit[::-1]], 1)[..., None]
    steps = np.stack([np.diff(times), np.diff(times)[::-1]], 1)[..., None]
    with np.errstate(invalid="ignore"):  # NaN in a gap
        filtered = _run(both, units, steps, filter_)
    return (filtered[:, 0] + filtered[::-1, 1]) / 2


def smooth_share(values: Floats, share: float = VISIBILITY) -> Floats:
    """Smooth (T, M) numbers by an exponential filter from both ends; NaN is left out."""
    both = np.stack([values, values[::-1]], 1)
    state = np.full_like(both[:1], np.nan)[0]
    out = np.empty_like(both)
    for t, now in enumerate(both):
        state = np.where(np.isnan(state), now, np.where(np.isnan(now), state, state + share * (now - state)))
        out[t] = np.where(np.isnan(now), np.nan, state)
    return (out[:, 0] + out[::-1, 1]) / 2


def _run(values: Floats, units: Floats, steps: Floats, filter_: OneEuro) -> Floats:
    """One-Euro along the first axis: (T, 2, M) values, (T, 2, 1) units, (T - 1, 2, 1) seconds to the next frame."""
    out = np.empty_like(values)
    state = out[0] = values[0]
    speed = np.zeros_like(state)
    for t in range(1, len(values)):
        now, step = values[t], steps[t - 1]
        fresh = np.isnan(state)
        change = (now - values[t - 1]) / (units[t] * step)
        speed = np.where(fresh, 0, speed + _alpha(SPEED_CUTOFF_HZ, step) * (change - speed))
        alpha = _alpha(filter_.cutoff_hz + filter_.rise * np.abs(speed), step)
        state = np.where(fresh, now, state + alpha * (now - state))
        out[t] = state
    return out


def _alpha(cutoff_hz: Floats | float, step_s: Floats) -> Floats:
    """Weight of a new value of a first-order low-pass filter."""
    rate = 2 * np.pi * cutoff_hz * step_s
    return rate / (rate + 1)
