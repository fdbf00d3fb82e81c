"""The best path through candidates, against all paths tried one by one, and streamed in pieces."""

from itertools import product

import numpy as np
import pytest

from signrep_core.pose import hand_path
from signrep_core.pose.hand_path import APPEARING, NONE, RELUCTANCE, Candidates, HandPath, state_values, step_costs

RIGHT, LEFT = 0, 1


def make(odds: list[list[list[float]]], places: dict[tuple[int, int, int], float] | None = None) -> Candidates:
    """Candidates whose joints all lie at one x; the hands are 1 apart unless `places` says otherwise."""
    values = np.array(odds, float)
    x = np.zeros(values.shape)
    x[:, LEFT] = 1
    for index, place in (places or {}).items():
        x[index] = place
    points = np.zeros((*values.shape, 21, 2))
    points[..., 0] = x[..., None]
    return Candidates(values, points, np.zeros((*values.shape[:2], 2)))


def choose(frames: Candidates, step: int = 100) -> np.ndarray:
    path = HandPath()
    parts = [Candidates(*(v[i : i + step] for v in vars(frames).values())) for i in range(0, len(frames.odds), step)]
    return np.concatenate([*(path.add(part) for part in parts), path.finish()])


def random_candidates(frames: int, candidates: int, seed: int) -> Candidates:
    rng = np.random.default_rng(seed)
    odds = rng.normal(0, 2, (frames, 2, candidates))
    odds[rng.random(odds.shape) < 0.3] = -np.inf
    walk = np.cumsum(rng.normal(0, 0.03, (frames, 2, 1, 1, 2)), 0)
    points = walk + rng.normal(0, 0.08, (frames, 2, candidates, 21, 2))
    return Candidates(odds, points, np.zeros((frames, 2, 2)))


def test_the_path_is_the_best_of_all() -> None:
    """Three frames of two candidates a hand: 9 states a frame, 729 paths."""
    for seed in range(20):
        frames = random_candidates(3, 2, seed)
        values, costs = state_values(frames), step_costs(frames)
        best = max(
            product(product(range(3), repeat=2), repeat=3),
            key=lambda path: (
                sum(values[t][state] for t, state in enumerate(path))
                - sum(costs[t, hand, path[t][hand], path[t + 1][hand]] for t in range(2) for hand in (0, 1))
            ),
        )
        expected = np.where(np.array(best) == 2, NONE, best)
        np.testing.assert_array_equal(choose(frames), expected)


@pytest.mark.parametrize("step", [1, 2, 7, 64])
def test_the_choice_is_the_same_in_pieces_of_any_size(step: int) -> None:
    frames = random_candidates(200, 5, 0)
    np.testing.assert_array_equal(choose(frames, step), choose(frames))


def test_frames_are_decided_soon_and_little_is_kept() -> None:
    path, frames, decided = HandPath(), random_candidates(600, 4, 1), 0
    for t in range(600):
        decided += len(path.add(Candidates(*(v[t : t + 1] for v in vars(frames).values()))))
        assert t - decided < 60


def test_a_backlog_without_end_is_decided_where_it_is_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two candidates in the same place for ever: no frame tells them apart."""
    monkeypatch.setattr(hand_path, "BACKLOG", 20)
    frames = make([[[1.0, 1.0], [-np.inf, -np.inf]]] * 100, {(t, RIGHT, 1): 0.3 for t in range(100)})
    path, kept = HandPath(), 0
    for t in range(100):
        kept += 1 - len(path.add(Candidates(*(v[t : t + 1] for v in vars(frames).values()))))
        assert kept <= 20
    choices = np.concatenate([path.finish()])
    assert set(choices[:, RIGHT]) <= {0, 1}


def test_one_frame_does_not_outvote_those_around_it() -> None:
    """The better candidate of frame 2 lies half a shoulder width off: there and back costs 7; for 0.15, 3."""
    odds = [[[2.0, -np.inf], [-np.inf, -np.inf]] for _ in range(5)]
    odds[2][RIGHT] = [0.5, 50.0]  # 50 counts as 6
    assert choose(make(odds, {(2, RIGHT, 1): 0.5}))[:, RIGHT].tolist() == [0] * 5
    assert choose(make(odds, {(2, RIGHT, 1): 0.15}))[:, RIGHT].tolist() == [0, 0, 1, 0, 0]


def test_an_unlikely_hand_between_likely_ones_is_kept() -> None:
    """Vanishing and appearing again costs 2.4."""
    between = lambda odds: make([[[2.0], [-np.inf]], [[odds], [-np.inf]], [[2.0], [-np.inf]]])  # noqa: E731
    assert choose(between(RELUCTANCE - 2 * APPEARING + 0.1))[:, RIGHT].tolist() == [0, 0, 0]
    assert choose(between(RELUCTANCE - 2 * APPEARING - 0.1))[:, RIGHT].tolist() == [0, NONE, 0]


def test_one_hand_is_not_found_twice() -> None:
    """Both hands' candidates coincide, and the left one's is less likely."""
    frames = make([[[3.0], [2.0]]] * 4, {(t, LEFT, 0): 0.02 for t in range(4)})
    assert choose(frames).tolist() == [[0, NONE]] * 4


def test_hands_that_touch_are_two() -> None:
    frames = make([[[3.0], [2.0]]] * 4, {(t, LEFT, 0): 0.13 for t in range(4)})
    assert choose(frames).tolist() == [[0, 0]] * 4


@pytest.mark.parametrize(("odds", "chosen"), [(RELUCTANCE + 0.1, 0), (RELUCTANCE - 0.1, NONE)])
def test_the_doubtful_are_left_out(odds: float, chosen: int) -> None:
    assert choose(make([[[odds], [-np.inf]]] * 4))[:, RIGHT].tolist() == [chosen] * 4


def test_without_frames_there_is_no_choice() -> None:
    path = HandPath()
    assert path.finish().shape == (0, 2)
    nothing = Candidates(np.zeros((0, 2, 1)), np.zeros((0, 2, 1, 21, 2)), np.zeros((0, 2, 2)))
    assert path.add(nothing).shape == (0, 2)
