"""Runs with a signer, and their crop boxes."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signrep_core.video.crop_boxes import signer_runs, torso_box


def person(n: int = 40, x: float = 320.0, y: float = 200.0, shoulders: float = 100.0) -> tuple[np.ndarray, np.ndarray]:
    """A person at rest with known places: shoulders at y, eyes and nose half a width above, hands on the chest."""
    xy = np.full((n, 61, 2), (x, y), float)
    xy[:, 0, 0] -= shoulders / 2
    xy[:, 3, 0] += shoulders / 2
    xy[:, 8:19, 1] -= shoulders / 2
    xy[:, (1, 4), 1] += shoulders * 0.8
    xy[:, 19:61, 1] += shoulders * 0.5
    return xy, np.ones((n, 61))


def inside(points: np.ndarray, square: tuple[float, float, float]) -> np.ndarray:
    x0, y0, side = square
    return (
        (points[..., 0] >= x0) & (points[..., 0] <= x0 + side) & (points[..., 1] >= y0) & (points[..., 1] <= y0 + side)
    )


# ---------------------------------------------------------------- runs


def test_runs_shorter_than_a_window_are_left_out() -> None:
    present = [True] * 15 + [False] * 10 + [True] * 16 + [False] * 10 + [True] * 17
    assert signer_runs(present) == [(25, 16), (51, 17)]


def test_short_absences_belong_to_the_run() -> None:
    present = [True] * 10 + [False] * 5 + [True] * 10 + [False] * 6 + [True] * 20
    assert signer_runs(present, max_gap=5) == [(0, 25), (31, 20)]
    assert signer_runs(present, max_gap=0) == [(31, 20)]


def test_a_run_holds_no_damaged_frame() -> None:
    present = np.ones(60, bool)
    damaged = np.zeros(60, bool)
    damaged[[20, 21, 50]] = True
    assert signer_runs(present & ~damaged, breaks=damaged) == [(0, 20), (22, 28)]
    assert signer_runs(present & ~damaged) == [(0, 60)], "a short absence alone does not break it"


def test_without_a_signer_there_is_no_run() -> None:
    assert signer_runs([]) == []
    assert signer_runs([False] * 100) == []


@given(st.lists(st.booleans(), max_size=200), st.integers(1, 20), st.integers(0, 6))
def test_runs_begin_and_end_with_the_signer_and_do_not_meet(present: list[bool], least: int, gap: int) -> None:
    shown = np.array(present, bool)
    runs = signer_runs(shown, least, gap)
    for start, n in runs:
        assert n >= least
        assert shown[start]
        assert shown[start + n - 1]
        assert "0" * (gap + 1) not in "".join("01"[int(p)] for p in shown[start : start + n])
    for (start, n), (after, _) in pairwise(runs):
        assert after - (start + n) > gap


# ---------------------------------------------------------------- the square


def test_the_box_by_hand() -> None:
    """Head top 50 + 45 above the shoulders, chest and elbows 100 below: 195 high and centred; margin 0."""
    xy, confidence = person()
    assert torso_box(xy, confidence, margin=0) == (222, 105, 195)


def test_the_margin_widens_the_box_around_its_centre() -> None:
    xy, confidence = person()
    x0, y0, side = torso_box(xy, confidence, margin=0.2)
    assert side == 234
    assert (x0 + side / 2, y0 + side / 2) == pytest.approx((320, 202.5), abs=1)


def test_the_reach_of_the_hands_is_inside() -> None:
    xy, confidence = person()
    xy[10:20, 19:40] = (180, 300)  # right hand far to the side for ten frames
    square = torso_box(xy, confidence)
    assert inside(xy, square).all()


def test_a_single_wrong_detection_has_no_effect() -> None:
    xy, confidence = person()
    plain = torso_box(xy, confidence)
    xy[7] += 200
    xy[20, 40:61] = (320, 20)
    xy[21, 19:40] = (5000, 5000)  # beyond any arm
    assert torso_box(xy, confidence) == plain


def test_joints_that_are_not_seen_do_not_count() -> None:
    xy, confidence = person()
    plain = torso_box(xy, confidence)
    xy[:, 40:61] = np.nan
    xy[:, 20] = (0, 0)
    confidence[:, 20] = 0.4
    confidence[:, 40:61] = 0
    assert torso_box(xy, confidence) == plain


def test_a_person_who_walks_stays_inside() -> None:
    xy, confidence = person(n=200)
    xy[..., 0] += np.linspace(-200, 200, 200)[:, None]
    square = torso_box(xy, confidence)
    assert inside(xy, square).all(1).mean() > 0.99


def test_a_person_seen_from_the_side_is_as_large() -> None:
    xy, confidence = person()
    xy[:, 8:19, 1] = 200 - 67  # the nose at its height above the shoulders
    front = torso_box(xy, confidence)
    xy[:, (0, 3), 0] = 318, 322
    assert torso_box(xy, confidence)[2] == pytest.approx(front[2], rel=0.05)


def test_without_both_shoulders_all_seen_joints_are_inside() -> None:
    xy, confidence = person()
    confidence[:, 0] = 0
    square = torso_box(xy, confidence)
    assert inside(xy[:, 3:], square).all()


def test_nothing_seen_is_an_error() -> None:
    with pytest.raises(ValueError, match="no joint is seen"):
        torso_box(np.full((20, 61, 2), np.nan), np.zeros((20, 61)))


@given(st.floats(20, 400), st.floats(-300, 900), st.floats(-300, 900), st.floats(0, 0.5))
def test_the_box_follows_the_person_in_place_and_size(size: float, x: float, y: float, margin: float) -> None:
    x0, y0, side = torso_box(*person(x=x, y=y, shoulders=size), margin=margin)
    assert side == pytest.approx(1.95 * size * (1 + margin), abs=1.01)
    assert x0 + side / 2 == pytest.approx(x, abs=1)
    assert y0 + side / 2 == pytest.approx(y + 0.025 * size, abs=1)


def test_a_hand_below_the_hips_does_not_enlarge_the_box() -> None:
    xy, confidence = person()
    xy[:, 19:40] = (270, 450)  # shoulders at y = 200, 100 wide: fingers of a hand at the hips reach to 370
    _, y0, side = torso_box(xy, confidence, margin=0)
    assert (y0, side) == (105, 265)  # from the crown to there
    xy[:, 19:40] = (270, 365)
    assert torso_box(xy, confidence, margin=0)[1:] == (105, 260)
