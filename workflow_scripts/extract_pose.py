"""Landmarks of every frame on the common timeline, one signer tracked through each video."""

import _job

from signrep_core.pose.shard import extract_shard
from signrep_core.sources.sheet import current_paths
from signrep_core.store.resume import open_resume_cache
from signrep_core.store.schemas import VIDEOS
from signrep_core.store.tables import read_table, write_table
from signrep_core.store.video_status import add_notes, finalise

with _job.open_job(snakemake) as job, open_resume_cache(snakemake.output.pose) as cache:
    videos = current_paths(read_table(snakemake.input.videos, VIDEOS), job.config.sheet_path)
    results = extract_shard(videos, snakemake.output.pose, cache, job.config, snakemake.threads, job.provenance)
    rejected = {result.video_id: result.final_status for result in results if result.final_status}
    noted = add_notes(videos, {result.video_id: result.note for result in results})
    write_table(snakemake.output.videos, VIDEOS, finalise(noted, rejected), job.provenance)
