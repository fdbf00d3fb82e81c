"""The faults on a small scale: fixed seeds, each stage killed once (`make faults` does it in full)."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from signrep_core.inspect.explain import explain
from signrep_core.store.records import read_record
from tests.faults import harness
from tests.faults.__main__ import BEGIN, END, TITLE, write_row
from tests.faults.site import Job, Site, environment

pytestmark = pytest.mark.slow


def jobs_of(site: Site, *rules: str) -> list[Job]:
    return [job for job in site.jobs if job.rule in rules]


def test_the_command_that_explain_prints_makes_a_lost_file_again(site: Site) -> None:
    """Before any job is run alone: the record is then of the engine's run."""
    lost = site.results / "overlap.tsv"
    record = read_record(lost)
    assert record is not None
    assert record.command in explain(lost)
    lost.unlink()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        shlex.split(record.command), cwd=record.folder, env={**environment(), "PATH": path}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert site.differences() == []


def test_killed_jobs_lose_nothing(site: Site) -> None:
    jobs = harness.quickest(site.jobs)
    tally = harness.kill_jobs(site, jobs, len(jobs), signal.SIGKILL, seed=11)
    assert tally.lost == []
    assert tally.tried >= len(jobs) >= 27


def test_jobs_that_are_asked_to_end_lose_nothing(site: Site) -> None:
    tally = harness.kill_jobs(site, jobs_of(site, "probe", "crop_signers"), 2, signal.SIGTERM, seed=12)
    assert (tally.tried, tally.lost) == (2, [])


def test_a_size_limit_fails_the_job_with_what_to_do(site: Site) -> None:
    tally = harness.full_disk_by_limit(site, jobs_of(site, "crop_signers", "angles_to_keypoints"))
    assert (tally.tried, tally.lost) == (2, [])


@pytest.mark.parametrize(
    ("fault", "rules"),
    [(harness.full_disk_mounted, ["probe", "extract_pose"]), (harness.read_only, ["probe", "crop_signers"])],
)
def test_a_disk_that_takes_nothing_fails_the_job_with_what_to_do(
    site: Site, fault: Callable[[Site, list[Job]], harness.Tally], rules: list[str]
) -> None:
    try:
        tally = fault(site, jobs_of(site, *rules))
    except PermissionError as error:
        pytest.skip(f"a small disk cannot be mounted here: {error}")
    assert (tally.tried, tally.lost) == (2, [])


def test_a_second_run_in_the_same_folder_is_refused(site: Site) -> None:
    assert harness.two_at_once(site).lost == []


def test_a_killed_workflow_loses_nothing(site: Site) -> None:
    tally = harness.kill_workflows(site, 1, seed=13)
    assert (tally.tried, tally.lost) == (1, [])


def test_half_a_file_and_a_lost_video_would_be_noticed(site: Site) -> None:
    """The harness itself: damage that is done on purpose is found."""
    (job,) = jobs_of(site, "deduplicate")
    videos = site.results / "videos/00000.parquet"
    output, whole, published = job.outputs[0], job.outputs[0].read_bytes(), videos.read_bytes()
    output.write_bytes(whole[: len(whole) // 2])
    assert harness.broken_outputs(site, job) == ["deduplicate: video_status/deduplicate/00000.parquet is half"]
    output.write_bytes(whole)
    videos.unlink()
    assert len(site.differences()) == 1 + 8, "the file, and eight videos without a state"
    videos.write_bytes(published)
    (site.results / "pose/.00000.partial.parquet").touch()
    assert site.differences() == ["pose/.00000.partial.parquet"]
    (site.results / "pose/.00000.partial.parquet").unlink()


def test_a_fault_tried_again_replaces_its_row_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        f"before\n\n{BEGIN}\n\n{TITLE}\n|---|---|---|---|\n| a | 1 | 0 | x |\n| b | 2 | 0 | y |\n\n{END}\n\nafter\n"
    )
    write_row(page, harness.Tally("a", "z", 3, ["one"]))
    write_row(page, harness.Tally("c", "new", 4))
    rows = "| a | 3 | 1 | z |\n| b | 2 | 0 | y |\n| c | 4 | 0 | new |"
    assert page.read_text() == f"before\n\n{BEGIN}\n\n{TITLE}\n|---|---|---|---|\n{rows}\n\n{END}\n\nafter\n"


def test_every_job_is_killed_before_any_is_killed_in_a_second_row() -> None:
    jobs = [Job(name, Path(), [], [], Path(), seconds) for name, seconds in [("slow", 16.0), ("quick", 1.0)]]
    assert [(job.rule, kills) for job, kills in harness.chains(jobs, 10)] == [
        ("slow", 2), ("quick", 3), ("quick", 3), ("quick", 2),
    ]  # fmt: skip
