"""Class distribution: similarity of glosses, with peaks below one half."""

import logging

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from signrep_core.evaluate.distribution import TAU, class_distribution, mean_features
from signrep_core.evaluate.windows import VideoFeatures


def at_angles(*degrees: float) -> torch.Tensor:
    """Unit vectors in a plane."""
    angles = torch.tensor(degrees, dtype=torch.double).deg2rad()
    return torch.stack((angles.cos(), angles.sin()), 1).float()


def by_hand(means: torch.Tensor, c: int, tau: float) -> np.ndarray:
    """softmax(cosines / τ) of one class, written out."""
    unit = means.double().numpy()
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    value = np.exp((unit @ unit[c] - 1) / tau)
    return value / value.sum()


def test_the_temperature_is_the_smallest_whose_peak_is_below_one_half() -> None:
    """Among a hundred temperatures of a grid none in the range is nearer to one half from below."""
    torch.manual_seed(0)
    means = torch.randn(12, 6) + 2 * torch.randn(1, 6)
    found = class_distribution(means)
    assert found is not None
    for c in range(12):
        np.testing.assert_allclose(found.phi[c], by_hand(means, c, float(found.tau[c])), atol=1e-4)
        grid = np.geomspace(*TAU, 400)
        peaks = np.array([by_hand(means, c, tau).max() for tau in grid])
        if peaks.min() < 0.5:
            assert float(found.peak[c]) >= peaks[peaks < 0.5].max() - 1e-5


def test_three_classes_by_hand() -> None:
    """Class 0 has two neighbours at 20°: 1 / (1 + 2·exp(−g/τ)) = ½ where τ = g / log 2, g = 1 − cos 20° = 0.0603."""
    found = class_distribution(at_angles(0, 20, -20))
    assert found is not None
    assert float(found.tau[0]) == pytest.approx((1 - np.cos(np.deg2rad(20))) / np.log(2), rel=1e-4)
    assert found.phi[0].tolist() == pytest.approx([0.5, 0.25, 0.25], abs=1e-5)
    assert found.phi[0].argmax() == 0


@settings(max_examples=60)
@given(st.integers(3, 40), st.integers(1, 8), st.floats(0.0, 20.0), st.integers(0, 10_000), st.booleans())
def test_every_row_is_a_distribution_with_a_peak_below_one_half(
    n: int, width: int, common: float, seed: int, twin: bool
) -> None:
    """However alike (a common part) or unlike the classes are, and with identical or opposite ones among them."""
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn(n, width, generator=generator) + common
    if twin:
        means[1] = 3 * means[0]
    found = class_distribution(means)
    assert found is not None
    assert torch.isfinite(found.phi).all()
    assert (found.phi >= 0).all()
    torch.testing.assert_close(found.phi.sum(1), torch.ones(n))
    assert (found.peak < 0.5).all()
    assert (found.peak >= 1 / n - 1e-6).all()
    own = found.phi.diagonal()
    torch.testing.assert_close(own, found.peak)  # no class is taken for another
    assert (found.tau >= TAU[0] * 0.999).all()


def test_identical_classes_get_equal_probabilities_and_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    found = class_distribution(at_angles(0, 0, 30, 60), ["A", "B", "C", "D"])
    assert found is not None
    assert float(found.phi[0, 0]) == pytest.approx(float(found.phi[0, 1]), rel=1e-5)
    assert float(found.peak[0]) < 0.5
    assert "2 of 4 classes have the same mean feature as another class" in caplog.text
    assert "A, B" in caplog.text


def test_many_identical_classes_stay_at_the_lowest_temperature() -> None:
    """Three alike cannot come near one half: each gets a third."""
    found = class_distribution(at_angles(0, 0, 0, 90))
    assert found is not None
    assert found.phi[0].tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])
    assert found.tau[:3].tolist() == pytest.approx([TAU[0]] * 3)


def test_a_class_similar_to_no_other_gets_a_temperature_above_the_range(caplog: pytest.LogCaptureFixture) -> None:
    found = class_distribution(torch.eye(3))
    assert found is not None
    assert (found.tau > TAU[1]).all()
    assert found.phi[0].tolist() == pytest.approx([0.5, 0.25, 0.25], abs=1e-4)
    assert "3 of 3 classes are similar to no other class" in caplog.text


def test_two_classes_have_no_distribution(caplog: pytest.LogCaptureFixture) -> None:
    assert class_distribution(torch.eye(2)) is None
    assert "that term is left out" in caplog.text


def test_a_class_without_a_feature_gets_the_uniform_distribution(caplog: pytest.LogCaptureFixture) -> None:
    found = class_distribution(torch.cat((at_angles(0, 20, 40), torch.zeros(1, 2))), ["A", "B", "C", "D"])
    assert found is not None
    assert found.phi[3].tolist() == [0.25] * 4
    assert found.phi[0, 3] == 0
    assert "1 of 4 classes have no mean feature" in caplog.text


def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    means = torch.randn(20, 5)
    whole = class_distribution(means)
    monkeypatch.setattr("signrep_core.evaluate.distribution.BLOCK", 3)
    parts = class_distribution(means)
    assert whole is not None
    assert parts is not None
    torch.testing.assert_close(whole.phi, parts.phi)


def test_the_mean_of_a_class_is_that_of_its_pooled_videos(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    def video(name: str, *vectors: list[float], activity: float = 1.0) -> VideoFeatures:
        n = len(vectors)
        features = np.array(vectors, np.float32)
        return VideoFeatures(name, np.arange(n, dtype=np.int32), features, np.full((n, 2), activity, np.float32))

    videos = [video("a", [2, 0], [4, 0]), video("b", [0, 6]), video("c", [1, 1]), video("other", [9, 9])]
    means, counts = mean_features(iter(videos), {"a": 0, "b": 0, "c": 2}, 4)
    assert means.tolist() == [[1.5, 3], [0, 0], [1, 1], [0, 0]]
    assert counts.tolist() == [2, 0, 1, 0]
