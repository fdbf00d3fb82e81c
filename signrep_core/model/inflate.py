"""An encoder for clips of 64 frames out of one for windows of 16: the inflated patch embedding.

Method section 6 (supplement A6). The patches reach over more time, and their number stays: 64 frames give the same
tokens, positions and mask units as 16 did, so everything behind the patch embedding is taken as it is. At first the
inflated kernel looks at three frames, two apart, as the old one looked at three neighbours.
"""

import dataclasses
from typing import Final

import torch
from torch import Tensor

from signrep_core.model.encoder import Encoder, EncoderConfig

CLIP: Final = 64  # frames (A6)
KERNEL, STRIDE, PADDING = (7, 7, 7), (8, 4, 4), (3, 3, 3)  # A6
OLD_TAPS: Final = (1, 3, 5)  # where in time the old kernel's taps 0, 1, 2 go (A6)


def inflate_config(config: EncoderConfig) -> EncoderConfig:
    """The arguments of the inflated encoder."""
    return dataclasses.replace(config, frames=CLIP, patch_kernel=KERNEL, patch_stride=STRIDE, patch_padding=PADDING)


def inflate_kernel(kernel: Tensor) -> Tensor:
    """(C, 3, 3, 7, 7) → (C, 3, 7, 7, 7): zero but for the old taps."""
    inflated = kernel.new_zeros(*kernel.shape[:2], KERNEL[0], *kernel.shape[3:])
    inflated[:, :, OLD_TAPS] = kernel
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
