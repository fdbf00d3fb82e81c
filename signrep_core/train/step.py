"""One step of pretraining: forward, losses, backward and update of encoder and discriminator.

Supplement A2-A4, A8 and Table 9. All random numbers of step s are drawn for the whole batch from
(seed, s), and each rank takes its rows, so a step does not depend on the number of devices.

Legend: W windows of a batch (two of each video, adjacent), w those of this rank, D features, U mask units,
S style values.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from signrep_core.body.targets import PRIORS, prior_targets
from signrep_core.data.augment import augment, draw_augmentations
from signrep_core.data.windows import TARGETS, Batch, WindowPairs, WindowReader
from signrep_core.model import losses
from signrep_core.model.discriminator import accuracy, style_of
from signrep_core.model.encoder import random_units
from signrep_core.model.signrep import SignRepOutput
from signrep_core.train.loop import Run, as_numbers, seed_step, unwrapped, update
from signrep_core.train.optimiser import learning_rate_at, set_learning_rate
from signrep_core.train.ranks import gather_ranks, mean_over_ranks

TERMS = (*PRIORS, "activity", "reconstruction", "variance", "covariance", "adversarial", "loss", "discriminator")


@dataclass(kw_only=True)
class PretrainRun(Run):
    """State of a pretraining while it runs."""

    dataset: WindowPairs
    open_validation: Callable[[], WindowReader]
    validation: Any  # index of the shards for selecting the weights
    validation_rows: NDArray[np.int64]  # of that index; empty = the training loss selects
    discriminator: Any = None
    discriminator_optimiser: Any = None
    last_z: Tensor = field(default_factory=lambda: torch.zeros(1, 1))

    def parts(self) -> dict[str, Any]:
        """Objects with a state of their own, by their names in the resume state."""
        return super().parts() | {
            "discriminator": unwrapped(self.discriminator),
            "discriminator_optimiser": self.discriminator_optimiser,
        }


def train_step(run: PretrainRun, batch: Batch) -> dict[str, float]:
    """Run forward, backward and update of encoder and discriminator; return all terms as numbers.

    Raises:
        TrainingError: a term is not finite.
    """
    settings, fabric = run.settings, run.fabric
    lr = _learning_rate(run, settings.learning_rate)
    set_learning_rate(run.optimiser, lr)
    batch = batch.to(fabric.device)
    video, visible, choice = _draw(run, batch)
    output = run.model(video, visible, settings.style_stage)

    terms = _model_terms(run, batch, output)
    styles = None
    if settings.adversarial_weight:
        own = style_of(output.style_tokens, settings.style_triangle)
        styles = _paired_styles(fabric, own, batch.videos, choice)
        terms["adversarial"] = _adversarial(run, output.features, *styles)
    terms["loss"] = _total_loss(run, terms)
    terms["grad_norm"] = update(run, terms["loss"])
    if styles is not None:
        terms |= _train_discriminator(run, output.features.detach(), *styles)

    run.last_z = output.features.detach()
    terms["std_z"] = run.last_z.std(0).mean()
    return as_numbers(run, terms, batch.windows) | {"learning_rate": lr}


def _learning_rate(run: PretrainRun, peak: float) -> float:
    settings = run.settings
    return learning_rate_at(run.step, peak, settings.warmup, settings.iterations, settings.learning_rate_end)


def _draw(run: PretrainRun, batch: Batch) -> tuple[Tensor, Tensor | None, Tensor]:
    """Draw the augmented video (w, 3, T, S, S), visible units (w, U) or None = all, and random numbers (w, W) for
    choosing the unmatched styles.
    """
    fabric, settings = run.fabric, run.settings
    encoder, own = run.network.encoder, len(batch.windows)
    total = own * fabric.world_size
    rows = slice(fabric.global_rank * own, (fabric.global_rank + 1) * own)
    generator = seed_step(run)
    visible = None
    if settings.mask_ratio:
        visible = random_units(total, encoder.n_units, settings.mask_ratio, generator)[rows].to(
            fabric.device, non_blocking=True
        )
    draws = draw_augmentations(total, generator, settings.crop_area, settings.crop_ratio)[rows]
    choice = torch.rand(total, total, generator=generator)[rows]
    video = augment(batch.tensors["frames"], draws, run.network.config.encoder.image_size)
    return video, visible, choice.to(fabric.device, non_blocking=True)


def _model_terms(run: PretrainRun, batch: Batch, output: SignRepOutput) -> dict[str, Tensor]:
    """All losses of the model except the adversarial one."""
    settings = run.settings
    mean = partial(mean_over_ranks, run.fabric) if run.fabric.world_size > 1 else None
    targets = prior_targets(*(batch.tensors[name] for name in TARGETS))
    terms = losses.prior_losses(output.priors, targets, settings.prior_loss, mean)
    terms["activity"] = losses.activity_loss(
        output.activity, batch.tensors["active"], batch.tensors["active_known"], mean
    )
    chosen = {name: term for name, term in terms.items() if name in settings.priors or name == "activity"}
    terms["reconstruction"] = losses.reconstruction_loss(chosen)
    z = gather_ranks(run.fabric, output.features, sync_grads=True)
    terms["variance"] = losses.variance_loss(z, settings.divide_by_width)
    terms["covariance"] = losses.covariance_loss(z, settings.divide_by_width)
    return terms


def _total_loss(run: PretrainRun, terms: dict[str, Tensor]) -> Tensor:
    """Weighted sum of the losses (Table 9); before step `regularize_after` of the reconstruction losses only."""
    settings, loss = run.settings, terms["reconstruction"]
    if run.step < settings.regularize_after:
        return loss
    loss = loss + settings.variance_weight * terms["variance"] + settings.covariance_weight * terms["covariance"]
    return loss + settings.adversarial_weight * terms["adversarial"] if settings.adversarial_weight else loss


def _paired_styles(fabric: Fabric, own: Tensor, videos: Tensor, choice: Tensor) -> tuple[Tensor, Tensor]:
    """Matched style of each window (the other window of its video) and unmatched style (another video), (w, S) each,
    from their own styles (w, S).
    """
    matched = own.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)
    same = videos[:, None] == gather_ranks(fabric, videos)[None, :]
    return matched, gather_ranks(fabric, own)[choice.masked_fill(same, -1).argmax(1)]


def _adversarial(run: PretrainRun, z: Tensor, matched: Tensor, unmatched: Tensor) -> Tensor:
    """Adversarial loss of the encoder; the discriminator receives no gradient."""
    discriminator = unwrapped(run.discriminator)
    discriminator.requires_grad_(False)
    logits = discriminator(torch.cat((z, z)), torch.cat((matched, unmatched)))
    discriminator.requires_grad_(True)
    on_matched, on_unmatched = logits.chunk(2)
    means = discriminator.mean_matched.clone(), discriminator.mean_unmatched.clone()
    return losses.adversarial_loss(on_matched, on_unmatched, *means, run.settings.adversarial_form)


def _train_discriminator(run: PretrainRun, z: Tensor, matched: Tensor, unmatched: Tensor) -> dict[str, Tensor]:
    settings, fabric = run.settings, run.fabric
    set_learning_rate(run.discriminator_optimiser, _learning_rate(run, settings.discriminator_learning_rate))
    on_matched, on_unmatched = run.discriminator(torch.cat((z, z)), torch.cat((matched, unmatched))).chunk(2)
    loss = losses.discriminator_loss(on_matched, on_unmatched)
    run.discriminator_optimiser.zero_grad(set_to_none=True)
    fabric.backward(loss)
    run.discriminator_optimiser.step()
    on_matched, on_unmatched = gather_ranks(fabric, on_matched.detach()), gather_ranks(fabric, on_unmatched.detach())
    unwrapped(run.discriminator).update_means(on_matched, on_unmatched, settings.momentum)
    return {"discriminator": loss, "discriminator_accuracy": accuracy(on_matched, on_unmatched)}
