"""Dry runs on a copied results folder: what the workflow would make again is what has changed, from any folder."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from signrep_core.store.records import record_path
from tests.once import build_once
from tests.workflow.conftest import ROOT, Finished, planned_rules, snakemake

pytestmark = pytest.mark.slow
HEADER = "video_id\tpath\tdataset\tsplit\tgloss\n"
ROWS = [f"v{i}\tclips/{i}.mp4\tmine\t{split}\tg{i % 2}\n" for i, split in enumerate(["train"] * 3 + ["val", "test"])]
ALL = {"median_bones", "audit_overlap", "index_shards", "summarize", "pretrain"}  # some rules that read every shard


@pytest.fixture(scope="session")
def fake_run(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A finished run of five videos in three shards; its outputs are small text files."""

    def build(folder: Path) -> Finished:
        sheet, results = folder / "videos.tsv", folder / "results"
        sheet.write_text(HEADER + "".join(ROWS))
        command = [sys.executable, "-m", "tests.workflow.fake_run"]
        config = [f"sheet={sheet}", f"results={results}", "videos_per_shard=2"]
        subprocess.run([*command, *config], check=True, cwd=ROOT, capture_output=True)
        return Finished(sheet, results)

    return build_once(tmp_path_factory, "fake_run", build)


@pytest.fixture
def copied(fake_run: Finished, tmp_path: Path) -> Finished:
    """The run copied as `cp -a` does, with its sheet, to a folder where Snakemake has never run."""
    results = Path(shutil.copytree(fake_run.results, tmp_path / "results"))
    return Finished(Path(shutil.copy2(fake_run.sheet, tmp_path / "videos.tsv")), results)


def plan(run: Finished, cwd: Path, *config: str) -> dict[str, int]:
    """The plan from a working directory."""
    return planned_rules(*run.config, "videos_per_shard=2", *config, cwd=cwd)


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    stats = {str(path.relative_to(folder)): path.stat() for path in folder.rglob("*") if ".snakemake" not in path.parts}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}


def test_a_copied_run_has_nothing_to_do_whatever_its_times_and_the_spelling_of_its_paths(
    copied: Finished, tmp_path: Path
) -> None:
    assert plan(copied, tmp_path) == {}
    for path in sorted(copied.results.rglob("*"), reverse=True):  # inputs newer than outputs, as after `cp -r`
        path.touch()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert plan(copied, elsewhere) == {}
    shutil.rmtree(tmp_path / ".snakemake")
    (tmp_path / "link").symlink_to(copied.results)
    assert plan(Finished(Path("videos.tsv"), Path("link")), tmp_path) == {}


def test_a_row_appended_in_a_copy_makes_its_shard_and_what_reads_all_shards(copied: Finished, tmp_path: Path) -> None:
    with open(copied.sheet, "a") as file:
        file.write("v5\tclips/5.mp4\tmine\ttrain\tg1\nv6\tclips/6.mp4\tmine\ttrain\tg1\n")
    before = listing(tmp_path)
    found = plan(copied, tmp_path)
    assert listing(tmp_path) == before  # a dry run changes nothing
    assert {rule: found.get(rule) for rule in ("probe", "extract_pose", "crop_signers")} == {
        "probe": 2, "extract_pose": 2, "crop_signers": 2,
    }  # fmt: skip
    assert set(found) >= ALL


def test_a_gloss_and_a_parameter_changed_in_a_copy_make_what_depends_on_them(copied: Finished, tmp_path: Path) -> None:
    assert plan(copied, tmp_path, "retrieval={pooling: average}") == {"evaluate_retrieval": 1, "report": 1}
    copied.sheet.write_text(copied.sheet.read_text().replace("4.mp4\tmine\ttest\tg0", "4.mp4\tmine\ttest\tg7"))
    found = plan(copied, tmp_path)
    assert (found["probe"], found["extract_pose"]) == (1, 1)
    assert set(found) >= ALL


def test_two_folders_that_run_alternately_see_each_others_work(fake_run: Finished, tmp_path: Path) -> None:
    """Made with other settings in between, by a job with its record: the first folder's own memory is no help."""
    results = Path(shutil.copytree(fake_run.results, tmp_path / "results"))
    run = Finished(fake_run.sheet, results)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    assert plan(run, tmp_path / "one") == {}
    changed = [sys.executable, "-m", "tests.workflow.fake_run", f"sheet={run.sheet}",
               f"results={results}", "videos_per_shard=2", "retrieval={pooling: average}"]  # fmt: skip
    subprocess.run(changed, check=True, cwd=ROOT, capture_output=True)
    assert plan(run, tmp_path / "two", "retrieval={pooling: average}") == {}
    assert "evaluate_retrieval" in plan(run, tmp_path / "one")


def test_what_would_be_made_again_is_said_and_work_by_hand_is_pointed_out(copied: Finished, tmp_path: Path) -> None:
    weights = copied.results / "pretrain/test/best.safetensors"
    weights.write_text("trained on another machine")
    record_path(weights).unlink()
    found = plan(copied, tmp_path)
    assert "pretrain" not in found
    assert "extract_features" in found
    run = snakemake("--dry-run", *copied.config, "videos_per_shard=2", "crop={crf: 20}", cwd=tmp_path)
    assert "Out of date: crop_signers: made with other settings: crops/00000.parquet" in run.stdout
    assert "(wanted crf: 20; found crf: 18)" in run.stdout
    assert "pretrain/test/best.safetensors was put there by hand and will be made again" in run.stdout
