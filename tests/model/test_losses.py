"""Losses, compared with calculations by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from signrep_core.body.targets import PRIORS, Target
from signrep_core.model import losses


def targets_of(value: float, valid: bool = True) -> dict[str, Target]:
    return {
        name: Target(torch.full((1, 16, *p.shape), value), torch.full((1, 16, *p.shape[:-1]), valid))
        for name, p in PRIORS.items()
    }


def zeros() -> dict[str, torch.Tensor]:
    return {name: torch.zeros(1, 16, *p.shape) for name, p in PRIORS.items()}


def test_the_masked_mean_uses_valid_values_only() -> None:
    values, valid = torch.tensor([1.0, 2.0, 100.0]), torch.tensor([True, True, False])
    assert losses.masked_mean(values, valid).item() == 1.5


def test_a_loss_with_nothing_valid_is_zero_and_so_is_its_gradient() -> None:
    predicted = torch.tensor([1.0, math.nan], requires_grad=True)
    loss = losses.masked_mean(predicted, torch.tensor([False, False]))
    loss.backward()
    assert loss.item() == 0
    assert predicted.grad.tolist() == [0, 0]
    found = losses.prior_losses(zeros(), targets_of(1.0, valid=False))
    assert losses.reconstruction_loss(found).item() == 0


def test_the_scale_multiplies_the_target() -> None:
    found = losses.prior_losses(zeros(), targets_of(0.5))
    assert found["body_keypoints"].item() == pytest.approx(0.5)  # ψ = 1
    assert found["right_keypoints"].item() == pytest.approx(1.0)  # ψ = 2
    assert found["left_distances"].item() == pytest.approx(2.0)  # ψ = 4


@pytest.mark.parametrize(("kind", "expected"), [("l1", 2.0), ("mse", 4.0), ("smooth_l1", 1.5)])
def test_the_error_of_a_value_can_be_chosen(kind: losses.PriorLoss, expected: float) -> None:
    found = losses.prior_losses(zeros(), targets_of(2.0), kind)
    assert found["body_angles"].item() == pytest.approx(expected)


def test_reconstruction_has_the_weights_of_table_9() -> None:
    ones = {name: torch.tensor(1.0) for name in [*PRIORS, "activity"]}
    assert losses.reconstruction_loss(ones).item() == pytest.approx(6 * 10 + 3 * 20 + 0.2)


def test_the_mean_over_ranks_is_the_mean_over_the_batch() -> None:
    """Two ranks with 3 and 1 valid values, each dividing by the average count."""
    ranks = [(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([True, True, True])),
             (torch.tensor([10.0, 0.0, 0.0]), torch.tensor([True, False, False]))]  # fmt: skip
    shares = [losses.masked_mean(v, m, torch.tensor(2.0)) for v, m in ranks]
    assert torch.stack(shares).mean().item() == pytest.approx(16 / 4)


def test_activity_is_masked_cross_entropy() -> None:
    logits = torch.tensor([[0.0, 50.0]])
    active, known = torch.tensor([[True, False]]), torch.tensor([[True, False]])
    assert losses.activity_loss(logits, active, known).item() == pytest.approx(math.log(2))


def test_variance_loss_is_zero_for_spread_features_and_one_for_collapsed_ones() -> None:
    spread = torch.tensor([[2.0, -3.0], [-2.0, 3.0]])
    assert losses.variance_loss(spread).item() == 0
    collapsed = torch.zeros(4, 3)
    assert losses.variance_loss(collapsed).item() == pytest.approx(1 - 0.01)  # σ = √1e-4
    assert losses.variance_loss(collapsed, divide=False).item() == pytest.approx(3 * (1 - 0.01))


def test_covariance_by_hand() -> None:
    z = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])  # C = [[2, 2], [2, 2]]
    assert losses.covariance_loss(z, divide=False).item() == pytest.approx(8)
    assert losses.covariance_loss(z).item() == pytest.approx(4)
    independent = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert losses.covariance_loss(independent).item() == pytest.approx(0, abs=1e-6)


@settings(max_examples=20)
@given(st.integers(2, 12), st.integers(1, 9), st.integers(0, 1000))
def test_covariance_equals_the_definition(batch: int, width: int, seed: int) -> None:
    z = torch.randn(batch, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).float()
    c = torch.cov(z.T).reshape(width, width)
    expected = (c.square().sum() - c.diagonal().square().sum()).item() / width
    assert losses.covariance_loss(z).item() == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_the_adversarial_loss_pulls_each_output_to_the_mean_of_the_other_kind() -> None:
    loss = losses.adversarial_loss(
        torch.tensor([1.0, 3.0]), torch.tensor([0.0, 0.0]), torch.tensor(2.0), torch.tensor(-1.0)
    )
    assert loss.item() == pytest.approx((4 + 16) / 2 + 4)


def test_the_adversarial_loss_towards_the_midpoint_of_the_means() -> None:
    """Means 2 and -1, so 0.5: errors 0.5 and 2.5 of the matched, 0.5 of the unmatched."""
    outputs, means = (torch.tensor([1.0, 3.0]), torch.tensor([0.0, 0.0])), (torch.tensor(2.0), torch.tensor(-1.0))
    loss = losses.adversarial_loss(*outputs, *means, "midpoint")
    assert loss.item() == pytest.approx((0.25 + 6.25) / 2 + 0.25)
    confused = torch.full((2,), 0.5)
    assert losses.adversarial_loss(confused, confused, *means, "midpoint").item() == 0


def test_the_relativistic_adversarial_loss() -> None:
    """Matched log 3 above the mean of the unmatched: log (1 + 3); unmatched log 3 below the matched: the same."""
    outputs = torch.tensor([math.log(3) - 1]), torch.tensor([2 - math.log(3)])
    loss = losses.adversarial_loss(*outputs, torch.tensor(2.0), torch.tensor(-1.0), "relativistic")
    assert loss.item() == pytest.approx(2 * math.log(4))
    equal = torch.zeros(2), torch.zeros(2), torch.tensor(0.0), torch.tensor(0.0)
    assert losses.adversarial_loss(*equal, "relativistic").item() == pytest.approx(2 * math.log(2))


def test_discriminator_loss_by_hand() -> None:
    assert losses.discriminator_loss(torch.zeros(3), torch.zeros(3)).item() == pytest.approx(math.log(2))
    assert losses.discriminator_loss(torch.full((2,), 40.0), torch.full((2,), -40.0)).item() == pytest.approx(0)
    assert losses.discriminator_loss(torch.tensor([-3.0]), torch.tensor([-50.0])).item() == pytest.approx(
        0.5 * math.log(1 + math.e**3)
    )


def test_effective_rank_counts_directions() -> None:
    line = torch.outer(torch.tensor([1.0, -1.0, 2.0]), torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert losses.effective_rank(line).item() == pytest.approx(1, abs=1e-3)
    cross = torch.tensor([[1.0, 0, 0], [-1.0, 0, 0], [0, 1.0, 0], [0, -1.0, 0]])
    assert losses.effective_rank(cross).item() == pytest.approx(2, abs=1e-3)
    assert losses.effective_rank(torch.zeros(4, 3)).item() == pytest.approx(1)


def test_recognition_is_smoothed_cross_entropy_and_the_divergence_from_the_class_distribution() -> None:
    """Equal logits of four classes: cross entropy log 4; KL(½, ¼, ¼, 0 ‖ ¼) = log 4 − 3/2 log 2 = ½ log 2."""
    distribution = torch.tensor([[0.5, 0.25, 0.25, 0.0]]).expand(4, 4)
    loss, divergence = losses.recognition_loss(torch.zeros(3, 4), torch.tensor([0, 1, 2]), distribution)
    assert float(divergence) == pytest.approx(0.5 * math.log(2), rel=1e-6)
    assert float(loss) == pytest.approx(math.log(4) + 0.2 * 0.5 * math.log(2), rel=1e-6)


def test_label_smoothing_shares_a_tenth_among_all_classes() -> None:
    """Logits (log 3, 0): p = (¾, ¼); the target of class 0 is (0.95, 0.05)."""
    logits = torch.tensor([[math.log(3), 0.0]])
    loss, divergence = losses.recognition_loss(logits, torch.tensor([0]), None)
    assert float(loss) == pytest.approx(-0.95 * math.log(0.75) - 0.05 * math.log(0.25), rel=1e-6)
    assert float(divergence) == 0


def test_each_clip_is_compared_with_the_distribution_of_its_own_class() -> None:
    """The KL divergence is 0 if the model predicts the class's own distribution."""
    distribution = torch.tensor([[0.4, 0.6], [0.7, 0.3]])
    logits = distribution[[1, 0]].log()
    _, right = losses.recognition_loss(logits, torch.tensor([1, 0]), distribution)
    _, wrong = losses.recognition_loss(logits, torch.tensor([0, 1]), distribution)
    assert float(right) == pytest.approx(0, abs=1e-7)
    expected = 0.5 * (0.4 * math.log(4 / 7) + 0.6 * math.log(6 / 3) + 0.7 * math.log(7 / 4) + 0.3 * math.log(3 / 6))
    assert float(wrong) == pytest.approx(expected, rel=1e-5)
