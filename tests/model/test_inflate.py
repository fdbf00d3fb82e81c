"""Inflated patch embedding: the same tokens from four times as many frames."""

import dataclasses

import pytest
import torch

from signrep_core.model.encoder import Encoder, EncoderConfig
from signrep_core.model.inflate import inflate_config, inflate_encoder, inflate_kernel

MICRO = EncoderConfig(image_size=32, embed_dim=16, stages=(1, 1, 1, 1), drop_path=0.0)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(MICRO).eval()


def slowed(k: int) -> int:
    """Which of 16 frames stands for frame k of 64, so that both kernels see the same.

    Token t looked at frames 2t - 1, 2t, 2t + 1; inflated, at 8t - 2, 8t, 8t + 2. So frames 8t - 1 to 8t + 1 show frame
    2t, and 8t + 2 to 8t + 6 frame 2t + 1.
    """
    t, rest = divmod(k + 1, 8)
    return min(2 * t if rest < 3 else 2 * t + 1, 15)


def test_the_old_taps_are_at_one_three_and_five_and_the_rest_is_zero() -> None:
    kernel = torch.arange(1.0, 4)[None, None, :, None, None].expand(2, 3, 3, 7, 7)
    inflated = inflate_kernel(kernel)
    assert inflated.shape == (2, 3, 7, 7, 7)
    assert inflated[1, 2, :, 3, 3].tolist() == [0, 1, 0, 2, 0, 3, 0]


def test_a_kernel_of_five_frames_grows_to_eleven_and_keeps_the_tokens() -> None:
    longer = dataclasses.replace(MICRO, patch_kernel=(5, 7, 7), patch_stride=(4, 4, 4))
    inflated = inflate_config(longer)
    assert (inflated.patch_kernel, inflated.patch_stride, inflated.patch_padding) == ((11, 7, 7), (16, 4, 4), (3, 3, 3))
    assert Encoder(inflated).units == Encoder(longer).units == (4, 1, 1)
    kernel = torch.arange(1.0, 6)[None, None, :, None, None].expand(2, 3, 5, 7, 7)
    assert inflate_kernel(kernel)[0, 0, :, 0, 0].tolist() == [0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0]


def test_a_slowed_clip_has_the_tokens_of_its_window(encoder: Encoder) -> None:
    window = torch.randn(2, 3, 16, 32, 32)
    clip = window[:, :, [slowed(k) for k in range(64)]]
    inflated = inflate_encoder(encoder, MICRO).eval()
    torch.testing.assert_close(inflated(clip).tokens, encoder(window).tokens)  # the edges in time, where both pad, too


def test_only_the_frames_under_the_old_taps_matter_at_first(encoder: Encoder) -> None:
    inflated = inflate_encoder(encoder, MICRO).eval()
    clip = torch.randn(1, 3, 64, 32, 32)
    other = clip.clone()
    other[:, :, [k for k in range(64) if k % 8 not in (0, 2, 6)]] = 9.0
    torch.testing.assert_close(inflated(clip).tokens, inflated(other).tokens)
    other[:, :, 2] = 9.0
    assert not torch.allclose(inflated(clip).tokens, inflated(other).tokens, rtol=1e-3, atol=1e-3)


def test_every_tap_of_the_inflated_kernel_learns(encoder: Encoder) -> None:
    inflated = inflate_encoder(encoder, MICRO)
    inflated(torch.randn(1, 3, 64, 32, 32)).tokens.square().sum().backward()
    gradient = inflated.patch_embed.proj.weight.grad
    assert gradient is not None
    assert (gradient.abs().sum((0, 1, 3, 4)) > 0).all()


def test_the_original_encoder_does_not_change(encoder: Encoder) -> None:
    inflated = inflate_encoder(encoder, MICRO)
    with torch.no_grad():
        for parameter in inflated.parameters():
            parameter.add_(1.0)
    assert encoder.patch_embed.proj.weight.shape[2] == 3
    assert not torch.equal(encoder.blocks[0].norm1.weight, inflated.blocks[0].norm1.weight)


def test_the_papers_encoder_keeps_its_1568_tokens_and_its_names() -> None:
    with torch.device("meta"):
        small, large = Encoder(EncoderConfig()), Encoder(inflate_config(EncoderConfig()))
    assert large.input_shape == (3, 64, 224, 224)
    assert (small.units, small.n_units) == (large.units, large.n_units) == ((8, 7, 7), 392)
    assert large.n_units * 4 == 1568  # four tokens of each unit are left after the last pooling
    shapes = [{name: tuple(p.shape) for name, p in e.named_parameters()} for e in (small, large)]
    assert shapes[0] | {"patch_embed.proj.weight": (96, 3, 7, 7, 7)} == shapes[1]
