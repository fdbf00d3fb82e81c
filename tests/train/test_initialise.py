"""Data-dependent initialisation: the first layer responds to motion and place, the decoder predicts the median."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from signrep_core.body.targets import PRIORS, prior_targets
from signrep_core.data.windows import TARGETS, WindowPairs
from signrep_core.model.signrep import PRESETS, SignRep
from signrep_core.train.initialise import patches_of, principal_changes, start_decoder, start_encoder
from tests.fake_reader import FakeReader


def small_model(seed: int = 0) -> SignRep:
    torch.manual_seed(seed)
    encoder = dataclasses.replace(PRESETS["tiny"].encoder, image_size=64)
    return SignRep(dataclasses.replace(PRESETS["tiny"], encoder=encoder)).eval()


def started(seed: int = 0) -> SignRep:
    model = small_model()
    start_encoder(model, WindowPairs(FakeReader, ("train",), 0), torch.Generator().manual_seed(seed))
    return model


def clip_with_square(x: int, moves: bool) -> torch.Tensor:
    """(1, 3, 16, 64, 64): a square that moves up and down, or stays, on gray."""
    video = torch.zeros(1, 3, 16, 64, 64)
    for t in range(16):
        y = 24 + (4 * (t % 2) if moves else 0)
        video[0, :, t, y : y + 8, x : x + 8] = 1
    return video


def test_patches_are_the_inputs_of_the_convolution() -> None:
    projection = nn.Conv3d(3, 5, (3, 7, 7), (2, 4, 4), (1, 3, 3))
    video = torch.randn(2, 3, 16, 32, 32, generator=torch.Generator().manual_seed(0))
    by_hand = patches_of(video, projection) @ projection.weight.flatten(1).T + projection.bias
    torch.testing.assert_close(by_hand, projection(video).movedim(1, -1).flatten(0, 3), rtol=1e-4, atol=1e-5)


def test_filters_find_the_pixel_that_changes_and_scale_it_to_one() -> None:
    """Two frames of two pixels in three colours; only red of the second pixel changes, by 0.1."""
    rng = torch.Generator().manual_seed(0)
    patches = torch.randn(4000, 3, 1, 2, generator=rng).expand(-1, -1, 2, -1).clone()  # alike in both frames
    patches[:, 0, 1, 1] += 0.1 * torch.randn(4000, generator=rng)
    filters = principal_changes(patches.flatten(1), frames=2, n=1).view(3, 2, 2)
    assert (patches.flatten(1) @ filters.flatten()).std() == pytest.approx(1, rel=0.01)
    assert filters[0, 1, 1] == pytest.approx(-float(filters[0, 0, 1]), rel=1e-3)
    assert abs(float(filters[0, 1, 1])) == pytest.approx(10, rel=0.05)
    filters[0, :, 1] = 0
    assert filters.abs().max() < 0.3


def test_directions_without_change_stay_finite() -> None:
    assert principal_changes(torch.ones(10, 12), frames=2, n=12).isfinite().all()


def test_still_objects_do_not_change_the_features() -> None:
    model = started()
    with torch.no_grad():
        blank = model(torch.zeros(1, 3, 16, 64, 64)).latent
        bright, moving = (model(clip_with_square(20, moves)).latent for moves in (False, True))
    inside = (bright - blank).norm()  # the video's two ends, where the padding is a change
    assert (moving - blank).norm() > 2 * inside


def test_features_depend_on_where_things_move_and_not_on_the_background() -> None:
    """The nearest features with another background are those of a moving square at the same place."""
    places = torch.arange(2, 54, 4)
    rng = torch.Generator().manual_seed(0)
    walls = torch.nn.functional.interpolate(torch.randn(2, 3, 8, 8, generator=rng), size=64)[:, :, None]
    model = started()
    with torch.no_grad():
        one, other = (
            torch.cat([model(clip_with_square(int(x), moves=True) + wall).latent for x in places]) for wall in walls
        )
    found = places[torch.cdist(other - other.mean(0), one - one.mean(0)).argmin(1)]
    assert (found - places).abs().float().mean() < 8, "chance is about 17"


@pytest.mark.slow
def test_the_initialisation_follows_from_the_seed() -> None:
    one, same, other = (started(seed).state_dict() for seed in (1, 1, 2))
    torch.testing.assert_close(one, same)
    assert not torch.equal(one["encoder.pos_embed_spatial"], other["encoder.pos_embed_spatial"])


def test_the_decoder_predicts_the_median_of_known_targets() -> None:
    model, dataset = small_model(), WindowPairs(FakeReader, ("train",), 0)
    start_decoder(model, dataset)
    windows = [dataset.reader.read_targets(row, 0, 16) for row in range(8)]
    targets = prior_targets(*(torch.from_numpy(np.stack([w[name] for w in windows])) for name in TARGETS))
    with torch.no_grad():
        priors = model(torch.zeros(1, 3, 16, 64, 64)).priors
    target, prior = targets["body_keypoints"], PRIORS["body_keypoints"]
    median = (prior.scale * target.value)[target.valid].median(0).values
    assert priors["body_keypoints"].flatten(0, 2).mean(0) == pytest.approx(median.numpy(), abs=0.3)
