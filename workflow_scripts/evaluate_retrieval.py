"""Zero-shot retrieval, and the figure of nearest neighbours."""

from pathlib import Path

import _job

from signrep_core.evaluate.retrieval import write_evaluation
from signrep_core.inspect.figures.strips import retrieval_strips
from signrep_core.store.schemas import SEQUENCES
from signrep_core.store.tables import read_table

with _job.open_job(snakemake) as job:
    inputs, outputs, params = snakemake.input, snakemake.output, snakemake.params
    write_evaluation(
        inputs.features,
        read_table(inputs.index, SEQUENCES, ["video_id", "dataset", "split", "gloss"]),
        outputs.metrics,
        dataset=snakemake.wildcards.dataset,
        videos=inputs.videos,
        provenance=job.provenance,
        baselines=dict(zip(params.baselines, inputs.baselines, strict=True)),
        gallery=params.gallery,
        queries=params.queries,
        pooling=params.pooling,
    )
    retrieval_strips(inputs.features, Path(inputs.index).parent, outputs.figure, seed=params.seed)
