"""Checks of files against their records."""

import os
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from signrep_core.errors import SignRepError
from signrep_core.inspect.verify.corpus import verify
from signrep_core.inspect.verify.files import check_file, find_files
from signrep_core.inspect.verify.problems import open_results
from signrep_core.store.layout import OUTPUTS, find_output
from signrep_core.store.records import read_record, record_path, write_record
from tests.finished import FILES
from tests.inspect.verify.conftest import broken_files, record_again


def flip(path: Path, at: int, bit: int = 0) -> None:
    """Flip a bit of a file in place and keep its times."""
    times = path.stat()
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ (1 << bit)]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def whats(report) -> dict[str, str]:
    return {problem.file: problem.what for problem in report.problems}


def test_a_finished_folder_has_no_problems(finished: Path) -> None:
    report = verify(finished)
    assert report.problems == []
    assert (report.shards, report.files) == (2, FILES)
    assert report.pending == {}
    assert report.unknown == report.leftovers == []


def test_two_processes_find_the_same_as_one(scratch: Path) -> None:
    flip(scratch / "shards/00001.mp4", 5000)
    assert verify(scratch, threads=2).problems == verify(scratch).problems != []


def test_the_finished_folder_has_every_kind_of_output(finished: Path) -> None:
    found = map(find_output, find_files(open_results(finished)).outputs)
    assert {output.pattern for output, _ in filter(None, found)} == {output.pattern for output in OUTPUTS}


@pytest.mark.parametrize("kind", ["outputs", "records"])
def test_every_one_of_200_flipped_bits_is_found(scratch: Path, kind: str) -> None:
    """Flip a random bit of each file in turn, so that every kind of output is covered."""
    results = open_results(scratch)
    paths = [(name, scratch / name) for name in find_files(results).outputs]
    if kind == "records":
        paths = [(name, record_path(path)) for name, path in paths]
    paths = [(name, path) for name, path in paths if path.stat().st_size]
    rng = random.Random(0)
    for k in range(200):
        name, path = paths[k % len(paths)]
        at, bit = rng.randrange(path.stat().st_size), rng.randrange(8)
        flip(path, at, bit)
        assert check_file(results, name, {}).problems, (name, at, bit)
        flip(path, at, bit)
        assert not check_file(results, name, {}).problems, name


def test_a_flipped_bit_is_reported_for_its_file_only(scratch: Path) -> None:
    flip(scratch / "pose/00000.parquet", 3000)
    flip(scratch / "figures/retrieval_test_made.png", 3000)
    flip(scratch / "pretrain/test/best.safetensors", 100_000)
    flip(record_path(scratch / "overlap.tsv"), 50)
    assert whats(verify(scratch)) == {
        "pose/00000.parquet": "changed since it was written",
        "figures/retrieval_test_made.png": "changed since it was written",
        "pretrain/test/best.safetensors": "changed since it was written",
        "overlap.tsv": "damaged record",
    }


def test_missing_unrecorded_and_swapped_files_are_found(scratch: Path) -> None:
    (scratch / "angles/00001.parquet").unlink()
    record_path(scratch / "crops/00000.parquet").unlink()
    shutil.copy2(scratch / "distances/00001.parquet", scratch / "distances/00000.parquet")
    shutil.copy2(record_path(scratch / "distances/00001.parquet"), record_path(scratch / "distances/00000.parquet"))
    assert whats(verify(scratch)) == {
        "angles/00001.parquet": "missing",
        "crops/00000.parquet": "not recorded",
        "distances/00000.parquet": "record of another file",
    }


def test_a_file_lost_with_its_record_is_reported_in_a_finished_run(scratch: Path) -> None:
    (scratch / "activity/00001.parquet").unlink()
    record_path(scratch / "activity/00001.parquet").unlink()
    assert whats(verify(scratch)) == {"activity/00001.parquet": "missing"}


def test_a_file_older_than_its_inputs_is_found(scratch: Path) -> None:
    path = scratch / "bones.json"
    record = read_record(path)
    assert record is not None
    path.write_text(path.read_text() + "\n")
    record_again(path)
    found = whats(verify(scratch))
    assert found == dict.fromkeys(["keypoints/00000.parquet", "keypoints/00001.parquet"], "older than its inputs")


def test_running_and_stopped_jobs_are_not_problems(scratch: Path) -> None:
    for name, pid in (("features/test/made.parquet", os.getpid()), ("retrieval/test/made.json", _gone())):
        path = scratch / name
        record = read_record(path)
        assert record is not None
        path.unlink()
        write_record(path, replace(record, sha256="", bytes=-1, pid=pid))
    report = verify(scratch)
    assert report.problems == []
    assert report.pending == {"features/test/made.parquet": "under way", "retrieval/test/made.json": "stopped"}


def test_a_file_whose_job_was_killed_before_its_end_is_found(scratch: Path) -> None:
    path = scratch / "pose/00001.parquet"
    record = read_record(path)
    assert record is not None
    write_record(path, replace(record, sha256="", bytes=-1, pid=_gone()))
    assert whats(verify(scratch)) == {"pose/00001.parquet": "job not finished"}


@pytest.mark.parametrize("run", ["pretrain/next", "recognition/next/made", "translation/next/made", "lifter"])
def test_a_training_in_progress_is_not_a_problem(scratch: Path, run: str) -> None:
    for name in ("last/best.safetensors", "last/metrics.csv", "last/state.pt", "tensorboard/events.1"):
        (scratch / run / name).parent.mkdir(parents=True, exist_ok=True)
        (scratch / run / name).write_bytes(b"half")
    report = verify(scratch)
    assert report.problems == report.unknown == []


def test_other_files_and_leftovers_are_listed_and_kept(scratch: Path) -> None:
    (scratch / "notes.txt").write_text("mine")
    (scratch / "pose/.00000.77.partial.parquet").write_bytes(b"")
    report = verify(scratch)
    assert (report.problems, report.unknown) == ([], ["notes.txt"])
    assert report.leftovers == ["pose/.00000.77.partial.parquet"]


def test_a_folder_of_shards_is_checked_alone(scratch: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(scratch / "shards", tmp_path / "on the GPU machine"))
    assert verify(copied).problems == []
    flip(copied / "00000.mp4", 9000)
    assert broken_files(verify(copied)) == {"shards/00000.mp4"}


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_folder_without_results_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SignRepError, match="config key `results`"):
        verify(tmp_path / name)


def _gone() -> int:
    """The id of a finished process."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid
