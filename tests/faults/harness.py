"""The faults: disturb a job, run it again, and count what was lost.

Each fault gives a `Tally`. Lost is an output that is neither whole nor absent after the fault; after the rerun a file
that differs from the undisturbed run's, is missing or unexpected; a video without exactly one state; a process that
outlives its job.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.faults import run_job
from tests.faults.site import (
    SHARDS,
    TIMED,
    Job,
    Site,
    broken_files,
    different_files,
    environment,
    files_of,
    snakemake,
    snakemake_command,
)

CHAIN = 3  # kills of a job before it is run to its end
LAST = {".html": "</html>", ".svg": "</svg>"}  # what a whole page or drawing ends with
ORPHAN_S = 60.0  # seconds in which a child of a killed job may finish its work
# Names of files made from the shards.
LATER = ("pretrain/", "features/", "retrieval/", "recognition/", "translation/", "figures/", "report", "README.md")
ADVICE = ("and run the same command again", "and run the stage again")  # ends the log of a job without a disk


@dataclass
class Tally:
    """A row of the table: a fault, how often it was tried, what was lost, and how the loss was checked."""

    fault: str
    shown: str
    tried: int = 0
    lost: list[str] = field(default_factory=list)

    def row(self) -> str:
        return f"| {self.fault} | {self.tried} | {len(self.lost)} | {self.shown} |"


def kill_jobs(site: Site, jobs: list[Job], kills: int, number: int, seed: int, until: float = float("inf")) -> Tally:
    """Send a signal to random processes of each job at random moments, `kills` times in all.

    None is begun after `until` (of time.monotonic()).
    """
    name = signal.Signals(number).name
    tally = Tally(f"{name} to a stage's job at a random moment", "")
    rng = random.Random(seed)
    killed = set()
    for job, chain in chains(jobs, kills):
        if time.monotonic() > until:
            break
        for _ in range(chain):
            tally.lost += _killed(site, job, number, rng)
            job.remove_outputs()
        killed.add(job.rule)
        tally.tried += chain
        tally.lost += run_again(site, job)
    tally.shown = f"{len(killed)} stages: outputs whole or absent; rerun equal to undisturbed"
    return tally


def chains(jobs: list[Job], kills: int) -> list[tuple[Job, int]]:
    """How often each job is killed before it runs to its end; every job once before any job comes again."""
    left = shares(jobs, kills)
    made = []
    while any(left):
        for i, job in enumerate(jobs):
            if chain := min(left[i], CHAIN):
                made.append((job, chain))
                left[i] -= chain
    return made


def shares(jobs: list[Job], kills: int) -> list[int]:
    """How often each job is killed: at least once, quick jobs more often."""
    weights = [job.seconds**-0.5 for job in jobs]
    counts = [max(int(kills * weight / sum(weights)), 1) for weight in weights]
    quickest = sorted(range(len(jobs)), key=lambda i: jobs[i].seconds)
    for i in range(max(kills - sum(counts), 0)):
        counts[quickest[i % len(jobs)]] += 1
    return counts


def quickest(jobs: list[Job]) -> list[Job]:
    """The quickest job of each rule."""
    best: dict[str, Job] = {}
    for job in jobs:
        if job.rule not in best or job.seconds < best[job.rule].seconds:
            best[job.rule] = job
    return list(best.values())


def _killed(site: Site, job: Job, number: int, rng: random.Random) -> list[str]:
    """Kill a job once and return what was lost. A job that ends before the kill is started again."""
    while True:
        began, process = time.monotonic(), job.start()
        try:
            run_job.wait(process, rng.uniform(0, job.seconds))
        except subprocess.TimeoutExpired:
            break
        job.seconds = time.monotonic() - began  # the machine is faster than it was
    group = rng.random() < 0.5  # a node that dies, or one process picked by the kernel
    run_job.kill(process, number, group)
    run_job.wait(process)
    return broken_outputs(site, job) + orphans(job, process.pid or 0)


def run_again(site: Site, job: Job) -> list[str]:
    """Run a job to its end and return what differs from the undisturbed run."""
    if run_job.wait(job.start()) != 0:
        return [f"{job.rule}: the rerun failed: {_last_lines(job)}"]
    return [f"{job.rule}: {name}" for name in site.differences()]


def broken_outputs(site: Site, job: Job) -> list[str]:
    """Outputs that exist and differ from the undisturbed run's; pages that hold times need only be whole."""
    root, whole = site.results, site.finished
    if not job.outputs[0].is_relative_to(root):
        root, whole = site.demo, site.rendered
    found = files_of(root)
    names = [str(output.relative_to(root)) for output in job.outputs]
    half = [name for name in names if name in found and different_files({name: found[name]}, {name: whole[name]})]
    for name in names:
        if (mark := LAST.get(Path(name).suffix)) and (root / name).exists():
            half += [name] * (not (root / name).read_text(encoding="utf-8").rstrip().endswith(mark))
    return [f"{job.rule}: {name} is half" for name in half]


def orphans(job: Job, group: int) -> list[str]:
    """Processes of a job's group that still run long after it."""
    until = time.monotonic() + ORPHAN_S
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return []
        time.sleep(0.05)
    return [f"{job.rule}: its children outlive it"]


def full_disk_by_limit(site: Site, jobs: list[Job]) -> Tally:
    """Let no file grow beyond half of what a job's largest output needs."""
    tally = Tally("no file may grow beyond half of the stage's largest output", "")
    starved: set[str] = set()
    for job in jobs:
        largest = max((output.stat().st_size for output in job.outputs if output.exists()), default=0)
        if largest >= 4096:  # a smaller limit would cut the log
            tally.tried += 1
            tally.lost += _starved(site, job, job.start(largest // 2))
            starved.add(job.rule)
    tally.shown = _failed(starved)
    return tally


def full_disk_mounted(site: Site, jobs: list[Job]) -> Tally:
    """Put a tiny disk where each job writes."""
    alone = _alone(jobs)
    tally = Tally("the disk that the stage writes to is full (tmpfs)", _failed({job.rule for job in alone}))
    for job in alone:
        with mounted(job.outputs[0].parent, "size=64k,nr_inodes=1"):  # room for no file
            tally.tried += 1
            tally.lost += _starved(site, job, job.start(), again=False)
        tally.lost += run_again(site, job)
    return tally


def read_only(site: Site, jobs: list[Job]) -> Tally:
    """Put a read-only disk where each job writes."""
    alone = _alone(jobs)
    tally = Tally("the folder that the stage writes to is read-only", _failed({job.rule for job in alone}))
    for job in alone:
        with mounted(job.outputs[0].parent, "size=64k,ro"):
            tally.tried += 1
            tally.lost += _starved(site, job, job.start(), again=False)
        tally.lost += run_again(site, job)
    return tally


def _failed(rules: set[str]) -> str:
    return f"{len(rules)} stages: the job fails and says so; as above"


def _alone(jobs: list[Job]) -> list[Job]:
    """Jobs whose first output's folder holds none of their inputs."""
    return [job for job in jobs if not any(path.is_relative_to(job.outputs[0].parent) for path in job.inputs)]


def _starved(site: Site, job: Job, process: BaseProcess, again: bool = True) -> list[str]:
    """Check a job that cannot write: it must fail, say so in one line, and leave no partial output."""
    if run_job.wait(process) == 0:
        return [f"{job.rule}: it did not fail"]
    lost = broken_outputs(site, job)
    said = job.log.read_text(encoding="utf-8")
    if "Traceback" in said or not any(words in said for words in ADVICE):
        lost.append(f"{job.rule}: the log does not say what happened: {_last_lines(job)}")
    if again:
        job.remove_outputs()
        lost += run_again(site, job)
    return lost


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A tmpfs over a folder.

    Raises:
        PermissionError: this process may not mount.
    """
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True)
    if done.returncode:
        raise PermissionError(done.stderr.strip())
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def kill_workflows(site: Site, kills: int, seed: int) -> Tally:
    """Kill the whole workflow, engine and jobs, at random moments; unlock and start it again, then compare."""
    tally = Tally("SIGKILL to the running workflow, engine and jobs", "unlocked and rerun: equal to undisturbed")
    rng, results = random.Random(seed), site.folder / "killed"
    shutil.rmtree(results, ignore_errors=True)
    targets = [str(results / name) for name in SHARDS]
    seconds = sum(job.seconds for job in site.jobs if not is_later(job, site))
    for _ in range(kills):
        process = subprocess.Popen(
            snakemake_command(site, *targets, results=results), cwd=site.folder, env=environment(),
            start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(2, seconds / 2))  # two cores
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        tally.tried += process.wait() == -signal.SIGKILL  # not one that had finished
        snakemake(site, "--unlock", results=results)
    done = snakemake(site, *targets, results=results)
    if done.returncode:
        return Tally(tally.fault, tally.shown, tally.tried, [f"the last run failed: {done.stdout[-2000:]}"])
    ignored = (*TIMED, *(name for name in site.finished if name.startswith(LATER)))
    tally.lost += broken_files(results) + site.differences(results, ignored)
    return tally


def is_later(job: Job, site: Site) -> bool:
    """Whether the job follows from the shards."""
    output = job.outputs[0]
    return output.is_relative_to(site.results) and str(output.relative_to(site.results)).startswith(LATER)


def two_at_once(site: Site) -> Tally:
    """Start the workflow twice in one folder: the second is refused, the first finishes undisturbed."""
    tally = Tally(
        "two runs started at once in one folder", "the second is refused by Snakemake's lock; the first is whole"
    )
    results = site.folder / "twice"
    shutil.rmtree(results, ignore_errors=True)
    target = str(results / "pose/00000.parquet")  # the first must not finish before the second reaches the lock
    first = subprocess.Popen(
        snakemake_command(site, target, results=results), cwd=site.folder, env=environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    locks = site.folder / ".snakemake/locks"
    while first.poll() is None and not (locks.is_dir() and any(locks.iterdir())):
        time.sleep(0.02)
    second = snakemake(site, target, results=results)
    tally.tried = 1
    if second.returncode == 0 or "cannot be locked" not in second.stdout:
        tally.lost.append(f"the second run was not refused: {second.stdout[-500:]}")
    if first.wait() != 0:
        tally.lost.append("the first run failed")
    made = files_of(results)
    tally.lost += different_files(made, {name: site.finished[name] for name in made if name in site.finished})
    return tally


def _last_lines(job: Job) -> str:
    return " | ".join(job.log.read_text(encoding="utf-8").splitlines()[-3:])[-600:]
