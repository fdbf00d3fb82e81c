"""Exclude videos of the pretraining splits that an evaluation data set holds too."""

import _job

from signrep_core.sources.overlap import exclude, find_overlap, write_overlap
from signrep_core.sources.wlasl import read_wlasl, wlasl_youtube_ids
from signrep_core.store.schemas import VIDEOS
from signrep_core.store.tables import read_table, write_table

with _job.open_job(snakemake) as job:
    params, wlasl = snakemake.params, snakemake.input.wlasl
    videos = read_table(snakemake.input.videos, VIDEOS)
    evaluation_ids = {"WLASL": wlasl_youtube_ids(read_wlasl(wlasl[0]))} if wlasl else {}
    overlaps = find_overlap(videos, evaluation_ids)
    write_overlap(snakemake.output.overlap, overlaps)
    kept = exclude(videos, overlaps, params.splits, params.datasets)
    write_table(snakemake.output.videos, VIDEOS, kept, job.provenance)
