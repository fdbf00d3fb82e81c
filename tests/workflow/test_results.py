"""Results of the stages after the shards: numbers of unseen signers beside chance and raw keypoints.

The videos are spans of two rendered signers (tests/faults/site.py).
"""

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.faults.site import Site
from tests.workflow.conftest import snakemake

pytestmark = pytest.mark.slow


def result(site: Site, name: str) -> dict:
    return json.loads((site.undisturbed / f"{name}.json").read_text())


def test_every_span_is_in_the_shards_and_what_is_no_video_is_not(site: Site):
    videos = pd.read_parquet(site.undisturbed / "videos/00000.parquet").set_index("video_id")
    assert len(videos) == 8
    assert videos.reason.to_dict() == {**dict.fromkeys(videos.index, ""), "text": "not_a_video"}
    sequences = pd.read_parquet(site.undisturbed / "shards/index.parquet")
    assert list(sequences.video_id) == list(videos.index[videos.status == "ok"])


def test_retrieval_by_an_unseen_signer_is_measured_beside_chance(site: Site):
    found = result(site, "retrieval/test/made")
    assert found["counts"] == {
        "gallery_videos": 2, "query_videos": 1, "glosses": 2, "queries_without_gallery_gloss": 0,
        "videos_without_features": 0,
    }  # fmt: skip
    assert found["chance"]["R@1"] == 50
    assert 0 <= found["metrics"]["R@1"] <= 100


def test_sentences_are_translated_from_features_and_from_raw_poses(site: Site):
    results = {name: result(site, f"translation/{name}/said") for name in ("test", "keypoints")}
    for found in results.values():
        assert found["counts"]["test"]["sentences"] == 1
        assert set(found["chance"]) == {"BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L"}
    assert results["test"]["baselines"]["keypoints"] == results["keypoints"]["metrics"]
    table = pd.read_parquet(site.undisturbed / "translation/test/said.parquet")
    assert (list(table.video_id), list(table.reference)) == (["seven"], ["two and one"])
    assert "translation of said (chance, other references, keypoints): BLEU-1" in site.output


def test_signs_of_an_unseen_signer_are_recognised_beside_chance_and_keypoints(site: Site):
    results = {name: result(site, f"recognition/{name}/made") for name in ("test", "keypoints")}
    for name, inputs in (("test", "video"), ("keypoints", "keypoints")):
        assert results[name]["protocol"]["inputs"] == inputs
        assert results[name]["counts"]["videos"] == 1
        assert results[name]["chance"]["top1_instance"] == 50
        assert 0 <= results[name]["metrics"]["top1_instance"] <= 100
    assert results["test"]["baselines"]["keypoints"] == results["keypoints"]["metrics"]
    table = pd.read_parquet(site.undisturbed / "recognition/test/made.parquet")
    assert (list(table.video_id), list(table.gloss)) == (["four"], ["A"])
    assert (site.undisturbed / "figures/confusion_test_made.png").stat().st_size > 0
    assert "recognition of made (chance, keypoints): top1_instance" in site.output


def test_a_data_set_that_is_not_there_cannot_be_recognised(site: Site, tmp_path: Path):
    config = [f"sheet={site.sheet}", f"results={tmp_path}", "recognition={datasets: [wlasl]}"]
    refused = snakemake("--dry-run", "--config", *config)
    assert refused.returncode != 0
    assert "no row of" in refused.stdout
    assert "has the data set 'wlasl'; data sets for recognition: made" in refused.stdout
