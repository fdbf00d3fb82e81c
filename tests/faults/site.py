"""A small corpus that has gone through the real workflow once, undisturbed, and the jobs of that run.

Four spans of two rendered videos, and a text file that is no video: every stage has something to do, and every job
takes a few seconds.
"""

import csv
import os
import pickle
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from signrep_core.errors import REASONS
from signrep_core.inspect.verify.corpus import verify
from signrep_core.store.schemas import SEQUENCES, VIDEOS
from signrep_core.store.tables import read_table
from signrep_core.synthetic.corpus import plan_corpus, render_videos
from tests import warm
from tests.faults import run_job
from tests.faults.compare import same_content

ROOT = Path(__file__).parents[2]
SMALL = ROOT / "tests/workflow/small.yaml"
SHEET = """video_id\tpath\tdataset\tsplit\tgloss\tstart\tend\ttext
=one\tsigners/{0}.mp4\tmade\ttrain\tA\t0.1\t0.9\t
two\tsigners/{0}.mp4\tmade\ttrain\tB\t0.9\t1.7\t
three\tsigners/{1}.mp4\tmade\tval\tA\t0.1\t0.9\t
four\tsigners/{1}.mp4\tmade\ttest\tA\t0.9\t1.7\t
text\ttext.mp4\tmade\ttrain\tA\t\t\t
five\tsigners/{0}.mp4\tsaid\ttrain\t\t0.1\t0.9\tone and two
six\tsigners/{1}.mp4\tsaid\tval\t\t0.1\t0.9\tone and one
seven\tsigners/{1}.mp4\tsaid\ttest\t\t0.9\t1.7\ttwo and one
"""
# Different in every run: logs, measured times and their drawings, states of trainings, records of jobs.
VOLATILE = ("logs/", "benchmarks/", "figures/timing", "figures/training", "report.html", "report/")
HIDDEN = (".records/", "/last/", "/tensorboard/")  # within a name
TIMED = (
    "summary.txt",
    "summary.json",
)  # hold times that the engine measured: equal only when their job alone is rerun
SHARDS = ("shards/info.json", "overlap.tsv", "summary.txt", "distances/00000.parquet")  # all that needs no training


@dataclass
class Job:
    """One job of the workflow: its script, inputs and outputs, and how long it takes undisturbed."""

    rule: str
    pickled: Path
    inputs: list[Path]
    outputs: list[Path]
    log: Path
    seconds: float

    def start(self, largest_file: int | None = None) -> BaseProcess:
        """Start the job in a process group of its own."""
        return run_job.start(self.pickled, environment(), largest_file)

    def remove_outputs(self) -> None:
        """Remove the outputs, as Snakemake does after a failed job."""
        for output in self.outputs:
            output.unlink(missing_ok=True)


@dataclass
class Site:
    """The corpus, its finished results, and the jobs in an order in which they can run."""

    folder: Path
    output: str = ""  # of the engine
    jobs: list[Job] = field(default_factory=list)
    finished: dict[str, Path] = field(default_factory=dict)  # file -> a copy of the undisturbed run's
    rendered: dict[str, Path] = field(default_factory=dict)  # the same of the demo's own jobs

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def demo(self) -> Path:
        return self.folder / "demo"

    @property
    def undisturbed(self) -> Path:
        """A copy of the finished results, which no fault touches."""
        return self.folder / "undisturbed/results"

    @property
    def sheet(self) -> Path:
        return self.folder / "videos.tsv"

    def differences(self, results: Path | None = None, ignored: tuple[str, ...] = ()) -> list[str]:
        """Files that differ from the undisturbed run's, are missing or too many; and videos without one state."""
        different = [
            name for name in different_files(files_of(results or self.results), self.finished) if name not in ignored
        ]
        if different_files(files_of(self.demo), self.rendered):
            different.append("the rendered demo")
        return different + lost_videos(self.sheet, results or self.results)


def build(folder: Path) -> Site:
    """Render the corpus and run the workflow on it; a folder with an earlier run is used as it is."""
    site = Site(folder)
    if not (folder / "jobs.pickle").exists():
        _run_undisturbed(site)
    site.finished = _copy(site.results, site.undisturbed)
    if problems := lost_videos(site.sheet, site.results):
        raise RuntimeError(f"the undisturbed run is broken: {problems}")
    jobs = [Job(**job) for job in pickle.loads((folder / "jobs.pickle").read_bytes())]
    for job in jobs:
        if job.outputs[0].is_relative_to(site.demo):
            measure(job)
    site.rendered = _copy(site.demo, folder / "undisturbed/demo")
    site.jobs = [job for job in jobs if all(path.exists() for path in job.outputs)]
    return site


def _run_undisturbed(site: Site) -> None:
    folder = site.folder
    plan = plan_corpus(signers=2, glosses=1, takes=1, seed=3, size=256)
    render_videos(plan, folder / "signers", processes=1)
    (folder / "text.mp4").write_text("This is no video.\n" * 50)
    site.sheet.write_text(SHEET.format(*(performance.video_id for performance in plan)))
    done = warm.snakemake(snakemake_command(site)[1:], folder, environment(), warm_jobs=True)
    if done.returncode:
        raise RuntimeError(f"the undisturbed run failed:\n{done.stdout[-6000:]}")
    site.output = done.stdout
    plan_jobs = [sys.executable, str(Path(__file__).with_name("plan_jobs.py")), str(folder), str(site.sheet)]
    subprocess.run(plan_jobs, check=True, cwd=folder, env=environment(), capture_output=True)


def snakemake(site: Site, *arguments: str, results: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the real workflow from the corpus's folder."""
    return subprocess.run(
        snakemake_command(site, *arguments, results=results), cwd=site.folder, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def snakemake_command(site: Site, *arguments: str, results: Path | None = None) -> list[str]:
    """The workflow as a user calls it."""
    program = str(Path(sys.executable).with_name("snakemake"))
    config = [f"sheet={site.sheet}", f"results={results or site.results}"]
    options = ["--snakefile", str(ROOT / "Snakefile"), "--configfile", str(SMALL), "--cores", "2", "--rerun-incomplete"]
    return [program, *arguments, *options, "--config", *config]


def environment() -> dict[str, str]:
    """With this checkout's core before an installed one."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def measure(job: Job) -> None:
    """Run a job undisturbed and note how long it takes."""
    began = time.monotonic()
    if run_job.wait(job.start()) != 0:
        raise RuntimeError(f"{job.rule} fails undisturbed: {job.log.read_text()}")
    job.seconds = time.monotonic() - began


def files_of(results: Path) -> dict[str, Path]:
    """Every file of a results folder but the volatile ones, by its name in the folder."""
    found = {}
    for path in sorted(results.rglob("*")):
        name = str(path.relative_to(results))
        if path.is_file() and not name.startswith(VOLATILE) and not any(part in name for part in HIDDEN):
            found[name] = path
    return found


def different_files(found: dict[str, Path], expected: dict[str, Path]) -> list[str]:
    """Names of files that differ, are missing or too many."""
    return [
        name
        for name in sorted({*found, *expected})
        if name not in found or name not in expected or not same_content(found[name], expected[name])
    ]


def _copy(results: Path, copy: Path) -> dict[str, Path]:
    """Copy a finished folder, once, as what later runs are compared with."""
    if not copy.exists():
        shutil.copytree(results, copy)
    return files_of(copy)


def broken_files(results: Path) -> list[str]:
    """Problems that the command `verify` finds in the results of a whole workflow."""
    return [f"{problem.file}: {problem.what}" for problem in verify(results).problems]


def lost_videos(sheet: Path, results: Path) -> list[str]:
    """Videos of the sheet that do not end in exactly one of: in a shard, excluded, rejected with a reason."""
    with open(sheet, encoding="utf-8", newline="") as file:
        rows = [row["video_id"] for row in csv.DictReader(file, delimiter="\t")]
    states: dict[str, list[str]] = {video: [] for video in rows}
    for path in sorted((results / "videos").glob("*.parquet")):
        videos: dict[str, Any] = read_table(path, VIDEOS, ["video_id", "status", "reason"])
        for video, status, reason in zip(*videos.values(), strict=True):
            known = reason == "" if status == "ok" else status in ("excluded", "rejected") and reason in REASONS
            states.setdefault(video, []).append(status if known else "?")
    packed = set(read_table(results / "shards/index.parquet", SEQUENCES, ["video_id"])["video_id"])
    return [
        f"video {video!r}: {found}, {'' if video in packed else 'not '}in a shard"
        for video, found in states.items()
        if len(found) != 1 or "?" in found or (found == ["ok"]) != (video in packed) or video not in rows
    ]
