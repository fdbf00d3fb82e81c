"""Render a shard's videos of the demo corpus and write their truth."""

from pathlib import Path

import _job

from signrep_core.config import Synthetic
from signrep_core.sources.sheet import cut_shards
from signrep_core.synthetic.corpus import plan_demo, render_videos, video_path, write_truth

with _job.open_job(snakemake) as job:
    params = snakemake.params
    plan = plan_demo(Synthetic(**params.corpus), params.seed)
    performances = dict(cut_shards(plan, params.videos_per_shard))[snakemake.wildcards.shard]
    folder = Path(snakemake.output.truth).parents[1] / "videos"
    render_videos(performances, folder, processes=snakemake.threads)
    write_truth(performances, snakemake.output.truth, job.provenance)
    job.also_made(video_path(performance, folder) for performance in performances)
