"""Standardised inputs: a translator's features have zero mean and unit deviation over the training data.

Legend: F values of a window.
"""

import torch
from torch import Tensor, nn


class Standardised(nn.Module):
    """Module with the statistics of its inputs, so that features and raw poses of any scale can be used."""

    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("feature_mean", torch.zeros(features))
        self.register_buffer("feature_scale", torch.ones(features))

    def standardise(self, mean: Tensor, std: Tensor) -> None:
        """Standardise inputs as (x - mean) / std, both (F,); constant values are only shifted."""
        self.feature_mean.copy_(mean)
        self.feature_scale.copy_(torch.where(std > 1e-6, 1 / std.clamp_min(1e-6), torch.ones_like(std)))

    def standardised(self, features: Tensor) -> Tensor:
        """(..., F) → (..., F)."""
        return (features - self.feature_mean) * self.feature_scale
