"""What the rules share: the checked configuration, the sheet cut into shards, and the few functions of the workflow."""

import json
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from signrep_core.config import load_config
from signrep_core.errors import SignRepError
from signrep_core.report.summary import format_retrieval
from signrep_core.sources.sheet import cut_shards, read_sheet, shard_digest
from signrep_core.store import layout, schemas


def plan_sheet():
    """The rows of the user's sheet, or of the demo corpus, whose plan needs no rendering."""
    if CONFIG.sheet is not None:
        return read_sheet(CONFIG.sheet)
    from signrep_core.synthetic.corpus import plan_corpus, sheet_rows

    return sheet_rows(
        plan_corpus(**CONFIG.synthetic.model_dump(), seed=CONFIG.seed, kind="isolated")
    )


try:
    CONFIG = load_config(config)
    ROWS = plan_sheet()
    SHARDS = dict(cut_shards(ROWS, CONFIG.videos_per_shard))
except SignRepError as error:
    raise WorkflowError(str(error))

SHEET = CONFIG.sheet or f"{CONFIG.results}/synthetic/videos.tsv"
DATASETS = sorted({row.dataset for row in ROWS})


wildcard_constraints:
    shard=r"\d{5}",


def rows_digest(wildcards):
    """Digest of the shard's rows of the sheet: rows appended later leave finished shards alone."""
    return shard_digest(SHARDS[wildcards.shard])


def rendered_videos(wildcards):
    """The demo's videos of this shard, to be rendered first; nothing where the user brings videos."""
    return (
        []
        if CONFIG.sheet
        else f"{CONFIG.results}/synthetic/truth/{wildcards.shard}.parquet"
    )


def all_shards(pattern):
    """One path per shard of the sheet."""
    return expand(pattern, shard=SHARDS)


# Every output of every stage is a target of its own, so that a deleted one is made again.
STAGE_FILES = [
    all_shards(f"<results>/{output.pattern}")
    for output in layout.PER_SHARD
    if output.rule != layout.OPTIONAL_RULE or CONFIG.priors.write_distances
]

SCORES = expand("<results>/retrieval/<run>/{dataset}.json", dataset=DATASETS)


def show_summary():
    """Print what became of the videos, the metrics, and where the pictures are, as far as they are there."""
    results, run = Path(CONFIG.results), CONFIG.pretrain.run
    lines = []
    if (results / "summary.txt").exists():
        lines.append((results / "summary.txt").read_text(encoding="utf-8"))
    for dataset in DATASETS:
        metrics = results / "retrieval" / run / f"{dataset}.json"
        if metrics.exists():
            lines.append(
                format_retrieval(
                    dataset, json.loads(metrics.read_text(encoding="utf-8"))
                )
            )
            lines.append(f"metrics: {metrics}")
            lines.append(
                f"picture: {results / 'figures' / f'retrieval_{run}_{dataset}.png'}"
            )
    sys.stderr.write("\n" + "\n".join(lines) + "\n")
