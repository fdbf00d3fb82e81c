"""How a file came to be: what made it, when, with what, from which files and videos, and how to make it again."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import av
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError, safe_open

from signrep_core.errors import SignRepError
from signrep_core.store.files import file_digest
from signrep_core.store.layout import PER_SHARD
from signrep_core.store.records import Record, read_record
from signrep_core.store.schemas import VIDEOS
from signrep_core.store.tables import read_table

SHOWN: Final = 5  # files or videos of a kind that are listed


def explain(path: str | Path) -> str:
    """Tell how an output came to be, by its record, or by its own metadata where it was copied without.

    Raises:
        SignRepError: there is no such file, or nothing says that it is ours.
    """
    path = Path(path)
    record = read_record(path)
    if record is None and not path.is_file():
        raise SignRepError(f"{path}: no such file, and no record of one; give a file of a results folder")
    inside = _inside(path) if path.is_file() else {}
    if record is None and not inside:
        raise SignRepError(
            f"{path}: nothing says that SignRep made it: there is no record beside it and no metadata of ours inside; "
            "explain takes the files of a results folder"
        )
    told = [("what", value) for value in _what(inside)]
    told += _recorded(path, record) if record else [("record", "none beside it; this is what the file itself says")]
    told += [(key, value) for key, value in inside.items() if record is None]
    lines = [str(path), *(f"  {name:<10} {value}" for name, value in told)]
    if record is not None:
        lines += ["  made from", *_lineage(_root(path, record), record, 2, set())]
        lines += [f"  make it again, in {record.folder}:", f"      {record.command}"]
    return "\n".join(lines) + "\n"


def _recorded(path: Path, record: Record) -> list[tuple[str, str]]:
    """What the record says, but for the inputs."""
    where = " ".join(f"{key} {value}" for key, value in record.wildcards.items())
    told = [("made by", f"rule {record.rule} {where}".rstrip())]
    if not record.finished:
        state = "is under way" if record.alive else "was stopped before its end"
        return [*told, ("when", f"begun {record.began}; the job {state}")]
    took = f"{record.seconds:.0f} s, {record.cpu_s:.0f} s of processors"
    told.append(("when", f"{record.began} to {record.ended} ({took}) on {record.host}"))
    told.append(("bytes", f"{record.bytes}, SHA-256 {record.sha256}: {_state(path, record)}"))
    told.append(("with", ", ".join(f"{name} {found}" for name, found in record.versions.items())))
    told.append(("code", record.code))
    told += [("params", _short(record.params)), ("settings", _short(record.config))]
    told += [("videos", line) for line in _videos(_root(path, record), record)]
    return told


def _state(path: Path, record: Record) -> str:
    if not path.is_file():
        return "the file is gone"
    return "as written" if file_digest(path) == record.sha256 else "CHANGED since; run verify"


def _root(path: Path, record: Record) -> Path:
    """The results folder."""
    return path.absolute().parents[record.file.count("/")]


def _lineage(root: Path, record: Record, depth: int, seen: set[str]) -> Iterator[str]:
    """The inputs, and what those were made from; a file is followed once."""
    for pairs in record.inputs.values():
        for name, sha256 in pairs[:SHOWN]:
            source = None if Path(name).is_absolute() else read_record(root / name)
            by = f"rule {source.rule}" if source else "not made by the workflow"
            changed = "" if source is None or source.sha256 == sha256 else "; by now it is ANOTHER file"
            yield f"{'  ' * depth}{name}  ({by}; SHA-256 {sha256[:16]}{changed})"
            if source is not None and name not in seen:
                seen.add(name)
                yield from _lineage(root, source, depth + 1, seen)
        if len(pairs) > SHOWN:
            yield f"{'  ' * depth}and {len(pairs) - SHOWN} more like these"


def _videos(root: Path, record: Record) -> Iterator[str]:
    """The videos of the shard, by the video status table that goes furthest."""
    shard = record.wildcards.get("shard", "")
    paths = [output.path(shard=shard) for output in reversed(PER_SHARD) if output.schema is VIDEOS]
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


# ---------------------------------------------------------------- what a file says of itself


def _inside(path: Path) -> dict[str, str]:
    """Metadata of ours within a file; empty if it has none."""
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


def _text(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in values.items()}


def _short(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items()) or "none"
