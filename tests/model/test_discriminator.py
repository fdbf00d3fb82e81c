"""Style and discriminator."""

import torch
from torch import nn
from torch.nn.utils import parametrize

from signrep_core.model.discriminator import Discriminator, accuracy, style_of, style_width


def test_style_is_the_upper_triangle_of_the_gram_matrix() -> None:
    tokens = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])  # Gram: [[35, 44], [44, 56]]
    assert torch.allclose(style_of(tokens), torch.tensor([[35.0, 44.0, 56.0]]) / (2 * 3))
    assert torch.allclose(style_of(tokens, "without_diagonal"), torch.tensor([[44.0]]) / (2 * 3))
    assert torch.allclose(style_of(tokens, "whole"), torch.tensor([[35.0, 44.0, 44.0, 56.0]]) / (2 * 3))


def test_style_has_4656_values_at_the_papers_size() -> None:
    assert style_width(96) == 4656
    assert style_of(torch.randn(2, 10, 96)).shape == (2, 4656)
    assert style_width(96, "without_diagonal") == 4560
    assert style_width(96, "whole") == 9216


def test_style_has_no_gradient_and_does_not_depend_on_token_order() -> None:
    tokens = torch.randn(1, 20, 4, requires_grad=True)
    assert not style_of(tokens).requires_grad
    assert torch.allclose(style_of(tokens), style_of(tokens[:, torch.randperm(20)]), atol=1e-6)


def test_every_linear_of_the_last_mlp_and_no_other_is_spectrally_normalised() -> None:
    judge = Discriminator(32, style_width(8), 32)
    last = [m for m in judge.judge if isinstance(m, nn.Linear)]
    assert [m.in_features for m in last] == [64, 32, 32, 32]
    assert last[-1].out_features == 1
    assert all(parametrize.is_parametrized(m) for m in last)
    assert not any(parametrize.is_parametrized(m) for m in judge.style)
    for _ in range(30):
        judge(torch.randn(2, 32), torch.randn(2, 36))
    for m in last:
        assert abs(torch.linalg.matrix_norm(m.weight, 2).item() - 1) < 0.05


def test_gelu_follows_every_linear_layer_but_the_final_one() -> None:
    """Supplement A4: the two of the style network, the first three of the four that judge."""
    judge = Discriminator(32, style_width(8), 32)
    assert [type(m) for m in judge.style] == [nn.Linear, nn.GELU, nn.Linear, nn.GELU, nn.LayerNorm]
    assert [isinstance(m, nn.GELU) for m in judge.judge] == [False, True, False, True, False, True, False]


def test_the_papers_discriminator_has_two_layers_for_the_style_and_four_for_the_pair() -> None:
    judge = Discriminator(768, style_width(96))
    sizes = [[(m.in_features, m.out_features) for m in part if isinstance(m, nn.Linear)]
             for part in (judge.style, judge.judge)]  # fmt: skip
    assert sizes == [[(4656, 768), (768, 768)], [(1536, 768), (768, 768), (768, 768), (768, 1)]]


def test_under_autocast_the_discriminator_computes_in_single_precision() -> None:
    judge, mixed = Discriminator(32, 36, 32), Discriminator(32, 36, 32)
    mixed.load_state_dict(judge.state_dict())
    z, style = torch.randn(2, 32), torch.rand(2, 36)
    with torch.autocast("cpu", torch.bfloat16):
        found = mixed(z, style)
    assert found.dtype == torch.float32
    assert torch.equal(found, judge(z, style))
    for name, buffer in judge.named_buffers():  # the vectors of the power iteration
        assert torch.equal(buffer, dict(mixed.named_buffers())[name])


def test_the_discriminator_sees_a_hundred_times_the_style() -> None:
    judge = Discriminator(4, 3, 4).eval()
    z, style = torch.randn(2, 4), torch.randn(2, 3)
    torch.testing.assert_close(judge(z, style), judge.judge(torch.cat((z, judge.style(100 * style)), 1))[:, 0])


def test_running_means_move_a_tenth_of_the_way() -> None:
    judge = Discriminator(4, 3, 4)
    judge.update_means(torch.tensor([1.0, 3.0]), torch.tensor([-1.0]))
    assert abs(judge.mean_matched.item() - 0.2) < 1e-6
    assert abs(judge.mean_unmatched.item() + 0.1) < 1e-6


def test_accuracy_counts_both_kinds() -> None:
    assert accuracy(torch.tensor([1.0, -1.0]), torch.tensor([-1.0, -1.0])).item() == 0.75
