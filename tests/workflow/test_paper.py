"""The paper's configuration on one sheet of its data sets, planned without running it."""

from pathlib import Path

import pytest

from tests.workflow.conftest import ROOT, planned_rules, snakemake

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
