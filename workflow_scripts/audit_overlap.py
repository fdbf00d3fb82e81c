"""Gather the overlaps of all shards: the leak audit."""

import _job

from signrep_core.sources.overlap import read_overlap, write_overlap

with _job.open_job(snakemake):
    overlaps = [overlap for path in snakemake.input.overlaps for overlap in read_overlap(path)]
    write_overlap(snakemake.output.audit, overlaps)
