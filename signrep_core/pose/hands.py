"""Hands of a recording: looked for in every frame, chosen over the whole video, with what is known of each.

`pose.hand_search` gives candidates, `pose.hand_path` chooses among them. Frames come in and hands go out in order,
some tens of frames later; neither the result nor the memory depends on the video's length.

Legend: N frames; 2 hands in the order of skeleton.SIDES; K candidates; R crops of a hand and frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from signrep_core.pose.graph import WRISTS
from signrep_core.pose.hand_path import NONE, Candidates, HandPath
from signrep_core.pose.hand_search import FIRST, HandNetwork, HandSearch, Looks
from signrep_core.store.schemas import MISSING, OUTSIDE, RECOVERED, SEEN

Floats = NDArray[np.floating]

N_CANDIDATES: Final = 6  # of a hand and frame
LEAST_ODDS: Final = -4.0  # log odds of a candidate
DISTINCT: Final = 0.04  # shoulder widths, mean distance of the joints of two candidates


@dataclass(frozen=True)
class Hands:
    """The hands of N frames."""

    points: Floats  # (N, 2, 21, 3) pixels, NaN where none was found; z of the same scale
    odds: Floats  # (N, 2) log odds that it is the hand; -inf where none was found
    states: NDArray[np.str_]  # (N, 2) of schemas.HAND_STATES, but never INTERPOLATED

    def part(self, frames: slice) -> "Hands":
        """Some of the frames."""
        return Hands(self.points[frames], self.odds[frames], self.states[frames])


NO_HANDS: Final = Hands(np.empty((0, 2, 21, 3)), np.empty((0, 2)), np.empty((0, 2), np.str_))


class HandFinder:
    """Finds the hands of one person: `add` frames in order, then `finish`."""

    def __init__(self, network: HandNetwork) -> None:
        self._search, self._path = HandSearch(network), HandPath()
        self._waiting: list[tuple[Looks, NDArray[np.intp]]] = []  # frames whose hands are not chosen, and their rounds

    def add(self, pictures: Sequence[NDArray[np.uint8]], body: Floats) -> Hands:
        """Add frames; arguments as `HandSearch.add`.

        Returns:
            The hands of the frames that are decided now; they follow those returned before.
        """
        return self._choose(self._search.add(pictures, body), last=False)

    def finish(self) -> Hands:
        """Return the hands of the frames that are left, and begin anew."""
        return self._choose(self._search.finish(), last=True)

    def _choose(self, looks: Looks, last: bool) -> Hands:
        rounds = best_rounds(looks)
        self._waiting.append((looks, rounds))
        choices = self._path.add(candidates(looks, rounds))
        if last:
            choices = np.concatenate([choices, self._path.finish()])
        everything = self._waiting[0][0]
        for later, _ in self._waiting[1:]:
            everything = everything.join(later)
        ranked = np.concatenate([rounds for _, rounds in self._waiting])
        n = len(choices)
        self._waiting = [] if last else [(everything.part(slice(n, None)), ranked[n:])]
        return chosen_hands(everything.part(slice(0, n)), take(ranked[:n], choices))


def best_rounds(looks: Looks) -> NDArray[np.intp]:
    """(T, 2, K) rounds of the best candidates that differ from one another, best first; NONE where there are fewer."""
    odds = looks.odds()
    order = np.argsort(-odds, 2, kind="stable")
    points = looks.points[..., :2] / looks.scale[:, None, None, None, None]
    apart = np.linalg.norm(points[:, :, :, None] - points[:, :, None], axis=-1).mean(-1)  # (T, 2, R, R)
    kept = np.zeros(odds.shape, bool)
    for r in np.moveaxis(order, 2, 0)[..., None]:
        near = np.take_along_axis(apart, r[..., None], 2)[:, :, 0] < DISTINCT
        room = kept.sum(2, keepdims=True) < N_CANDIDATES
        good = (np.take_along_axis(odds, r, 2) > LEAST_ODDS) & room & ~(near & kept).any(2, keepdims=True)
        np.put_along_axis(kept, r, good, 2)
    ranked = np.argsort(np.where(kept, -odds, np.inf), 2, kind="stable")[..., :N_CANDIDATES]
    return np.where(np.take_along_axis(kept, ranked, 2), ranked, NONE)


def candidates(looks: Looks, rounds: NDArray[np.intp]) -> Candidates:
    """Candidates of some rounds (T, 2, K), in shoulder widths."""
    there = rounds != NONE
    index = np.maximum(rounds, 0)
    scale = np.where(np.isfinite(looks.scale), looks.scale, 1)
    points = np.take_along_axis(looks.points[..., :2], index[..., None, None], 2) / scale[:, None, None, None, None]
    return Candidates(
        odds=np.where(there, np.take_along_axis(looks.odds(), index, 2), -np.inf),
        points=np.where(there[..., None, None], points, 0),
        wrists=np.nan_to_num(looks.body[:, WRISTS] / scale[:, None, None]),
    )


def chosen_hands(looks: Looks, rounds: NDArray[np.intp]) -> Hands:
    """The hands that the chosen rounds (T, 2) saw."""
    found = rounds != NONE
    index = np.maximum(rounds, 0)[..., None]
    points = np.take_along_axis(looks.points, index[..., None, None], 2)[:, :, 0]
    odds = np.take_along_axis(looks.odds(), index, 2)[..., 0]
    detected = np.where(rounds < FIRST.stop, SEEN, RECOVERED)
    return Hands(
        np.where(found[..., None, None], points, np.nan),
        np.where(found, odds, -np.inf),
        np.where(found, detected, np.where(looks.outside, OUTSIDE, MISSING)),
    )


def take(ranked: NDArray[np.intp], choices: NDArray[np.intp]) -> NDArray[np.intp]:
    """(N, 2) rounds of the chosen candidates (N, 2) of ranked rounds (N, 2, K); NONE stays."""
    rounds = np.take_along_axis(ranked, np.maximum(choices, 0)[..., None], 2)[..., 0]
    return np.where(choices == NONE, NONE, rounds)
