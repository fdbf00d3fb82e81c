"""Probe each video of a shard: usable, or rejected with a reason."""

import _job

from signrep_core.sources.sheet import cut_shards, read_sheet
from signrep_core.store.schemas import VIDEOS
from signrep_core.store.tables import write_table
from signrep_core.video.probe import probe_shard

with _job.open_job(snakemake) as job:
    params = snakemake.params
    shards = dict(cut_shards(read_sheet(snakemake.input.sheet), params.videos_per_shard))
    videos = probe_shard(shards[snakemake.wildcards.shard], target_fps=params.target_fps, threads=snakemake.threads)
    write_table(snakemake.output.videos, VIDEOS, videos, job.provenance)
