"""Choose among the candidates of each hand and frame: the best path through a video (Viterbi), both hands jointly.

A state of a frame is a pair (right, left), each one of the hand's candidates or none. A path's value is the sum of its
candidates' log odds, less what is unlikely: a hand that changes its place or shape relative to its wrist, that appears
or vanishes, or that lies where the other hand is. Log odds and steps are capped, so that one frame cannot outvote the
frames around it.

Legend: T frames; 2 hands in the order of skeleton.SIDES; K candidates, best first; S = K + 1 states of a hand, the last
of them none; lengths in shoulder widths.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

NONE: Final = -1  # no candidate is chosen
RELUCTANCE: Final = 0.3  # subtracted from every candidate's log odds: higher finds fewer hands and fewer wrong ones
MOST_ODDS: Final = 6.0  # cap of a candidate's log odds
STEP: Final = 0.1  # mean shift of the joints relative to the wrist that costs 1 ...
MOST_STEP: Final = 3.5  # ... and the most that a shift costs
APPEARING: Final = 1.2  # cost of a hand that appears or vanishes
COINCIDE: Final = 0.12  # two hands whose joints are nearer than this on average may be one hand found twice
COINCIDING: Final = (2.0, 4.0)  # cost at that distance, and what is added up to distance 0
BACKLOG: Final = 1000  # undecided frames at most; paths meet within some tens


@dataclass(frozen=True)
class Candidates:
    """Candidates of T frames; log odds are -inf where there is none."""

    odds: Floats  # (T, 2, K) log odds that a candidate is the hand
    points: Floats  # (T, 2, K, 21, 2) joints in the picture
    wrists: Floats  # (T, 2, 2) wrists of the body


class HandPath:
    """The best path, frame by frame as soon as later frames cannot change it: `add` frames, then `finish`.

    The choices do not depend on how the frames are divided among the calls.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._values: Floats | None = None  # (S, S) of the best paths to the states of the last frame
        self._last: Candidates | None = None
        self._back: list[NDArray[np.intp]] = []  # of each undecided frame: the best state before each state

    def add(self, frames: Candidates) -> NDArray[np.intp]:
        """Add frames in order.

        Returns:
            (N, 2) candidates, or NONE, of the frames that are decided now; they follow those returned before.
        """
        if not len(frames.odds):
            return np.empty((0, 2), np.intp)
        costs = step_costs(_join(self._last or _tail(frames), frames))  # the very first step is from a frame to itself
        if self._values is None:
            costs[0] = 0
        for value, cost in zip(state_values(frames), costs, strict=True):
            self._step(value, cost)
        self._last = _tail(frames)
        return self._decide()

    def finish(self) -> NDArray[np.intp]:
        """Return the choices of the frames that are still undecided, and begin anew."""
        best = [] if self._values is None else self._trace(int(self._values.argmax()), len(self._back))
        choices = _choices(best, self._states)
        self._begin()
        return choices

    @property
    def _states(self) -> int:
        return 1 if self._values is None else len(self._values)

    def _step(self, value: Floats, cost: Floats) -> None:
        """Extend the best paths by a frame; costs (2, S, S) are separate by hand, so each hand is minimised alone."""
        n = len(value)
        before = np.zeros((n, n)) if self._values is None else self._values
        by_right = before[:, None, :] - cost[0][:, :, None]  # right before, right now, left before
        right_before, partial = by_right.argmax(0), by_right.max(0)
        by_left = partial[:, :, None] - cost[1][None]  # right now, left before, left now
        left_before = by_left.argmax(1)
        self._back.append(np.take_along_axis(right_before, left_before, 1) * n + left_before)
        self._values = by_left.max(1) + value
        self._values -= self._values.max()

    def _decide(self) -> NDArray[np.intp]:
        """Choices of the frames before the last one at which all best paths meet."""
        if self._values is None:
            return np.empty((0, 2), np.intp)
        alive = np.flatnonzero(np.isfinite(self._values))
        met, state = 0, 0
        for t in range(len(self._back) - 1, -1, -1):
            if len(alive) == 1:
                met, state = t + 1, int(alive[0])
                break
            alive = np.unique(self._back[t].ravel()[alive])
        if met == 0 and len(self._back) > BACKLOG:
            met = len(self._back) - BACKLOG // 2
            state = self._trace(int(self._values.argmax()), len(self._back))[met - 1]
        path = self._trace(state, met)
        del self._back[:met]
        return _choices(path, self._states)

    def _trace(self, state: int, n: int) -> list[int]:
        """States of the first n undecided frames on the best path to `state` of the n-th."""
        path = []
        for back in reversed(self._back[:n]):
            path.append(state)
            state = int(back.flat[state])
        return path[::-1]


def state_values(frames: Candidates) -> Floats:
    """(T, S, S) value of each pair of states; -inf where a candidate does not exist."""
    capped = np.where(np.isfinite(frames.odds), np.clip(frames.odds, -MOST_ODDS, MOST_ODDS) - RELUCTANCE, -np.inf)
    alone = np.concatenate([capped, np.zeros((*capped.shape[:2], 1))], 2)
    right, left = frames.points[:, 0, :, None], frames.points[:, 1, None]
    apart = np.linalg.norm(right - left, axis=-1).mean(-1)
    near, nearer = COINCIDING
    both = np.where(apart < COINCIDE, near + nearer * (1 - apart / COINCIDE), 0.0)
    values: Floats = alone[:, 0, :, None] + alone[:, 1, None]
    values[:, :-1, :-1] -= both
    return values


def step_costs(frames: Candidates) -> Floats:
    """(T - 1, 2, S, S) cost of each hand's step from a state of a frame to one of the next."""
    relative = frames.points - frames.wrists[:, :, None, None]
    shift = np.linalg.norm(relative[:-1, :, :, None] - relative[1:, :, None], axis=-1).mean(-1)
    costs = np.full((len(shift), 2, shift.shape[-1] + 1, shift.shape[-1] + 1), APPEARING)
    costs[..., :-1, :-1] = np.minimum(np.nan_to_num(shift / STEP, nan=MOST_STEP), MOST_STEP)
    costs[..., -1, -1] = 0
    return costs


def _choices(path: list[int], states: int) -> NDArray[np.intp]:
    """(N, 2) candidates of states that are numbered right * S + left."""
    pairs = np.stack(np.divmod(np.array(path, np.intp), states), -1).reshape(-1, 2)
    return np.where(pairs == states - 1, NONE, pairs)


def _tail(frames: Candidates) -> Candidates:
    return Candidates(*(values[-1:] for values in vars(frames).values()))


def _join(a: Candidates, b: Candidates) -> Candidates:
    return Candidates(*(np.concatenate(pair) for pair in zip(vars(a).values(), vars(b).values(), strict=True)))
