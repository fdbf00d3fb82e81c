"""Augmentation on the device, the same for all frames of a window; no flip, which would swap the hands.

Supplement A2: Planckian jitter, random resized crop 256→224, Gaussian blur, grayscale, ImageNet mean and std. No
source gives the strengths; ours are D (decisions 0008, 0029).

Crop, resize and blur are linear along each axis, so a window is multiplied with one matrix per axis: the same few
operations for a batch of any size, of static shapes, without a look at the draws by the host (decision 0033). A CPU
resizes window by window, with the same result.

Legend: B windows, T frames, C colours, H W pixels as stored (256), S pixels of the model's input (224).
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)
EVALUATION_VIEW: Final = "the whole crop of 256 pixels, resized"  # what `prepare` shows of a frame, for protocols

GRAY: Final = (0.299, 0.587, 0.114)  # of red, green and blue in a grayscale picture (BT.601)
# Red, green and blue of a black body from 3,000 to 15,000 K in steps of 500 K (Zini et al. 2023, Planckian jitter).
BLACK_BODY: Final = (
    (0.6743, 0.4029, 0.0013), (0.6281, 0.4241, 0.1665), (0.5919, 0.4372, 0.2513), (0.5623, 0.4457, 0.3154),
    (0.5376, 0.4515, 0.3672), (0.5163, 0.4555, 0.4103), (0.4979, 0.4584, 0.4468), (0.4816, 0.4604, 0.4782),
    (0.4672, 0.4619, 0.5053), (0.4542, 0.4630, 0.5289), (0.4426, 0.4638, 0.5497), (0.4320, 0.4644, 0.5681),
    (0.4223, 0.4648, 0.5844), (0.4135, 0.4651, 0.5990), (0.4054, 0.4653, 0.6121), (0.3980, 0.4654, 0.6239),
    (0.3911, 0.4655, 0.6346), (0.3847, 0.4656, 0.6444), (0.3787, 0.4656, 0.6532), (0.3732, 0.4656, 0.6613),
    (0.3680, 0.4655, 0.6688), (0.3632, 0.4655, 0.6756), (0.3586, 0.4655, 0.6820), (0.3544, 0.4654, 0.6878),
    (0.3503, 0.4653, 0.6933),
)  # fmt: skip
JITTER_P: Final = 0.8
BLUR_P: Final = 0.5
BLUR_SIGMA: Final = (0.1, 2.0)  # pixels of a 224-pixel frame
GRAY_P: Final = 0.2
_BY_SUMS: Final = ("cpu",)  # devices on which sparse sums over one window after the other are faster than matrices


@dataclass(frozen=True)
class Draws:
    """Random values of the augmentation for B windows, on the CPU."""

    crop: Tensor  # (B, 4) y, x, height, width as shares of the frame
    illuminant: Tensor  # (B,) row of the Planckian table, -1 = unchanged
    sigma: Tensor  # (B,) of the blur, 0 = none
    gray: Tensor  # (B,) bool

    def __getitem__(self, windows: slice) -> "Draws":
        return Draws(*(getattr(self, part.name)[windows] for part in dataclasses.fields(self)))

    def pack(self) -> Tensor:
        """All values as one tensor (B, 8) for `transform`: the crop, gains of red and blue, sigma, gray."""
        gains = _planckian()[self.illuminant]
        return torch.cat((self.crop, gains, torch.stack((self.sigma, self.gray), 1)), 1)


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
    illuminant = torch.randint(len(BLACK_BODY), (n,), generator=generator)
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
    return transform(frames, draws.pack().to(frames.device, non_blocking=True), size)


def transform(frames: Tensor, draws: Tensor, size: int) -> Tensor:
    """Augment windows as `augment` does, by packed draws (B, 8) on their device."""
    with torch.autocast(frames.device.type, enabled=False):
        crop, gains, sigma, gray = draws.split((4, 2, 1, 1), 1)
        x = _jitter(_crop(frames, crop, size), gains)
        blur = _blur_matrix(sigma * (size / 224), size)
        x = (blur @ x.flatten(2)).view_as(x)  # along x, then y
        x = (x.flatten(1, 3) @ blur.mT).view_as(x)
        return _normalise(_to_gray(x, gray))


def prepare(frames: Tensor, size: int) -> Tensor:
    """Resize and normalise windows for evaluation, as the released code does; shapes as in `augment`."""
    with torch.autocast(frames.device.type, enabled=False):
        begin = torch.zeros(len(frames), 2, device=frames.device)
        return _normalise(_crop(frames, torch.cat((begin, begin + 1), 1), size))  # y, x, height, width: the whole


def to_pixels(video: Tensor) -> Tensor:
    """Undo the normalisation: (B, 3, T, S, S) → (B, T, S, S, 3) uint8, for display."""
    mean, std = (torch.tensor(values, device=video.device) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (255 * (video.permute(0, 2, 3, 4, 1) * std + mean)).round().clamp(0, 255).byte()


def _crop(frames: Tensor, crop: Tensor, size: int) -> Tensor:
    """(B, T, H, W, 3) or (B, T, 3H/2, W) uint8 → (B, S, 3, T, S) in 0..1, first along x, last along y."""
    if frames.ndim == 5:
        return _cut(frames.permute(0, 4, 1, 2, 3), crop, size) / 255
    height, width = frames.shape[2] * 2 // 3, frames.shape[3]
    luma = _cut(frames[:, None, :, :height], crop, size)
    chroma = frames[:, :, height:].reshape(*frames.shape[:2], 2, height // 2, width // 2)
    return _to_rgb(luma, _cut(chroma.transpose(1, 2), crop, size))


def _cut(pixels: Tensor, crop: Tensor, size: int) -> Tensor:
    """(B, C, T, H, W) uint8 → (B, S, C, T, S) floats, still 0..255, first along x, last along y."""
    b, c, t, side, _ = pixels.shape
    begin, length = _span(crop, side)
    if pixels.device.type in _BY_SUMS and not torch.compiler.is_compiling():
        spans = zip(pixels, begin.int().tolist(), length.int().tolist(), strict=True)
        return torch.stack([_cut_one(window, first, extent, size) for window, first, extent in spans])
    along_y, along_x = _resize_matrices(begin, length, side, size)
    x = along_x @ pixels.float().reshape(b, -1, side).mT  # (B, S, C·T·H)
    return (x.view(b, -1, side) @ along_y.mT).view(b, size, c, t, size)


def _span(crop: Tensor, full: int) -> tuple[Tensor, Tensor]:
    """Begin and length of crops (B, 4) in whole pixels of a square frame, each (B, 2) along y and x."""
    begin, length = (full * crop).round().view(-1, 2, 2).unbind(1)
    length = length.clamp(min=1)
    return begin.minimum(full - length), length


def _cut_one(window: Tensor, begin: Sequence[int], length: Sequence[int], size: int) -> Tensor:
    """`_cut` of one window (C, T, H, W) → (S, C, T, S), where its crop is known to the host."""
    (y, x), (height, width) = begin, length
    cut = window[:, :, y : y + height, x : x + width].float()
    if (height, width) != (size, size):
        cut = F.interpolate(cut, size=(size, size), mode="bilinear", antialias=True)
    return cut.permute(3, 0, 1, 2)


def _resize_matrices(begin: Tensor, length: Tensor, full: int, size: int) -> tuple[Tensor, Tensor]:
    """Matrices (B, S, full) that cut a crop out of the y and x axis of a square frame, and resize it.

    Bilinear with antialiasing, as `torch.nn.functional.interpolate` does it: triangles of the width of a source pixel,
    or of a target pixel where it is larger, cut off at the crop's edges.

    Args:
        begin, length: of the crop, in whole pixels, (B, 2) along y and x.
    """
    begin, length = begin[..., None, None], length[..., None, None]
    source = torch.arange(0.5, full, device=begin.device) - begin  # (B, axes, 1, full) within the crop
    scale = length / size
    target = torch.arange(0.5, size, device=begin.device)[:, None] * scale  # (B, axes, S, 1)
    weight = (1 - (source - target).abs() / scale.clamp(min=1)).clamp(min=0)
    weight = weight * ((source > 0) & (source < length))
    along_y, along_x = (weight / weight.sum(-1, keepdim=True)).unbind(1)
    return along_y, along_x


def _blur_matrix(sigma: Tensor, size: int) -> Tensor:
    """Matrix (B, S, S) of the Gaussian blur of an axis, sigma (B, 1) in pixels, 0 = none; edges are reflected."""
    sigma = sigma[:, None, :, None]  # (B, 1, 1, 1)
    source = torch.arange(size, device=sigma.device)
    target, end = source[:, None], size - 1
    near = torch.where(source > 0, -source, -size)  # reflections; an edge has none: it is put out of reach
    far = torch.where(source < end, 2 * end - source, 2 * size)
    distance = (target - torch.stack((source, near, far))[:, None]).abs()  # (3, S, S)
    tap = torch.exp(distance.square() / (-2 * sigma.square()).clamp(max=-1e-12))
    weight = (tap * (distance <= (2 * sigma).round().clamp(min=1))).sum(1)
    return weight / weight.sum(-1, keepdim=True)


def _to_rgb(luma: Tensor, chroma: Tensor) -> Tensor:
    """BT.709 in TV range: (B, S, 1, T, S) and (B, S, 2, T, S) blue and red difference in 0..255 → (B, S, 3, T, S)
    in 0..1.
    """
    grey = luma.sub_(16).div_(219)
    blue, red = chroma.sub_(128).div_(224).unbind(2)
    rgb = torch.cat((grey, grey, grey), 2)  # changed in place: five times as fast as sums
    rgb[:, :, 0].add_(red, alpha=1.5748)
    rgb[:, :, 1].add_(blue, alpha=-0.1873).add_(red, alpha=-0.4681)
    rgb[:, :, 2].add_(blue, alpha=1.8556)
    return rgb.clamp_(0, 1)


def _jitter(x: Tensor, gains: Tensor) -> Tensor:
    """Scale red and blue by their gains (B, 2), as under a black-body light, in place; (B, S, 3, T, S)."""
    x[:, :, ::2].mul_(gains[:, None, :, None, None])
    return x.clamp_(0, 1)


def _to_gray(x: Tensor, gray: Tensor) -> Tensor:
    """Windows with `gray` (B, 1) of 1 in grayscale, in place; (B, S, 3, T, S)."""
    red, green, blue = x.unbind(2)
    light = GRAY[0] * red + GRAY[1] * green + GRAY[2] * blue
    return x.lerp_(light[:, :, None], gray[:, :, None, None, None])


def _normalise(x: Tensor) -> Tensor:
    """(B, S, 3, T, S) in 0..1, first along x, last along y → (B, 3, T, S, S) normalised; changes x."""
    for k, (mean, std) in enumerate(zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)):
        x[:, :, k].sub_(mean).div_(std)
    return x.permute(0, 2, 3, 4, 1).contiguous()


def _planckian() -> Tensor:
    """(26, 2) gains of red and blue relative to green, by colour temperature; the last row, -1, changes nothing."""
    light = torch.tensor((*BLACK_BODY, (1.0, 1.0, 1.0)))
    return light[:, ::2] / light[:, 1:2]
