"""Features of every window of a data set's sequences, or joined from their parts."""

from pathlib import Path

import _job

from signrep_core.evaluate.feature_parts import join_parts
from signrep_core.evaluate.features import Inference, Selection, extract_features

with _job.open_job(snakemake) as job:
    if n_parts := len(snakemake.input.parts):
        join_parts(snakemake.output.features, n_parts, job.provenance)
    else:
        extract_features(
            snakemake.input.weights,
            Path(snakemake.input.index).parent,
            snakemake.output.features,
            Selection(snakemake.wildcards.dataset, empty_ok=True),
            Inference(workers=_job.share_threads(snakemake.threads), half=snakemake.params.half_precision),
            job.provenance,
        )
