"""The workflow's plan: before anything has run, and after something has changed."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.conftest import ROOT, SNAKEMAKE, Finished, planned_rules, snakemake

PER_SHARD = {
    "probe", "deduplicate", "extract_pose", "solve_angles", "angles_to_keypoints", "distance_priors",
    "activity_labels", "crop_signers", "pack_shards",
}  # fmt: skip
AFTER_SHARDS = {
    "index_shards", "pretrain", "draw_augmented_windows", "extract_features", "pool_keypoints", "evaluate_retrieval",
}  # fmt: skip
# Of the data sets with glosses and with texts among the bad videos.
TRAINED = {"train_recognition", "evaluate_recognition", "train_translation", "evaluate_translation"}
SHOWN = {"describe_shard", "summarize", "report", "write_card"}


def sheet_of(tmp_path: Path, n_videos: int) -> Path:
    sheet = tmp_path / "videos.tsv"
    rows = "".join(f"v{i}\t/nowhere/{i}.mp4\tmine\ttrain\n" for i in range(n_videos))
    sheet.write_text("video_id\tpath\tdataset\tsplit\n" + rows)
    return sheet


def test_every_stage_has_one_job_per_shard(tmp_path):
    plan = planned_rules(
        "--config", f"sheet={sheet_of(tmp_path, 25)}", f"results={tmp_path / 'r'}", "videos_per_shard=10"
    )
    assert {rule: plan[rule] for rule in PER_SHARD} == dict.fromkeys(PER_SHARD, 3)
    assert set(plan) == PER_SHARD | AFTER_SHARDS | SHOWN | {"median_bones", "audit_overlap"}


def test_parts_of_features_are_jobs_of_their_own(tmp_path):
    config = f"sheet={sheet_of(tmp_path, 25)}", f"results={tmp_path / 'r'}", "videos_per_shard=10"
    plan = planned_rules("--config", *config, "features={parts: 3}")
    assert (plan["extract_features_part"], plan["extract_features"]) == (3, 1)


def test_without_a_sheet_the_demo_is_planned(tmp_path):
    plan = planned_rules("--config", f"results={tmp_path / 'r'}")
    assert {"write_synthetic_sheet", "synthesize", "extract_pose", "pretrain"} <= set(plan)


@pytest.mark.parametrize(("solver", "trained"), [("lifter", 1), ("closed_form", None)])
def test_a_lifter_is_trained_where_it_is_asked_for_and_used(tmp_path, solver, trained):
    config = ["--config", f"sheet={sheet_of(tmp_path, 2)}", f"results={tmp_path / 'r'}"]
    plan = planned_rules(*config, f"angles={{solver: {solver}, lifter: train}}", "videos_per_shard=1")
    assert plan.get("train_lifter") == trained
    assert plan["solve_angles"] == 2


def test_weights_of_a_lifter_that_are_not_there_stop_the_start(tmp_path):
    run = snakemake("--dry-run", "--config", f"results={tmp_path / 'r'}", "angles={lifter: /nowhere.safetensors}")
    assert run.returncode != 0
    assert "angles.lifter: expected a file of weights, found none at /nowhere.safetensors" in run.stdout


def test_distances_can_be_left_out(tmp_path):
    plan = planned_rules(
        "--config", f"sheet={sheet_of(tmp_path, 2)}", f"results={tmp_path / 'r'}", "priors={write_distances: false}"
    )
    assert "distance_priors" not in plan
    assert "activity_labels" in plan


@pytest.fixture
def sheet_with_texts(tmp_path) -> Path:
    """A sheet of two data sets, one of which has texts."""
    sheet = tmp_path / "videos.tsv"
    rows = "".join(
        f"v{i}\t/nowhere/{i}.mp4\t{dataset}\ttrain\t{text}\n"
        for i, (dataset, text) in enumerate([("said", "a b"), ("said", "c"), ("mine", ""), ("mine", "")])
    )
    sheet.write_text("video_id\tpath\tdataset\tsplit\ttext\n" + rows)
    return sheet


def test_data_sets_with_texts_are_translated_and_the_others_retrieved(tmp_path, sheet_with_texts):
    run = ["--config", f"sheet={sheet_with_texts}", f"results={tmp_path / 'r'}"]
    plan = planned_rules(*run)
    assert (plan["train_translation"], plan["evaluate_translation"]) == (2, 2)
    assert (plan["pool_keypoints"], plan["evaluate_retrieval"]) == (3, 1)
    plan = planned_rules(*run, "translation={baselines: [keypoints, angles]}")
    assert (plan["train_translation"], plan["pool_keypoints"]) == (3, 4)
    plan = planned_rules(*run, "translation={datasets: []}")
    assert "train_translation" not in plan
    assert "evaluate_translation" not in plan
    assert plan["evaluate_retrieval"] == 2


def test_a_data_set_without_texts_cannot_be_translated(tmp_path, sheet_with_texts):
    run = snakemake(
        "--dry-run", "--config", f"sheet={sheet_with_texts}", f"results={tmp_path}", "translation={datasets: [mine]}"
    )
    assert run.returncode != 0
    assert "has the data set 'mine', the split 'train' and a text; data sets that can be translated: said" in run.stdout


def test_the_workflow_runs_from_another_folder(tmp_path):
    sheet_of(tmp_path, 2)
    run = subprocess.run(
        [SNAKEMAKE, "-s", str(ROOT / "Snakefile"), "--cores", "1", "--dry-run", "--config", "sheet=videos.tsv"],
        cwd=tmp_path, text=True, capture_output=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (["sheett=x.tsv"], "sheett: there is no such key; did you mean sheet?"),
        (["pretrain={iteratons: 3}"], "pretrain.iteratons: there is no such key; did you mean pretrain.iterations?"),
        (["sheet=/nowhere/videos.tsv"], "/nowhere/videos.tsv"),
    ],
)
def test_a_wrong_configuration_stops_the_start_with_one_message(config, message):
    run = snakemake("--dry-run", "--config", *config)
    assert run.returncode != 0
    assert message in run.stdout
    assert "Traceback" not in run.stdout


def test_a_broken_sheet_stops_the_start_naming_line_and_column(tmp_path):
    sheet = tmp_path / "videos.tsv"
    sheet.write_text("video_id\tpath\na\ta.mp4\nb\tb.mp4\na\tc.mp4\n")
    run = snakemake("--dry-run", "--config", f"sheet={sheet}")
    assert run.returncode != 0
    assert "video_id" in run.stdout
    assert "line 2" in run.stdout
    assert "line 4" in run.stdout
    sheet.write_text("path\na.mp4\n")
    run = snakemake("--dry-run", "--config", f"sheet={sheet}")
    assert run.returncode != 0
    assert "video_id" in run.stdout
    assert "line 1" in run.stdout


def test_a_finished_run_has_nothing_to_do(clips_run: Finished):
    assert planned_rules(*clips_run.config) == {}


def test_one_changed_value_reruns_the_stages_that_depend_on_it(clips_run: Finished):
    plan = planned_rules(*clips_run.config, "priors={activity_std: 0.3}")
    assert set(plan) == {"activity_labels", "pack_shards", *AFTER_SHARDS, *TRAINED, *SHOWN}
    plan = planned_rules(*clips_run.config, "retrieval={pooling: average}")
    assert set(plan) == {"evaluate_retrieval", "report"}
    plan = planned_rules(*clips_run.config, "crop={crf: 20}")
    assert set(plan) == {"crop_signers", "pack_shards", *AFTER_SHARDS, *TRAINED, *SHOWN}


@pytest.mark.parametrize(
    ("deleted", "redone"),
    [
        ("distances/00000.parquet", {"distance_priors"}),
        ("activity/00000.parquet", {"activity_labels", "pack_shards", *AFTER_SHARDS, *TRAINED, *SHOWN}),
        (
            "angles/00000.parquet",
            {"solve_angles", "median_bones", "angles_to_keypoints", "distance_priors", "activity_labels",
             "pack_shards", *AFTER_SHARDS, *TRAINED, *SHOWN},
        ),
        ("retrieval/test/clips.json", {"evaluate_retrieval", "report"}),
    ],
)  # fmt: skip
def test_a_deleted_file_redoes_its_stage_and_what_depends_on_it(scratch_run: Finished, deleted, redone):
    (scratch_run.results / deleted).unlink()
    assert set(planned_rules(*scratch_run.config)) == redone


def test_a_stage_can_be_rerun_alone(clips_run: Finished):
    plan = planned_rules(*clips_run.config, "--forcerun", "distance_priors")
    assert set(plan) == {"distance_priors"}


def test_rows_appended_to_the_sheet_leave_finished_shards_alone(tmp_path, clips_run: Finished):
    sheet = tmp_path / "videos.tsv"
    shutil.copy(clips_run.sheet, sheet)
    n_rows = len(sheet.read_text().splitlines()) - 1
    config = ["--config", f"sheet={sheet}", f"results={tmp_path / 'r'}", f"videos_per_shard={n_rows}"]
    done = snakemake(*config, "--until", "probe")
    assert done.returncode == 0, done.stdout
    with open(sheet, "a") as file:
        file.write(_row(sheet))
    assert planned_rules(*config, "--until", "probe") == {"probe": 1}


def _row(sheet: Path) -> str:
    columns = sheet.read_text().splitlines()[0].split("\t")
    values = {"video_id": "new", "path": "/nowhere/new.mp4"}
    return "\t".join(values.get(column, "") for column in columns) + "\n"


def test_what_a_sheet_costs_is_seen_from_a_sample_of_it(clips, tmp_path):
    """`plan` without a run to measure: the real stages on a few seconds of two clips."""
    names = ("asl_yes_A.mkv", "asl_milk_B.mkv")
    sheet = tmp_path / "videos.tsv"
    rows = "".join(f"{name}\t{clips / name}\tmine\ttrain\n" for name in names)
    sheet.write_text("video_id\tpath\tdataset\tsplit\n" + rows)
    command = [sys.executable, "-m", "signrep_core", "plan", str(sheet), "--cores", "64"]
    planned = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
    assert planned.returncode == 0, planned.stderr
    assert "running the stages on 5 s of 2 videos" in planned.stderr
    assert "2 videos, 2 of them sampled: 100 ± 0 % usable" in planned.stdout
    for stage in ("extract_pose", "solve_angles", "crop_signers", "pack_shards"):
        assert re.search(rf"^ *{stage} +[\d.]*[1-9]", planned.stdout, re.MULTILINE), planned.stdout
    assert "on 64 cores: " in planned.stdout
