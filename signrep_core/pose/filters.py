"""MediaPipe's filters of landmarks over time, with a lane per video; a lane that has no value keeps its state.

Legend: L lanes, K points.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
PERIOD_S: Final = 0.033333  # SolutionBase's simulated clock: the same step for every video


@dataclass
class LowPass:
    """VisibilitySmoothingCalculator: a lane's first value passes unchanged."""

    alpha: float
    before: Array  # (L, K) NaN: none yet

    def __call__(self, values: Array, on: NDArray[np.bool_]) -> Array:
        """Filter (L, K) values of the lanes that are on."""
        fresh = np.isnan(self.before)
        smoothed = np.where(fresh, values, self.alpha * values + (1 - self.alpha) * self.before)
        self.before = np.where(on[:, None], smoothed, self.before)
        return smoothed


class OneEuro:
    """LandmarksSmoothingCalculator with OneEuroFilter: a low-pass filter whose cutoff rises with the speed."""

    def __init__(self, shape: tuple[int, int, int], *, min_cutoff: float, beta: float, derivate_cutoff: float = 1.0):
        """Prepare (L, K, 3) lanes; frequencies in Hz, beta in seconds where values are relative to a scale."""
        self._cutoffs = min_cutoff, beta, derivate_cutoff
        self._smoothed, self._before = np.full(shape, np.nan), np.full(shape, np.nan)
        self._speed, self._elapsed_s = np.zeros(shape), np.full(shape[0], PERIOD_S)

    def __call__(self, values: Array, on: NDArray[np.bool_], scale: Array | None = None) -> Array:
        """Filter (L, K, 3) values of the lanes that are on; `scale` (L,) is the object's size in their unit."""
        min_cutoff, beta, derivate_cutoff = self._cutoffs
        elapsed = self._elapsed_s[:, None, None]
        fresh = np.isnan(self._smoothed)
        step = (values - self._before) / elapsed
        step = np.where(fresh, 0, step if scale is None else step / scale[:, None, None])
        share = _share(derivate_cutoff, elapsed)
        speed = np.where(fresh, step, share * step + (1 - share) * self._speed)
        share = _share(min_cutoff + beta * np.abs(speed), elapsed)
        smoothed = np.where(fresh, values, share * values + (1 - share) * self._smoothed)
        update = on[:, None, None]
        self._smoothed = np.where(update, smoothed, self._smoothed)
        self._before = np.where(update, values, self._before)
        self._speed = np.where(update, speed, self._speed)
        self._elapsed_s = np.where(on, PERIOD_S, self._elapsed_s + PERIOD_S)
        return smoothed

    def reset(self, lanes: NDArray[np.bool_]) -> None:
        """Begin anew in some lanes (L,)."""
        self._smoothed[lanes] = self._before[lanes] = np.nan
        self._speed[lanes], self._elapsed_s[lanes] = 0, PERIOD_S


def _share(cutoff: Array | float, elapsed_s: Array) -> Array:
    """Weight of a new value in a low-pass filter with a cutoff in Hz."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff * elapsed_s))
