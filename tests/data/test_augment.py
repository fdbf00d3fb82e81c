"""Augmentation: the same for all frames of a window, without flips."""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import av
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from kornia.augmentation import RandomPlanckianJitter
from kornia.color import rgb_to_grayscale
from kornia.filters import gaussian_blur2d
from torch.utils._python_dispatch import TorchDispatchMode

from signrep_core.config import Pretrain
from signrep_core.data import augment as module
from signrep_core.data.augment import Draws, augment, draw_augmentations, prepare
from signrep_core.video.encode import Encoder, EncoderSettings
from tests.fake_reader import planes_of

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])

CROPS = Pretrain().crop_area, Pretrain().crop_ratio


def nothing(n: int) -> Draws:
    return Draws(
        torch.tensor([[0.0, 0.0, 1.0, 1.0]] * n),
        torch.full((n,), -1),
        torch.zeros(n),
        torch.zeros(n, dtype=torch.bool),
    )


def pixels(video: torch.Tensor) -> torch.Tensor:
    """Undo the normalisation: (B, 3, T, S, S) in 0..255."""
    return 255 * (video * STD[:, None, None, None] + MEAN[:, None, None, None])


def noise(n: int = 2, t: int = 3, side: int = 32) -> torch.Tensor:
    return torch.randint(0, 256, (n, t, side, side, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def test_without_augmentation_pixels_stay_the_same() -> None:
    frames = noise()
    torch.testing.assert_close(
        pixels(augment(frames, nothing(2), 32)), frames.permute(0, 4, 1, 2, 3).float(), rtol=0, atol=1e-3
    )


def test_imagenet_statistics() -> None:
    black = augment(torch.zeros(1, 1, 8, 8, 3, dtype=torch.uint8), nothing(1), 8)
    torch.testing.assert_close(black[0, :, 0, 0, 0], -MEAN / STD)


def test_all_frames_of_a_window_get_the_same_draw_and_windows_get_their_own() -> None:
    frame = noise(1, 1, 64)
    frames = frame.expand(4, 5, -1, -1, -1).contiguous()  # the same picture everywhere
    video = augment(frames, draw_augmentations(4, torch.Generator().manual_seed(1), *CROPS), 48)
    assert video.shape == (4, 3, 5, 48, 48)
    for window in video:
        for t in range(5):
            torch.testing.assert_close(window[:, 0], window[:, t])
    assert not torch.equal(video[0], video[1])


def test_left_stays_left() -> None:
    frames = torch.zeros(20, 2, 64, 64, 3, dtype=torch.uint8)
    frames[:, :, :, :32] = 200  # bright at the left
    video = augment(frames, draw_augmentations(20, torch.Generator().manual_seed(2), *CROPS), 32).mean(
        (1, 2, 3)
    )  # (20, 32)
    assert (video[:, 0] >= video[:, -1]).all()


def test_the_crop_is_the_drawn_one() -> None:
    frames = torch.zeros(1, 1, 64, 64, 3, dtype=torch.uint8)
    frames[0, 0, 16:48, 32:64] = 255
    draws = dataclasses.replace(nothing(1), crop=torch.tensor([[0.25, 0.5, 0.5, 0.5]]))
    torch.testing.assert_close(
        pixels(augment(frames, draws, 32)), torch.full((1, 3, 1, 32, 32), 255.0), rtol=0, atol=1e-2
    )


def test_only_gray_windows_have_equal_channels() -> None:
    draws = dataclasses.replace(nothing(2), gray=torch.tensor([True, False]))
    out = pixels(augment(noise(), draws, 32))
    torch.testing.assert_close(out[0, 0], out[0, 2], rtol=0, atol=1e-2)
    assert not torch.allclose(out[1, 0], out[1, 2], atol=1)


def test_planes_give_the_same_colours_as_rgb() -> None:
    y, x = np.mgrid[:64, :64] / 64
    smooth = np.stack((60 + 100 * y, 200 - 90 * x, 80 + 60 * x * y), -1).astype(np.uint8)[None, None]
    frames, planes = torch.from_numpy(smooth), torch.from_numpy(planes_of(smooth[0])[None])
    crop = torch.tensor([[0.25, 0.125, 0.5, 0.75]])
    draws = dataclasses.replace(nothing(1), crop=crop)
    ours, direct = pixels(augment(planes, draws, 32)), pixels(augment(frames, draws, 32))
    assert (ours - direct).abs().max() < 3  # of 255: colours have half the size, bytes are rounded twice


@pytest.mark.parametrize(
    ("planes", "rgb"),
    [  # BT.709 in TV range: red = 1.1644 (Y - 16) + 1.7927 (Cr - 128), and so on
        ((16, 128, 128), (0, 0, 0)),
        ((235, 128, 128), (255, 255, 255)),
        ((126, 128, 128), (128.08, 128.08, 128.08)),
        ((90, 110, 150), (125.60, 78.28, 48.14)),
        ((235, 128, 240), (255, 195.31, 255)),  # red is clipped
    ],
)
def test_colours_of_planes_by_hand(planes: tuple[int, int, int], rgb: tuple[float, float, float]) -> None:
    frame = np.repeat(np.array([planes[0]] * 4 + list(planes[1:]), np.uint8), 4).reshape(1, 1, 6, 4)
    seen = pixels(prepare(torch.from_numpy(frame), 4))[0, :, 0]
    torch.testing.assert_close(
        seen, torch.tensor(rgb, dtype=torch.float32)[:, None, None].expand(3, 4, 4), rtol=0, atol=0.02
    )


def test_encoded_colours_come_back_without_bias(tmp_path: Path) -> None:
    """FFmpeg's own conversion without accurate rounding would be 1 to 1.4 levels too dark."""
    y, x = np.mgrid[:64, :64] / 64
    frames = np.stack((60 + 100 * y, 200 - 90 * x, 80 + 60 * x * y), -1).round().astype(np.uint8)[None].repeat(6, 0)
    with Encoder(tmp_path / "v.mp4", EncoderSettings(size=64)) as encoder:
        for frame in frames:
            encoder.write(frame)
    with av.open(str(tmp_path / "v.mp4")) as video:
        planes = np.stack([frame.to_ndarray() for frame in video.decode(video=0)])
    seen = pixels(prepare(torch.from_numpy(planes)[None], 64))[0]
    bias = seen.mean((1, 2, 3)) - torch.from_numpy(frames).float().mean((0, 1, 2))
    assert bias.abs().max() < 0.4


def test_a_low_colour_temperature_reddens() -> None:
    frames = torch.full((2, 1, 8, 8, 3), 100, dtype=torch.uint8)
    draws = dataclasses.replace(nothing(2), illuminant=torch.tensor([0, 24]))
    out = pixels(augment(frames, draws, 8))[:, :, 0, 0, 0]
    assert out[0, 0] > 120 > 100 > out[0, 2]  # 3000 K: red gains, blue loses
    assert out[1, 0] < 100 < out[1, 2]  # 15000 K
    torch.testing.assert_close(out[:, 1], torch.full((2,), 100.0), rtol=0, atol=1e-2)


def test_blur_smooths_without_changing_the_mean() -> None:
    draws = dataclasses.replace(nothing(1), sigma=torch.tensor([2.0]))
    frames = noise(1, 2, 64)
    sharp, blurred = pixels(augment(frames, nothing(1), 64)), pixels(augment(frames, draws, 64))
    assert blurred.std() < 0.8 * sharp.std()
    assert abs(blurred.mean() - sharp.mean()) < 1


def by_kornia(frames: torch.Tensor, draws: Draws, size: int) -> torch.Tensor:
    """The augmentation of RGB windows one after the other, by the functions of torch and kornia."""
    table = RandomPlanckianJitter(mode="blackbody").pl
    windows = []
    for k, window in enumerate(frames.permute(0, 1, 4, 2, 3).float() / 255):
        side = window.shape[-1]
        y, x, height, width = (round(share * side) for share in draws.crop[k].tolist())
        cut = window[..., y : y + height, x : x + width]
        out = F.interpolate(cut, (size, size), mode="bilinear", antialias=True)
        if draws.illuminant[k] >= 0:
            red, blue = table[draws.illuminant[k]]
            out = (out * torch.stack((red, torch.tensor(1.0), blue))[:, None, None]).clamp(0, 1)
        if draws.sigma[k]:
            sigma = float(draws.sigma[k]) * size / 224
            kernel = 2 * max(1, round(2 * sigma)) + 1
            out = gaussian_blur2d(out, (kernel, kernel), (sigma, sigma))
        windows.append(rgb_to_grayscale(out).expand(-1, 3, -1, -1) if draws.gray[k] else out)
    video = torch.stack(windows).transpose(1, 2)
    return (video - MEAN[:, None, None, None]) / STD[:, None, None, None]


@pytest.mark.parametrize("by_sums", [("cpu",), ()])
@pytest.mark.parametrize(("size", "area"), [(56, (0.2, 0.5)), (96, (0.2, 0.5)), (96, (0.875, 1.0))])
def test_matrices_and_sums_give_the_pixels_of_kornia(
    monkeypatch: pytest.MonkeyPatch, by_sums: tuple[str, ...], size: int, area: tuple[float, float]
) -> None:
    """Crops that are made smaller and larger, blurred and not, in colour and not."""
    monkeypatch.setattr(module, "_BY_SUMS", by_sums)
    frames, draws = noise(12, 2, 128), draw_augmentations(12, torch.Generator().manual_seed(7), area, (0.8, 1.25))
    assert 0 < draws.gray.sum() < 12
    assert 0 < (draws.sigma > 0).sum() < 12
    torch.testing.assert_close(augment(frames, draws, size), by_kornia(frames, draws, size), rtol=0, atol=1e-5)


def test_a_batch_takes_at_most_200_operations_and_none_waits_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BY_SUMS", ())  # as on a GPU

    class Names(TorchDispatchMode):
        seen: ClassVar[list[str]] = []

        def __torch_dispatch__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.seen.append(str(function))
            return function(*args, **(kwargs or {}))

    draws = draw_augmentations(20, torch.Generator().manual_seed(8), *CROPS).pack()
    frames = torch.zeros(20, 2, 96, 64, dtype=torch.uint8)
    with Names():
        module.transform(frames, draws, 32)
    assert 0 < len(Names.seen) <= 200
    assert not [name for name in Names.seen if "scalar_dense" in name or "nonzero" in name or "lift" in name]


@pytest.mark.parametrize("area", [(0.5, 1.0), (0.875, 1.0), (0.2, 0.3)])
def test_crops_stay_inside_the_frame_and_in_the_range_of_areas(area: tuple[float, float]) -> None:
    crop = draw_augmentations(500, torch.Generator().manual_seed(3), area, (0.85, 1.18)).crop
    y, x, height, width = crop.T
    assert (y >= 0).all()
    assert (x >= 0).all()
    assert (y + height <= 1 + 1e-6).all()
    assert (x + width <= 1 + 1e-6).all()
    assert (height * width).min() > area[0] * 0.92  # a side is at most the frame's
    assert (height * width).max() <= area[1] + 1e-6


def test_the_ratio_of_a_crop_is_its_width_to_its_height() -> None:
    """An area of 0.5 and a ratio of 2: half as high as the frame, and as wide as it."""
    crop = draw_augmentations(3, torch.Generator().manual_seed(3), (0.5, 0.5), (2.0, 2.0)).crop
    torch.testing.assert_close(crop[:, 2:], torch.tensor([[0.5, 1.0]] * 3))
    whole = draw_augmentations(3, torch.Generator().manual_seed(3), (1.0, 1.0), (1.0, 1.0)).crop
    torch.testing.assert_close(whole, torch.tensor([[0.0, 0.0, 1.0, 1.0]] * 3))


def test_probabilities_of_the_augmentations() -> None:
    draws = draw_augmentations(2000, torch.Generator().manual_seed(4), *CROPS)
    assert (draws.illuminant >= 0).float().mean().item() == pytest.approx(module.JITTER_P, abs=0.05)
    assert (draws.sigma > 0).float().mean().item() == pytest.approx(module.BLUR_P, abs=0.05)
    assert draws.gray.float().mean().item() == pytest.approx(module.GRAY_P, abs=0.05)


def test_evaluation_sees_the_whole_crop() -> None:
    """A white stripe from 64 to 192 of 256 goes from 32 to 96 of 128, with weights of 1, 3, 3, 1 eighths."""
    frames = torch.zeros(1, 1, 256, 256, 3, dtype=torch.uint8)
    frames[0, 0, 64:192] = 255
    expected = torch.zeros(128)
    expected[32:96] = 255
    expected[[31, 32, 95, 96]] = torch.tensor([31.875, 223.125, 223.125, 31.875])
    seen = pixels(prepare(frames, 128))[0, 0, 0]
    torch.testing.assert_close(seen, expected[:, None].expand(128, 128), rtol=0, atol=1e-2)


def test_evaluation_is_training_without_augmentation() -> None:
    torch.testing.assert_close(prepare(noise(), 24), augment(noise(), nothing(2), 24))


def test_the_signer_is_as_large_in_training_as_in_evaluation() -> None:
    """Default crops magnify by 1 (the whole frame) to 1.07 (an area of 0.875)."""
    crop = draw_augmentations(2000, torch.Generator().manual_seed(5), *CROPS).crop
    scale = 1 / (crop[:, 2] * crop[:, 3]).sqrt()
    assert scale.mean().item() == pytest.approx(1.035, abs=0.01)
    assert scale.max().item() < 1.08


def test_evaluation_is_the_same_for_each_frame_alone() -> None:
    frames = noise(1, 4, 64)
    together = prepare(frames, 48)
    alone = torch.cat([prepare(frames[:, t : t + 1], 48) for t in range(4)], 2)
    torch.testing.assert_close(together, alone)
