"""The common timeline: increasing times from a file's timestamps, and the frame that is shown at each.

Pure functions of times: the items may be decoded frames or None.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any, Final

LONGEST_STEP_S: Final = Fraction(60)  # a longer step between two frames is a broken clock, not a pause
# A frame up to this much before its predecessor is dropped; more is a clock that restarted.
STEP_BACK_S: Final = Fraction(1, 5)

Timed = tuple[Any, Fraction]  # a frame, and its time after the video's first frame in seconds


def on_timeline(
    shown: Iterable[Timed], target_fps: float | None, start: float | None, end: float | None
) -> Iterator[tuple[int, Fraction, Timed]]:
    """Yield (index, time, item) for every frame of the timeline; `shown` has increasing times."""
    origin, stop = exact_span(start, end)
    origin = origin or Fraction(0)
    if target_fps is None:
        inside = (item for item in shown if item[1] >= origin and (stop is None or item[1] < stop))
        yield from ((index, item[1] - origin, item) for index, item in enumerate(inside))
        return
    period = 1 / Fraction(target_fps).limit_denominator(100_000)
    index, previous, step = 0, None, period
    for item in shown:
        if previous is not None:
            step = min(item[1] - previous[1], Fraction(1))
            middle = (previous[1] + item[1]) / 2
            if previous[0] is None is not item[0]:  # a lost item may have been longer than one frame
                middle = max(middle, item[1] - period / 2)
            elif item[0] is None is not previous[0]:
                middle = min(middle, previous[1] + period / 2)
            while origin + index * period <= middle and (stop is None or origin + index * period < stop):
                yield index, index * period, previous
                index += 1
        previous = item
    if previous is not None:  # the last frame is shown as long as the one before it, up to a second
        last = previous[1] + step - period / 20  # the clocks of containers are rounded: a sliver is no frame
        while origin + index * period < last and (stop is None or origin + index * period < stop):
            yield index, index * period, previous
            index += 1


class Clock:
    """Increasing times of timestamps: missing ones follow at the nominal rate, jumps are closed, repeats dropped."""

    def __init__(self, tick: Fraction, rate: Fraction | None, first: int | None = None) -> None:
        self._tick, self._step = tick, 1 / rate if rate else None
        self._offset = None if first is None else -first * tick
        self._last: Fraction | None = None

    def __call__(self, timestamp: int | None) -> Fraction | None:
        """Seconds after the first frame, or None for a frame that is never shown."""
        if timestamp is None:
            time = None if self._step is None else Fraction(0) if self._last is None else self._last + self._step
        else:
            if self._offset is None:
                self._offset = -timestamp * self._tick
            time = self._offset + timestamp * self._tick
            if self._last is not None and not -STEP_BACK_S <= time - self._last <= LONGEST_STEP_S:
                restarted = self._last + (self._step or Fraction(1, 25))
                self._offset += restarted - time
                time = restarted
        if time is None or (self._last is not None and time <= self._last):
            return None
        self._last = time
        return time


class Intervals:
    """Passes timed items through and measures the intervals of those inside the span."""

    def __init__(self, shown: Iterable[Timed], start: Fraction | None, end: Fraction | None) -> None:
        self._shown, self._start, self._end = shown, start or Fraction(0), end
        self.count = 0
        self.first = self.last = self.longest = Fraction(0)
        self.shortest = LONGEST_STEP_S

    def __iter__(self) -> Iterator[Timed]:
        for item in self._shown:
            time = item[1]
            if time >= self._start and (self._end is None or time < self._end):
                if self.count:
                    self.longest = max(self.longest, time - self.last)
                    self.shortest = min(self.shortest, time - self.last)
                else:
                    self.first = time
                self.last = time
                self.count += 1
            yield item

    @property
    def mean(self) -> Fraction | None:
        """Mean interval between frames."""
        return (self.last - self.first) / (self.count - 1) if self.count > 1 and self.last > self.first else None


def exact_span(start: float | None, end: float | None) -> tuple[Fraction | None, Fraction | None]:
    """Round a span's ends to exact microseconds, so that 0.1 s is one tenth."""
    begin = None if start is None else max(Fraction(start).limit_denominator(1_000_000), Fraction(0))
    return begin, None if end is None else Fraction(end).limit_denominator(1_000_000)
