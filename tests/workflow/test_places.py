"""The workflow in folders with odd names: the clone, its environment, the sheet, the videos and the results."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from signrep_core.store.schemas import VIDEOS
from signrep_core.store.tables import read_table
from tests.workflow.conftest import ROOT

PARTS = (
    "Snakefile", "Makefile", "pyproject.toml", "constraints.txt", "config.yaml", "rules", "workflow_scripts",
    "profiles", "envs", "signrep_core",
)  # fmt: skip


def clone(folder: Path) -> Path:
    """Copy the workflow to a folder, with a link to the environment, so that Python's path is below it too."""
    folder.mkdir(parents=True)
    for name in PARTS:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def run_workflow(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(folder / ".venv/bin/python"), "-m", "snakemake", "--cores", "1", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


@pytest.mark.slow
def test_the_workflow_runs_in_a_folder_with_odd_characters(clips, tmp_path):
    folder = clone(tmp_path / "it's a 50% #1 [x] & $HOME" / "sign rep")
    shutil.copy(clips / "asl_yes_A.mkv", folder / "a  b ~%s.mkv")
    (folder / "my sheet.tsv").write_text("video_id\tpath\tsplit\na\ta  b ~%s.mkv\tDev\n")
    run = run_workflow(folder, "--config", "sheet=my sheet.tsv", "results=my results/", "--until", "probe")
    assert run.returncode == 0, run.stdout
    assert "my sheet.tsv: splits are read as ours: 'Dev' as 'val' (1 rows)" in run.stdout
    assert run.stdout.count("splits are read as ours") == 1, "only the process that plans the run says so"
    videos = read_table(folder / "my results/video_status/probe/00000.parquet", VIDEOS)
    assert (videos["status"], videos["split"]) == (["ok"], ["val"])


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (["results=$NOT_SET/x"], "results: the environment variable NOT_SET is not set"),
        (["results=Snakefile/x"], "Snakefile/x: expected a folder, found a file at"),
    ],
)
def test_a_path_that_cannot_be_used_stops_the_start(config, said):
    run = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", "--nolock", "--until", "probe", "--config", *config],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert run.returncode != 0
    assert said in run.stdout
    assert "Traceback" not in run.stdout


def test_an_unknown_split_stops_the_start(tmp_path):
    (tmp_path / "videos.tsv").write_text("video_id\tpath\tsplit\na\ta.mp4\ttrian\n")
    run = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", "-n", "--config", f"sheet={tmp_path / 'videos.tsv'}"],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert run.returncode != 0
    assert "line 2, column split" in run.stdout


def test_a_clone_below_braces_is_refused_first(tmp_path):
    folder = clone(tmp_path / "{x}")
    run = run_workflow(folder, "-n")
    assert run.returncode != 0
    assert "Snakemake reads braces as wildcards: rename the folder, or clone elsewhere" in run.stdout
    made = subprocess.run(["make"], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert made.returncode != 0
    assert "has a colon or a brace in its path" in made.stdout


def test_make_takes_spaces_in_its_folder_and_in_the_path_of_python(tmp_path):
    (tmp_path / "sign rep").mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / "sign rep")
    python = tmp_path / "my python"
    python.write_text('#!/bin/sh\nif [ "$1 $2" = "-m venv" ]; then mkdir -p .venv/bin; cp "$0" .venv/bin/python; fi\n')
    python.chmod(0o755)
    made = subprocess.run(["make", f"PYTHON={python}"], cwd=tmp_path / "sign rep", text=True, capture_output=True)
    assert made.returncode == 0, made.stdout + made.stderr
    assert (tmp_path / "sign rep/.venv/installed").exists()
    demo = subprocess.run(["make", "-n", "demo"], cwd=tmp_path / "sign rep", text=True, capture_output=True)
    assert ".venv/bin/python -m snakemake" in demo.stdout, "the scripts of an environment that was moved do not start"
