"""Augmentation on the device, the same for all frames of a window; no flip, which would swap the hands.

Supplement A2: Planckian jitter, random resized crop 256→224, Gaussian blur, grayscale, ImageNet mean and std. No
source gives the strengths; ours are D (decisions 0008, 0029).

Legend: B windows, T frames, H W pixels as stored (256), S pixels of the model's input (224).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from kornia.augmentation import RandomPlanckianJitter
from kornia.color import rgb_to_grayscale
from kornia.filters import gaussian_blur2d
from torch import Tensor

IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)
EVALUATION_VIEW: Final = "the whole crop of 256 pixels, resized"  # what `prepare` shows of a frame, for protocols

WHOLE: Final = (0.0, 0.0, 1.0, 1.0)  # y, x, height, width as shares of the frame
JITTER_P: Final = 0.8
BLUR_P: Final = 0.5
BLUR_SIGMA: Final = (0.1, 2.0)  # pixels of a 224-pixel frame
GRAY_P: Final = 0.2


@dataclass(frozen=True)
class Draws:
    """Random values of the augmentation for B windows, on the CPU."""

    crop: Tensor  # (B, 4) y, x, height, width as shares of the frame
    illuminant: Tensor  # (B,) row of the Planckian table, -1 = unchanged
    sigma: Tensor  # (B,) of the blur, 0 = none
    gray: Tensor  # (B,) bool

    def __getitem__(self, windows: slice) -> "Draws":
        return Draws(self.crop[windows], self.illuminant[windows], self.sigma[windows], self.gray[windows])


def draw_augmentations(
    n: int, generator: torch.Generator, area: tuple[float, float], ratio: tuple[float, float]
) -> Draws:
    """Draw random values for n windows.

    Args:
        area, ratio: ranges of the crop's area as a share of the frame's, and of its width to its height.
    """

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=generator)

    areas, ratios = uniform(*area), torch.exp(uniform(*torch.tensor(ratio).log().tolist()))
    height, width = (areas / ratios).sqrt().clamp(max=1), (areas * ratios).sqrt().clamp(max=1)
    y, x = (1 - height) * uniform(0, 1), (1 - width) * uniform(0, 1)
    illuminant = torch.randint(len(_planckian()), (n,), generator=generator)
    return Draws(
        torch.stack((y, x, height, width), 1),
        illuminant.where(uniform(0, 1) < JITTER_P, -1),
        uniform(*BLUR_SIGMA).where(uniform(0, 1) < BLUR_P, 0),
        uniform(0, 1) < GRAY_P,
    )


def augment(frames: Tensor, draws: Draws, size: int) -> Tensor:
    """Augment and normalise windows: (B, T, 3H/2, W) planes or (B, T, H, W, 3) RGB, uint8 → (B, 3, T, S, S).

    Planes are of the shards (`ShardReader.read_planes`) on every device, in training and evaluation alike; RGB is of
    video files.
    """
    x = torch.stack([_crop(window, crop, size) for window, crop in zip(frames, draws.crop.tolist(), strict=True)])
    x = _jitter(x, draws.illuminant)  # (B, T, 3, S, S) in 0..1
    for i in torch.nonzero(draws.sigma)[:, 0].tolist():  # on the CPU, so the device is not synchronised
        x[i] = _blur(x[i], float(draws.sigma[i]) * size / 224)
    for i in torch.nonzero(draws.gray)[:, 0].tolist():
        x[i] = rgb_to_grayscale(x[i])
    return _normalise(x)


def prepare(frames: Tensor, size: int) -> Tensor:
    """Resize and normalise windows for evaluation, as the released code does; shapes as in `augment`."""
    return _normalise(torch.stack([_crop(window, WHOLE, size) for window in frames]))


def to_pixels(video: Tensor) -> Tensor:
    """Undo the normalisation: (B, 3, T, S, S) → (B, T, S, S, 3) uint8, for display."""
    mean, std = (torch.tensor(values, device=video.device) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (255 * (video.permute(0, 2, 3, 4, 1) * std + mean)).round().clamp(0, 255).byte()


def _crop(window: Tensor, crop: Sequence[float], size: int) -> Tensor:
    """(T, H, W, 3) or (T, 3H/2, W) uint8 → (T, 3, size, size) in 0..1, in floats throughout."""
    if window.ndim == 4:
        return _cut(window.permute(0, 3, 1, 2), crop, size) / 255
    height, width = window.shape[1] * 2 // 3, window.shape[2]
    luma = _cut(window[:, None, :height], crop, size)
    chroma = _cut(window[:, height:].reshape(-1, 2, height // 2, width // 2), crop, size)
    return _to_rgb(luma, chroma)


def _cut(pixels: Tensor, crop: Sequence[float], size: int) -> Tensor:
    """(T, C, H, W) uint8 → (T, C, size, size) floats, still 0..255."""
    full_height, full_width = pixels.shape[2:]
    height, width = max(1, round(crop[2] * full_height)), max(1, round(crop[3] * full_width))
    y, x = min(round(crop[0] * full_height), full_height - height), min(round(crop[1] * full_width), full_width - width)
    cut = pixels[:, :, y : y + height, x : x + width].float()
    if (height, width) != (size, size):
        cut = F.interpolate(cut, size=(size, size), mode="bilinear", antialias=True)
    return cut


def _to_rgb(luma: Tensor, chroma: Tensor) -> Tensor:
    """BT.709 in TV range: (T, 1, S, S) and (T, 2, S, S) blue and red difference in 0..255 → (T, 3, S, S) in 0..1."""
    grey = luma[:, 0].sub_(16).div_(219)
    blue, red = chroma.sub_(128).div_(224).unbind(1)
    rgb = luma.new_empty(len(luma), 3, *luma.shape[2:])  # filled in place: five times as fast as sums and torch.cat
    torch.add(grey, red, alpha=1.5748, out=rgb[:, 0])
    torch.add(grey, blue, alpha=-0.1873, out=rgb[:, 1]).add_(red, alpha=-0.4681)
    torch.add(grey, blue, alpha=1.8556, out=rgb[:, 2])
    return rgb.clamp_(0, 1)


def _jitter(x: Tensor, illuminant: Tensor) -> Tensor:
    """Scale red and blue as under a black-body light, in place; (B, T, 3, S, S)."""
    gains = torch.ones(len(illuminant), 3)
    lit = illuminant >= 0
    gains[lit, ::2] = _planckian()[illuminant[lit]]
    return x.mul_(gains.to(x.device)[:, None, :, None, None]).clamp_(0, 1)


def _blur(window: Tensor, sigma: float) -> Tensor:
    kernel = 2 * max(1, round(2 * sigma)) + 1
    return gaussian_blur2d(window, (kernel, kernel), (sigma, sigma))


def _normalise(x: Tensor) -> Tensor:
    """(B, T, 3, S, S) in 0..1 → (B, 3, T, S, S); in place."""
    mean, std = (torch.tensor(values, device=x.device)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    return x.sub_(mean).div_(std).transpose(1, 2).contiguous()


def _planckian() -> Tensor:
    """(25, 2) gains of red and blue, by colour temperature."""
    return RandomPlanckianJitter(mode="blackbody").pl
