"""The ablation: the paper's four objectives on shards in memory."""

from pathlib import Path
from types import MappingProxyType

import pytest

from signrep_core.train import ablation
from signrep_core.train import pretrain as module
from signrep_core.train.ablation import NAMES, VARIANTS, ablate, format_table
from tests.fake_reader import FakeReader, use_reader
from tests.train.test_pretrain import CPU, MICRO, changed, metrics


@pytest.mark.slow
def test_each_variant_is_trained_scored_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PRESETS", MappingProxyType({"tiny": MICRO}))
    short = changed(iterations=2, log_every=1, validate_every=2)
    with use_reader(FakeReader, module, ablation):
        found = ablate(Path("shards"), tmp_path, short, [0, 1], CPU)
    assert list(found) == ["chance", *NAMES]
    assert all(len(seeds) == 2 for seeds in found.values())
    last = {variant: metrics(tmp_path / f"{variant}-0" / "metrics.csv")[-1] for variant in VARIANTS}
    for variant, row in last.items():
        assert (row["adversarial"] != "") == (variant == "adversarial")
        beside = float(row["loss"]) - float(row["reconstruction"])
        assert (beside > 1e-3) == (variant in ("variance_covariance", "adversarial"))
    assert float(last["angles"]["reconstruction"]) < float(last["keypoints_distances"]["reconstruction"])

    monkeypatch.setattr("signrep_core.train.ablation.pretrain", None)  # nothing is trained again
    assert ablate(Path("shards"), tmp_path, short, [0, 1], CPU) == found


def test_the_table_gives_mean_and_deviation_of_the_seeds() -> None:
    one, two = {"DCG": 50.0, "R@1": 20.0, "R@5": 90.0}, {"DCG": 52.0, "R@1": 30.0, "R@5": 90.0}
    assert format_table({"chance": [one], "angles": [one, two]}).splitlines()[2:] == [
        "| chance | 50.0 | 20.0 | 90.0 |",
        "| angles only | 51.0 ± 1.4 | 25.0 ± 7.1 | 90.0 ± 0.0 |",
    ]
