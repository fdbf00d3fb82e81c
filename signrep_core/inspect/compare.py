"""Compare what a results folder should hold (`inspect.wanted`) with what is there, by the records beside the outputs.

The only place that decides whether an output is up to date; the workflow, `verify`, `status` and `explain` ask here.
It is, if its record is finished and fits its size, holds the wanted params, and names the inputs that are there now,
by their digests. Times of files, the working directory and Snakemake's own metadata decide nothing. What a person made
with a command, and trained weights that lie there without a record of theirs, are taken as they are.

Files are not read, but for small ones and trained weights: `verify` compares every byte.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from signrep_core.errors import RecordError
from signrep_core.inspect.verify.problems import Problem, Results
from signrep_core.inspect.wanted import Wanted, WantedJob
from signrep_core.store.files import file_digest
from signrep_core.store.layout import METRICS, PER_SHARD, TRAINED, WEIGHTS, find_output
from signrep_core.store.records import Record, read_record

OUTDATED: Final = "Out of date"  # begins the lines of `describe_outdated`
MISSING: Final = "missing"
STALE: Final = "older than its inputs"
UNRECORDED: Final = "not recorded"
CHANGED: Final = "changed since it was written"
OTHER_PARAMS: Final = "made with other settings"
OTHER_SHARDS: Final = "made from other shards"
UNWANTED: Final = "not in the sheet any more"
SMALL: Final = 1_000_000  # bytes; larger files are compared by their size only
SHOWN: Final = 60  # characters of a value in a message


class Comparison:
    """The state of a results folder's outputs; each record is read once.

    Args:
        read_weights: whether trained weights are known by their bytes, since a person may have replaced them, and not
            by their record.
    """

    def __init__(self, results: Results, read_weights: bool = True) -> None:
        self.results, self._read_weights = results, read_weights
        self._records: dict[str, Record | RecordError | None] = {}
        self._digests: dict[str, str] = {}

    def record(self, name: str) -> Record | None:
        """Record of an output; None if it has none.

        Raises:
            RecordError: the record is damaged.
        """
        if name not in self._records:
            try:
                self._records[name] = read_record(self.results.path(name))
            except RecordError as error:
                self._records[name] = error
        found = self._records[name]
        if isinstance(found, RecordError):
            raise found
        return found

    def outdated(self, wanted: Wanted) -> Iterator[Problem]:
        """Find the outputs that are there and not as wanted."""
        for job in wanted.jobs():
            yield from self._job_problems(job, wanted)

    def outdated_job(self, rule: str, wildcards: Mapping[str, str], wanted: Wanted) -> list[Problem]:
        """Find out why the outputs of one job are not as wanted; empty if they are."""
        job = next((job for job in wanted.jobs() if (job.rule, job.wildcards) == (rule, wildcards)), None)
        return list(self._job_problems(job, wanted)) if job else [
            Problem("", UNWANTED, "the outputs for the sheet and the configuration", "one of others", rule)
        ]  # fmt: skip

    def made_by_hand(self, wanted: Wanted) -> dict[str, str]:
        """Find the outputs that a person made: name -> the command, empty where it is unknown."""
        found = {}
        for name in (name for job in wanted.jobs() for name in job.outputs if self._by_hand(name)):
            record = self.record(name)
            found[name] = record.command if record is not None and record.by_hand else ""
        return found

    def missing(self, wanted: Wanted) -> Iterator[Problem]:
        """Find the targets that are not there."""
        for name in wanted.targets():
            if not self.results.path(name).is_file():
                output = find_output(name)
                assert output is not None
                yield Problem(name, MISSING, "an output for the sheet and the configuration", "no file", output[0].rule)

    def unwanted(self, wanted: Wanted) -> Iterator[Problem]:
        """Find the outputs of shards that the sheet does not have."""
        shards = wanted.shards
        for output in PER_SHARD:
            before, after = output.pattern.split("{shard}")
            folder = self.results.path(before)
            for path in sorted(folder.glob(f"[0-9][0-9][0-9][0-9][0-9]{after}")):
                if path.name.removesuffix(after) not in shards:
                    yield Problem(f"{before}{path.name}", UNWANTED, f"{len(shards)} shards, as the sheet has them",
                                  f"a file of shard {path.name.removesuffix(after)}", output.rule)  # fmt: skip

    def _job_problems(self, job: WantedJob, wanted: Wanted) -> Iterator[Problem]:
        if any(map(self._by_hand, job.outputs)):
            return
        params = wanted.params(job.rule, job.wildcards)
        for name in (name for name in job.outputs if self.results.path(name).is_file()):
            try:
                record = self.record(name)
            except RecordError as error:
                yield Problem(name, "damaged record", "an unchanged record", str(error), job.rule)
                continue
            if record is None:
                yield Problem(name, UNRECORDED, "a record", "none", job.rule)
            elif not record.finished:
                yield Problem(name, "job not finished", "a finished job", f"one that began {record.began}", job.rule)
            elif not self._as_written(name, record):
                yield Problem(name, CHANGED, f"{record.bytes} bytes", "other bytes", job.rule)
            elif differing := differences(params, record.params):
                expected, found = (
                    ", ".join(f"{k}: {_short(v[side])}" for k, v in differing.items()) for side in (0, 1)
                )
                yield Problem(name, OTHER_PARAMS, expected, found, job.rule)
            else:
                yield from self.changed_inputs(name, record)
                yield from _other_shards(name, record, wanted)

    def changed_inputs(self, name: str, record: Record) -> Iterator[Problem]:
        """Report the first input that is another one now than when an output was made."""
        for source, sha256 in (pair for pairs in record.inputs.values() for pair in pairs):
            if Path(source).is_absolute() or find_output(source) is None:
                continue  # a file of the user, whose digest is among the params
            now = self._digest(source)
            if now is not None and now != sha256:
                expected, found = f"{source} with SHA-256 {now}", f"made from SHA-256 {sha256}"
                yield Problem(name, STALE, expected, found, record.rule)
                return

    def _digest(self, name: str) -> str | None:
        """Digest of an input: by its record; of trained weights, which a person may replace, and without a record, by
        its bytes. None while it is not there."""
        if name in self._digests:
            return self._digests[name]
        path = self.results.path(name)
        try:
            record = self.record(name)
        except RecordError:
            return None
        if record is not None and not (self._read_weights and _is_trained(name)):
            return record.sha256 or None
        if not path.is_file():
            return None
        self._digests[name] = file_digest(path)
        return self._digests[name]

    def _by_hand(self, name: str) -> bool:
        """Whether a person made an output with a command, or put trained weights there."""
        if not self.results.path(name).is_file():
            return False
        try:
            record = self.record(name)
        except RecordError:
            return False
        if record is None or not record.finished:
            return record is None and _is_trained(name)
        return record.by_hand or (_is_trained(name) and self._digest(name) != record.sha256)

    def _as_written(self, name: str, record: Record) -> bool:
        path = self.results.path(name)
        size = path.stat().st_size
        return size == record.bytes and (size > SMALL or file_digest(path) == record.sha256)


def describe_outdated(problems: Iterable[Problem]) -> list[str]:
    """Describe outputs that are not as wanted: a line for each rule and kind of problem, with the first file."""
    alike: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        alike.setdefault((problem.rule, problem.what), []).append(problem)
    return [
        f"{OUTDATED}: {rule}: {what}: {found[0].file}" + (f" and {len(found) - 1} more files" if found[1:] else "")
        + f" (wanted {found[0].expected}; found {found[0].found})"
        for (rule, what), found in alike.items()
    ]  # fmt: skip


def differences(wanted: Any, found: Any, name: str = "") -> dict[str, tuple[Any, Any]]:
    """Values that are wanted and recorded otherwise: name -> (wanted, recorded). A value that is not recorded is null.

    Recorded values that are not wanted any more decide nothing.
    """
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        below = (differences(value, found.get(key), f"{name}.{key}" if name else key) for key, value in wanted.items())
        return {key: pair for part in below for key, pair in part.items()}
    return {} if wanted == found else {name: (wanted, found)}


def _other_shards(name: str, record: Record, wanted: Wanted) -> Iterator[Problem]:
    """Check that inputs which are one file per shard are those of all shards."""
    if "shard" in record.wildcards:
        return
    for pairs in record.inputs.values():
        found = [find_output(source) for source, _ in pairs]
        outputs = [output for output in found if output is not None]
        if len(outputs) == len(found) and len({o.pattern for o, _ in outputs}) == 1 and "shard" in outputs[0][1]:
            shards = {wildcards["shard"] for _, wildcards in outputs}
            if shards != set(wanted.shards):
                yield Problem(name, OTHER_SHARDS, f"{len(wanted.shards)} shards", f"{len(shards)}", record.rule)
                return


def _is_trained(name: str) -> bool:
    return name.split("/")[0] in TRAINED and Path(name).name in (WEIGHTS, METRICS)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
