"""What the report shows, gathered from a results folder item by item; a stage that has not run leaves its items out.

Every pass over the corpus is a pass over small things: accounts, counts per shard, benchmark files.
"""

import platform
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import reduce
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from signrep_core import __version__
from signrep_core.body.bones import BoneHistogram
from signrep_core.errors import REASONS
from signrep_core.report import charts, pictures, theme
from signrep_core.report.statistics import merge_statistics
from signrep_core.skeleton import SIDES
from signrep_core.store.accounts import summarise
from signrep_core.store.files import read_json
from signrep_core.store.schemas import VIDEOS
from signrep_core.store.shards import ShardReader
from signrep_core.store.tables import read_table

CAPTIONS: Final = Path(__file__).with_name("captions")
PACKAGES: Final = ("torch", "timm", "mediapipe", "av", "pyarrow", "numpy", "snakemake")
DRAWINGS: Final = {
    "detection": "Detection and confidence by joint",
    "bones": "Bone lengths",
    "angles": "Angles against their limits",
    "lengths": "Lengths of sequences",
    "activity": "Activity in time",
    "training": "Training curves",
    "timing": "Time by stage",
}
_ALT: Final = {
    "detection": "A row per joint with marks at the share of frames in which it was found and at its median confidence",
    "bones": "A small histogram per bone with a line at its median, which is written below it",
    "angles": "A row per joint angle with a bar over its usual range and ticks at its limits",
    "lengths": "Bars: number of sequences by length in seconds",
    "activity": "Two bars per sequence, coloured where the right or the left hand is active",
    "training": "A small line chart per figure that training reports, over the steps",
    "timing": "A bar per stage: processor time",
}
FIGURES: Final = {  # that other stages draw: title and alternative text
    "augmented": ("Augmented windows", "Rows of frames: a window as it is stored, beside it as training sees it"),
    "retrieval": ("Nearest neighbours", "Rows of frames: a reference window above its nearest windows"),
    "confusion": ("Which gloss is taken for which", "A matrix of counts: a row per gloss, a column per answer"),
}
SCORED: Final = {
    "retrieval": "evaluate_retrieval", "recognition": "evaluate_recognition", "translation": "train_translation",
}  # fmt: skip
_TIMELINES = 10  # sequences whose activity is drawn


@dataclass(frozen=True)
class Item:
    """One thing on the page; which fields are filled depends on `kind`: drawing, photo, examples or table."""

    kind: str
    title: str
    caption: str = ""
    alt: str = ""
    svg: str = ""
    src: str = ""
    align: str = "n"  # of a table's cells after the first: n for numbers, or empty
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    examples: tuple[Any, ...] = ()


@dataclass
class Section:
    """A heading and what stands below it."""

    name: str
    title: str
    items: list[Item] = field(default_factory=list)


def caption(name: str) -> str:
    """What an item shows and how to read it: the same text on the page and in Snakemake's own report."""
    return (CAPTIONS / f"{name}.rst").read_text(encoding="utf-8").strip()


def drawing(name: str, svg: str) -> Item:
    """A drawing with its caption."""
    return Item("drawing", DRAWINGS[name], caption(name), _ALT[name], svg=svg)


def photo(title: str, name: str, alt: str, jpeg: bytes) -> Item:
    """A picture with its caption."""
    return Item("photo", title, caption(name), alt, src=pictures.data_uri(jpeg))


# ---------------------------------------------------------------- drawings


def draw_all(results: Path, rate: float | None) -> dict[str, str]:
    """Every drawing of DRAWINGS whose stage has run, by name, as SVG that takes its colours from the page."""
    figures: dict[str, Any] = {}
    shown = rate or 25.0
    if statistics := sorted((results / "statistics").glob("*.json")):
        whole = merge_statistics(statistics)
        figures["detection"] = charts.draw_detection(whole)
        figures["angles"] = charts.draw_angles(whole)
        figures["lengths"] = charts.draw_lengths(whole, shown)
    if bones := sorted((results / "bones").glob("*.json")):
        parts = (read_json(path, BoneHistogram.from_dict, "solve_angles") for path in bones)
        figures["bones"] = charts.draw_bones(reduce(BoneHistogram.merge, parts))
    if timelines := _timelines(results / "shards"):
        figures["activity"] = charts.draw_activity(timelines, shown)
    for path in sorted(results.glob("pretrain/*/metrics.csv"))[:1]:
        metrics = pd.read_csv(path)
        if len(metrics):
            figures["training"] = charts.draw_training(metrics)
    stages = stage_times(results / "benchmarks")
    if len(stages):
        figures["timing"] = charts.draw_timing(stages)
    return {name: theme.to_svg(figure, name) for name, figure in figures.items()}


def stage_times(benchmarks: Path) -> pd.DataFrame:
    """Core-hours and jobs by stage, in the order of first use; columns `stage`, `jobs`, `wall_h`, `cpu_h`."""
    rows = []
    for path in sorted(benchmarks.rglob("*.tsv"), key=lambda path: path.stat().st_mtime):
        last = pd.read_csv(path, sep="\t", na_values="-").iloc[-1]
        stage = path.relative_to(benchmarks).parts[0].removesuffix(".tsv")
        rows.append((stage, 1, last["s"] / 3600, np.nan_to_num(last["cpu_time"]) / 3600))
    table = pd.DataFrame(rows, columns=["stage", "jobs", "wall_h", "cpu_h"])
    return table.groupby("stage", sort=False, as_index=False).sum()


def _timelines(shards: Path) -> dict[str, Any]:
    """The activity of the first sequence of the first videos."""
    if not (shards / "index.parquet").exists():
        return {}
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


# ---------------------------------------------------------------- tables and pictures


def endings(accounts: Iterable[Path]) -> Item:
    """What became of the videos, by reason."""
    counts = summarise(accounts)
    rows = [
        (status, reason or "in shards", f"{n:,}", REASONS.get(reason, "")) for (status, reason), n in counts.items()
    ]
    return Item("table", "What became of the videos", "Every video of the sheet ends in exactly one row.",
                columns=("state", "reason", "videos", "meaning"), rows=tuple(rows), align="")  # fmt: skip


def corpus(accounts: Iterable[Path]) -> Item:
    """Videos and hours by data set, split and language."""
    videos: Counter[tuple[str, str, str]] = Counter()
    hours: defaultdict[tuple[str, str, str], float] = defaultdict(float)
    for path in accounts:
        account = read_table(path, VIDEOS, ["dataset", "split", "language", "status", "duration_s"])
        keys = zip(account["dataset"], account["split"], account["language"], strict=True)
        for key, status, duration in zip(keys, account["status"], account["duration_s"], strict=True):
            if status == "ok":
                videos[key] += 1
                hours[key] += float(duration) / 3600
    rows = tuple((*(part or "–" for part in key), f"{n:,}", f"{hours[key]:,.2f}") for key, n in sorted(videos.items()))
    return Item("table", "Videos in shards", columns=("data set", "split", "language", "videos", "hours"), rows=rows)


def activity_share(statistics: Iterable[Path]) -> Item:
    """How often each hand is active."""
    whole = merge_statistics(statistics)
    windows = max(int(whole.windows), 1)
    rows = tuple(
        (side, f"{100 * int(active) / windows:.1f} %") for side, active in zip(SIDES, whole.active, strict=True)
    )
    note = f"Share of the {int(whole.windows):,} windows of 16 frames in which the hand is active."
    return Item("table", "Activity", note, columns=("hand", "active"), rows=rows)


def overlap(path: Path) -> Item:
    """The leak audit."""
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    shown = tuple(tuple(row) for row in table.head(50).itertuples(index=False))
    note = f"{len(table):,} videos also belong to evaluation data and are kept out of pretraining."
    if len(table) > len(shown):
        note += f" The first {len(shown)} of them; all are in overlap.tsv."
    columns = tuple(table.columns) if shown else ()
    return Item("table", "Overlap with evaluation data", note, columns=columns, rows=shown, align="")


def rejects(accounts: Iterable[Path]) -> Item | None:
    """Example frames of rejected videos."""
    found = pictures.rejected_examples(accounts)
    examples = tuple(
        {
            "video_id": example.video_id, "reason": example.reason, "detail": example.detail,
            "src": pictures.data_uri(pictures.to_jpeg(example.picture)) if example.picture is not None else "",
        }
        for example in found
    )  # fmt: skip
    return Item("examples", "Rejected videos", caption("rejects"), examples=examples) if examples else None


def scores(results: Path) -> Iterator[Item]:
    """The metrics of retrieval, recognition and translation, beside chance and every baseline that stands there."""
    for task, rule in SCORED.items():
        for path in sorted((results / task).glob("*/*.json")):
            found = read_json(path, dict, rule)
            if not found.get("metrics"):
                continue
            beside = {"chance": found.get("chance") or {}, **(found.get("baselines") or {})}
            beside = {name: values for name, values in beside.items() if isinstance(values, dict)}
            rows = tuple(
                (name.replace("_", " "), f"{value:.1f}", *(_number(values.get(name)) for values in beside.values()))
                for name, value in found["metrics"].items() if isinstance(value, int | float)
            )  # fmt: skip
            columns = ("", path.parent.name, *(name.replace("_", " ") for name in beside))
            yield Item(
                "table",
                f"{task.capitalize()} of {path.stem}: {path.parent.name}",
                _said(found),
                columns=columns,
                rows=rows,
            )


def versions() -> Item:
    """What the report was made with."""
    rows = [("signrep", __version__), ("Python", platform.python_version())]
    rows += [(name, metadata.version(name)) for name in PACKAGES]
    return Item("table", "Versions", columns=("software", "version"), rows=tuple(rows), align="")


def provenance(path: Path, title: str) -> Item:
    """What a table of the corpus records of its making."""
    import pyarrow.parquet as pq

    found = pq.read_schema(path).metadata or {}
    rows = tuple((key.decode(), value.decode()) for key, value in found.items() if key != b"ARROW:schema")
    note = "As recorded in the first shard's table; every table carries its own."
    return Item("table", title, note, columns=("key", "value"), rows=rows, align="")


def _said(found: dict[str, Any]) -> str:
    """Protocol and counts of a metrics file in one line."""
    parts = {**(found.get("protocol") or {}), **(found.get("counts") or {})}
    return "; ".join(
        f"{name.replace('_', ' ')} {value}" for name, value in parts.items() if isinstance(value, int | float | str)
    )


def _number(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, int | float) else "–"
