"""Smooth landmarks without delay: the mean of a One-Euro filter that runs forwards and one that runs backwards.

MediaPipe runs it forwards only, so that its landmarks lag behind; a recording can be filtered from both ends, and the
two delays cancel.

Legend: T frames, M numbers a frame.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from signrep_core.pose.filters import VISIBILITY, OneEuro, State, step

Floats = NDArray[np.floating]

HAND: Final = OneEuro(0.5, 80.0)  # unit as POSE; halves the jitter of slow hands and costs 3 % of their accuracy


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
    out[0] = values[0]
    state = State(out[0], np.zeros_like(out[0]))
    for t in range(1, len(values)):
        state = step(values[t], values[t - 1], state, steps[t - 1], units[t], filter_)
        out[t] = state.smoothed
    return out
