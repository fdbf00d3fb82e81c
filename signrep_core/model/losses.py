"""Losses of pretraining and recognition as pure functions.

Supplement A4, A5, A8 and Table 9; decision 0026 for what they leave open.

Legend: B batch, D features, G glosses, `...` leading dimensions, C values of one entry.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from signrep_core.body.targets import ACTIVITY_WEIGHT, PRIORS, Target
from signrep_core.config import AdversarialForm, PriorLoss

VARIANCE_EPSILON = 1e-4  # D: as VICReg, keeps the root's gradient finite

_ELEMENTWISE = {"l1": F.l1_loss, "smooth_l1": F.smooth_l1_loss, "mse": F.mse_loss}


def masked_mean(values: Tensor, valid: Tensor, count: Tensor | None = None) -> Tensor:
    """Mean of the valid values, 0 if there are none; values and valid have the same shape.

    Args:
        count: divides the sum in the place of the number of valid values. If it is the mean of this number over the
            ranks, the mean of the results over the ranks is the mean over the whole batch, however missing joints are
            distributed.
    """
    count = valid.sum() if count is None else count
    return torch.where(valid, values, 0).sum() / count.clamp(min=torch.finfo(values.dtype).tiny)


def prior_losses(
    priors: Mapping[str, Tensor],
    targets: Mapping[str, Target],
    kind: PriorLoss = "l1",
    counts: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Masked mean error of each prior with its target scaled by ψ, unweighted (Table 9).

    Args:
        priors: predictions of the decoder by name, (..., *shape).
        targets: by name, in physical units.
        kind: error of one value (D: L1).
        counts: by name, of `masked_mean`.
    """
    losses = {}
    for name, prior in PRIORS.items():
        target = targets[name]
        error = _ELEMENTWISE[kind](priors[name].float(), prior.scale * target.value, reduction="none").mean(-1)
        losses[name] = masked_mean(error, target.valid, counts[name] if counts else None)
    return losses


def activity_loss(logits: Tensor, active: Tensor, valid: Tensor, count: Tensor | None = None) -> Tensor:
    """Masked binary cross entropy: (B, 2) logits, (B, 2) bool right and left hand active, (B, 2) bool known."""
    error = F.binary_cross_entropy_with_logits(logits.float(), active.float(), reduction="none")
    return masked_mean(error, valid, count)


def reconstruction_loss(losses: Mapping[str, Tensor]) -> Tensor:
    """Σ w · loss over the given priors and, if given, the activity."""
    weights = {name: prior.weight for name, prior in PRIORS.items()} | {"activity": ACTIVITY_WEIGHT}
    return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()


def variance_loss(z: Tensor, divide: bool = True) -> Tensor:
    """Σ_j max(0, 1 − σ_j) over the batch z (B, D), divided by D unless `divide` is false (decision 0026)."""
    deviation = (z.float().var(0) + VARIANCE_EPSILON).sqrt()
    return F.relu(1 - deviation).sum() / (z.shape[1] if divide else 1)


def covariance_loss(z: Tensor, divide: bool = True) -> Tensor:
    """Σ_{j≠k} C_jk² of the covariance C of the batch z (B, D), divided by D unless `divide` is false."""
    centred = z.float() - z.float().mean(0)
    # Σ_jk C_jk² is the same for the B×B Gram matrix, which is much smaller than D×D.
    gram = centred @ centred.T / (len(z) - 1)
    off_diagonal = gram.square().sum() - centred.var(0).square().sum()
    return off_diagonal.clamp(min=0) / (z.shape[1] if divide else 1)


def adversarial_loss(
    matched: Tensor,
    unmatched: Tensor,
    mean_matched: Tensor,
    mean_unmatched: Tensor,
    form: AdversarialForm = "swapped_means",
) -> Tensor:
    """Adversarial loss of the encoder, which removes style from the features (D, decision 0026).

    Of the discriminator's outputs M = D(z, matched) and U = D(z, unmatched), (B,) each, and their running means:
    `swapped_means` mean (M − E_U)² + mean (U − E_M)²; `midpoint` the same with (E_M + E_U) / 2 in the place of both;
    `relativistic` mean log(1 + exp(M − E_U)) + mean log(1 + exp(E_M − U)), the encoder's part of the relativistic
    average loss (Jolicoeur-Martineau 2019).
    """
    if form == "relativistic":
        return F.softplus(matched - mean_unmatched).mean() + F.softplus(mean_matched - unmatched).mean()
    if form == "midpoint":
        mean_matched = mean_unmatched = (mean_matched + mean_unmatched) / 2
    return (matched - mean_unmatched).square().mean() + (unmatched - mean_matched).square().mean()


def effective_rank(z: Tensor) -> Tensor:
    """exp of the entropy of the normalised singular values of the centred batch z (B, D): 1 when collapsed."""
    values = torch.linalg.svdvals(z.float() - z.float().mean(0))
    share = values / values.sum().clamp(min=torch.finfo(values.dtype).tiny)
    return torch.exp(-torch.xlogy(share, share).sum())


def discriminator_loss(matched: Tensor, unmatched: Tensor) -> Tensor:
    """Cross entropy of the discriminator: matched → 1, unmatched → 0; logits (B,) each."""
    return 0.5 * (F.softplus(-matched).mean() + F.softplus(unmatched).mean())


def recognition_loss(
    logits: Tensor, labels: Tensor, distribution: Tensor | None, smoothing: float = 0.1, kappa: float = 0.2
) -> tuple[Tensor, Tensor]:
    """Cross entropy with label smoothing + κ · KL(φ_y ‖ softmax(logits)); the loss and its divergence (A5).

    Args:
        logits: (B, G).
        labels: (B,) the right classes y.
        distribution: (G, G) φ, a row per class that sums to 1 (`evaluate.distribution`); None = without that term.
    """
    logits = logits.float()
    loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
    if distribution is None:
        return loss, logits.new_zeros(())
    divergence = F.kl_div(logits.log_softmax(1), distribution[labels].float(), reduction="batchmean")
    return loss + kappa * divergence, divergence
