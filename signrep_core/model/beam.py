"""Beam search for the likeliest sequence under any model of the next piece, for a batch of sentences at once.

A hypothesis is scored by its log-probability divided by (its length, the end included) ** length_penalty. A sentence is
finished when K of its hypotheses have ended; it then no longer changes, so that its result does not depend on
the sentences beside it. Prefixes are scored anew at each step: pieces are few beside the windows that are encoded once.

Legend: B sentences, K beam, L pieces so far, V vocabulary.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Found(NamedTuple):
    """The best hypothesis: its pieces, without start and end, and its score."""

    pieces: list[int]
    score: float


def beam_search(
    score: Callable[[Tensor], Tensor],
    n: int,
    *,
    beam: int,
    start: int,
    end: int,
    max_length: int,
    length_penalty: float = 1.0,
    device: torch.device | str = "cpu",
) -> list[Found]:
    """The best hypothesis of each of n sentences.

    Args:
        score: prefixes (B·K, L), those of a sentence side by side, each begun with `start` → log-probabilities
            (B·K, V) of the next piece.
        beam: hypotheses kept; 1 is greedy search.
        max_length: pieces of a hypothesis at most, the end included.
    """
    prefixes = torch.full((n, beam, 1), start, device=device)
    totals = torch.full((n, beam), -torch.inf, device=device)
    totals[:, 0] = 0  # all prefixes are the same at first
    best = torch.full((n,), -torch.inf, device=device)
    pieces = torch.full((n, max_length), end, device=device)
    n_ended = torch.zeros(n, dtype=torch.long, device=device)
    for length in range(1, max_length + 1):
        sums = totals[..., None] + score(prefixes.flatten(0, 1)).unflatten(0, (n, beam))  # (B, K, V)
        if length == max_length:  # nothing but the end is left
            other = torch.arange(sums.shape[-1], device=device) != end
            sums = sums.masked_fill(other, -torch.inf)
        values, place = sums.flatten(1).topk(2 * beam)  # enough to go on with: each prefix ends in one way
        origin, piece = place // sums.shape[-1], place % sums.shape[-1]
        ends = piece == end

        ending = ends & values.isfinite() & (torch.arange(2 * beam, device=device) < beam)
        scores = (values / length**length_penalty).masked_fill(~ending, -torch.inf)
        value, which = scores.max(1)
        better = (value > best) & (n_ended < beam)
        said = prefixes[torch.arange(n, device=device), origin.gather(1, which[:, None])[:, 0], 1:]
        pieces[better, : length - 1] = said[better]
        pieces[better, length - 1 :] = end
        best = torch.where(better, value, best)
        n_ended += ending.sum(1)
        if (n_ended >= beam).all():
            break

        totals, kept = values.masked_fill(ends, -torch.inf).topk(beam)
        chosen = origin.gather(1, kept)[..., None].expand(-1, -1, length)
        prefixes = torch.cat((prefixes.gather(1, chosen), piece.gather(1, kept)[..., None]), 2)
    return [
        Found([piece for piece in row if piece != end], value)
        for row, value in zip(pieces.tolist(), best.tolist(), strict=True)
    ]
