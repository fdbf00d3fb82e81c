"""Class distribution φ: similarity of the glosses, as a soft target of recognition (supplement A5).

φ_c = softmax(φ̂_c / τ_c), φ̂_c the cosine of class c's mean feature with every class's, τ_c in [0.001, 0.1] such that the
largest value is nearest to, and below, 0.5. Where A5 is silent (decision 0020): the mean features are of the training
videos under the weights that fine-tuning begins with; if even τ = 0.1 leaves a class above 0.5 (no other class is like
it), its τ goes on beyond; fewer than three classes have no such distribution; a class without a readable video gets the
uniform one.

Legend: G glosses, D features, c a class, τ temperature.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from signrep_core.config import Pooling
from signrep_core.evaluate.retrieval import pool
from signrep_core.evaluate.windows import VideoFeatures

log = logging.getLogger(__name__)

TAU: Final = (0.001, 0.1)  # A5
TAU_BEYOND: Final = 1000.0  # upper bound of the search for a class that needs more
PEAK: Final = 0.5 - 1e-6  # A5: below 0.5, in single precision as well
BLOCK: Final = 256  # classes at a time
STEPS: Final = 50  # bisections
ALIKE: Final = 1 - 1e-6  # cosine above which two classes count as equal
NAMED: Final = 5  # glosses named in a message


@dataclass(frozen=True)
class ClassDistribution:
    """φ (G, G), one row per class, with the peak and τ (G,) of each."""

    phi: Tensor
    peak: Tensor
    tau: Tensor


def mean_features(
    videos: Iterable[VideoFeatures], labels: Mapping[str, int], n_classes: int, pooling: Pooling = "weighted"
) -> tuple[Tensor, NDArray[np.int64]]:
    """Mean feature of each class (G, D) over the videos in `labels`, and its number of videos (G,).

    One video in memory at a time. A class without a video has a mean of zero.
    """
    counts = np.zeros(n_classes, np.int64)
    sums: Tensor | None = None
    for video in videos:
        label = labels.get(video.video_id)
        if label is None:
            continue
        vector = torch.from_numpy(pool(video.features, video.activity, pooling)).double()
        sums = torch.zeros(n_classes, len(vector), dtype=torch.double) if sums is None else sums
        sums[label] += vector
        counts[label] += 1
    if sums is None:
        return torch.zeros(n_classes, 1), counts
    return (sums / torch.from_numpy(counts.clip(1))[:, None]).float(), counts


def class_distribution(means: Tensor, glosses: Sequence[str] | None = None) -> ClassDistribution | None:
    """φ of the classes' mean features (G, D); None for fewer than three classes, whose peaks cannot be below 0.5.

    Rows are computed BLOCK at a time. Exceptional classes are logged by their `glosses`.
    """
    n = len(means)
    if n < 3:
        log.warning("%d classes have no class distribution with a largest value below 0.5: that term is left out", n)
        return None
    known = means.norm(dim=1) > 0
    unit = F.normalize(means.double(), dim=1)
    phi, tau = torch.full((n, n), 1 / n), torch.full((n,), torch.inf, dtype=torch.double)
    alike = torch.zeros(n, dtype=torch.bool)
    for block in torch.arange(n).split(BLOCK):
        block = block[known[block]]
        gap = 1 - unit[block] @ unit.T  # (B, G) difference between the class's cosine with itself and with the others
        gap[torch.arange(len(block)), block] = 0
        gap = gap.clamp(min=0).masked_fill(~known, torch.inf)
        alike[block] = (gap <= 1 - ALIKE).sum(1) > 1
        tau[block] = _search(gap)
        phi[block] = torch.softmax(-gap / tau[block, None], 1).float()
    _tell(means, glosses, known, alike, tau)
    return ClassDistribution(phi, phi.amax(1), tau.float())


def _search(gap: Tensor) -> Tensor:
    """Smallest τ of each class for which the peak, 1 / Σ exp(−gap/τ), is below PEAK: (B, G) → (B,).

    Found by bisection, since the peak decreases with τ.
    """
    low, high = (torch.full((len(gap),), bound, dtype=gap.dtype) for bound in TAU)
    high = high.masked_fill(_peak(gap, high) >= PEAK, TAU_BEYOND)
    high = torch.where(_peak(gap, low) < PEAK, low, high)  # below 0.5 at the lowest τ: several classes are equal
    for _ in range(STEPS):
        middle = (low * high).sqrt()
        below = _peak(gap, middle) < PEAK
        low, high = torch.where(below, low, middle), torch.where(below, middle, high)
    return high


def _peak(gap: Tensor, tau: Tensor) -> Tensor:
    return 1 / torch.exp(-gap / tau[:, None]).sum(1)


def _tell(means: Tensor, glosses: Any, known: Tensor, alike: Tensor, tau: Tensor) -> None:
    for concerned, what in (
        (~known, "have no mean feature (no readable training video): they get the uniform distribution"),
        (alike, "have the same mean feature as another class: their distribution gives both the same probability"),
        (known & (tau > TAU[1]), f"are similar to no other class: they needed a temperature above {TAU[1]}"),
    ):
        if concerned.any():
            places = torch.nonzero(concerned)[:, 0].tolist()
            names = [str(glosses[k]) if glosses else str(k) for k in places[:NAMED]]
            more = ", ..." if len(places) > NAMED else ""
            log.warning("class distribution: %d of %d classes %s: %s%s", len(places), len(means), what,
                        ", ".join(names), more)  # fmt: skip
