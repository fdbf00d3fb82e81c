"""The encoder against timm's own forward pass."""

import dataclasses

import pytest
import torch
from timm.models.hiera import Hiera
from torch import Tensor

from signrep_core.model.encoder import Encoder, EncoderConfig, random_units
from signrep_core.model.signrep import PRESETS

PAPER = EncoderConfig()
TINY = dataclasses.replace(PRESETS["tiny"].encoder, embed_dim=8)
SMALL = dataclasses.replace(  # patches as the paper's
    TINY, image_size=96, patch_kernel=PAPER.patch_kernel, patch_stride=PAPER.patch_stride
)


def timm_tokens(encoder: Encoder, video: Tensor, visible: Tensor | None = None) -> Tensor:
    """timm's tokens in window-major order."""
    mask = None
    n = encoder.n_units
    if visible is not None:
        mask = torch.zeros(len(video), n, dtype=torch.bool).scatter(1, visible, True)
        n = visible.shape[1]
    tokens = Hiera.forward_features(encoder, video, mask=mask)
    return tokens.unflatten(1, (-1, n)).transpose(1, 2).flatten(1, 2)


@pytest.fixture(scope="module")
def small() -> Encoder:
    torch.manual_seed(0)
    return Encoder(SMALL).eval()


@pytest.fixture(scope="module")
def paper() -> Encoder:
    torch.manual_seed(0)
    return Encoder(PAPER).eval()


def test_the_paper_encoder_has_the_sizes_of_the_method(paper: Encoder) -> None:
    parameters = dict(paper.named_parameters())
    assert len(parameters) == 298
    assert sum(p.numel() for p in parameters.values()) == pytest.approx(50.8e6, rel=1e-3)
    assert paper.n_units == 392
    assert paper.num_features == 768
    assert not [name for name in parameters if name.startswith("head")]


def test_the_paper_encoder_is_hiera_b_for_video(paper: Encoder) -> None:
    patches = paper.projection
    assert (patches.kernel_size, patches.stride, patches.padding) == ((3, 7, 7), (2, 4, 4), (1, 3, 3))
    assert [stage["num_chs"] for stage in paper.feature_info] == [96, 192, 384, 768]
    assert paper.stage_ends == [1, 4, 20, 23]  # stages of 2, 3, 16 and 3 blocks
    pooled = [k for k, block in enumerate(paper.blocks) if block.attn.q_stride > 1]
    assert (pooled, paper.blocks[2].attn.q_stride) == ([2, 5], 4)  # twice: 1 × 2 × 2 at the first blocks of stages 2, 3
    assert paper.pos_embed_spatial.shape == (1, 56 * 56, 96)
    assert paper.pos_embed_temporal.shape == (1, 8, 96)
    rates = [getattr(block.drop_path1, "drop_prob", 0.0) for block in paper.blocks]
    assert (rates[0], rates[-1], max(rates)) == pytest.approx((0, 0.1, 0.1))


def test_four_fifths_of_the_units_are_hidden_and_each_window_has_its_own() -> None:
    visible = random_units(3, 392, 0.8, torch.Generator().manual_seed(0))
    assert visible.shape == (3, 78)
    assert all(len(set(row.tolist())) == 78 for row in visible)
    assert visible.min() >= 0
    assert visible.max() < 392
    assert not torch.equal(visible[0], visible[1])
    assert torch.equal(visible, random_units(3, 392, 0.8, torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("masked", [False, True])
def test_tokens_equal_those_of_timm(small: Encoder, masked: bool) -> None:
    video = torch.randn(2, 3, 16, SMALL.image_size, SMALL.image_size)
    visible = random_units(2, small.n_units, 0.8) if masked else None
    with torch.no_grad():
        ours, theirs = small(video, visible).tokens, timm_tokens(small, video, visible)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_tokens_of_patches_that_are_longer_in_time_equal_those_of_timm(masked: bool) -> None:
    encoder = Encoder(TINY).eval()
    video = torch.randn(2, *encoder.input_shape)
    visible = random_units(2, encoder.n_units, 0.5) if masked else None
    with torch.no_grad():
        ours, theirs = encoder(video, visible).tokens, timm_tokens(encoder, video, visible)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_the_paper_encoder_equals_timm_on_masked_windows(paper: Encoder) -> None:
    video = torch.randn(1, 3, 16, 224, 224)
    visible = random_units(1, 392, 0.8)
    with torch.no_grad():
        ours, theirs = paper(video, visible).tokens, timm_tokens(paper, video, visible)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_three_poolings_equal_timm_too() -> None:
    """Pooling within global attention, which the paper's encoder does not have."""
    encoder = Encoder(dataclasses.replace(SMALL, q_pool=3)).eval()
    video = torch.randn(1, 3, 16, SMALL.image_size, SMALL.image_size)
    with torch.no_grad():
        ours, theirs = encoder(video).tokens, timm_tokens(encoder, video)
    torch.testing.assert_close(ours.mean(1), theirs.mean(1), rtol=0, atol=1e-5)


def test_gradients_equal_those_of_timm(small: Encoder) -> None:
    video = torch.randn(2, 3, 16, SMALL.image_size, SMALL.image_size)
    visible = random_units(2, small.n_units, 0.8)
    weights = [p for p in small.parameters() if p.requires_grad]
    ours = torch.autograd.grad(small(video, visible).tokens.square().mean(), weights)
    theirs = torch.autograd.grad(timm_tokens(small, video, visible).square().mean(), weights)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("masked", [False, True])
def test_mixed_precision_uses_no_convolution_in_three_dimensions(small: Encoder, masked: bool) -> None:
    video = torch.randn(1, 3, 16, SMALL.image_size, SMALL.image_size)
    visible = torch.arange(small.n_units)[None] if masked else None
    with torch.no_grad(), torch.profiler.profile() as profile, torch.autocast("cpu", torch.bfloat16):
        found = small(video, visible).tokens.float()
    assert not [event.key for event in profile.key_averages() if "conv3d" in event.key]
    with torch.no_grad():
        expected = small(video, visible).tokens
    assert (found - expected).norm() < 0.02 * expected.norm()


def test_pixels_of_hidden_units_change_nothing(small: Encoder) -> None:
    video = torch.randn(1, 3, 16, SMALL.image_size, SMALL.image_size)
    visible = torch.tensor([[4, 40]])  # of 8×3×3 units of 2×32×32 pixels: (0, 1, 1) and (4, 1, 1)
    other = torch.randn_like(video)
    for t in (0, 8):
        other[:, :, t : t + 2, 32:64, 32:64] = video[:, :, t : t + 2, 32:64, 32:64]
    with torch.no_grad():
        torch.testing.assert_close(small(video, visible).tokens, small(other, visible).tokens)


@pytest.mark.parametrize("stage", [1, 2, 3, 4])
def test_the_tokens_of_a_stage_are_the_map_that_timm_has_after_it(small: Encoder, stage: int) -> None:
    video = torch.randn(1, 3, 16, SMALL.image_size, SMALL.image_size)
    caught: list[Tensor] = []
    handle = small.blocks[small.stage_ends[stage - 1]].register_forward_hook(
        lambda _m, _i, output: caught.append(output)
    )
    with torch.no_grad():
        timm_tokens(small, video)
        handle.remove()
        ours = small(video, None, stage).of_stage
    theirs = caught[0].unflatten(1, (-1, small.n_units)).transpose(1, 2).flatten(1, 2)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_another_frame_size_is_refused(small: Encoder) -> None:
    with pytest.raises(ValueError, match=r"takes videos .*96, 96.* got \(1, 3, 16, 224, 224\)"):
        small(torch.zeros(1, 3, 16, 224, 224))
