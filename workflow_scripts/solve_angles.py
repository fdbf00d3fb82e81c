"""Joint angles of every frame, and the histogram of its bone lengths."""

import logging

import _job

from signrep_core.body.bones import BoneHistogram
from signrep_core.body.kinematics import Quality
from signrep_core.lift.solver import open_solver
from signrep_core.store.files import write_json
from signrep_core.store.schemas import ANGLES, POSE, VIDEOS
from signrep_core.store.tables import TableWriter, read_table, read_videos

provenance = _job.start(snakemake)
videos = read_table(snakemake.input.videos, VIDEOS)
splits = dict(zip(videos["video_id"], videos["split"], strict=True))
weights = snakemake.input.get("lifter") or snakemake.params.lifter
solve = open_solver(snakemake.params.solver, weights, snakemake.params.max_gap)
bones, quality = BoneHistogram(), Quality()
with TableWriter(snakemake.output.angles, ANGLES, provenance) as writer:
    for video_id, pose in read_videos(
        snakemake.input.pose, POSE, ["video_id", "frame", "time_s", "image_xy", "landmarks", "confidence"]
    ):
        solution = solve(pose)
        writer.write({**{key: pose[key] for key in ("video_id", "frame", "time_s")}, **solution.columns()})
        quality.add(solution)
        if splits[video_id] in snakemake.params.splits:
            bones.add_lengths(solution.lengths)
write_json(snakemake.output.bones, {**bones.to_dict(), "provenance": provenance})
logging.getLogger("quality").info("%s", quality)
