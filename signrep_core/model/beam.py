"""Beam search for the most probable sequence under any model of the next piece, for a batch of sentences.

The score of a hypothesis is its log-probability over (its length, including the end) ** length_penalty. A sentence is
finished when K of its hypotheses have ended; then it no longer changes, so that its result does not depend on the
other sentences of the batch. A model that keeps the state of earlier pieces learns which prefix each one continues.

Legend: B sentences, K beam, L pieces so far, V vocabulary.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Hypothesis(NamedTuple):
    """A finished hypothesis: its pieces, without start and end, and its score."""

    pieces: list[int]
    score: float


@dataclass(frozen=True)
class Search:
    """Settings of a beam search."""

    beam: int = 5  # hypotheses kept; 1 is greedy search
    max_length: int = 200  # pieces of a hypothesis at most, the end included
    length_penalty: float = 1.0  # exponent of the length that a log-probability is divided by


def beam_search(
    score: Callable[[Tensor, Tensor], Tensor],
    n: int,
    search: Search,
    *,
    start: int,
    end: int,
    device: torch.device | str = "cpu",
) -> list[Hypothesis]:
    """Find the best hypothesis of each of n sentences.

    Args:
        score: prefixes (B·K, L), those of a sentence side by side, each begun with `start`, and (B·K,) the row of
            the call before that each one continues (its own in the first call) → log-probabilities (B·K, V) of the
            next piece.
    """
    beams = _Beams(n, search, start, end, device)
    for length in range(1, search.max_length + 1):
        found = score(beams.prefixes.flatten(0, 1), beams.origins.flatten())
        beams.advance(found.unflatten(0, (n, search.beam)), length)
        if beams.finished():
            break
    return beams.hypotheses()


class _Beams:
    """Unfinished prefixes of n sentences, and the best finished hypothesis of each."""

    def __init__(self, n: int, search: Search, start: int, end: int, device: torch.device | str) -> None:
        self._search, self._end, self._device = search, end, device
        self.prefixes = torch.full((n, search.beam, 1), start, device=device)  # (B, K, L)
        self._rows = torch.arange(n * search.beam, device=device).view(n, search.beam)
        self.origins = self._rows  # (B, K) of B·K prefixes, the one that each continues
        self._totals = torch.full((n, search.beam), -torch.inf, device=device)  # (B, K) log-probabilities
        self._totals[:, 0] = 0  # all prefixes are the same at first
        self._best = torch.full((n,), -torch.inf, device=device)
        self._pieces = torch.full((n, search.max_length), end, device=device)  # of the best
        self._n_ended = torch.zeros(n, dtype=torch.long, device=device)

    def advance(self, log_probabilities: Tensor, length: int) -> None:
        """Extend every prefix by one piece, its `length`-th, whose log-probabilities are (B, K, V)."""
        beam, n_pieces = self._search.beam, log_probabilities.shape[-1]
        sums = self._totals[..., None] + log_probabilities
        if length == self._search.max_length:  # only the end is allowed
            sums = sums.masked_fill(torch.arange(n_pieces, device=self._device) != self._end, -torch.inf)
        values, place = sums.flatten(1).topk(2 * beam)  # 2K suffice, since each prefix can end in one way only
        origin, piece = place // n_pieces, place % n_pieces
        ends = piece == self._end
        self._finish(values, origin, ends, length)
        self._totals, kept = values.masked_fill(ends, -torch.inf).topk(beam)
        origin = origin.gather(1, kept)
        before = self.prefixes.gather(1, origin[..., None].expand(-1, -1, length))
        self.prefixes = torch.cat((before, piece.gather(1, kept)[..., None]), 2)
        self.origins = self._rows[:, :1] + origin

    def _finish(self, values: Tensor, origin: Tensor, ends: Tensor, length: int) -> None:
        """Keep the best of the hypotheses that end here; all arguments (B, 2K), the likeliest first."""
        beam, n = self._search.beam, len(values)
        ending = ends & values.isfinite() & (torch.arange(2 * beam, device=self._device) < beam)
        scores = (values / length**self._search.length_penalty).masked_fill(~ending, -torch.inf)
        value, which = scores.max(1)
        better = (value > self._best) & (self._n_ended < beam)
        said = self.prefixes[torch.arange(n, device=self._device), origin.gather(1, which[:, None])[:, 0], 1:]
        self._pieces[better, : length - 1] = said[better]
        self._pieces[better, length - 1 :] = self._end
        self._best = torch.where(better, value, self._best)
        self._n_ended += ending.sum(1)

    def finished(self) -> bool:
        """Whether every sentence has as many finished hypotheses as the beam holds."""
        return bool((self._n_ended >= self._search.beam).all())

    def hypotheses(self) -> list[Hypothesis]:
        """The best finished hypothesis of each sentence."""
        return [
            Hypothesis([piece for piece in row if piece != self._end], value)
            for row, value in zip(self._pieces.tolist(), self._best.tolist(), strict=True)
        ]
