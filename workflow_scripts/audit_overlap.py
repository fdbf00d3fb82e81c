"""Gather the overlaps of all shards: the leak audit."""

from signrep_core.sources.overlap import read_overlap, write_overlap

import _job

_job.start(snakemake)
overlaps = [overlap for path in snakemake.input.overlaps for overlap in read_overlap(path)]
write_overlap(snakemake.output.audit, overlaps)
