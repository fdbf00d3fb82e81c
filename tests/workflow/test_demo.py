"""The embedded demo: without a sheet the workflow renders procedural signers and goes on as with real videos."""

import pandas as pd
import pytest

from tests.workflow.conftest import Finished, planned_rules, snakemake

pytestmark = pytest.mark.slow
UNTIL = ("--until", "extract_pose")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    results = tmp_path_factory.mktemp("demo") / "results"
    run = Finished(results / "synthetic/videos.tsv", results)
    run.config = ["--config", f"results={results}", "synthetic={signers: 1, glosses: 1, size: 256, sentences: 1}"]
    done = snakemake(*UNTIL, *run.config)
    assert done.returncode == 0, done.stdout[-8000:]
    return run


def test_every_rendered_video_has_a_pose(demo: Finished):
    sheet = pd.read_csv(demo.sheet, sep="\t")
    assert sorted(sheet.dataset) == ["sentences", "synthetic"]
    pose = pd.read_parquet(demo.results / "pose/00000.parquet", columns=["video_id", "present"])
    assert list(pose.video_id.unique()) == list(sheet.video_id)
    assert pose.groupby("video_id").present.mean().min() > 0.9


def test_the_truth_has_the_frames_that_pose_saw(demo: Finished):
    truth = pd.read_parquet(demo.results / "synthetic/truth/00000.parquet", columns=["video_id", "frame"])
    pose = pd.read_parquet(demo.results / "pose/00000.parquet", columns=["video_id", "frame"])
    pd.testing.assert_frame_equal(truth, pose)


def test_a_finished_demo_has_nothing_to_do(demo: Finished):
    assert planned_rules(*UNTIL, *demo.config) == {}


def test_another_seed_renders_other_people(demo: Finished):
    assert "synthesize" in planned_rules(*demo.config, "seed=1")
