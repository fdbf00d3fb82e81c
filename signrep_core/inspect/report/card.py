"""The dataset card: contents, sources and licences of a results folder, as a README with front matter.

Dataset hubs read the front matter; all figures below it are counted from the tables.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow.parquet as pq
import yaml

from signrep_core import __version__
from signrep_core.config import SCRATCH
from signrep_core.errors import REASONS, CheckpointError
from signrep_core.model.weights import read_notes
from signrep_core.sources.overlap import read_overlap
from signrep_core.store.files import write_text
from signrep_core.store.layout import shard_table
from signrep_core.store.schemas import FRAMES, POSE, SEQUENCES, Schema
from signrep_core.store.shards import read_info
from signrep_core.store.tables import read_groups
from signrep_core.store.video_status import count_statuses

# The hub's size categories by number of sequences.
SIZES: Final = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
MEDIAPIPE: Final = "MediaPipe Holistic's models, Apache-2.0"


class Part(NamedTuple):
    """The sequences of one data set, split and language."""

    dataset: str
    split: str
    language: str


def write_card(results: str | Path, videos: Iterable[Path], out: str | Path, weights: Path | None = None) -> None:
    """Write the dataset card of a run.

    Args:
        results: results folder with `shards/`, `overlap.tsv` and a pose table.
        videos: `videos/*.parquet`.
        weights: of the model trained on the shards, if there is one.
    """
    results = Path(results)
    counts = count_parts(results / "shards/index.parquet")
    statuses = count_statuses(videos)
    info = read_info(results / "shards/info.json")
    text = "\n\n".join(
        [
            _front_matter(counts),
            _opening(counts),
            _parts_table(counts),
            _status_table(statuses, len(read_overlap(results / "overlap.tsv"))),
            _files(info.encoder),
            _licences(_backend(results), weights),
            _privacy(),
        ]
    )
    write_text(out, text + "\n")


def count_parts(index: Path) -> dict[Part, dict[str, Any]]:
    """Count videos, sequences, frames, hours, glosses and signers of each part, one row group in memory at a time."""
    counts: dict[Part, dict[str, Any]] = defaultdict(
        lambda: {"sequences": 0, "frames": 0, "hours": 0.0, "videos": set(), "glosses": set(), "signers": set()}
    )
    for rows in read_groups(index, SEQUENCES):
        for k, n in enumerate(rows["n_frames"]):
            part = counts[Part(*(rows[name][k] for name in Part._fields))]
            part["sequences"] += 1
            part["frames"] += int(n)
            part["hours"] += float(n / rows["fps"][k]) / 3600
            for kind, column in (("videos", "video_id"), ("glosses", "gloss"), ("signers", "signer")):
                part[kind] |= {rows[column][k]} - {""}
    return dict(sorted(counts.items()))


def licence_of(weights: Path) -> str:
    """The licence in the notes of a weights file; empty if there is none."""
    try:
        return read_notes(weights).get("licence", "")
    except CheckpointError:
        return ""


# ---------------------------------------------------------------- sections


def _front_matter(counts: Mapping[Part, Mapping[str, Any]]) -> str:
    n = sum(part["sequences"] for part in counts.values())
    languages = sorted({part.language for part in counts if part.language})
    about: dict[str, Any] = {
        "pretty_name": f"SignRep shards of {', '.join(sorted({part.dataset for part in counts})) or 'no video'}",
        "license": "other",
        "license_name": "as-the-source-videos",
        "license_link": "README.md",
        "task_categories": ["video-classification", "feature-extraction"],
        "tags": ["sign-language", "pose", "signrep"],
        "size_categories": [next((name for most, name in SIZES if n < most), "n>1M")],
        "configs": [
            {"config_name": "sequences", "data_files": "shards/index.parquet", "default": True},
            {"config_name": "frames", "data_files": "shards/[0-9]*.parquet"},
        ],
    }
    if languages:
        about["language"] = languages
    return f"---\n{yaml.safe_dump(about, sort_keys=False, allow_unicode=True)}---"


def _opening(counts: Mapping[Part, Mapping[str, Any]]) -> str:
    hours = sum(part["hours"] for part in counts.values())
    videos = sum(len(part["videos"]) for part in counts.values())
    sequences, frames = (sum(part[name] for part in counts.values()) for name in ("sequences", "frames"))
    return (
        "# Sign-language sequences with poses\n\n"
        f"{sequences:,} sequences with a signer from {videos:,} videos: {frames:,} frames, {hours:,.2f} hours. Each "
        "frame is a 256×256 image of the signer's upper body with 104 joint angles, 61 joints and the activity of "
        f"both hands. Made by SignRep {__version__}."
    )


def _parts_table(counts: Mapping[Part, Mapping[str, Any]]) -> str:
    rows = [
        [*part, *(f"{len(found[name]):,}" for name in ("videos", "signers", "glosses")), f"{found['sequences']:,}",
         f"{found['hours']:,.2f}"]
        for part, found in counts.items()
    ]  # fmt: skip
    heads = ["data set", "split", "language", "videos", "named signers", "glosses", "sequences", "hours"]
    return "## Contents\n\n" + _table(heads, rows)


def _status_table(statuses: Mapping[tuple[str, str], int], n_overlaps: int) -> str:
    rows = [
        [status, reason, f"{n:,}", REASONS.get(reason, "in the shards")] for (status, reason), n in statuses.items()
    ]
    excluded = sum(n for (status, _), n in statuses.items() if status == "excluded")
    audit = (
        f"Overlap audit: {n_overlaps:,} pairs of a video and an instance of an evaluation data set were found "
        f"(`overlap.tsv`); {excluded:,} videos were therefore excluded from the pretraining splits. Without a list of "
        "evaluation data in the configuration (`deduplicate`) nothing is compared."
    )
    return (
        "## Final status of the videos\n\n" + _table(["status", "reason", "videos", "meaning"], rows) + f"\n\n{audit}"
    )


def _files(encoder: str) -> str:
    return (
        "## Files\n\n"
        "- `shards/{shard}.mp4`: the frames of all sequences of a shard, one after the other"
        + (f" ({encoder})" if encoder else "")
        + "\n"
        f"- `shards/{{shard}}.parquet`: a row per frame of the MP4: {_columns(FRAMES)}\n"
        f"- `shards/index.parquet`: a row per sequence: {_columns(SEQUENCES)}\n"
        "- `.records/`: SHA-256 and origin of every file, which `signrep verify` checks\n\n"
        "There is no audio: the tables hold numbers and the texts of the sheet, and each MP4 has a single video stream "
        "(`signrep verify` checks this)."
    )


def _licences(backend: str, weights: Path | None) -> str:
    lines = [
        "- **Frames, angles and joints** are derived from the source videos and fall under their licences: ask the "
        "data sets named above before you pass them on.",
        f"- **Landmarks** were detected with {backend or 'an unknown detector'}: "
        + (MEDIAPIPE if "holistic" in backend and ".task" not in backend else "see the licence of that model")
        + ".",
    ]
    if weights is not None:
        lines.append(f"- **The model** `{weights.parent.name}/{weights.name}` {_of_weights(weights)}")
    return "## Licences\n\n" + "\n".join(lines) + "\n- **The code** is Apache-2.0."


def _of_weights(weights: Path) -> str:
    """Initial weights of a trained model and their licence, as a sentence."""
    settings = json.loads(read_notes(weights).get("settings", "{}"))
    initial = settings.get("initial_weights")
    if initial in (None, SCRATCH):
        return "was trained from scratch on these shards: it contains no third-party weights."
    licence = licence_of(Path(initial)) if Path(initial).is_file() else ""
    known = licence or "not recorded; find it out before you pass the model on"
    return f"was trained from `{Path(initial).name}`, whose licence is: {known}."


def _privacy() -> str:
    return (
        "## Privacy\n\n"
        "Sign-language videos show faces: the frames identify people, and joint trajectories may. `signer` is the name "
        "in the sheet. `videos/` and `video_status/` hold the paths of the source files; training does not need "
        "them, so do not publish them."
    )


# ---------------------------------------------------------------- parts


def _table(heads: list[str], rows: list[list[str]]) -> str:
    cells = [heads, ["---"] * len(heads), *([str(cell).replace("|", "\\|") or "-" for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _columns(schema: Schema) -> str:
    return ", ".join(f"`{column.name}`{_shape(column.shape)}" for column in schema.columns)


def _shape(shape: tuple[int, ...]) -> str:
    return f" ({'×'.join(map(str, shape))})" if shape else ""


def _backend(results: Path) -> str:
    """Names of the detectors in the metadata of the pose tables."""
    return " and ".join(sorted(Counter(_backends(results))))


def _backends(results: Path) -> Iterator[str]:
    for path in sorted(results.glob(shard_table(POSE, "*"))):
        yield (pq.read_schema(path).metadata or {}).get(b"backend", b"").decode()
