"""Items of the report page: charts, images and tables; a stage that has not run has no item.

Only small files are read for the whole corpus: tables of videos, counts per shard, benchmark files.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from matplotlib.figure import Figure

from signrep_core.body.bones import BoneHistogram
from signrep_core.config import Config, changed_values, describe_data
from signrep_core.errors import REASONS
from signrep_core.inspect.report import charts, pictures
from signrep_core.inspect.report.files import ReportFiles
from signrep_core.inspect.report.statistics import merge_statistics
from signrep_core.inspect.report.units import time_unit
from signrep_core.skeleton import SIDES
from signrep_core.store.files import read_json
from signrep_core.store.schemas import VIDEOS
from signrep_core.store.shards import ShardReader
from signrep_core.store.tables import read_table
from signrep_core.store.video_status import count_statuses

CAPTIONS: Final = Path(__file__).with_name("captions")
# Keys of a table's metadata and their names on the page.
RECORDED: Final = {"backend": "detector", "model_sha256": "models, SHA-256", "encoder": "encoder"}
DRAWINGS: Final = {
    "detection": "Detection and confidence of each joint",
    "bones": "Bone lengths",
    "angles": "Joint angles and their limits",
    "lengths": "Sequence lengths",
    "activity": "Activity over time",
    "training": "Training curves",
    "timing": "Processor time by stage",
}
_ALT: Final = {
    "detection": "A row per joint with marks at the share of frames with a detection and at its median confidence",
    "bones": "A small histogram per bone with a line at its median and the median's value below it",
    "angles": "A row per joint angle with a bar over its usual range and ticks at its limits",
    "lengths": "Bar chart: number of sequences by length in seconds",
    "activity": "Two bars per sequence, coloured where the right or the left hand is active",
    "training": "A small line chart per training metric, over the steps",
    "timing": "Bar chart: processor time of each stage",
}
FIGURES: Final = {  # drawn by other stages: title and alternative text
    "augmented": ("Augmented windows", "Rows of frames: a window as it is stored, and next to it as training sees it"),
    "retrieval": ("Nearest neighbours", "Rows of frames: a reference window above its nearest windows"),
    "confusion": ("Confusion matrix", "A matrix of counts: a row per true gloss, a column per predicted gloss"),
}
SCORED: Final = {task: f"evaluate_{task}" for task in ("retrieval", "recognition", "translation")}
_TIMELINES = 10  # sequences in the chart of activity


@dataclass(frozen=True)
class Item:
    """One element of the page; `kind` (drawing, photo, examples or table) decides which fields are filled."""

    kind: str
    title: str
    caption: str = ""
    alt: str = ""
    svg: str = ""
    src: str = ""
    numbers: int = 0  # how many of the last columns of a table hold numbers
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    examples: tuple[Any, ...] = ()


@dataclass
class Section:
    """A heading and the items below it."""

    name: str
    title: str
    items: list[Item] = field(default_factory=list)


def caption(name: str) -> str:
    """Caption of an item: what it shows and how to read it, also used in Snakemake's own report."""
    return (CAPTIONS / f"{name}.rst").read_text(encoding="utf-8").strip()


def drawing(name: str, svg: str) -> Item:
    """A chart with its caption; `svg` is an `<svg>` element."""
    return Item("drawing", DRAWINGS[name], caption(name), _ALT[name], svg=svg)


def photo(title: str, name: str, alt: str, jpeg: bytes) -> Item:
    """An image with its caption."""
    return Item("photo", title, caption(name), alt, src=pictures.data_uri(jpeg))


# ---------------------------------------------------------------- charts


def draw_all(files: ReportFiles, rate: float | None) -> dict[str, Figure]:
    """Draw every chart of DRAWINGS whose stage has run; by name."""
    figures: dict[str, Figure] = {}
    shown = rate or 25.0
    if files.statistics:
        whole = merge_statistics(files.statistics)
        figures["detection"] = charts.draw_detection(whole)
        figures["angles"] = charts.draw_angles(whole)
        figures["lengths"] = charts.draw_lengths(whole, shown)
    if files.bones:
        parts = (read_json(path, BoneHistogram.from_dict, "solve_angles") for path in files.bones)
        figures["bones"] = charts.draw_bones(reduce(BoneHistogram.merge, parts))
    if files.index and (timelines := _timelines(files.index.parent)):
        figures["activity"] = charts.draw_activity(timelines, shown)
    if files.training and len(metrics := pd.read_csv(files.training)):
        figures["training"] = charts.draw_training(metrics)
    stages = stage_times(files.results / "benchmarks")
    if len(stages):
        figures["timing"] = charts.draw_timing(stages)
    return figures


def stage_times(benchmarks: Path) -> pd.DataFrame:
    """Hours and jobs by stage, in the order in which the stages ran; columns `stage`, `jobs`, `wall_h`, `cpu_h`."""
    rows = []
    for path in sorted(benchmarks.rglob("*.tsv"), key=lambda path: path.stat().st_mtime):
        last = pd.read_csv(path, sep="\t", na_values="-").iloc[-1]
        stage = path.relative_to(benchmarks).parts[0].removesuffix(".tsv")
        rows.append((stage, 1, last["s"] / 3600, np.nan_to_num(last["cpu_time"]) / 3600))
    table = pd.DataFrame(rows, columns=["stage", "jobs", "wall_h", "cpu_h"])
    return table.groupby("stage", sort=False, as_index=False).sum()


def _timelines(shards: Path) -> dict[str, Any]:
    """Activity of the first sequence of each of the first videos, by video_id."""
    reader = ShardReader(shards)
    found: dict[str, Any] = {}
    for row, video_id in enumerate(reader.index["video_id"]):
        if len(found) == _TIMELINES:
            break
        n_frames = int(reader.index["n_frames"][row])
        if video_id not in found:
            targets = reader.read_targets(row, 0, min(n_frames, 2048))
            found[video_id] = tuple(targets[f"{side}_active"].compressed() for side in SIDES)
    return found


# ---------------------------------------------------------------- tables and images


def final_statuses(videos: Iterable[Path]) -> Item:
    """Number of videos by final status and reason."""
    rows = tuple(
        (status, reason or "–", REASONS.get(reason, "in the shards"), f"{n:,}")
        for (status, reason), n in count_statuses(videos).items()
    )
    return Item("table", "Final status of the videos", "Every video of the sheet is counted in exactly one row.",
                columns=("status", "reason", "meaning", "videos"), rows=rows, numbers=1)  # fmt: skip


def corpus(video_tables: Iterable[Path]) -> Item:
    """Videos and hours by data set, split and language."""
    videos: Counter[tuple[str, str, str]] = Counter()
    hours: defaultdict[tuple[str, str, str], float] = defaultdict(float)
    for path in video_tables:
        table = read_table(path, VIDEOS, ["dataset", "split", "language", "status", "duration_s"])
        keys = zip(table["dataset"], table["split"], table["language"], strict=True)
        for key, status, duration in zip(keys, table["status"], table["duration_s"], strict=True):
            if status == "ok":
                videos[key] += 1
                hours[key] += float(duration) / 3600
    unit, scale = time_unit(max(hours.values(), default=1.0))
    rows = tuple(
        (*(part or "–" for part in key), f"{n:,}", f"{scale * hours[key]:,.1f}") for key, n in sorted(videos.items())
    )
    note = "Time is the full length of the videos; the head of the page counts only sequences with a signer."
    columns = ("data set", "split", "language", "videos", unit)
    return Item("table", "Videos in the shards", note, columns=columns, rows=rows, numbers=2)


def activity_share(statistics: Iterable[Path]) -> Item:
    """Share of the windows in which each hand is active."""
    whole = merge_statistics(statistics)
    windows = max(int(whole.windows), 1)
    rows = tuple(
        (side, f"{100 * int(active) / windows:.1f} %") for side, active in zip(SIDES, whole.active, strict=True)
    )
    note = f"Share of the {int(whole.windows):,} windows of 16 frames in which the hand is active."
    return Item("table", "Activity", note, columns=("hand", "active"), rows=rows, numbers=1)


def overlap(path: Path, config: Config | None) -> Item:
    """Result of the overlap audit; `config` is the run's, None if unknown."""
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    shown = tuple(tuple(row) for row in table.head(50).itertuples(index=False))
    if config is not None and config.deduplicate.wlasl is None and not shown:
        note = "Nothing was compared: the configuration names no evaluation data (deduplicate.wlasl)."
    else:
        data = f" ({describe_data(config.pretrain.datasets, config.pretrain.splits)})" if config is not None else ""
        note = (
            f"Videos of the sheet that come from the same YouTube video as evaluation data: "
            f"{table['video_id'].nunique():,}. Those in the pretraining data{data} are excluded."
        )
    if len(table) > len(shown):
        note += f" The table shows the first {len(shown)} of {len(table):,} pairs; overlap.tsv has all."
    columns = tuple(name.replace("_", " ") for name in table.columns) if shown else ()
    return Item("table", "Overlap with evaluation data", note, columns=columns, rows=shown)


def rejects(videos: Iterable[Path]) -> list[Item]:
    """Example frames of rejected videos; empty if no video was rejected."""
    found = pictures.rejected_examples(videos)
    examples = tuple(
        {
            "video_id": example.video_id, "reason": example.reason, "detail": example.detail,
            "src": pictures.data_uri(pictures.to_jpeg(example.picture)) if example.picture is not None else "",
        }
        for example in found
    )  # fmt: skip
    return [Item("examples", "Rejected videos", caption("rejects"), examples=examples)] if examples else []


def scores(paths: Sequence[Path]) -> Iterator[Item]:
    """Metrics of retrieval, recognition and translation next to chance level and baselines, a table per file."""
    for task, rule in SCORED.items():
        for path in (path for path in paths if path.parts[-3] == task):
            found, name = read_json(path, dict, rule), f"{task.capitalize()} of {path.stem}: {path.parent.name}"
            if not found.get("metrics"):
                yield Item("table", name, f"Not measured: {found['note'] or 'no labelled query'}.")
                continue
            others = {"chance": found.get("chance") or {}, **(found.get("baselines") or {})}
            others = {name: values for name, values in others.items() if isinstance(values, dict)}
            rows = tuple(
                (name.replace("_", " "), f"{value:.1f}", *(_number(values.get(name)) for values in others.values()))
                for name, value in found["metrics"].items() if isinstance(value, int | float)
            )  # fmt: skip
            columns = ("", path.parent.name, *(name.replace("_", " ") for name in others))
            yield Item("table", name, _protocol(found), columns=columns, rows=rows, numbers=len(columns) - 1)


def provenance(files: ReportFiles, config: Config | None) -> list[Item]:
    """Rules, models, settings and versions that the tables were made with; `config` is the run's, None if unknown."""
    tables = {path.relative_to(files.results).parent.as_posix(): _metadata(path) for path in files.tables}
    keys = ("rule", "params", "inputs", "code")
    made = [(name, *(found.get(key, "–") for key in keys)) for name, found in tables.items()]
    used = [
        (f"{name}: {RECORDED[key]}", found[key]) for name, found in tables.items() for key in RECORDED if key in found
    ]
    for path in files.features:
        if digest := _metadata(path).get("weights_sha256"):
            used.append((f"features/{path.parent.name}/{path.stem}: weights, SHA-256", digest))
    changed = tuple(_flat(changed_values(config)).items()) if config is not None else ()
    recorded = next((found["versions"].split() for found in tables.values() if "versions" in found), [])
    versions = tuple(zip(recorded[::2], recorded[1::2], strict=True))
    note = (
        "Digests from the metadata of the first shard's tables. `signrep explain FILE` shows the origin of any file "
        "and the command that makes it again."
    )
    found = [
        Item("table", "How the tables were made", note, columns=("table", *keys), rows=tuple(made)),
        Item("table", "Models and encoder", columns=("used for", "version or digest"), rows=tuple(used)),
        Item("table", "Settings", "Only those that differ from the defaults.", columns=("key", "value"), rows=changed),
        Item("table", "Versions", columns=("software", "version"), rows=versions),
    ]
    return [item for item in found if item.rows]


def _metadata(path: Path) -> dict[str, str]:
    """The key-value metadata in a table's footer."""
    return {key.decode(): value.decode() for key, value in (pq.read_schema(path).metadata or {}).items()}


def _flat(values: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """Nested settings as a flat mapping with dotted keys."""
    found: dict[str, str] = {}
    for name, value in values.items():
        found |= _flat(value, f"{above}{name}.") if isinstance(value, Mapping) else {f"{above}{name}": str(value)}
    return found


def _protocol(found: dict[str, Any]) -> str:
    """Protocol and counts of a metrics file in one line."""
    parts = {**(found.get("protocol") or {}), **(found.get("counts") or {})}
    shown = (
        f"{name.replace('_', ' ')} {value}" for name, value in parts.items() if isinstance(value, int | float | str)
    )
    return "; ".join(["In percent", *shown])


def _number(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, int | float) else "–"
