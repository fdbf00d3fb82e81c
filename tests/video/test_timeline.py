"""Times from timestamps, and the frames of a timeline."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signrep_core.video.timeline import Clock, Intervals, exact_span, on_timeline

MS = Fraction(1, 1000)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=30), st.sampled_from([10.0, 25.0, 29.97, 60.0]))
def test_the_timeline_is_gapless_and_nearest_for_any_timestamps(steps_ms: list[int], fps: float) -> None:
    times = [Fraction(int(t), 1000) for t in np.cumsum([0, *steps_ms])]
    shown = list(on_timeline(list(enumerate(times)), fps, None, None))
    assert [index for index, _, _ in shown] == list(range(len(shown)))
    for index, time, (_, chosen) in shown:
        assert abs(float(time) - index / fps) < 1e-9
        assert abs(chosen - time) == min(abs(t - time) for t in times)
    assert len(shown) >= float(times[-1]) * fps  # up to the last frame


@pytest.mark.parametrize(
    ("lost", "expected"),
    [
        # at 10 fps, 100 ms apart: each is shown from half-way to the one before it
        ((), [0, 1, 2, 3, 4]),
        # a lost frame holds all up to half a period before the next good one
        ((1,), [0, None, 2, 3, 4]),
        ((1, 2, 3), [0, None, None, None, 4]),
    ],
)
def test_a_lost_frame_keeps_its_place(lost: tuple[int, ...], expected: list[int | None]) -> None:
    shown = [(None if k in lost else k, k * 100 * MS) for k in range(5)]
    assert [what for _, _, (what, _) in on_timeline(shown, 10, None, None)] == expected


def test_a_long_lost_part_is_not_covered_by_its_neighbour() -> None:
    shown = [(0, Fraction(0)), (None, 100 * MS), (2, 1000 * MS)]
    found = [what for _, _, (what, _) in on_timeline(shown, 10, None, None)]
    assert found[:11] == [0, *[None] * 9, 2]


def test_a_clock_continues_where_timestamps_are_missing() -> None:
    clock = Clock(MS, Fraction(25))
    assert [clock(t) for t in (500, None, None, 620)] == [0, 40 * MS, 80 * MS, 120 * MS]
    assert Clock(MS, None)(None) is None


def test_a_clock_drops_repeated_times_and_closes_jumps() -> None:
    clock = Clock(MS, Fraction(25), first=1000)
    assert [clock(t) for t in (1000, 1040, 1040, 1000, 1080)] == [0, 40 * MS, None, None, 80 * MS]
    # back by more than 0.2 s, and on by more than a minute: a step of the nominal rate each
    assert [clock(t) for t in (0, 40, 100_000, 100_040)] == [120 * MS, 160 * MS, 200 * MS, 240 * MS]


def test_intervals_count_only_items_inside_the_span() -> None:
    shown = [(None, k * MS) for k in (0, 100, 140, 240, 900)]
    intervals = Intervals(shown, 100 * MS, 900 * MS)
    assert list(intervals) == shown
    assert (intervals.count, intervals.shortest, intervals.longest) == (3, 40 * MS, 100 * MS)
    assert intervals.mean == 70 * MS
    assert Intervals([], None, None).mean is None


def test_a_spans_ends_are_exact() -> None:
    assert exact_span(0.1, 2.3) == (Fraction(1, 10), Fraction(23, 10))
    assert exact_span(None, None) == (None, None)
    assert exact_span(-1, None) == (0, None)
