"""The paper's configuration on one sheet of its data sets: planned, and (`make test-paper`) run with two steps."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.workflow.conftest import ROOT, SNAKEMAKE, planned_rules, snakemake
from tests.workflow.paper_run import TEXTS, write_inputs

SIGNS = ("wlasl", "asl_citizen", "nmfs_csl")
SENTENCES = ("phoenix14t", "csl_daily", "how2sign")
PAPER = ("--configfile", ROOT / "configs/paper.yaml")


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    """Two videos of YouTube-SL-25, and of each other data set one for each split."""
    rows = [("youtube_sl_25", "train", "", "")] * 2
    rows += [(name, split, "A", "") for name in SIGNS for split in ("train", "val", "test")]
    rows += [(name, split, "A B", "a b") for name in SENTENCES for split in ("train", "val", "test")]
    lines = ["\t".join((f"v{k}", f"/nowhere/{k}.mp4", *row)) for k, row in enumerate(rows)]
    header = "video_id\tpath\tdataset\tsplit\tgloss\ttext"
    (tmp_path / "all.tsv").write_text("\n".join([header, *lines]) + "\n")
    return tmp_path / "all.tsv"


@pytest.fixture
def config(sheet: Path) -> list[str]:
    """The configuration's two files, and the sheet."""
    for name in ("mae.safetensors", "wlasl.json"):
        (sheet.parent / name).write_text("")
    return [
        *map(str, PAPER), "--config", f"sheet={sheet}", f"results={sheet.parent / 'results'}",
        f"pretrain={{initial_weights: {sheet.parent / 'mae.safetensors'}}}",
        f"deduplicate={{wlasl: {sheet.parent / 'wlasl.json'}}}",
    ]  # fmt: skip


def test_one_sheet_of_all_data_sets_is_planned_as_in_the_paper(config: list[str]) -> None:
    plan = planned_rules(*config)
    assert plan["pretrain"] == 1
    assert plan["extract_features"] == 6, "none of YouTube-SL-25, which is only trained on"
    assert plan["evaluate_retrieval"] == 3
    assert plan["train_recognition"] == plan["evaluate_recognition"] == 2 * 3  # beside a network on keypoints
    assert plan["train_translation"] == plan["evaluate_translation"] == 2 * 3  # beside a translator of keypoints


def test_shards_are_made_without_the_weights_that_only_training_needs(config: list[str], sheet: Path) -> None:
    (sheet.parent / "mae.safetensors").unlink()
    index = sheet.parent / "results/shards/index.parquet"
    assert "pack_shards" in planned_rules(index, *config)
    run = snakemake("--dry-run", *config)
    assert run.returncode != 0
    assert "signrep convert mae_hiera_base_16x224.pth --out" in run.stdout
    assert "or write `scratch` to start from random weights" in run.stdout


def test_a_missing_list_of_wlasl_or_data_set_stops_the_start(config: list[str], sheet: Path) -> None:
    (sheet.parent / "wlasl.json").unlink()
    run = snakemake("--dry-run", *config)
    assert run.returncode != 0
    assert "deduplicate.wlasl: expected WLASL_v0.3.json as published, found none at" in run.stdout
    sheet.write_text(sheet.read_text().replace("youtube_sl_25", "mine"))
    run = snakemake("--dry-run", *config)
    assert run.returncode != 0
    assert "pretrain.datasets: no row of" in run.stdout
    assert "Traceback" not in run.stdout


@pytest.mark.paper
@pytest.mark.slow
def test_the_whole_run_with_two_steps_of_training(clips: Path, tmp_path: Path) -> None:
    small = write_inputs(tmp_path, clips)
    command = [SNAKEMAKE, "--cores", "2", "--nolock", "--configfile", str(PAPER[1]), str(small)]
    run = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert run.returncode == 0, run.stdout[-8000:]
    results = tmp_path / "results"
    summary = _read(results / "summary.json")
    assert (summary["videos"], summary["excluded"], summary["rejected"]) == (34, 1, 0)
    said = " ".join((results / "summary.txt").read_text().split())
    assert "trained on youtube_sl_25, split train; started from scratch; selected by retrieval on the val" in said
    assert "small settings: pretraining: tiny preset, 2 of 500,000 steps, warmup 1 (paper 50,000), random" in said
    assert "small settings: tiny preset, 2 of 500,000 steps" in (results / "logs/pretrain/paper.log").read_text()
    for name in SIGNS:
        assert _read(results / f"retrieval/paper/{name}.json")["counts"]["query_videos"] == 2
        assert _read(results / f"recognition/paper/{name}.json")["counts"]["videos"] == 2
    for name in TEXTS:
        assert _read(results / f"translation/paper/{name}.json")["counts"]["test"]["sentences"] == 1
    verify = [sys.executable, "-m", "signrep_core", "verify", str(results)]
    assert subprocess.run(verify, cwd=ROOT, capture_output=True).returncode == 0


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found
