"""Data-dependent initialisation for short runs from scratch (D, decision 0016).

The paper starts from a video autoencoder and trains for 500,000 steps. A small encoder with random weights predicts the
median pose for hundreds of steps, because its feature is the unweighted mean of all tokens and a hand
fills one token in fifty. Here tokens respond to motion from the start, encode their position, and attend sharply, so
that the mean of all tokens depends on where things move; and the decoder starts at the median target.

Legend: N windows, T frames, S pixels, K values under a patch's kernel, C channels.
"""

import math
from typing import Final

import numpy as np
import torch
from timm.models.hiera import HieraBlock
from torch import Tensor, nn

from signrep_core.body.targets import PRIORS, prior_targets
from signrep_core.data.augment import prepare
from signrep_core.data.windows import TARGETS, WindowPairs, sample_windows
from signrep_core.model.encoder import MASK_UNIT, Encoder
from signrep_core.model.signrep import SignRep

TARGET_SAMPLE: Final = 128  # windows for the median target
PATCH_SAMPLE: Final = 24  # windows for the changes under a patch
SHARPNESS: Final = 2.0  # factor of queries and keys in global attention
WAVES: Final = 3.0  # standard deviation of the positions' angular frequencies, radians per image side
_LEAST_VARIANCE: Final = 1e-6


def start_decoder(model: SignRep, dataset: WindowPairs) -> None:
    """Make the decoder predict the median target for all features."""
    windows = sample_windows(dataset, TARGET_SAMPLE, dataset.reader.read_targets)
    targets = prior_targets(
        *(torch.from_numpy(np.stack([np.asarray(w[name], np.float32) for w in windows])) for name in TARGETS)
    )
    medians = {}
    for name, prior in PRIORS.items():
        value, valid = (x.flatten(0, 1) for x in (targets[name].value, targets[name].valid))
        known = (prior.scale * value).masked_fill(~valid[..., None], torch.nan)
        medians[name] = known.nanmedian(0).values.nan_to_num()
    model.decoder.start_at(medians)


@torch.no_grad()
def start_encoder(model: SignRep, dataset: WindowPairs, generator: torch.Generator) -> None:
    """Initialise all layers to preserve scale, patch filters from the data, positions as waves, and sharp attention."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and not name.startswith("decoder.heads"):
            nn.init.normal_(module.weight, std=1 / math.sqrt(module.in_features), generator=generator)
    encoder = model.encoder
    windows = sample_windows(dataset, PATCH_SAMPLE, dataset.reader.read_planes)
    video = prepare(torch.from_numpy(np.stack(windows)), model.config.encoder.image_size)
    projection, positions = encoder.projection, encoder.pos_embed_spatial
    assert projection.bias is not None
    assert positions is not None
    filters = principal_changes(patches_of(video, projection), projection.kernel_size[0], projection.out_channels)
    projection.weight.copy_(filters.view_as(projection.weight))
    projection.bias.zero_()
    positions.copy_(_waves(encoder, positions.shape[-1], generator))
    for block in encoder.blocks:
        assert isinstance(block, HieraBlock)
        if not block.attn.use_mask_unit_attn:
            queries_and_keys = 2 * block.attn.qkv.out_features // 3
            block.attn.qkv.weight[:queries_and_keys] *= SHARPNESS


def patches_of(video: Tensor, projection: nn.Conv3d) -> Tensor:
    """Extract the patches under the kernel at all its positions: (N, 3, T, S, S) → (positions, K)."""
    assert not isinstance(projection.padding, str)
    padding = [side for pad in reversed(projection.padding) for side in (pad, pad)]
    patches = nn.functional.pad(video, padding)
    for axis in range(3):
        patches = patches.unfold(2 + axis, projection.kernel_size[axis], projection.stride[axis])
    return patches.permute(0, 2, 3, 4, 1, 5, 6, 7).flatten(4).flatten(0, 3)


def principal_changes(patches: Tensor, frames: int, n: int) -> Tensor:
    """The n principal directions (n, K) of the changes of patches (positions, K) over time, scaled to variance 1.

    K = 3 colours × `frames` × pixels. A direction with a variance below 1e-6 is scaled as if it had that variance.
    """
    changes = patches.double().unflatten(1, (3, frames, -1))
    changes = (changes - changes.mean(2, keepdim=True)).flatten(1)
    changes = changes - changes.mean(0)
    variance, direction = torch.linalg.eigh(changes.T @ changes / len(changes))  # ascending
    variance, direction = variance.flip(0)[:n], direction.flip(1)[:, :n]
    return (direction / variance.clamp_min(_LEAST_VARIANCE).sqrt()).T.float()


def _waves(encoder: Encoder, channels: int, generator: torch.Generator) -> Tensor:
    """Plane waves over the image, one per channel, with unit variance: (1, tokens of a frame, C)."""
    height, width = (units * unit for units, unit in zip(encoder.units[1:], MASK_UNIT[1:], strict=True))
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    fy, fx = WAVES * torch.randn(2, channels, generator=generator)
    phase = 2 * math.pi * torch.rand(channels, generator=generator)
    waves = math.sqrt(2) * torch.sin(y[..., None] * fy + x[..., None] * fx + phase)
    return waves.flatten(0, 1)[None]
