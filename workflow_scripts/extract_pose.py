"""Landmarks of every frame on the common timeline, one signer followed through each video."""

import _job

from signrep_core.config import load_config
from signrep_core.pose.shard import extract_shard
from signrep_core.store.schemas import VIDEOS
from signrep_core.store.tables import read_table, write_table
from signrep_core.store.video_status import add_notes, finalise

provenance = _job.start(snakemake)
videos = read_table(snakemake.input.videos, VIDEOS)
config = load_config(snakemake.config)
results = extract_shard(videos, snakemake.output.pose, config, snakemake.threads, provenance)
rejected = {result.video_id: result.final_status for result in results if result.final_status}
noted = add_notes(videos, {result.video_id: result.note for result in results})
write_table(snakemake.output.videos, VIDEOS, finalise(noted, rejected), provenance)
