"""Records: what bytes an output has and how it came to be, in a hidden file beside it (`.records/NAME.json`).

A job writes the records of its outputs twice: without digests when it begins, and whole when it has ended; so a file is
either recorded, under way, or left by a job that was killed. A record ends with a digest of itself, hence a flipped
byte anywhere, in an output or in its record, is found. Records hold the times and places that the outputs themselves
must not: equal jobs give equal bytes. See docs/decisions/0022.
"""

import hashlib
import json
import os
import platform
import resource
import shlex
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
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

FOLDER: Final = ".records"
FORMAT: Final = "signrep record 1"
SNAKEFILE: Final = Path(__file__).resolve().parents[2] / "Snakefile"  # of the workflow that this core belongs to
# What the results depend on; the record says which of them were there.
PACKAGES: Final = (
    "numpy", "pyarrow", "av", "imageio-ffmpeg", "opencv-contrib-python", "mediapipe", "torch", "timm", "safetensors",
    "snakemake",
)  # fmt: skip
Inputs = dict[str, list[list[str]]]  # name -> [path, SHA-256] each; paths in the results folder count from there


@dataclass(frozen=True)
class Record:
    """How one output came to be. Times are UTC; paths in the results folder count from it."""

    file: str
    rule: str
    wildcards: dict[str, str]
    outputs: list[str]  # all that the job makes
    inputs: Inputs
    params: dict[str, Any]
    config: dict[str, Any]  # values that are not the defaults
    versions: dict[str, str]
    code: str  # digest of this package's modules
    command: str  # that makes it again
    folder: str  # that the job ran in
    host: str
    pid: int
    began: str
    startup_cpu_s: float  # processor seconds until the job's own work began: the imports
    ended: str = ""  # empty while the job runs
    seconds: float = 0.0
    cpu_s: float = 0.0  # of the work, with child processes
    bytes: int = -1
    sha256: str = ""

    @property
    def finished(self) -> bool:
        """Whether the job has ended well."""
        return bool(self.sha256)

    @property
    def alive(self) -> bool:
        """Whether the job may still run: its process is there, or on another machine."""
        if self.finished or self.host != platform.node():
            return not self.finished
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


@dataclass
class Job:
    """A job under way, and what its outputs' metadata are to say of their origin."""

    results: Path
    record: Record
    provenance: dict[str, str]
    side_outputs: list[Path] = field(default_factory=list)  # files that no rule names, such as rendered videos
    _began: float = field(default_factory=time.monotonic)

    def finish(self) -> bool:
        """Write the records of all outputs, unless one of them is missing: then the job did not end well."""
        paths = [self.results / name for name in self.record.outputs]
        if not all(path.is_file() for path in paths):
            return False
        ended = replace(
            self.record,
            ended=_now(),
            seconds=round(time.monotonic() - self._began, 3),
            cpu_s=round(_cpu_s() - self.record.startup_cpu_s, 3),
        )
        for path in [*paths, *self.side_outputs]:
            name = _below(path, self.results)
            write_record(path, replace(ended, file=name, bytes=path.stat().st_size, sha256=file_digest(path)))
        return True


def begin_job(
    rule: str,
    results: str | Path,
    outputs: Iterable[str | Path],
    inputs: Mapping[str, Sequence[str | Path]],
    *,
    wildcards: Mapping[str, str] | None = None,
    params: Mapping[str, Any] | None = None,
    config: Config | None = None,
    command: str = "",
) -> Job:
    """Note that a job has begun: its outputs are recorded as under way until `Job.finish`.

    Args:
        results: the folder that outputs lie in.
        inputs: files by the names that the rule gives them.
        command: that makes the outputs again; by default a call of Snakemake.
    """
    results, made = Path(results), [Path(path) for path in outputs]
    config = config or Config()
    plain = json.loads(json.dumps(dict(params or {}), default=str))
    read = {name: [[_below(path, results), _digest_of(Path(path))] for path in paths] for name, paths in inputs.items()}
    record = Record(
        file="",
        rule=rule,
        wildcards=dict(wildcards or {}),
        outputs=[_below(path, results) for path in made],
        inputs=read,
        params=plain,
        config=changed_values(config),
        versions=_versions(),
        code=code_digest(),
        command=command or _snakemake_command(config, made[0]),
        folder=os.getcwd(),
        host=platform.node(),
        pid=os.getpid(),
        began=_now(),
        startup_cpu_s=round(_cpu_s(), 3),
    )
    for path in made:
        write_record(path, replace(record, file=_below(path, results)))
    return Job(results, record, _provenance(record, config))


@contextmanager
def begin_command(
    outputs: Sequence[Path],
    inputs: Mapping[str, Sequence[Path]],
    *,
    command: str,
    params: Mapping[str, Any] | None = None,
    config: Config | None = None,
) -> Iterator[Job | None]:
    """A job that was asked for by hand; None where its outputs lie in no results folder, and in all processes but one.

    Refused by an error of ours it leaves the records as they were, like the outputs.

    Args:
        inputs: those of these files that are there.
        command: that was called.
    """
    results = find_results(outputs[0])
    if results is None or not _is_first_process():
        yield None
        return
    before = {path: path.read_text("utf-8") for output in outputs if (path := record_path(output)).exists()}
    found = find_output(_below(outputs[0], results))
    assert found is not None  # or there were no results
    there = {name: [path for path in paths if path.is_file()] for name, paths in inputs.items()}
    job = begin_job(
        found[0].rule, results, outputs, there, wildcards=found[1], params=params, config=config, command=command
    )
    try:
        yield job
    except SignRepError:
        for path in map(record_path, outputs):
            write_text(path, before[path]) if path in before else path.unlink(missing_ok=True)
        raise


def record_path(output: str | Path) -> Path:
    """Where an output's record lies."""
    output = Path(output)
    return output.parent / FOLDER / f"{output.name}.json"


def write_record(output: str | Path, record: Record) -> None:
    """Write an output's record, atomically, with a digest of itself at its end."""
    write_text(record_path(output), _text(asdict(record)))


def read_record(output: str | Path) -> Record | None:
    """The record of an output; None if it has none.

    Raises:
        RecordError: the record is not as it was written.
    """
    path = record_path(output)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror}); delete it and make {output} again") from error
    try:
        values = json.loads(data)
        del values["digest"], values["format"]
        if _text(values).encode() == data:
            return Record(**values)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise RecordError(
        f"{path}: expected a record of format {FORMAT!r} that ends with its own digest, found other bytes; "
        f"make {output} again"
    )


@cache
def code_digest() -> str:
    """A short digest of this package's modules: tells two states of the code apart where the version does not."""
    root = Path(__file__).parents[1]
    total = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        total.update(f"{path.relative_to(root).as_posix()}\n".encode() + path.read_bytes())
    return total.hexdigest()[:16]


# ---------------------------------------------------------------- parts of a record


def _text(values: Mapping[str, Any]) -> str:
    values = {"format": FORMAT, **values}
    seal = hashlib.sha256(json.dumps(values).encode()).hexdigest()
    return json.dumps({**values, "digest": seal}, indent=1, ensure_ascii=False) + "\n"


def _provenance(record: Record, config: Config) -> dict[str, str]:
    """What an output's own metadata say: everything that decides its bytes, and nothing else."""
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
    command = ["snakemake", *snakefile, "--cores", str(os.cpu_count()), "--force", str(output), "--config", *given]
    return shlex.join(command)


def _is_first_process() -> bool:
    """Of those that torchrun or srun started."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "SLURM_PROCID"))


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
