"""Activity of each hand, for every window start of every video."""

import _job

from signrep_core.lift.shard_tables import write_activity

with _job.open_job(snakemake) as job:
    write_activity(snakemake.input.keypoints, snakemake.output.activity, snakemake.params.threshold, job.provenance)
