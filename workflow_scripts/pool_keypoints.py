"""Raw poses of every window in the place of features: the baseline."""

from pathlib import Path

import _job

from signrep_core.evaluate.keypoints import pool_keypoints

with _job.open_job(snakemake) as job:
    pool_keypoints(
        Path(snakemake.input.index).parent,
        snakemake.output.features,
        kind=snakemake.wildcards.kind,
        dataset=snakemake.wildcards.dataset,
        empty_ok=True,
        provenance=job.provenance,
    )
