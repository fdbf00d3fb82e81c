"""The files of a results folder: the path of each output, the rule that makes it and the table it holds.

The workflow takes its targets from here, `status` the files to count and `verify` those that must have a record.
"""

import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from signrep_core.store import schemas
from signrep_core.store.schemas import Schema


@dataclass(frozen=True)
class Output:
    """An output: `pattern` is its path below the results folder, with wildcards in braces."""

    pattern: str
    rule: str
    schema: Schema | None = None  # of a Parquet table; features know their width only from the file

    def path(self, **wildcards: str) -> str:
        """Fill in the wildcards."""
        return self.pattern.format(**wildcards)


# Outputs of every shard, in the order of the stages.
PER_SHARD = (
    Output("video_status/probe/{shard}.parquet", "probe", schemas.VIDEOS),
    Output("video_status/deduplicate/{shard}.parquet", "deduplicate", schemas.VIDEOS),
    Output("overlap/{shard}.tsv", "deduplicate"),
    Output("pose/{shard}.parquet", "extract_pose", schemas.POSE),
    Output("video_status/extract_pose/{shard}.parquet", "extract_pose", schemas.VIDEOS),
    Output("angles/{shard}.parquet", "solve_angles", schemas.ANGLES),
    Output("bones/{shard}.json", "solve_angles"),
    Output("keypoints/{shard}.parquet", "angles_to_keypoints", schemas.KEYPOINTS),
    Output("distances/{shard}.parquet", "distance_priors", schemas.DISTANCES),
    Output("activity/{shard}.parquet", "activity_labels", schemas.ACTIVITY),
    Output("crops/{shard}.parquet", "crop_signers", schemas.CROPS),
    Output("crops/{shard}.mp4", "crop_signers"),
    Output("videos/{shard}.parquet", "crop_signers", schemas.VIDEOS),
    Output("shards/{shard}.mp4", "pack_shards"),
    Output("shards/{shard}.parquet", "pack_shards", schemas.FRAMES),
    Output("sequences/{shard}.parquet", "pack_shards", schemas.SEQUENCES),
    Output("statistics/{shard}.json", "describe_shard"),
)
OPTIONAL_RULE = "distance_priors"  # config key priors.write_distances
VIDEO_TABLES = tuple(output for output in PER_SHARD if output.schema is schemas.VIDEOS)  # in the order of the stages
DRAWINGS = ("detection", "bones", "angles", "lengths", "activity", "training", "timing")
# Sections of the report that hold tables, each a page of its own too.
PAGES = ("videos", "leaks", "sequences", "results", "provenance")
# Outputs of the whole corpus.
WHOLE = (
    Output("overlap.tsv", "audit_overlap"),
    Output("bones.json", "median_bones"),
    Output("shards/index.parquet", "index_shards", schemas.SEQUENCES),
    Output("shards/info.json", "index_shards"),
    Output("summary.txt", "summarize"),
    Output("summary.json", "summarize"),
    Output("README.md", "write_card"),
    Output("report.html", "report"),
    *(Output(f"figures/{drawing}.svg", "report") for drawing in DRAWINGS),
    Output("figures/crops.jpg", "report"),
    *(Output(f"report/{page}.html", "report") for page in PAGES),
)
# Outputs of a training run, and of a data set evaluated with it.
PER_RUN = (
    Output("pretrain/{run}/best.safetensors", "pretrain"),
    Output("pretrain/{run}/metrics.csv", "pretrain"),
    Output("figures/augmented_{run}.png", "draw_augmented_windows"),
)
PER_DATASET = (
    Output("features/{run}/{dataset}.parquet", "extract_features"),
    Output("retrieval/{run}/{dataset}.json", "evaluate_retrieval"),
    Output("figures/retrieval_{run}_{dataset}.png", "evaluate_retrieval"),
)
# Outputs of a data set that is translated; `run` is `keypoints` or `angles` for the baselines.
BASELINES = (
    Output("features/keypoints/{dataset}.parquet", "pool_keypoints"),
    Output("features/angles/{dataset}.parquet", "pool_keypoints"),
)
PER_TRANSLATION = (
    Output("translation/{run}/{dataset}.json", "evaluate_translation"),
    Output("translation/{run}/{dataset}.parquet", "evaluate_translation", schemas.TRANSLATIONS),
    Output("translation/{run}/{dataset}/best.safetensors", "train_translation"),
    Output("translation/{run}/{dataset}/metrics.csv", "train_translation"),
)
# Outputs of a data set whose glosses are recognised; `run` is `keypoints` for the baseline.
PER_RECOGNITION = (
    Output("recognition/{run}/{dataset}.json", "evaluate_recognition"),
    Output("recognition/{run}/{dataset}.parquet", "evaluate_recognition", schemas.PREDICTIONS),
    Output("figures/confusion_{run}_{dataset}.png", "evaluate_recognition"),
    Output("recognition/{run}/{dataset}/best.safetensors", "train_recognition"),
    Output("recognition/{run}/{dataset}/metrics.csv", "train_recognition"),
)
# Outputs of training a lifter: config key angles.lifter.
LIFTER = (
    Output("lifter/best.safetensors", "train_lifter"),
    Output("lifter/metrics.csv", "train_lifter"),
)
# Outputs of the embedded demo only.
DEMO = (
    Output("synthetic/videos.tsv", "write_synthetic_sheet"),
    Output("synthetic/truth/{shard}.parquet", "synthesize", schemas.TRUTH),
)
OUTPUTS = (*PER_SHARD, *WHOLE, *PER_RUN, *BASELINES, *PER_DATASET, *PER_TRANSLATION, *PER_RECOGNITION, *LIFTER, *DEMO)
WEIGHTS, METRICS = "best.safetensors", "metrics.csv"  # outputs of every training
TRAINED = tuple(dict.fromkeys(o.pattern.split("/")[0] for o in OUTPUTS if o.pattern.endswith(f"/{WEIGHTS}")))  # folders


def shard_table(schema: Schema, shard: str) -> str:
    """Path of a shard's table below the results folder; of the tables of videos, the final one."""
    return next(output for output in reversed(PER_SHARD) if output.schema is schema).path(shard=shard)


def find_output(path: str) -> tuple[Output, dict[str, str]] | None:
    """Find the output with a path (below the results folder), and its wildcards; None if no output has it."""
    for output, pattern in _patterns():
        if found := pattern.fullmatch(path):
            return output, found.groupdict()
    return None


def find_shard(path: str) -> str:
    """Find the shard of an output (below the results folder); empty if it belongs to none."""
    found = find_output(path)
    return found[1].get("shard", "") if found else ""


def find_results(path: str | Path) -> Path | None:
    """Find the results folder of an output by its path; None if no output has such a path."""
    absolute = Path(os.path.abspath(path))
    return next((root for root in absolute.parents if find_output(absolute.relative_to(root).as_posix())), None)


@cache
def _patterns() -> list[tuple[Output, re.Pattern[str]]]:
    wildcards = {"shard": r"(?P<shard>\d{5})", "run": r"(?P<run>[\w.-]+?)", "dataset": r"(?P<dataset>[^/]+)"}
    return [
        (output, re.compile(re.escape(output.pattern).replace(r"\{", "{").replace(r"\}", "}").format(**wildcards)))
        for output in OUTPUTS
    ]
