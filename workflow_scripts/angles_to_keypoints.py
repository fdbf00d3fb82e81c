"""Keypoints by forward kinematics with the corpus's median bones: free of the person's proportions."""

import _job

from signrep_core.lift.shard_tables import write_keypoints

with _job.open_job(snakemake) as job:
    write_keypoints(snakemake.input.angles, snakemake.input.bones, snakemake.output.keypoints, job.provenance)
