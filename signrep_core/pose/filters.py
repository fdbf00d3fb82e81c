"""One-Euro and MediaPipe's filters of landmarks over time, with a lane per video.

One-Euro (Casiez, Roussel, Vogel 2012) is a low-pass filter whose cutoff rises with the speed: slow joints lose their
jitter, fast ones keep their place. Here it runs forwards, as MediaPipe runs it; `pose.smooth` runs it from both ends.

Legend: L lanes, K points.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
PERIOD_S: Final = 0.033333  # SolutionBase's simulated clock: the same step for every video
SPEED_CUTOFF_HZ: Final = 1.0  # of the speed's own low-pass filter


class OneEuro(NamedTuple):
    """Parameters of a filter."""

    cutoff_hz: float  # of a joint at rest
    rise: float  # Hz by which the cutoff rises with the speed, units a second


# MediaPipe's pose_landmark_filtering. The unit of speeds is the side of the pose's region, for world landmarks a metre.
POSE: Final = OneEuro(0.05, 80.0)
AUXILIARY: Final = OneEuro(0.01, 10.0)
WORLD: Final = OneEuro(0.1, 40.0)
VISIBILITY: Final = 0.1  # share of the new value


class State(NamedTuple):
    """Numbers after a step of One-Euro; NaN where the next value is the first."""

    smoothed: Array
    speed: Array  # units a second


def step(now: Array, before: Array, state: State, elapsed_s: Array, unit: Array, filter_: OneEuro) -> State:
    """One step of One-Euro.

    Args:
        now, before: this value and the one before, not smoothed.
        elapsed_s: seconds between them.
        unit: length that speeds are measured in.
    """
    fresh = np.isnan(state.smoothed)
    change = np.where(fresh, 0, (now - before) / (elapsed_s * unit))
    speed = np.where(fresh, 0, state.speed + _weight(SPEED_CUTOFF_HZ, elapsed_s) * (change - state.speed))
    weight = _weight(filter_.cutoff_hz + filter_.rise * np.abs(speed), elapsed_s)
    return State(np.where(fresh, now, state.smoothed + weight * (now - state.smoothed)), speed)


def _weight(cutoff_hz: Array | float, step_s: Array) -> Array:
    """Weight of a new value in a low-pass filter."""
    rate = 2 * np.pi * cutoff_hz * step_s
    return rate / (rate + 1)


@dataclass
class LowPass:
    """VisibilitySmoothingCalculator: a lane's first value passes unchanged, one that has no value keeps its state."""

    before: Array  # (L, K) NaN: none yet

    def __call__(self, values: Array, on: NDArray[np.bool_]) -> Array:
        """Filter (L, K) values of the lanes that are on."""
        smoothed = np.where(np.isnan(self.before), values, VISIBILITY * values + (1 - VISIBILITY) * self.before)
        self.before = np.where(on[:, None], smoothed, self.before)
        return smoothed


class Lanes:
    """LandmarksSmoothingCalculator: One-Euro forwards; a lane that has no value keeps its state."""

    def __init__(self, shape: tuple[int, int, int], filter_: OneEuro) -> None:
        """Prepare (L, K, 3) lanes."""
        self._filter = filter_
        self._before, self._state = np.full(shape, np.nan), State(np.full(shape, np.nan), np.zeros(shape))
        self._elapsed_s = np.full(shape[0], PERIOD_S)

    def __call__(self, values: Array, on: NDArray[np.bool_], unit: Array | float = 1.0) -> Array:
        """Filter (L, K, 3) values of the lanes that are on; `unit` (L,) is the object's size in their unit."""
        elapsed, units = (np.broadcast_to(x, on.shape)[:, None, None] for x in (self._elapsed_s, unit))
        state = step(values, self._before, self._state, elapsed, units, self._filter)
        update = on[:, None, None]
        self._before = np.where(update, values, self._before)
        self._state = State(*(np.where(update, new, old) for new, old in zip(state, self._state, strict=True)))
        self._elapsed_s = np.where(on, PERIOD_S, self._elapsed_s + PERIOD_S)
        return state.smoothed

    def reset(self, lanes: NDArray[np.bool_]) -> None:
        """Begin anew in some lanes (L,)."""
        for values, first in ((self._before, np.nan), (self._state.smoothed, np.nan), (self._state.speed, 0.0)):
            values[lanes] = first
        self._elapsed_s[lanes] = PERIOD_S
