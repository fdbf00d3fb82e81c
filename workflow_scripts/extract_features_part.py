"""Features of some of a data set's shards: a part of the table, for one of several machines."""

from pathlib import Path

import _job

from signrep_core.evaluate.feature_parts import Part
from signrep_core.evaluate.features import Inference, Selection, extract_features

with _job.open_job(snakemake) as job:
    wildcards = snakemake.wildcards
    extract_features(
        snakemake.input.weights,
        Path(snakemake.input.index).parent,
        Path(snakemake.output.part).parents[1] / f"{wildcards.dataset}.parquet",
        Selection(wildcards.dataset, empty_ok=True, part=Part(int(wildcards.number), int(wildcards.total))),
        Inference(workers=_job.share_threads(snakemake.threads), half=snakemake.params.half_precision),
    )
