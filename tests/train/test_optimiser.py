"""Parameter groups and schedule."""

import pytest
import torch

from signrep_core.model.signrep import PRESETS, SignRep
from signrep_core.train.optimiser import learning_rate_at, make_adamw, parameter_groups, set_learning_rate


@pytest.fixture(scope="module")
def base() -> SignRep:
    with torch.device("meta"):
        return SignRep(PRESETS["base"])


def group_of(model: SignRep, name: str) -> dict[str, float]:
    parameter = dict(model.named_parameters())[name]
    groups = parameter_groups(model, 24, 0.85, 0.5)
    (found,) = [group for group in groups if any(p is parameter for p in group["params"])]
    return found


def test_every_parameter_is_in_exactly_one_group(base: SignRep) -> None:
    groups = parameter_groups(base, 24, 0.85, 0.5)
    placed = [id(p) for group in groups for p in group["params"]]
    assert len(placed) == len(set(placed)) == len(list(base.parameters()))


def test_each_layer_learns_at_085_of_the_one_above(base: SignRep) -> None:
    assert group_of(base, "projection.1.weight")["lr_scale"] == 1
    assert group_of(base, "encoder.blocks.23.mlp.fc1.weight")["lr_scale"] == pytest.approx(0.85)
    assert group_of(base, "encoder.blocks.0.mlp.fc1.weight")["lr_scale"] == pytest.approx(0.85**24)
    assert group_of(base, "encoder.patch_embed.proj.weight")["lr_scale"] == pytest.approx(0.85**25)
    assert group_of(base, "encoder.pos_embed_temporal")["lr_scale"] == pytest.approx(0.85**25)


def test_biases_norms_and_position_embeddings_do_not_decay(base: SignRep) -> None:
    for name in (
        "encoder.pos_embed_spatial",
        "encoder.pos_embed_temporal",
        "encoder.blocks.3.norm1.weight",
        "encoder.blocks.3.attn.qkv.bias",
        "projection.0.weight",
        "decoder.heads.body_angles.bias",
    ):
        assert group_of(base, name)["weight_decay"] == 0
    for name in ("encoder.blocks.3.attn.qkv.weight", "encoder.patch_embed.proj.weight", "projection.1.weight"):
        assert group_of(base, name)["weight_decay"] == 0.5


def test_the_learning_rate_warms_up_and_falls_to_zero_as_a_cosine() -> None:
    at = [learning_rate_at(step, 1e-4, 50_000, 500_000) for step in (0, 24_999, 49_999, 50_000, 275_000, 500_000)]
    assert at == pytest.approx([2e-9, 0.5e-4, 1e-4, 1e-4, 0.5e-4, 0])
    assert learning_rate_at(0, 1.0, 0, 10) == 1


def test_the_cosine_can_end_at_a_share_of_the_peak() -> None:
    at = [learning_rate_at(step, 2.0, 0, 10, end=0.01) for step in (0, 5, 10)]
    assert at == pytest.approx([2.0, 2 * (1 + 0.01) / 2, 0.02])


def test_the_learning_rate_restarts_after_each_period() -> None:
    """As published for How2Sign: from 1e-4 to 1e-3 and back, 17,000 steps each time."""
    at = [learning_rate_at(step, 1e-3, 2_000, 100_000, 0.1, 17_000) for step in (1_999, 2_000, 10_500, 18_999, 19_000)]
    assert at == pytest.approx([1e-3, 1e-3, 5.5e-4, 1e-4, 1e-3], rel=1e-6)


def test_the_warm_up_starts_at_the_share_at_which_the_cosine_ends() -> None:
    at = [learning_rate_at(step, 1.0, 100, 1_100, 0.01) for step in (0, 99, 600, 1_100)]
    assert at == pytest.approx([0.01 + 0.99 / 100, 1, 0.505, 0.01])


def test_what_is_frozen_is_in_no_group() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    model[0].requires_grad_(False)
    groups = parameter_groups(model, 0, 1.0, 0.1)
    assert [(group["params"][0].shape, group["weight_decay"]) for group in groups] == [((1,), 0.0), ((1, 3), 0.1)]


def test_groups_get_their_share_of_the_learning_rate() -> None:
    parameters = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr_scale": 0.5},
                  {"params": [torch.nn.Parameter(torch.zeros(1))]}]  # fmt: skip
    optimiser = make_adamw(parameters, (0.9, 0.95), 0.1)
    set_learning_rate(optimiser, 2e-3)
    assert [group["lr"] for group in optimiser.param_groups] == [1e-3, 2e-3]
