"""Join frames, packet index and targets of a shard."""

import _job

from signrep_core.store.pack import PackedFiles, StageFiles, pack_shard

with _job.open_job(snakemake) as job:
    files, packed = StageFiles(**dict(snakemake.input.items())), PackedFiles(**dict(snakemake.output.items()))
    pack_shard(snakemake.wildcards.shard, files, packed, snakemake.params.target_fps, job.provenance)
