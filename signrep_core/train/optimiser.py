"""Parameter groups with layer-wise learning rates, and the learning-rate schedule (supplement A3, A4)."""

import math
import re
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW

ENCODER_BLOCK = re.compile(r"^encoder\.blocks\.(\d+)\.")


def parameter_groups(model: nn.Module, n_blocks: int, layer_decay: float, weight_decay: float) -> list[dict[str, Any]]:
    """Divide the parameters that learn, as those of a `SignRep`, into groups for AdamW, each with its `lr_scale`.

    Patch and position embedding are layer 0, block i is layer i + 1, everything after the encoder is layer n_blocks + 1
    with scale 1; each layer has `layer_decay` times the scale of the next one. Biases, norms and position embeddings
    have no weight decay. Every parameter that learns is in exactly one group.
    """
    learning = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in learning.items():
        layer = layer_of(name, n_blocks)
        decays = parameter.ndim > 1 and "pos_embed" not in name
        group = groups.setdefault(
            (layer, decays),
            {
                "params": [],
                "weight_decay": weight_decay if decays else 0.0,
                "lr_scale": layer_decay ** (n_blocks + 1 - layer),
            },
        )
        group["params"].append(parameter)
    placed = [id(parameter) for group in groups.values() for parameter in group["params"]]
    assert sorted(placed) == sorted(map(id, learning.values())), "a parameter is not in exactly one group"
    return [groups[key] for key in sorted(groups)]


def layer_of(name: str, n_blocks: int) -> int:
    """Layer of a parameter of `SignRep`, for layer-wise learning rates."""
    if block := ENCODER_BLOCK.match(name):
        return int(block[1]) + 1
    return 0 if name.startswith("encoder.") else n_blocks + 1


def learning_rate_at(
    step: int, peak: float, warmup: int, iterations: int, end: float = 0.0, period: int | None = None
) -> float:
    """Learning rate of a step (from 0): linear warm-up to the peak, then a cosine.

    Args:
        end: share of the peak at which the warm-up starts and the cosine ends.
        period: steps of a cosine, after which the rate starts again at the peak; None = one cosine over all steps.
    """
    if step < warmup:
        share = (step + 1) / warmup
    else:
        progress = (step - warmup) % period / period if period else (step - warmup) / max(1, iterations - warmup)
        share = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return peak * (end + (1 - end) * share)


def group_rates(optimiser: torch.optim.Optimizer, learning_rate: float) -> list[float]:
    """Learning rate of each group: scaled by its `lr_scale`."""
    return [learning_rate * group.get("lr_scale", 1.0) for group in optimiser.param_groups]


def set_rates(optimiser: torch.optim.Optimizer, rates: Iterable[float | Tensor]) -> None:
    """Set the learning rate of each group; tensors on the parameters' device can change without a new CUDA graph."""
    for group, rate in zip(optimiser.param_groups, rates, strict=True):
        group["lr"] = rate


def set_learning_rate(optimiser: torch.optim.Optimizer, learning_rate: float) -> None:
    """Set the learning rate of each group, scaled by its `lr_scale`."""
    set_rates(optimiser, group_rates(optimiser, learning_rate))


def make_adamw(parameters: Any, betas: tuple[float, float], weight_decay: float) -> AdamW:
    """Create AdamW with a fused kernel: one call for all parameters of a group, and no state on the host."""
    return AdamW(parameters, lr=0.0, betas=betas, weight_decay=weight_decay, fused=True)
