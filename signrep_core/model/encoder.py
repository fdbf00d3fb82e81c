"""The encoder: timm's video Hiera with its weights and names, computed faster and only on the visible mask units.

Sizes as in the supplement and the released checkpoint. Three things differ from timm's `forward` without changing the
result (tests compare both to 1e-5): units are gathered from the pixels, so that hidden patches cost nothing, all shapes
are static, and no 3-D convolution is needed, which is slow or wrong in bf16 with some versions of cuDNN; tokens stay
window-major, so that windowed attention is a 4-D batch that uses the fast kernels; and the features of a stage are
returned without timm's `forward_intermediates`, which fails for video.

Legend: B batch, T frames, H W pixels, U mask units kept (78 of 392), n tokens of a unit (64, 16, 4), C channels.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from timm.models.hiera import Hiera, HieraBlock, MaskUnitAttention
from torch import Tensor, nn

MASK_UNIT = (1, 8, 8)  # tokens (time, height, width) of one mask unit
Q_STRIDE = (1, 2, 2)


@dataclass(frozen=True)
class EncoderConfig:
    """Arguments of the video Hiera; the defaults are the paper's Hiera-B (16×224×224)."""

    frames: int = 16
    image_size: int = 224
    embed_dim: int = 96
    heads: int = 1
    stages: tuple[int, ...] = (2, 3, 16, 3)
    q_pool: int = 2
    drop_path: float = 0.1
    patch_kernel: tuple[int, int, int] = (3, 7, 7)
    patch_stride: tuple[int, int, int] = (2, 4, 4)
    patch_padding: tuple[int, int, int] = (1, 3, 3)


class Encoded(NamedTuple):
    """`tokens` (B, N, C) of the last block, `of_stage` (B, Ns, Cs) after the asked stage, in window-major order."""

    tokens: Tensor
    of_stage: Tensor


class Encoder(Hiera):
    """timm's `Hiera` with the video arguments; parameters have Hiera's names."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(
            img_size=(config.frames, config.image_size, config.image_size),
            embed_dim=config.embed_dim,
            num_heads=config.heads,
            num_classes=0,
            stages=config.stages,
            q_pool=config.q_pool,
            q_stride=Q_STRIDE,
            mask_unit_size=MASK_UNIT,
            patch_kernel=config.patch_kernel,
            patch_stride=config.patch_stride,
            patch_padding=config.patch_padding,
            drop_path_rate=config.drop_path,
            sep_pos_embed=True,
        )
        self.head = nn.Identity()  # type: ignore[assignment]  # timm's has a norm that is unused here
        self.input_shape = (3, config.frames, config.image_size, config.image_size)
        along_t, along_y, along_x = self.mask_spatial_shape
        self.units = (along_t, along_y, along_x)  # mask units along time, height, width: (8, 7, 7)
        self.n_units = self.units[0] * self.units[1] * self.units[2]

    @property
    def projection(self) -> nn.Conv3d:
        """The convolution that embeds the patches."""
        projection = self.patch_embed.proj
        assert isinstance(projection, nn.Conv3d)
        return projection

    def forward(  # type: ignore[override]  # timm's gives the logits of its head
        self, video: Tensor, visible: Tensor | None = None, stage: int = 1
    ) -> Encoded:
        """Encode normalised videos.

        Args:
            video: (B, 3, T, H, W).
            visible: (B, U) indices of the visible mask units, the same number for each video; None = all.
            stage: from 1, after which tokens are returned too.

        Raises:
            ValueError: the video's size differs from the encoder's.
        """
        if tuple(video.shape[1:]) != self.input_shape:
            raise ValueError(f"the encoder takes videos (B, {self.input_shape}), got {tuple(video.shape)}")
        x = self._embed(video, visible)  # (B, U, 64, C)
        n = x.shape[2]
        x = x.flatten(1, 2)  # (B, U·n, C), window-major from here on
        of_stage = x
        for i, block in enumerate(self.blocks):
            assert isinstance(block, HieraBlock)
            x, n = _run_block(block, x, n)
            if i == self.stage_ends[stage - 1]:
                of_stage = x
        return Encoded(x, of_stage)

    def _embed(self, video: Tensor, visible: Tensor | None) -> Tensor:
        """Embed the visible units: (B, U, 64, C)."""
        projection = self.projection
        patches = self._gather_pixels(video, visible)  # (B·U, 3, kt, 35, 35)
        x = F.conv2d(
            patches.flatten(1, 2), projection.weight.flatten(1, 2), projection.bias, stride=projection.stride[1:]
        )  # kernel and patch have the same depth in time: a 2-D convolution over (channel, frame) pairs
        x = _unroll(x.unflatten(0, (len(video), -1)))
        positions = self._positions()
        return x + (positions if visible is None else positions[visible])

    def _gather_pixels(self, video: Tensor, visible: Tensor | None) -> Tensor:
        """Pixels under the kernels of each visible unit, (B·U, 3, kt, ph, pw); those of hidden units are 0, as in timm.

        A kernel reaches a few pixels into the unit before its own.
        """
        kernel, stride, pad = (getattr(self.projection, name) for name in ("kernel_size", "stride", "padding"))
        steps = [stride[d] * MASK_UNIT[d] for d in range(3)]  # pixels from unit to unit: (2, 32, 32)
        if visible is not None:
            keep = torch.zeros(len(video), self.n_units, device=video.device, dtype=video.dtype)
            keep = keep.scatter(1, visible, 1.0).unflatten(1, self.units)[:, :, None, :, None, :, None]
            video = (video.unflatten(4, (-1, steps[2])).unflatten(3, (-1, steps[1])).unflatten(2, (-1, steps[0]))
                     * keep[:, None]).view_as(video)  # fmt: skip
        pixels = F.pad(video, (pad[2], pad[2], pad[1], pad[1], pad[0], pad[0]))
        for d in range(3):
            pixels = pixels.unfold(
                2 + d, steps[d] - stride[d] + kernel[d], steps[d]
            )  # under a unit's kernels: 3, 35, 35
        pixels = pixels.permute(0, 2, 3, 4, 1, 5, 6, 7)  # (B, ut, uh, uw, 3, kt, ph, pw)
        if visible is None:
            return pixels.flatten(0, 3)
        row = torch.arange(len(video), device=video.device)[:, None]
        return pixels[row, *_unravel(visible, self.units)].flatten(0, 1)

    def _positions(self) -> Tensor:
        """Separable position embedding by unit, (units, 64, C)."""
        (_, uh, uw), (_, mh, mw) = self.units, MASK_UNIT
        assert self.pos_embed_spatial is not None
        assert self.pos_embed_temporal is not None
        space = self.pos_embed_spatial[0].unflatten(0, (uh, mh, uw, mw)).permute(0, 2, 4, 1, 3)  # (uh, uw, C, mh, mw)
        space = _unroll(space.flatten(0, 1)[None])  # (1, uh·uw, 64, C)
        return (self.pos_embed_temporal[0][:, None, None] + space).flatten(0, 1)


def random_units(batch: int, n_units: int, mask_ratio: float, generator: torch.Generator | None = None) -> Tensor:
    """Draw the visible mask units of each window: (batch, kept) ascending indices, on the CPU."""
    kept = int(n_units * (1 - mask_ratio))
    return torch.rand(batch, n_units, generator=generator).argsort(1)[:, :kept].sort(1).values


def _unroll(x: Tensor) -> Tensor:
    """(B, U, C, 8, 8) → (B, U, 64, C): each pooling halves a unit, so the lowest bits of y and x come first."""
    b, u, c = x.shape[:3]
    x = x.reshape(b, u, c, 2, 2, 2, 2, 2, 2)  # y = 4·y2 + 2·y1 + y0, then x
    return x.permute(0, 1, 5, 8, 4, 7, 3, 6, 2).reshape(b, u, 64, c)


def _run_block(block: HieraBlock, x: Tensor, n: int) -> tuple[Tensor, int]:
    """Apply one Hiera block to window-major tokens: (B, U·n, C) → (B, U·n', C'), n'."""
    stride = block.attn.q_stride
    normed = block.norm1(x)
    if block.do_expand:
        x = _pool(block.proj(normed), n, stride)
    x = x + block.drop_path1(_attend(block.attn, normed, n))
    return x + block.drop_path2(block.mlp(block.norm2(x))), n // stride


def _attend(attention: MaskUnitAttention, x: Tensor, n: int) -> Tensor:
    """Attend within windows of n tokens, or among all tokens of a video: (B, U·n, C) → (B, U·n', C')."""
    heads, width = attention.heads, attention.head_dim
    q, k, v = attention.qkv(x).unflatten(-1, (3, heads * width)).unbind(2)  # each (B, U·n, heads·width)
    q = _pool(q, n, attention.q_stride)
    batch, size = (-1, n) if attention.use_mask_unit_attn else (len(x), x.shape[1])
    pooled = size // attention.q_stride
    q = q.reshape(batch, pooled, heads, width).transpose(1, 2)
    k, v = (y.reshape(batch, size, heads, width).transpose(1, 2) for y in (k, v))
    y = F.scaled_dot_product_attention(q, k, v)  # (·, heads, pooled, width)
    return attention.proj(y.transpose(1, 2).reshape(len(x), -1, heads * width))


def _pool(x: Tensor, n: int, stride: int) -> Tensor:
    """Maximum over each `stride` neighbours within windows of n tokens: (B, U·n, C) → (B, U·n/stride, C)."""
    if stride == 1:
        return x
    return x.unflatten(1, (-1, stride, n // stride)).amax(2).flatten(1, 2)


def _unravel(index: Tensor, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Indices along time, height and width of flat unit indices."""
    _, height, width = shape
    return index // (height * width), index // width % height, index % width
