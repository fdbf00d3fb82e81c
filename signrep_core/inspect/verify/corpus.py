"""Verify a results folder: its shards in parallel, then the outputs over all shards."""

import csv
import json
import math
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from signrep_core.body.bones import BONES, BoneHistogram, median_offsets, offsets_from_lengths
from signrep_core.errors import SignRepError
from signrep_core.inspect.compare import OTHER_PARAMS, OTHER_SHARDS, STALE, Comparison
from signrep_core.inspect.verify.files import check_file, find_files
from signrep_core.inspect.verify.problems import Problem, Results, open_results, rule_of
from signrep_core.inspect.verify.shard import Bones, CheckedShard, check_shard
from signrep_core.inspect.wanted import Wanted
from signrep_core.progress import Progress
from signrep_core.sources.overlap import read_overlap
from signrep_core.store.files import file_digest, read_json
from signrep_core.store.layout import METRICS, OPTIONAL_RULE, PER_SHARD, WEIGHTS, find_output, find_shard
from signrep_core.store.pack import read_parameters
from signrep_core.store.records import read_record
from signrep_core.store.schemas import SEQUENCES, features_schema
from signrep_core.store.shards import read_info
from signrep_core.store.tables import open_table, read_groups, read_table
from signrep_core.store.video_status import count_statuses

FILES_PER_TASK: Final = 64  # for files outside shards


@dataclass
class Report:
    """Findings of verify."""

    problems: list[Problem]
    files: int = 0
    bytes: int = 0
    shards: int = 0
    pending: dict[str, str] = field(default_factory=dict)  # file not written yet -> under way or stopped
    unknown: list[str] = field(default_factory=list)  # files that the workflow does not make
    leftovers: list[str] = field(default_factory=list)  # temporary files of killed jobs
    to_come: int = 0  # targets of an unfinished run that are not there yet


def verify(folder: str | Path, threads: int = 1, wanted: Wanted | None = None) -> Report:
    """Check a results folder, or a copied folder of shards; nothing is changed.

    Args:
        threads: processes that check shards in parallel.
        wanted: what the folder should hold, by the sheet and the configuration; None = unknown.

    Raises:
        SignRepError: the folder does not exist or holds no output of the workflow.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise SignRepError(f"{folder}: expected a results folder, found none; give the config key `results`")
    results = open_results(folder)
    found = find_files(results)
    if not found.outputs:
        raise SignRepError(f"{folder}: expected the results of a run, found no output; give the config key `results`")
    shards: dict[str, list[str]] = {}
    others: list[str] = []
    for name in found.outputs:
        output = find_output(name)
        wildcards = output[1] if output else {}
        (shards.setdefault(wildcards["shard"], []) if "shard" in wildcards else others).append(name)
    report = Report([], shards=len(shards), unknown=found.unknown, leftovers=found.leftovers)
    bones = _read_bones(results)
    tasks: list[Callable[[], CheckedShard]] = [
        *(partial(_check_others, results, names) for names in _batches(others)),
        *(partial(check_shard, results, shard, names, bones) for shard, names in sorted(shards.items())),
    ]
    corpus = _Corpus(results)
    with Progress("verify", len(found.outputs), "files") as progress:
        for checked in _run(tasks, threads):
            report.problems += checked.problems
            report.files += checked.files
            report.bytes += checked.bytes
            report.pending |= checked.pending
            corpus.add(checked)
            report.problems += _check_videos(checked, wanted)
            progress.advance(checked.files, note=f"{len(report.problems)} problems")
    broken = {problem.file for problem in report.problems if problem.what != STALE} | set(report.pending)
    whole, unwanted = [name for name in found.outputs if name not in broken], []
    if wanted is not None and not results.only_shards:
        unwanted = list(Comparison(results).unwanted(wanted))
        _compare(report, results, wanted, whole)
    shards_there = sorted(set(shards) - {find_shard(problem.file) for problem in unwanted})
    report.problems += [*unwanted, *corpus.check(whole, shards_there, broken)]
    report.problems = sorted(set(report.problems))
    return report


def _check_videos(checked: CheckedShard, wanted: Wanted | None) -> Iterator[Problem]:
    """Check that the final table of a shard lists the videos of the sheet."""
    shard = find_shard(checked.videos_file)
    if wanted is None or not checked.videos or shard not in wanted.shards:
        return
    rows = [row.video_id for row in wanted.shards[shard]]
    if rows != checked.videos:
        lost, more = (sorted(set(a) - set(b))[:3] for a, b in ((rows, checked.videos), (checked.videos, rows)))
        found = f"{lost} missing, {more} not in the sheet" if lost or more else "another order"
        yield Problem(checked.videos_file, "videos differ from the sheet", f"{len(rows)} videos", found, "probe")


def _compare(report: Report, results: Results, wanted: Wanted, whole: list[str]) -> None:
    """Add what the sheet and the configuration ask for and is not there, or was made otherwise.

    Problems of bytes and inputs have been found already. In a run that has no summary yet, missing files are to come.
    """
    there = Comparison(results)
    report.problems += [problem for problem in there.outdated(wanted) if problem.what in (OTHER_PARAMS, OTHER_SHARDS)]
    known = {problem.file for problem in report.problems} | set(report.pending)
    missing = [problem for problem in there.missing(wanted) if problem.file not in known]
    if "summary.json" not in whole:
        report.to_come = len(missing)
        return
    report.problems += missing
    counted = json.loads(results.path("summary.json").read_bytes()).get("videos")
    if counted != len(wanted.rows):
        expected = f"{len(wanted.rows)} videos, as the sheet has now"
        report.problems.append(_problem("summary.json", "counts differ from the sheet", expected, f"{counted}"))


def _run(tasks: list[Callable[[], CheckedShard]], threads: int) -> Iterator[CheckedShard]:
    if threads <= 1:
        yield from (task() for task in tasks)
        return
    with ProcessPoolExecutor(threads, multiprocessing.get_context("spawn")) as pool:
        for done in as_completed([pool.submit(task) for task in tasks]):
            yield done.result()


def _batches(names: list[str]) -> Iterator[list[str]]:
    yield from (names[k : k + FILES_PER_TASK] for k in range(0, len(names), FILES_PER_TASK))


def _check_others(results: Results, names: list[str]) -> CheckedShard:
    """Check files that belong to no shard against their records."""
    problems: list[Problem] = []
    pending, size = {}, 0
    for name in names:
        checked = check_file(results, name, {})
        problems += checked.problems
        size += checked.size
        if checked.pending:
            pending[name] = checked.pending
    return CheckedShard(problems, len(names), size, pending)


def _read_bones(results: Results) -> Bones | None:
    """Bone offsets of the corpus; None if bones.json is missing or differs from its record."""
    path = results.path("bones.json")
    try:
        record = read_record(path)
        if record is None or file_digest(path) != record.sha256:
            return None
        return read_json(path, median_offsets, "median_bones")
    except (SignRepError, OSError):
        return None


class _Corpus:
    """Checks over all shards."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self._shard_of: dict[str, str] = {}  # video_id -> table that lists it
        self._n_tables = 0  # tables of videos that were read
        self._twice: list[Problem] = []

    def add(self, checked: CheckedShard) -> None:
        """Take the videos of a checked shard."""
        self._n_tables += bool(checked.videos)
        for video in checked.videos:
            if video in self._shard_of:
                expected, found = f"{video!r} in one shard", f"also in {self._shard_of[video]}"
                self._twice.append(Problem(checked.videos_file, "a video in two shards", expected, found, "probe"))
            self._shard_of[video] = checked.videos_file

    def check(self, whole: list[str], shards: list[str], broken: set[str]) -> Iterator[Problem]:
        """Compare the intact files of the corpus."""
        yield from self._twice
        there = set(whole)
        checks = {
            "shards/index.parquet": self._index, "shards/info.json": self._info, "bones.json": self._bones,
            "overlap.tsv": self._overlap, "summary.json": self._summary,
        }  # fmt: skip
        for name in whole:
            check = checks.get(name) or self._check_of(name)
            if check is not None:
                yield from self._guarded(check, name, shards, there)
        if "summary.json" in there:
            yield from self._complete(shards, there | broken)

    def _check_of(self, name: str) -> Any:
        """The check for an output that exists per run or data set, by its kind; None if there is none."""
        found = find_output(name)
        if found is None:
            return None
        if found[0].pattern.startswith("features/"):
            return self._features
        if found[0].schema is not None and "shard" not in found[1]:
            return self._predictions
        return {WEIGHTS: self._weights, METRICS: self._metrics}.get(Path(name).name)

    def _guarded(self, check: Any, name: str, shards: list[str], there: set[str]) -> Iterator[Problem]:
        try:
            yield from check(name, shards, there)
        except (SignRepError, OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            yield _problem(name, "cannot be read", "an intact file", f"{type(error).__name__}: {error}")

    def _complete(self, shards: list[str], there: set[str]) -> Iterator[Problem]:
        """Check that a run with a summary has every output of every shard."""
        distances = any(name.startswith("distances/") for name in there)
        for output in PER_SHARD:
            if output.rule == OPTIONAL_RULE and not distances:
                continue
            for shard in shards:
                if (name := output.path(shard=shard)) not in there:
                    yield Problem(name, "missing", "an output of a finished run", "no file, no record", output.rule)

    def _index(self, name: str, shards: list[str], there: set[str]) -> Iterator[Problem]:
        """Check that the index has the rows of all shards' sequences, in order."""
        parts = [f"sequences/{shard}.parquet" for shard in shards]
        if not all(part in there for part in parts):
            return
        expected = (row for part in parts for row in _sequence_rows(self.results.path(part)))
        for k, (ours, theirs) in enumerate(zip_longest(expected, _sequence_rows(self.results.path(name)))):
            if ours != theirs:
                yield _problem(name, "differs from the shards' sequences", f"row {k}: {ours}", f"{theirs}")
                return

    def _info(self, name: str, shards: list[str], there: set[str]) -> Iterator[Problem]:
        """Check the counts, and that all shards have the encoding in info.json."""
        info = read_info(self.results.path(name))
        if "shards/index.parquet" in there:
            lengths = [row[-2] for row in _sequence_rows(self.results.path("shards/index.parquet"))]
            counts = {"shards": len(shards), "sequences": len(lengths), "frames": sum(lengths)}
            if info.counts != counts:
                yield _problem(name, "counts differ from the index", f"{counts}", f"{info.counts}")
        for shard in shards:
            mp4 = f"shards/{shard}.mp4"
            path = self.results.path(mp4)
            if mp4 in there and path.stat().st_size:
                found = read_parameters(path)
                different = [key for key, value in found.items() if value != getattr(info, key)]
                if different:
                    yield _problem(mp4, "encoding differs from info.json", f"equal {different}", "other values")

    def _bones(self, name: str, shards: list[str], there: set[str]) -> Iterator[Problem]:
        """Check that bones.json holds the medians of all shards' histograms."""
        parts = [f"bones/{shard}.json" for shard in shards]
        if not all(part in there for part in parts):
            return
        corpus = BoneHistogram()
        for part in parts:
            corpus = corpus.merge(read_json(self.results.path(part), BoneHistogram.from_dict, "solve_angles"))
        found = read_json(self.results.path(name), dict, "median_bones")
        offsets = offsets_from_lengths(corpus.median_lengths())
        expected = {
            key: part.round(6).tolist() for key, part in zip(("body_offsets", "hand_offsets"), offsets, strict=True)
        }
        expected["counts"] = dict(zip(BONES, corpus.counts.tolist(), strict=True))
        different = [key for key in expected if expected[key] != found.get(key)]
        if different:
            yield _problem(name, "differs from the median of the shards' bones", f"equal {different}", "other values")

    def _overlap(self, name: str, shards: list[str], there: set[str]) -> Iterator[Problem]:
        """Check that overlap.tsv holds the overlaps of all shards."""
        parts = [f"overlap/{shard}.tsv" for shard in shards]
        if not all(part in there for part in parts):
            return
        expected = [overlap for part in parts for overlap in read_overlap(self.results.path(part))]
        found = read_overlap(self.results.path(name))
        if expected != found:
            yield _problem(
                name, "differs from the shards' overlaps", f"{len(expected)} rows", f"{len(found)} rows, not the same"
            )

    def _summary(self, name: str, shards: list[str], there: set[str]) -> Iterator[Problem]:
        """Check the counts of the summary against the tables of videos."""
        parts = [f"videos/{shard}.parquet" for shard in shards]
        if not all(part in there for part in parts):
            return
        expected = {reason: n for (_, reason), n in count_statuses(map(self.results.path, parts)).items() if reason}
        found = json.loads(self.results.path(name).read_bytes())["reasons"]
        if expected != found:
            yield _problem(name, "counts differ from the tables in videos/", f"{expected}", f"{found}")

    def _features(self, name: str, shards: list[str], there: set[str]) -> Iterator[Problem]:
        """Check that features come from the current weights and known videos, and are finite."""
        path, run = self.results.path(name), name.split("/")[1]
        schema = pq.read_schema(path)
        table = features_schema(schema.field("features").type.list_size)
        yield from self._origin(name, f"pretrain/{run}/{WEIGHTS}", there)
        known = set(self._shard_of) if self._n_tables == len(shards) else set()
        for group in read_groups(path, table):
            if known and (strange := set(group["video_id"]) - known):
                yield _problem(name, "unknown video", "videos of the sheet", f"{min(strange)!r}")
                return
            if not np.isfinite(group["features"]).all():
                yield _problem(name, "features that are not finite", "finite", "NaN or infinite")
                return

    def _predictions(self, name: str, shards: list[str], there: set[str]) -> Iterator[Problem]:
        """Check that predictions or translations have a row per video, no NaN, and come from the current weights."""
        found = find_output(name)
        assert found is not None
        assert found[0].schema is not None
        rows = read_table(self.results.path(name), found[0].schema)
        yield from self._origin(name, f"{name.removesuffix('.parquet')}/{WEIGHTS}", there)
        for column, values in rows.items():
            if not isinstance(values, list) and np.isnan(np.ma.getdata(values)).any():
                yield _problem(name, "values that are NaN", "numbers", f"NaN in {column}")
                return
        if twice := len(rows["video_id"]) - len(set(rows["video_id"])):
            yield _problem(name, "duplicate video", "one row per video", f"{twice} too many")
        known = set(self._shard_of) if self._n_tables == len(shards) else set()
        if known and (strange := set(rows["video_id"]) - known):
            yield _problem(name, "unknown video", "videos of the sheet", f"{min(strange)!r}")

    def _origin(self, name: str, weights: str, there: set[str]) -> Iterator[Problem]:
        """Check that the digest of the weights in a table's metadata is that of the current weights."""
        if weights in there:
            expected = file_digest(self.results.path(weights))
            found = (pq.read_schema(self.results.path(name)).metadata or {}).get(b"weights_sha256", b"?").decode()
            if found != expected:
                yield _problem(name, "made with other weights", f"{weights}, SHA-256 {expected}", found)

    def _weights(self, name: str, shards: list[str], there: set[str]) -> Iterator[Problem]:
        """Check that all weights are finite, one tensor in memory at a time."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(self.results.path(name)), framework="np") as file:
                for key in file.keys():  # noqa: SIM118 - not a dict
                    if not np.isfinite(file.get_tensor(key)).all():
                        yield _problem(name, "weights that are not finite", "finite", key)
                        return
        except SafetensorError as error:
            yield _problem(name, "not a weights file", "a safetensors file", str(error))

    def _metrics(self, name: str, shards: list[str], there: set[str]) -> Iterator[Problem]:
        """Check that steps increase and losses are finite; step 0 (untrained weights) has no loss."""
        last = -1
        with open(self.results.path(name), newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                step = int(row["step"])
                untrained = step == 0 and not row["loss"]
                if step <= last or not (untrained or math.isfinite(float(row["loss"]))):
                    expected = f"a step above {last} with a finite loss"
                    yield _problem(name, "steps do not increase", expected, f"step {step}, loss {row['loss']}")
                    return
                last = step


def _problem(name: str, what: str, expected: str, found: str) -> Problem:
    return Problem(name, what, expected, found, rule_of(name))


def _sequence_rows(path: Path) -> Iterator[tuple[Any, ...]]:
    """Read the rows of a table of sequences, one row group in memory at a time."""
    names = [column.name for column in SEQUENCES.columns]
    with open_table(path, SEQUENCES) as file:
        for group in range(file.num_row_groups):
            columns = file.read_row_group(group).to_pydict()
            yield from zip(*(columns[name] for name in names), strict=True)
