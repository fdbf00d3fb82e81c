"""Landmarks of every frame on the common timeline, one signer tracked through each video."""

import _job

from signrep_core.pose.shard import extract_shard, finish_videos
from signrep_core.sources.sheet import current_paths
from signrep_core.store.resume import open_resume_cache
from signrep_core.store.schemas import VIDEOS
from signrep_core.store.tables import read_table, write_table

with _job.open_job(snakemake) as job, open_resume_cache(snakemake.output.pose) as cache:
    videos = current_paths(read_table(snakemake.input.videos, VIDEOS), job.config.sheet_path)
    results = extract_shard(videos, snakemake.output.pose, cache, job.config, snakemake.threads, job.provenance)
    write_table(snakemake.output.videos, VIDEOS, finish_videos(videos, results), job.provenance)
