"""Activity of each hand, for every window start of every video."""

import _job

from signrep_core.lift.shard_tables import write_activity

with _job.open_job(snakemake) as job:
    inputs, outputs, params = snakemake.input, snakemake.output, snakemake.params
    write_activity(inputs.keypoints, outputs.activity, params.threshold, params.deviation, job.provenance)
