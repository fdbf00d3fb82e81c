"""A job, of a rule of the workflow or of a command: it records its outputs, and what they were made from.

`with open_job(outputs, inputs, ...) as job:` records the outputs as under way when the block begins, and with their
digests when it has ended without an error (`store.records`).
"""

import json
import os
import platform
import resource
import shlex
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from signrep_core import __version__
from signrep_core.config import Config, changed_values, digest, workflow_config
from signrep_core.errors import RecordError, SignRepError
from signrep_core.store.files import file_digest, write_text
from signrep_core.store.layout import find_output, find_results
from signrep_core.store.records import (
    SNAKEFILE,
    WORKFLOW,
    Record,
    code_digest,
    read_record,
    record_path,
    write_record,
)

# Packages that the results depend on; a record holds the versions of the installed ones.
PACKAGES: Final = (
    "numpy", "pyarrow", "av", "imageio-ffmpeg", "opencv-contrib-python", "mediapipe", "torch", "timm", "safetensors",
    "snakemake", "transformers", "peft",
)  # fmt: skip


@dataclass
class Job:
    """A job under way."""

    config: Config
    provenance: dict[str, str] = field(default_factory=dict)  # for the outputs' metadata; empty if nothing is recorded
    side_outputs: list[Path] = field(default_factory=list)

    def also_made(self, paths: Iterable[str | Path]) -> None:
        """Record files that the job made besides its outputs, such as rendered videos."""
        self.side_outputs += map(Path, paths)


@contextmanager
def open_job(
    outputs: Sequence[str | Path],
    inputs: Mapping[str, Sequence[str | Path]],
    *,
    params: Mapping[str, Any] | None = None,
    config: Config | None = None,
    command: str = "",
) -> Iterator[Job]:
    """Run a job: the block makes its outputs.

    Nothing is recorded of outputs that lie in no results folder, and in processes of torchrun or srun but the first.

    Args:
        outputs: their paths tell the results folder, the rule and its wildcards (`store.layout`).
        inputs: files by name; those that are missing are left out.
        command: call that makes the outputs again; by default a call of Snakemake. A command that ends with a
            SignRepError leaves the earlier records as they were, like the outputs.

    Raises:
        RecordError: the block ended without an error, and an output is missing.
    """
    config, made = config or Config(), [Path(path) for path in outputs]
    results = find_results(made[0])
    if results is None or not is_first_process():
        yield Job(config)
        return
    before = {path: path.read_bytes() for path in map(record_path, made) if path.exists()}
    record = _begin(results, made, inputs, config)
    record = replace(
        record, params=json.loads(json.dumps(dict(params or {}), default=str)),
        command=command or _snakemake_command(config, made[0]),
    )  # fmt: skip
    for path in made:
        write_record(path, replace(record, file=_below(path, results)))
    job, began = Job(config, _provenance(record, config)), time.monotonic()
    try:
        yield job
    except SignRepError:
        if command:
            _restore(map(record_path, made), before)
        raise
    _finish(record, [*made, *job.side_outputs], results, time.monotonic() - began)


def _begin(results: Path, made: Sequence[Path], inputs: Mapping[str, Sequence[str | Path]], config: Config) -> Record:
    """The record of a job that begins, without its parameters and its command."""
    found = find_output(_below(made[0], results))
    assert found is not None  # or there were no results
    output, wildcards = found
    there = {name: [Path(path) for path in paths if Path(path).is_file()] for name, paths in inputs.items()}
    return Record(
        file="",
        rule=output.rule,
        wildcards=wildcards,
        outputs=[_below(path, results) for path in made],
        inputs={name: [[_below(path, results), _digest_of(path)] for path in paths] for name, paths in there.items()},
        params={},
        config=changed_values(config),
        versions=_versions(),
        code=code_digest(),
        command="",
        folder=os.getcwd(),
        host=platform.node(),
        pid=os.getpid(),
        began=_now(),
        startup_cpu_s=round(_cpu_s(), 3),
    )


def _finish(record: Record, made: Sequence[Path], results: Path, seconds: float) -> None:
    """Record the outputs with their digests."""
    missing = [str(path) for path in made if not path.is_file()]
    if missing:
        raise RecordError(f"{record.rule} ended without writing {', '.join(missing)}; run it again")
    ended = replace(
        record, ended=_now(), seconds=round(seconds, 3), cpu_s=round(_cpu_s() - record.startup_cpu_s, 3)
    )  # fmt: skip
    for path in made:
        name, size = _below(path, results), path.stat().st_size
        write_record(path, replace(ended, file=name, bytes=size, sha256=file_digest(path)))


def _restore(records: Iterable[Path], before: Mapping[Path, bytes]) -> None:
    for path in records:
        if path in before:
            write_text(path, before[path].decode("utf-8"))
        else:
            path.unlink(missing_ok=True)


# ---------------------------------------------------------------- parts of a record


def _provenance(record: Record, config: Config) -> dict[str, str]:
    """Metadata for an output: everything that decides its bytes, and nothing else."""
    return {
        "rule": record.rule,
        "params": digest(record.params),
        "config": digest(config.model_dump(exclude={"results", "sheet"})),
        "inputs": digest([sha256 for parts in record.inputs.values() for _, sha256 in parts]),
        "code": record.code,
        "versions": " ".join(f"{name} {found}" for name, found in record.versions.items()),
    }


def _digest_of(path: Path) -> str:
    """An input's SHA-256: from its record, else of its bytes."""
    record = read_record(path)
    return record.sha256 if record is not None and record.finished else file_digest(path)


def _below(path: str | Path, results: Path) -> str:
    """A path from the results folder on, or as it is if it lies elsewhere."""
    absolute, root = os.path.abspath(path), os.path.abspath(results)
    return Path(os.path.relpath(absolute, root)).as_posix() if absolute.startswith(root + os.sep) else str(path)


@cache
def _versions() -> dict[str, str]:
    found = {"signrep": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _snakemake_command(config: Config, output: Path) -> str:
    """The call of Snakemake, from the folder that the job runs in, that makes an output again."""
    snakefile = [] if Path.cwd() == SNAKEFILE.parent else ["--snakefile", str(SNAKEFILE)]
    values = {"results": config.results, **changed_values(config, workflow_config())}
    given = [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in values.items()]
    command = [WORKFLOW, *snakefile, "--cores", str(os.cpu_count()), "--force", str(output), "--config", *given]
    return shlex.join(command)


def is_first_process() -> bool:
    """Whether this is the first of the processes that torchrun or srun started."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "SLURM_PROCID"))


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
