"""One step of pretraining: forward, losses, backward and update of encoder and discriminator.

Supplement A2-A4, A8 and Table 9. All random numbers of step s are drawn for the whole batch from
(seed, s), and each rank takes its rows, so a step does not depend on the number of devices.

`compute_step` is a function of tensors: all that differs from step to step is in its `inputs`, all shapes are static,
constants are on the device, and the host waits for nothing. So the same function runs eagerly, compiled, or as one
CUDA graph (`train.execution`).

Legend: W windows of a batch (two of each video, adjacent), w those of this rank, D features, U mask units,
S style values, G groups of parameters.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call

from signrep_core.body.priors import Tables, tables_for
from signrep_core.body.targets import PRIORS, Target, prior_targets
from signrep_core.data.augment import draw_augmentations, transform
from signrep_core.data.windows import TARGETS, Batch, WindowPairs, WindowReader
from signrep_core.model import losses
from signrep_core.model.discriminator import accuracy, style_of
from signrep_core.model.encoder import random_units
from signrep_core.model.signrep import SignRepOutput
from signrep_core.train.execution import Execution, capture, compile_parts
from signrep_core.train.loop import Run, StepTerms, seed_step, unwrapped, update
from signrep_core.train.optimiser import group_rates, learning_rate_at, set_rates
from signrep_core.train.ranks import gather_ranks, mean_over_ranks

TERMS = (*PRIORS, "activity", "reconstruction", "variance", "covariance", "adversarial", "loss", "discriminator")

Inputs = Mapping[str, Tensor]


@dataclass(kw_only=True)
class PretrainRun(Run):
    """State of a pretraining while it runs."""

    dataset: WindowPairs
    open_validation: Callable[[], WindowReader]
    validation: Any  # index of the shards for selecting the weights
    validation_rows: NDArray[np.int64]  # of that index; empty = the training loss selects
    discriminator: Any = None
    discriminator_optimiser: Any = None
    execution: Execution = "eager"
    last_z: Tensor = field(default_factory=lambda: torch.zeros(1, 1))
    tables: Tables = field(init=False)  # of the priors, on the device
    mixed: torch.dtype | None = field(init=False)  # in which the model computes, if its precision is mixed

    def __post_init__(self) -> None:
        device = self.fabric.device
        self.tables = tables_for(torch.zeros(0, device=device))
        with self.fabric.autocast():
            mixes, dtype = torch.is_autocast_enabled(device.type), torch.get_autocast_dtype(device.type)
        self.mixed = dtype if mixes else None

    def parts(self) -> dict[str, Any]:
        """Objects with a state of their own, by their names in the resume state."""
        return super().parts() | {
            "discriminator": unwrapped(self.discriminator),
            "discriminator_optimiser": self.discriminator_optimiser,
        }

    def forward(self, video: Tensor, visible: Tensor | None) -> SignRepOutput:
        """Output of the model, in the run's precision; of one rank without Fabric's wrapper, which cannot be traced."""
        stage = self.settings.style_stage
        output: SignRepOutput
        if self.fabric.world_size > 1:
            output = self.model(video, visible, stage)
            return output
        with torch.autocast(video.device.type, self.mixed, self.mixed is not None):
            output = self.network(video if self.mixed is None else video.to(self.mixed), visible, stage)
        return output

    def judge(self, z: Tensor, style: Tensor) -> Tensor:
        """Logits of the discriminator, of one rank without Fabric's wrapper."""
        discriminator = self.discriminator if self.fabric.world_size > 1 else unwrapped(self.discriminator)
        logits: Tensor = discriminator(z, style)
        return logits

    @cached_property
    def compute(self) -> Callable[[Inputs], dict[str, Tensor]]:
        """`compute_step` of this run, in the way that `execution` says."""
        objective, judge = compile_parts(self, self.execution, _objective, _judge)

        def compute(inputs: Inputs) -> dict[str, Tensor]:
            return compute_step(self, inputs, objective, judge)

        if self.execution != "captured":
            return compute
        return capture(compute, (self.optimiser, self.discriminator_optimiser))


def train_step(run: PretrainRun, batch: Batch) -> StepTerms:
    """Start forward, backward and update of encoder and discriminator; return all terms, perhaps not yet computed."""
    inputs = draw_inputs(run, batch)
    terms = dict(run.compute(inputs))
    run.last_z = terms.pop("features")
    return StepTerms(run, terms, batch.windows, {"learning_rate": _learning_rate(run, run.settings.learning_rate)})


def compute_step(
    run: PretrainRun, inputs: Inputs, objective: Callable[..., Any], judge: Callable[..., Any]
) -> dict[str, Tensor]:
    """Run one step on the device: the terms, and the `features` (W, D) of the batch."""
    set_rates(run.optimiser, inputs["rates"].unbind())
    terms, z, styles = objective(run, inputs)
    terms["grad_norm"] = update(run, terms["loss"])
    terms = {name: term.detach() for name, term in terms.items()}
    if styles is not None:
        set_rates(run.discriminator_optimiser, inputs["discriminator_rates"].unbind())
        loss, on_matched, on_unmatched = judge(run, z, *styles)
        run.fabric.backward(loss)
        run.discriminator_optimiser.step()
        run.discriminator_optimiser.zero_grad(set_to_none=True)
        on_matched, on_unmatched = (gather_ranks(run.fabric, x.detach()) for x in (on_matched, on_unmatched))
        unwrapped(run.discriminator).update_means(on_matched, on_unmatched, run.settings.momentum)
        terms |= {"discriminator": loss.detach(), "discriminator_accuracy": accuracy(on_matched, on_unmatched)}
    return terms | {"std_z": z.std(0).mean(), "features": z}


# ---------------------------------------------------------------- inputs of a step


def draw_inputs(run: PretrainRun, batch: Batch) -> Inputs:
    """All that differs from step to step, on the device.

    Besides the columns of the batch and `videos` (w,): packed draws of the augmentation (w, 8), visible mask units
    (w, U) unless all are, random numbers (w, W) for choosing the unmatched styles, learning rates (G,) of both
    optimisers, and 1 or 0 whether the loss has terms besides the reconstruction.
    """
    fabric, settings = run.fabric, run.settings
    own = len(batch.windows)
    total = own * fabric.world_size
    rows = slice(fabric.global_rank * own, (fabric.global_rank + 1) * own)
    generator = seed_step(run)
    drawn: dict[str, Tensor] = {}
    if settings.mask_ratio:
        drawn["visible"] = random_units(total, run.network.encoder.n_units, settings.mask_ratio, generator)[rows]
    drawn["draws"] = draw_augmentations(total, generator, settings.crop_area, settings.crop_ratio)[rows].pack()
    drawn["choice"] = torch.rand(total, total, generator=generator)[rows]
    drawn["rates"] = _rates(run, run.optimiser, settings.learning_rate)
    if run.discriminator_optimiser is not None:
        drawn["discriminator_rates"] = _rates(run, run.discriminator_optimiser, settings.discriminator_learning_rate)
    drawn["regularize"] = torch.tensor(float(run.step >= settings.regularize_after))
    if fabric.device.type == "cuda":
        drawn = {name: tensor.pin_memory() for name, tensor in drawn.items()}
    batch = batch.to(fabric.device)
    moved = {name: tensor.to(fabric.device, non_blocking=True) for name, tensor in drawn.items()}
    return {**batch.tensors, "videos": batch.videos, **moved}


def _rates(run: PretrainRun, optimiser: Any, peak: float) -> Tensor:
    return torch.tensor(group_rates(optimiser, _learning_rate(run, peak)))


def _learning_rate(run: PretrainRun, peak: float) -> float:
    settings = run.settings
    return learning_rate_at(run.step, peak, settings.warmup, settings.iterations, settings.learning_rate_end)


# ---------------------------------------------------------------- losses


def _objective(run: PretrainRun, inputs: Inputs) -> tuple[dict[str, Tensor], Tensor, tuple[Tensor, Tensor] | None]:
    """Forward pass: losses of the model, features (w, D), matched and unmatched styles (w, S) if there is a
    discriminator."""
    settings = run.settings
    video = transform(inputs["frames"], inputs["draws"], run.network.config.encoder.image_size)
    output = run.forward(video, inputs.get("visible"))
    terms = _model_terms(run, inputs, output)
    styles = None
    if settings.adversarial_weight:
        own = style_of(output.style_tokens, settings.style_triangle)
        styles = _paired_styles(run, own, inputs["videos"], inputs["choice"])
        terms["adversarial"] = _adversarial(run, output.features, *styles)
    terms["loss"] = _total_loss(run, terms, inputs["regularize"])
    return terms, output.features.detach().float(), styles


def _model_terms(run: PretrainRun, inputs: Inputs, output: SignRepOutput) -> dict[str, Tensor]:
    """All losses of the model except the adversarial one."""
    settings = run.settings
    targets = prior_targets(*(inputs[name] for name in TARGETS), tables=run.tables)
    counts = _counts(run, targets, inputs["active_known"])
    terms = losses.prior_losses(output.priors, targets, settings.prior_loss, counts)
    terms["activity"] = losses.activity_loss(
        output.activity, inputs["active"], inputs["active_known"], counts["activity"] if counts else None
    )
    chosen = {name: term for name, term in terms.items() if name in settings.priors or name == "activity"}
    terms["reconstruction"] = losses.reconstruction_loss(chosen)
    z = gather_ranks(run.fabric, output.features, sync_grads=True)
    terms["variance"] = losses.variance_loss(z, settings.divide_by_width)
    terms["covariance"] = losses.covariance_loss(z, settings.divide_by_width)
    return terms


def _counts(run: PretrainRun, targets: Mapping[str, Target], known: Tensor) -> dict[str, Tensor] | None:
    """Mean over the ranks of the number of valid values of each loss, in one reduction; None on one rank."""
    if run.fabric.world_size == 1:
        return None
    valid = {name: target.valid for name, target in targets.items()} | {"activity": known}
    counts = mean_over_ranks(run.fabric, torch.stack([mask.sum() for mask in valid.values()]).float())
    return dict(zip(valid, counts.unbind(), strict=True))


def _total_loss(run: PretrainRun, terms: Mapping[str, Tensor], regularize: Tensor) -> Tensor:
    """Weighted sum of the losses (Table 9); the reconstruction losses only where `regularize` is 0."""
    settings = run.settings
    others = settings.variance_weight * terms["variance"] + settings.covariance_weight * terms["covariance"]
    if settings.adversarial_weight:
        others = others + settings.adversarial_weight * terms["adversarial"]
    return terms["reconstruction"] + regularize * others


def _paired_styles(run: PretrainRun, own: Tensor, videos: Tensor, choice: Tensor) -> tuple[Tensor, Tensor]:
    """Matched style of each window (the other window of its video) and unmatched style (another video), (w, S) each,
    from their own styles (w, S).
    """
    matched = own.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)
    same = videos[:, None] == gather_ranks(run.fabric, videos)[None, :]
    return matched, gather_ranks(run.fabric, own)[choice.masked_fill(same, -1).argmax(1)]


def _adversarial(run: PretrainRun, z: Tensor, matched: Tensor, unmatched: Tensor) -> Tensor:
    """Adversarial loss of the encoder; the discriminator receives no gradient."""
    discriminator = unwrapped(run.discriminator)
    frozen = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
    pairs = torch.cat((z, z)), torch.cat((matched, unmatched))
    on_matched, on_unmatched = functional_call(discriminator, frozen, pairs).chunk(2)
    means = discriminator.mean_matched.clone(), discriminator.mean_unmatched.clone()
    return losses.adversarial_loss(on_matched, on_unmatched, *means, run.settings.adversarial_form)


def _judge(run: PretrainRun, z: Tensor, matched: Tensor, unmatched: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Loss of the discriminator, and its outputs on matched and unmatched pairs, (w,) each."""
    pairs = torch.cat((z, z)), torch.cat((matched, unmatched))
    on_matched, on_unmatched = run.judge(*pairs).chunk(2)
    return losses.discriminator_loss(on_matched, on_unmatched), on_matched, on_unmatched
