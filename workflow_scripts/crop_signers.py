"""Cut each run of frames with a signer to one crop box of the upper torso; finalise the video status."""

import _job

from signrep_core.sources.sheet import current_paths
from signrep_core.store.resume import open_resume_cache
from signrep_core.store.schemas import CROPS, VIDEOS
from signrep_core.store.tables import read_table, write_table
from signrep_core.store.video_status import finalise
from signrep_core.video.crop import crop_shard

with _job.open_job(snakemake) as job, open_resume_cache(snakemake.output.mp4) as cache:
    inputs, outputs = snakemake.input, snakemake.output
    videos = current_paths(read_table(inputs.videos, VIDEOS), job.config.sheet_path)
    result = crop_shard(videos, inputs.pose, outputs.mp4, cache, job.config, snakemake.threads)
    write_table(outputs.crops, CROPS, result.crops, {**job.provenance, "encoder": result.encoder})
    write_table(outputs.videos, VIDEOS, finalise(videos, result.rejected), job.provenance)
