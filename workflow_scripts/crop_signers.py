"""Cut each run of frames with a signer to one crop box of the upper torso; finalise the video status."""

import _job

from signrep_core.store.resume import open_resume_cache
from signrep_core.store.schemas import CROPS, VIDEOS
from signrep_core.store.tables import read_table, write_table
from signrep_core.store.video_status import finalise
from signrep_core.video.crop import crop_shard

provenance = _job.start(snakemake)
params = snakemake.params
videos = read_table(snakemake.input.videos, VIDEOS)
with open_resume_cache(snakemake.output.mp4) as cache:
    result = crop_shard(
        videos,
        snakemake.input.pose,
        snakemake.output.mp4,
        threads=snakemake.threads,
        target_fps=params.target_fps,
        margin=params.margin,
        crf=params.crf,
        preset=params.preset,
        max_gap=params.max_gap,
        cache=cache,
    )
    write_table(snakemake.output.crops, CROPS, result.crops, {**provenance, "encoder": result.encoder})
    write_table(snakemake.output.videos, VIDEOS, finalise(videos, result.outcomes), provenance)
