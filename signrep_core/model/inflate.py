"""An encoder for clips of 64 frames out of one for windows of 16: the inflated patch embedding.

Method section 6 (supplement A6). The patches reach over more time, and their number stays: 64 frames give the same
tokens, positions and mask units as 16 did, so everything behind the patch embedding is taken as it is. At first the
inflated kernel looks at frames two apart, as the old one looked at neighbours.
"""

import dataclasses
from typing import Final

import torch
from torch import Tensor

from signrep_core.model.encoder import Encoder, EncoderConfig

CLIP: Final = 64  # frames (A6)
GROWTH: Final = 4  # of the stride in time: 2 → 8 frames (A6)
SPACING: Final = 2  # in time, of the old kernel's taps within the inflated one: 0, 1, 2 go to 1, 3, 5 (A6)


def inflate_config(config: EncoderConfig) -> EncoderConfig:
    """The arguments of the inflated encoder: from the paper's, kernel (7, 7, 7), stride (8, 4, 4), padding 3 (A6)."""
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
    """(C, 3, K, ...) → (C, 3, 2K + 1, ...): zero but for the old taps."""
    inflated = kernel.new_zeros(*kernel.shape[:2], SPACING * kernel.shape[2] + 1, *kernel.shape[3:])
    inflated[:, :, 1::SPACING] = kernel
    return inflated


def inflate_encoder(encoder: Encoder, config: EncoderConfig) -> Encoder:
    """The inflated twin of an encoder of this configuration, with its weights."""
    state = {name: weight.clone() for name, weight in encoder.state_dict().items()}
    state["patch_embed.proj.weight"] = inflate_kernel(state["patch_embed.proj.weight"])
    with torch.device("meta"):
        inflated = Encoder(inflate_config(config))
    inflated.load_state_dict(state, strict=True, assign=True)
    for parameter in inflated.parameters():
        parameter.requires_grad_(True)
    return inflated
