"""Runs of the real workflow that several tests look at, each built once."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import warm
from tests.once import build_once
from tests.workflow.bad_videos import add_bad_videos

ROOT = Path(__file__).parents[2]
SNAKEMAKE = str(Path(sys.executable).with_name("snakemake"))


def snakemake(*arguments: str | Path, cwd: Path = ROOT, warm_jobs: bool = False) -> subprocess.CompletedProcess[str]:
    """Run the workflow with the test's small settings; output and messages are in `stdout`."""
    options = ["--cores", "2", "--configfile", str(Path(__file__).with_name("small.yaml")), "--nolock",
               "--snakefile", str(ROOT / "Snakefile")]  # fmt: skip
    return warm.snakemake([*options, *map(str, arguments)], cwd, dict(os.environ), warm_jobs)


def planned_rules(*arguments: str | Path, cwd: Path = ROOT) -> dict[str, int]:
    """The plan of a dry run: rule -> number of jobs, without the target rule."""
    run = snakemake("--dry-run", *arguments, cwd=cwd)
    assert run.returncode == 0, run.stdout
    stats = re.search(r"^job +count\n-[- ]+\n(.*?)^total", run.stdout, re.MULTILINE | re.DOTALL)
    if stats is None:
        assert "Nothing to be done" in run.stdout, run.stdout
        return {}
    counts = dict(line.split() for line in stats[1].strip().splitlines())
    return {rule: int(count) for rule, count in counts.items() if rule != "all"}


def write_sheet(folder: Path, sheet: Path) -> Path:
    """The sheet of a folder of videos, as a user makes it."""
    command = [sys.executable, "-m", "signrep_core", "sheet", "folder", str(folder), "--out", str(sheet)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    return sheet


class Finished:
    """A finished run: its sheet, its results and the arguments that made it."""

    def __init__(self, sheet: Path, results: Path) -> None:
        self.sheet, self.results = sheet, results
        self.config = ["--config", f"sheet={sheet}", f"results={results}"]
        self.output = ""


def finish(sheet: Path, results: Path) -> Finished:
    """Run the main job on a sheet, its jobs in warm processes."""
    run = Finished(sheet, results)
    done = snakemake(*run.config, warm_jobs=True)
    assert done.returncode == 0, done.stdout[-8000:]
    run.output = done.stdout
    return run


@pytest.fixture(scope="session")
def clips_run(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The main job on the real clips and, in the same shard, on bad videos."""

    def build(folder: Path) -> Finished:
        sheet = write_sheet(clips, folder / "videos.tsv")
        (folder / "bad").mkdir()
        add_bad_videos(sheet, clips, folder / "bad")
        return finish(sheet, folder / "results")

    return build_once(tmp_path_factory, "clips", build)


@pytest.fixture
def scratch_run(clips_run: Finished, tmp_path: Path) -> Finished:
    """A copy of the finished run that a test may damage; the paths inside stay those of the original's videos."""
    results = tmp_path / "results"
    shutil.copytree(clips_run.results, results, copy_function=shutil.copy2)
    return Finished(clips_run.sheet, results)
