"""Summary of a run: counts of videos and sequences, as a text table and as values for `summary.json`."""

import json
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from signrep_core.errors import REASONS, SignRepError
from signrep_core.inspect.report.statistics import HAND_PLACES, merge_statistics
from signrep_core.inspect.report.units import time_unit
from signrep_core.skeleton import HANDS, SIDES
from signrep_core.store.schemas import SEQUENCES, VIDEOS
from signrep_core.store.tables import read_table
from signrep_core.store.video_status import count_statuses, overlong_spans

TRAINING: Final = ("pretraining", "departures")  # lines on the training, below the table
# Reasons of the videos that extract_pose has read.
POSED = ("", "no_signer", "signer_too_small", "too_few_frames", "signer_too_brief")


def summarize(
    video_tables: Sequence[str],
    sequences: Sequence[str],
    statistics: Sequence[str],
    pose_benchmarks: Iterable[Path],
    target_fps: float | None = 25.0,
    training: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Count videos, sequences and frames over all shards, one shard in memory at a time.

    Args:
        video_tables, sequences: paths of the tables in `videos/` and `sequences/`.
        statistics: paths of `statistics/*.json`.
        pose_benchmarks: Snakemake's benchmark files of extract_pose (seconds and CPU seconds per job).
        target_fps: rate of the common timeline; None = native frames.
        training: lines on the training by name: `pretraining` (`config.describe_pretraining`), and `departures` from
            the paper (`config.describe_departures`).
    """
    statuses = count_statuses(video_tables)
    videos: Counter[str] = Counter()
    for (status, _), count in statuses.items():
        videos[status] += count
    posed = 0.0
    cut_spans = 0
    for path in video_tables:
        table = read_table(path, VIDEOS, ["video_id", "status", "reason", "start", "end", "duration_s", "n_frames"])
        cut_spans += len(overlong_spans(table))
        frames = table["n_frames"] if target_fps is None else table["duration_s"] * target_fps
        posed += sum(n for n, reason in zip(frames, table["reason"], strict=True) if reason in POSED)
    n_sequences = n_frames = 0
    hours = 0.0
    for path in sequences:
        table = read_table(path, SEQUENCES, ["n_frames", "fps"])
        n_sequences += len(table["n_frames"])
        n_frames += int(table["n_frames"].sum())
        hours += float((table["n_frames"] / table["fps"]).sum()) / 3600
    return {
        **training,
        "videos": videos.total(),
        "in_shards": videos["ok"],
        "cut_spans": cut_spans,
        "excluded": videos["excluded"],
        "rejected": videos["rejected"],
        "reasons": {reason: count for (_, reason), count in statuses.items() if reason},
        "sequences": n_sequences,
        "frames": n_frames,
        "hours": hours,
        **_pose_speed(round(posed), pose_benchmarks),
        **_hands_found(statistics),
    }


def check_complete(figures: Mapping[str, Any], videos: int) -> None:
    """Check that a summary counts every video of the sheet exactly once.

    Raises:
        SignRepError: the tables of videos are not those of the sheet.
    """
    if figures["videos"] != videos:
        raise SignRepError(
            f"summary: the sheet has {videos} videos, the tables in videos/ have {figures['videos']}; was the sheet "
            "changed while the workflow ran? run the same command again"
        )


def format_summary(figures: dict[str, Any]) -> str:
    """The summary as a text table."""
    lines = [_line("videos", figures["videos"]), _line("  in shards", figures["in_shards"])]
    if figures["cut_spans"]:
        lines.append(f"{_line('    cut_span', figures['cut_spans'])}   the sheet's span ends after the video")
    for status in ("excluded", "rejected"):
        lines.append(_line(f"  {status}", figures[status]))
        lines += [
            f"{_line(f'    {reason}', count)}   {REASONS[reason]}"
            for reason, count in figures["reasons"].items()
            if (reason == "overlap") == (status == "excluded")
        ]
    unit, per_hour = time_unit(figures["hours"])
    lines += [
        _line("sequences", figures["sequences"]),
        _line("frames", figures["frames"]),
        _line(unit, per_hour * figures["hours"]),
        _line("pose frames", figures["pose_frames"]),
        _line("  per second", figures["pose_frames_per_second"]),
        _line("  per core-second", figures["pose_frames_per_core_second"]),
        *_hand_lines(figures),
    ]
    for line in filter(None, map(figures.get, TRAINING)):
        lines += textwrap.wrap(line, 100, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines) + "\n"


def format_retrieval(dataset: str, result: dict[str, Any]) -> str:
    """Describe a data set's retrieval in one line: metrics next to chance level and baselines."""
    if result["metrics"] is None:
        why = result["note"] or "no labelled query"
        return f"retrieval of {dataset}: {why}; see the nearest neighbours{_lost(result)}"
    return f"retrieval of {dataset} {_beside(result, result['metrics'])}"


def format_translation(dataset: str, result: dict[str, Any]) -> str:
    """Describe a data set's translation in one line: metrics next to chance level and baselines."""
    if result["metrics"] is None:
        return f"translation of {dataset}: {result['note']}{_lost(result)}"
    return f"translation of {dataset} {_beside(result, ('BLEU-1', 'BLEU-4', 'ROUGE-L'))}"


def format_recognition(dataset: str, result: dict[str, Any]) -> str:
    """Describe a data set's recognition in one line: accuracies next to chance level and baselines."""
    if result["metrics"] is None:
        return f"recognition of {dataset}: {result['note']}{_lost(result)}"
    return f"recognition of {dataset} {_beside(result, ('top1_instance', 'top5_instance', 'top1_class'))}"


# Of each kind of evaluation: its text, and the files that are named below it.
EVALUATIONS: Final = {
    "retrieval": (format_retrieval, {"picture": "figures/retrieval_{run}_{dataset}.png"}),
    "recognition": (
        format_recognition,
        {
            "predictions": "recognition/{run}/{dataset}.parquet",
            "picture": "figures/confusion_{run}_{dataset}.png",
        },
    ),
    "translation": (format_translation, {"translations": "translation/{run}/{dataset}.parquet"}),
}


def format_run(results: str | Path, run: str, datasets: Mapping[str, Sequence[str]]) -> str:
    """Text on a run: its summary, the metrics of each data set, and where the files are, as far as they exist.

    Args:
        datasets: by kind of evaluation (a key of EVALUATIONS).
    """
    results = Path(results)
    text = results / "summary.txt"
    lines = [text.read_text(encoding="utf-8")] if text.exists() else []
    for kind, (format_result, files) in EVALUATIONS.items():
        for dataset in datasets.get(kind, ()):
            metrics = results / kind / run / f"{dataset}.json"
            if metrics.exists():
                lines.append(format_result(dataset, json.loads(metrics.read_text(encoding="utf-8"))))
                lines.append(f"metrics: {metrics}")
                lines += [f"{name}: {results / path.format(run=run, dataset=dataset)}" for name, path in files.items()]
    return "\n".join(lines)


def _beside(result: dict[str, Any], names: Iterable[str]) -> str:
    """Metrics by name, each followed by chance level and baselines in brackets."""
    beside = {"chance": result["chance"], **result["baselines"]}
    values = ", ".join(
        f"{name} {result['metrics'][name]:.1f} ({', '.join(f'{other[name]:.1f}' for other in beside.values())})"
        for name in names
    )
    return f"({', '.join(beside).replace('_', ' ')}): {values}{_lost(result)}"


def _lost(result: dict[str, Any]) -> str:
    """Number of the data set's videos without a sequence in the shards, by split; empty if there are none."""
    lost = [f"{split} {sum(reasons.values())}" for split, reasons in (result.get("lost") or {}).items()]
    return f"; videos lost before the shards: {', '.join(lost)}" if lost else ""


def _pose_speed(n_frames: int, benchmarks: Iterable[Path]) -> dict[str, Any]:
    """Frames that pose extraction has read, and how many per second of wall time and of processor time."""
    import pandas as pd  # slow to import

    timings = [pd.read_csv(path, sep="\t", na_values="-").iloc[-1].fillna(0) for path in benchmarks]
    wall = sum(float(timing["s"]) for timing in timings)
    cpu = sum(float(timing["cpu_time"]) for timing in timings)
    return {
        "pose_frames": n_frames,
        "pose_frames_per_second": n_frames / wall if wall else None,
        "pose_frames_per_core_second": n_frames / cpu if cpu else None,
    }


def _hands_found(statistics: Sequence[str]) -> dict[str, float]:
    """Percentage of the frames with a signer in which each hand was detected, also of those with it within the picture,
    raised and resting.
    """
    whole = merge_statistics(statistics)
    found = {
        f"{side}_hand_found": 100 * int(whole.seen[hand.start]) / max(int(whole.present), 1)
        for side, hand in HANDS.items()
    }
    for side, places in zip(SIDES, whole.hands, strict=True):
        for place, (frames, detected) in zip(HAND_PLACES, places, strict=True):
            found[f"{side}_hand_found_{place}"] = 100 * int(detected) / max(int(frames), 1)
    return found


def _hand_lines(figures: Mapping[str, Any]) -> list[str]:
    """Lines of the hands that were found."""
    lines = []
    for side in HANDS:
        lines.append(_line(f"  {side} hand found, %", figures[f"{side}_hand_found"]))
        lines += [_line(f"    {place}", figures[f"{side}_hand_found_{place}"]) for place in HAND_PLACES]
    return lines


def _line(name: str, value: float | None) -> str:
    if value is None:
        return f"{name:<24}{'-':>12}"
    return f"{name:<24}{value:>12,}" if isinstance(value, int) else f"{name:<24}{value:>12,.2f}"
