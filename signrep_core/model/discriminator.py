"""Style of a window, and the discriminator that decides whether a style and a feature vector belong together.

Supplement A4 for the discriminator; the paper names a Gram matrix and is silent on its stage and part (decision 0026).

Legend: B batch, N tokens, C channels of a stage of the encoder, D features, S style values.
"""

import itertools

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from signrep_core.config import Triangle

STYLE_GAIN = 100.0  # S: the discriminator sees 100·z_style


def style_of(tokens: Tensor, triangle: Triangle = "with_diagonal") -> Tensor:
    """Gram matrix of a feature map, its upper triangle: (B, N, C) → (B, S), detached, divided by channels × tokens."""
    with torch.autocast(tokens.device.type, enabled=False):
        x = tokens.detach().float()
        _, n, c = x.shape
        gram = x.transpose(1, 2) @ x / (c * n)
        if triangle == "whole":
            return gram.flatten(1)
        row, column = torch.triu_indices(c, c, int(triangle == "without_diagonal"), device=x.device)
        return gram[:, row, column]


def style_width(channels: int, triangle: Triangle = "with_diagonal") -> int:
    """Number of style values of a feature map: 96 channels → 4,656 with the diagonal."""
    if triangle == "whole":
        return channels**2
    return channels * (channels + (1 if triangle == "with_diagonal" else -1)) // 2


class Discriminator(nn.Module):
    """Classifier of pairs of a feature vector and a style; one logit, positive = matched.

    It computes in single precision under autocast too: the power iteration of the spectral norm needs it.
    """

    mean_matched: Tensor
    mean_unmatched: Tensor

    def __init__(self, n_features: int, n_style: int, width: int = 768) -> None:
        super().__init__()
        # A4: GELU after every linear layer but the final one; D: before the norm.
        self.style = nn.Sequential(
            nn.Linear(n_style, width), nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width)
        )
        sizes = [n_features + width, width, width, width, 1]
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(sizes):
            layers += [spectral_norm(nn.Linear(inputs, outputs)), nn.GELU()]
        self.judge = nn.Sequential(*layers[:-1])
        # S: running means (momentum 0.1) of the output on matched and unmatched pairs, E_M and E_U.
        self.register_buffer("mean_matched", torch.zeros(()))
        self.register_buffer("mean_unmatched", torch.zeros(()))

    def forward(self, z: Tensor, style: Tensor) -> Tensor:
        """(B, D), (B, S) → (B,) logits."""
        with torch.autocast(z.device.type, enabled=False):
            return self.judge(torch.cat((z.float(), self.style(STYLE_GAIN * style.float())), -1))[:, 0]

    @torch.no_grad()
    def update_means(self, matched: Tensor, unmatched: Tensor, momentum: float = 0.1) -> None:
        """Move the running means towards the means of a batch of outputs (of all ranks)."""
        self.mean_matched.lerp_(matched.float().mean(), momentum)
        self.mean_unmatched.lerp_(unmatched.float().mean(), momentum)


def accuracy(matched: Tensor, unmatched: Tensor) -> Tensor:
    """Share of pairs that the discriminator classifies correctly."""
    return torch.cat((matched > 0, unmatched <= 0)).float().mean()
