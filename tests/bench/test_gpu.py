"""Parts of the benchmark of a GPU: their order, their time, their shards and their measures of error."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from signrep_core.bench.agreement import largest_error, relative_error
from signrep_core.bench.figures import measure_parts
from signrep_core.bench.gpu import default_shards, gpu_parts
from signrep_core.bench.shards import build_shard
from signrep_core.bench.step import PlainEncoder
from signrep_core.bench.training import compare_weights
from signrep_core.bench.workload import Workload, tiny
from signrep_core.model.encoder import Encoder, random_units


def test_no_part_begins_when_the_minutes_are_over(tmp_path: Path) -> None:
    work = tiny(tmp_path, tmp_path / "none", "cpu")
    parts = list(measure_parts(tmp_path / "gpu.json", gpu_parts(work, 0.0), {}))
    assert [part.passed for part in parts] == [False] * 6
    assert all("not begun within 0 minutes" in part.error for part in parts)


def test_a_shard_is_made_where_none_is_given(tmp_path: Path) -> None:
    reader = build_shard(tmp_path / "made", 3, 20)
    assert reader.folder == default_shards(tmp_path)
    assert reader.index["gloss"] == ["gloss0", "gloss1", "gloss2"]
    assert reader.index["n_frames"].tolist() == [20] * 3
    first, last = (reader.read_planes(row, 3) for row in (0, 2))
    assert first.shape == (16, 384, 256)
    assert np.array_equal(first, last)  # the same frames in every video
    assert (first[0] != first[15]).any()


def test_an_error_is_the_norm_of_the_difference_over_the_norm_of_what_is_expected() -> None:
    assert relative_error(torch.tensor([3.0, 5.0]), torch.tensor([3.0, 4.0])) == pytest.approx(1 / 5)


def test_the_error_of_losses_is_that_of_the_worst_one() -> None:
    found, expected = torch.tensor([2.0, 11.0, 0.002]), torch.tensor([2.0, 10.0, 0.0])
    assert largest_error(found, expected) == pytest.approx(0.2)  # 0.002 of the least, 0.01


def test_weights_are_compared_by_the_way_that_they_went() -> None:
    weights = partial(dict, a=torch.zeros(2))
    start, expected = weights(b=torch.tensor([0.0])), weights(b=torch.tensor([4.0]))
    assert compare_weights(weights(b=torch.tensor([3.0])), expected, start) == pytest.approx(1 / 4)


def test_plain_timm_gives_the_same_tokens_in_another_order(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = Encoder(Workload(tmp_path, tmp_path, preset="tiny").config.encoder).eval()
    video, visible = torch.randn(2, *encoder.input_shape), random_units(2, encoder.n_units, 0.5)
    with torch.no_grad():
        ours = encoder(video, visible)
        encoder.__class__ = PlainEncoder
        plain = encoder(video, visible)
    torch.testing.assert_close(ours.tokens.mean(1), plain.tokens.mean(1), rtol=1e-4, atol=1e-5)
