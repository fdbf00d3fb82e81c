"""Per-axis signed distances between fingertips, palms and body, of every frame."""

import _job

from signrep_core.lift.shard_tables import write_distances

with _job.open_job(snakemake) as job:
    write_distances(snakemake.input.keypoints, snakemake.output.distances, job.provenance)
