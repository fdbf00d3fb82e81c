"""Inflated patch embedding: an encoder for clips of 64 frames from one for windows of 16.

Supplement A6. Patches cover more frames while their number stays the same: 64 frames give as many
tokens, positions and mask units as 16, so everything after the patch embedding is kept. Initially the inflated kernel
weighs frames two apart as the old one weighs neighbours.
"""

import dataclasses
from typing import Final

import torch
from torch import Tensor

from signrep_core.model.encoder import Encoder, EncoderConfig

CLIP: Final = 64  # frames (A6)
GROWTH: Final = 4  # of the stride in time: 2 → 8 frames (A6)
SPACING: Final = 2  # of the old kernel's taps in time within the inflated one: 0, 1, 2 move to 1, 3, 5 (A6)


def inflate_config(config: EncoderConfig) -> EncoderConfig:
    """Arguments of the inflated encoder; for the paper's, kernel (7, 7, 7), stride (8, 4, 4), padding 3 (A6)."""
    taps, kernel_y, kernel_x = config.patch_kernel
    step, stride_y, stride_x = config.patch_stride
    _, padding_y, padding_x = config.patch_padding
    return dataclasses.replace(
        config,
        frames=CLIP,
        patch_kernel=(SPACING * taps + 1, kernel_y, kernel_x),
        patch_stride=(GROWTH * step, stride_y, stride_x),
        patch_padding=(SPACING + 1, padding_y, padding_x),
    )


def inflate_kernel(kernel: Tensor) -> Tensor:
    """(C, 3, K, ...) → (C, 3, 2K + 1, ...): zero except at the old taps."""
    inflated = kernel.new_zeros(*kernel.shape[:2], SPACING * kernel.shape[2] + 1, *kernel.shape[3:])
    inflated[:, :, 1::SPACING] = kernel
    return inflated


def inflate_encoder(encoder: Encoder, config: EncoderConfig) -> Encoder:
    """Create the inflated encoder with the weights of an encoder of this configuration."""
    state = {name: weight.clone() for name, weight in encoder.state_dict().items()}
    state["patch_embed.proj.weight"] = inflate_kernel(state["patch_embed.proj.weight"])
    with torch.device("meta"):
        inflated = Encoder(inflate_config(config))
    inflated.load_state_dict(state, strict=True, assign=True)
    for parameter in inflated.parameters():
        parameter.requires_grad_(True)
    return inflated
