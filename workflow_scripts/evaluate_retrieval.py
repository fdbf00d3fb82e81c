"""Zero-shot retrieval, and the figure of nearest neighbours."""

import logging
from pathlib import Path

import _job

from signrep_core.evaluate.retrieval import compare_tables
from signrep_core.inspect.figures.strips import retrieval_strips
from signrep_core.store.files import write_json
from signrep_core.store.schemas import SEQUENCES
from signrep_core.store.tables import read_table
from signrep_core.store.video_status import count_lost_videos

provenance = _job.start(snakemake)
inputs, outputs, params = snakemake.input, snakemake.output, snakemake.params
index = read_table(inputs.index, SEQUENCES, ["video_id", "dataset", "split", "gloss"])
mine = [k for k, dataset in enumerate(index["dataset"]) if dataset == snakemake.wildcards.dataset]
index = {name: [values[k] for k in mine] for name, values in index.items()}
result = compare_tables(
    inputs.features,
    index,
    baselines=dict(zip(params.baselines, inputs.baselines, strict=True)),
    gallery=params.gallery,
    queries=params.queries,
    pooling=params.pooling,
)
if result["note"]:
    logging.getLogger("retrieval").warning("%s", result["note"])
lost = count_lost_videos(inputs.videos, snakemake.wildcards.dataset, "gloss")
write_json(outputs.metrics, {**result, "lost": lost, "provenance": provenance})
retrieval_strips(inputs.features, Path(inputs.index).parent, outputs.figure)
