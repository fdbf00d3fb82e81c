"""Joint angles of every frame, and the histogram of its bone lengths."""

from itertools import compress

import _job

from signrep_core.lift.shard_tables import write_angles
from signrep_core.lift.solver import open_solver
from signrep_core.store.files import write_json
from signrep_core.store.schemas import VIDEOS
from signrep_core.store.tables import read_table
from signrep_core.store.video_status import pretrained_on

with _job.open_job(snakemake) as job:
    inputs, outputs, params = snakemake.input, snakemake.output, snakemake.params
    videos = read_table(inputs.videos, VIDEOS, ["video_id", "split", "dataset"])
    measured = set(compress(videos["video_id"], pretrained_on(videos, params.splits, params.datasets)))
    solve = open_solver(params.solver, inputs.get("lifter") or params.lifter, params.max_gap)
    bones = write_angles(inputs.pose, outputs.angles, solve, measured, job.provenance)
    write_json(outputs.bones, {**bones.to_dict(), "provenance": job.provenance})
