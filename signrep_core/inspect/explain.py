"""Explain the origin of a file: the job that made it, its inputs and videos, and the command that makes it again."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import av
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError, safe_open

from signrep_core.config import SCRATCH, describe_data
from signrep_core.errors import SignRepError
from signrep_core.inspect.compare import Comparison
from signrep_core.inspect.verify.problems import Results
from signrep_core.inspect.wanted import Wanted
from signrep_core.store.files import file_digest
from signrep_core.store.layout import VIDEO_TABLES
from signrep_core.store.records import Record, read_record
from signrep_core.store.schemas import VIDEOS
from signrep_core.store.tables import read_table

SHOWN: Final = 5  # listed files or videos of a kind


def explain(path: str | Path, wanted: Wanted | str | None = None) -> str:
    """Describe the origin of an output from its record, or from its own metadata if it has no record.

    Args:
        wanted: what the results folder should hold, or why this is unknown.

    Raises:
        SignRepError: the file does not exist, or has neither a record nor metadata of SignRep.
    """
    path = Path(path)
    record = read_record(path)
    if record is None and not path.is_file():
        raise SignRepError(f"{path}: no such file, and no record of it; give a file of a results folder")
    inside = _inside(path) if path.is_file() else {}
    if record is None and not inside:
        raise SignRepError(
            f"{path}: not a file of SignRep: it has neither a record nor metadata of SignRep; give a file of a results "
            "folder"
        )
    facts = [("what", value) for value in _what(inside)]
    facts += _recorded(path, record) if record else [("record", "none; shown is the metadata of the file itself")]
    facts += [("wanted", line) for line in _compared(path, record, wanted)]
    facts += [(key, value) for key, value in inside.items() if record is None]
    facts += list(_trained(inside))
    lines = [str(path), *(f"  {name:<10} {value}" for name, value in facts)]
    if record is not None:
        lines += ["  made from", *_lineage(_root(path, record), record, 2, set())]
        lines += [f"  make it again, in {record.folder}:", f"      {record.command}"]
    return "\n".join(lines) + "\n"


def _recorded(path: Path, record: Record) -> list[tuple[str, str]]:
    """Names and values of a record without the inputs."""
    where = " ".join(f"{key} {value}" for key, value in record.wildcards.items())
    facts = [("made by", f"rule {record.rule} {where}".rstrip())]
    if not record.finished:
        state = "is running" if record.alive else "was stopped before it finished"
        return [*facts, ("when", f"started {record.began}; the job {state}")]
    took = f"{record.seconds:.0f} s, {record.cpu_s:.0f} s of processor time"
    facts.append(("when", f"{record.began} to {record.ended} ({took}) on {record.host}"))
    facts.append(("bytes", f"{record.bytes}, SHA-256 {record.sha256}: {_state(path, record)}"))
    facts.append(("with", ", ".join(f"{name} {found}" for name, found in record.versions.items())))
    facts.append(("code", record.code))
    facts += [("params", _short(record.params)), ("settings", _short(record.config))]
    facts += [("videos", line) for line in _videos(_root(path, record), record)]
    return facts


def _compared(path: Path, record: Record | None, wanted: Wanted | str | None) -> list[str]:
    """Whether the workflow would make a file again, by the sheet and the configuration."""
    if wanted is None or record is None:
        return []
    if isinstance(wanted, str):
        return [f"not compared: {wanted}"]
    problems = Comparison(Results(_root(path, record))).outdated_job(record.rule, record.wildcards, wanted)
    return [f"{p.what}: wanted {p.expected}; found {p.found}" for p in problems] or ["up to date"]


def _state(path: Path, record: Record) -> str:
    if not path.is_file():
        return "the file no longer exists"
    return "unchanged" if file_digest(path) == record.sha256 else "CHANGED since; run signrep verify"


def _root(path: Path, record: Record) -> Path:
    """The results folder."""
    return path.absolute().parents[record.file.count("/")]


def _lineage(root: Path, record: Record, depth: int, seen: set[str]) -> Iterator[str]:
    """List the inputs and, recursively, their inputs; each file is followed once."""
    for pairs in record.inputs.values():
        for name, sha256 in pairs[:SHOWN]:
            source = None if Path(name).is_absolute() else read_record(root / name)
            by = f"rule {source.rule}" if source else "not made by the workflow"
            changed = "" if source is None or source.sha256 == sha256 else "; the file has CHANGED since"
            yield f"{'  ' * depth}{name}  ({by}; SHA-256 {sha256[:16]}{changed})"
            if source is not None and name not in seen:
                seen.add(name)
                yield from _lineage(root, source, depth + 1, seen)
        if len(pairs) > SHOWN:
            yield f"{'  ' * depth}and {len(pairs) - SHOWN} more"


def _videos(root: Path, record: Record) -> Iterator[str]:
    """Videos of the shard, from the latest table of videos."""
    shard = record.wildcards.get("shard", "")
    paths = [output.path(shard=shard) for output in reversed(VIDEO_TABLES)]
    path = next((root / name for name in paths if (root / name).is_file()), None) if shard else None
    if path is None:
        return
    rows = read_table(path, VIDEOS, ["video_id", "path", "sha256", "status"])
    videos = [(v, p, s) for v, p, s, status in zip(*(rows[k] for k in ("video_id", "path", "sha256", "status")),
              strict=True) if status == "ok"]  # fmt: skip
    for video, path, sha256 in videos[:SHOWN]:
        yield f"{video}: {path} (SHA-256 {sha256[:16]})"
    if len(videos) > SHOWN:
        yield f"and {len(videos) - SHOWN} more in {path.relative_to(root)}"


# ---------------------------------------------------------------- metadata in files


def _inside(path: Path) -> dict[str, str]:
    """SignRep's metadata in a file; empty if it has none."""
    read = {".parquet": _of_table, ".json": _of_json, ".safetensors": _of_weights, ".mp4": _of_mp4}.get(path.suffix)
    try:
        return read(path) if read and path.stat().st_size else {}
    except (OSError, ValueError, pa.ArrowException, SafetensorError, av.FFmpegError):
        return {}


def _of_table(path: Path) -> dict[str, str]:
    footer = pq.read_metadata(path)
    about = {key.decode(): value.decode() for key, value in (footer.metadata or {}).items() if key != b"ARROW:schema"}
    if not about.get("tool", "").startswith("signrep"):
        return {}
    return {"kind": f"table {about['schema']}, version {about['version']}, {footer.num_rows} rows", **about}


def _of_json(path: Path) -> dict[str, str]:
    values = json.loads(path.read_bytes())
    return _text(values.get("provenance", {})) if isinstance(values, dict) else {}


def _of_weights(path: Path) -> dict[str, str]:
    with safe_open(str(path), framework="np") as file:
        about = json.loads((file.metadata() or {}).get("signrep", "{}"))
        kind = f"weights of {len(file.keys())} tensors, format {about.get('format')}"
    return {"kind": kind, **_text(about.get("notes", {}))} if about else {}


def _of_mp4(path: Path) -> dict[str, str]:
    with av.open(str(path)) as container:
        encoder, stream = container.metadata.get("comment", ""), container.streams.video[0]
        if not encoder.startswith("libx264"):
            return {}
        return {"kind": f"{stream.frames} frames of {stream.width}×{stream.height}", "encoder": encoder}


def _what(inside: Mapping[str, str]) -> list[str]:
    return [inside[key] for key in ("kind", "encoder", "backend", "model_sha256", "weights_sha256") if key in inside]


def _trained(inside: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Data of a pretraining, and selection of any training, from the notes of its weights."""
    settings = json.loads(inside.get("settings", "{}"))
    if "splits" in settings:
        yield "trained on", describe_data(settings.get("datasets"), settings["splits"])
        yield "started at", settings.get("initial_weights") or SCRATCH
    if inside.get("selected_by"):
        yield "selected", f"at step {inside.get('step')}, by {inside['selected_by']}"


def _text(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in values.items()}


def _short(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items()) or "none"
