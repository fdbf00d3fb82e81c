"""The embedded demo: without a sheet the workflow renders procedural signers and goes on as with real videos."""

import json

import pandas as pd
import pytest

from tests.workflow.conftest import Finished, planned_rules, snakemake

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    results = tmp_path_factory.mktemp("demo") / "results"
    run = Finished(results / "synthetic/videos.tsv", results)
    run.config = ["--config", f"results={results}", "synthetic={signers: 3, glosses: 2, size: 256, sentences: 1}"]
    done = snakemake(*run.config)
    assert done.returncode == 0, done.stdout[-8000:]
    run.output = done.stdout
    return run


def test_every_rendered_signer_is_in_the_shards(demo: Finished):
    videos = pd.read_parquet(demo.results / "videos/00000.parquet")
    assert len(videos) == 9
    assert (videos.status == "ok").all()
    assert sorted(videos.split.unique()) == ["test", "train", "val"]
    sequences = pd.read_parquet(demo.results / "shards/index.parquet")
    assert list(sequences.video_id) == list(videos.video_id)


def test_the_truth_has_the_frames_that_pose_saw(demo: Finished):
    truth = pd.read_parquet(demo.results / "synthetic/truth/00000.parquet", columns=["video_id", "frame"])
    pose = pd.read_parquet(demo.results / "pose/00000.parquet", columns=["video_id", "frame"])
    pd.testing.assert_frame_equal(truth, pose)


def test_retrieval_by_an_unseen_signer_is_measured_beside_chance(demo: Finished):
    result = json.loads((demo.results / "retrieval/test/synthetic.json").read_text())
    assert result["counts"] == {
        "gallery_videos": 2, "query_videos": 2, "glosses": 2, "queries_without_gallery_gloss": 0,
        "videos_without_features": 0,
    }  # fmt: skip
    assert result["chance"]["R@1"] == 50
    assert 0 <= result["metrics"]["R@1"] <= 100


def test_sentences_are_translated_from_features_and_from_raw_poses(demo: Finished):
    results = {
        name: json.loads((demo.results / f"translation/{name}/sentences.json").read_text())
        for name in ("test", "keypoints")
    }
    for result in results.values():
        assert result["counts"]["test"]["sentences"] == 1
        assert set(result["chance"]) == {"BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L"}
    assert results["test"]["baselines"]["keypoints"] == results["keypoints"]["metrics"]
    table = pd.read_parquet(demo.results / "translation/test/sentences.parquet")
    sheet = pd.read_csv(demo.sheet, sep="\t", keep_default_na=False)
    sentence = sheet[(sheet.dataset == "sentences") & (sheet.split == "test")]
    assert list(table.video_id) == list(sentence.video_id)
    assert list(table.reference) == [text.lower() for text in sentence.text]
    assert "translation of sentences (chance, other references, keypoints): BLEU-1" in demo.output


def test_signs_of_an_unseen_signer_are_recognised_beside_chance_and_keypoints(demo: Finished):
    results = {
        name: json.loads((demo.results / f"recognition/{name}/synthetic.json").read_text())
        for name in ("test", "keypoints")
    }
    for name, inputs in (("test", "video"), ("keypoints", "keypoints")):
        assert results[name]["protocol"]["inputs"] == inputs
        assert results[name]["counts"]["videos"] == 2
        assert results[name]["chance"]["top1_instance"] == 50
        assert 0 <= results[name]["metrics"]["top1_instance"] <= 100
    assert results["test"]["baselines"]["keypoints"] == results["keypoints"]["metrics"]
    table = pd.read_parquet(demo.results / "recognition/test/synthetic.parquet")
    videos = pd.read_parquet(demo.results / "videos/00000.parquet")
    tested = videos[(videos.split == "test") & (videos.dataset == "synthetic")]
    assert dict(zip(table.video_id, table.gloss, strict=True)) == dict(zip(tested.video_id, tested.gloss, strict=True))
    assert (demo.results / "figures/confusion_test_synthetic.png").stat().st_size > 0
    assert "recognition of synthetic (chance, keypoints): top1_instance" in demo.output


def test_a_data_set_that_is_not_there_cannot_be_recognised(demo: Finished):
    refused = snakemake("--dry-run", *demo.config, "recognition={datasets: [wlasl]}")
    assert refused.returncode != 0
    assert "no row of" in refused.stdout
    assert "has the data set 'wlasl'; data sets that can be recognised: synthetic" in refused.stdout


def test_a_finished_demo_has_nothing_to_do(demo: Finished):
    assert planned_rules(*demo.config) == {}


def test_another_seed_renders_other_people(demo: Finished):
    assert "synthesize" in planned_rules(*demo.config, "seed=1")
