"""Landmarks of every frame on the common timeline, one signer followed through each video."""

import _job

from signrep_core.pose.shard import extract_shard
from signrep_core.store.resume import open_resume_cache
from signrep_core.store.schemas import VIDEOS
from signrep_core.store.tables import read_table, write_table
from signrep_core.store.video_status import add_notes, finalise

provenance = _job.start(snakemake)
params = snakemake.params
videos = read_table(snakemake.input.videos, VIDEOS)
with open_resume_cache(snakemake.output.pose) as cache:
    outcomes = extract_shard(
        videos,
        snakemake.output.pose,
        model=params.model,
        target_fps=params.target_fps,
        min_shoulder_px=params.min_shoulder_px,
        threads=snakemake.threads,
        provenance=provenance,
        cache=cache,
    )
    rejected = {outcome.video_id: outcome.final_status for outcome in outcomes if outcome.final_status}
    noted = add_notes(videos, {outcome.video_id: outcome.note for outcome in outcomes})
    write_table(snakemake.output.videos, VIDEOS, finalise(noted, rejected), provenance)
