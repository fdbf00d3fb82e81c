"""The standard skeleton: the median length of every bone over the pretraining videos of all shards."""

import _job

from signrep_core.lift.shard_tables import write_median_bones

with _job.open_job(snakemake) as job:
    write_median_bones(snakemake.input.bones, snakemake.output.bones, job.provenance)
