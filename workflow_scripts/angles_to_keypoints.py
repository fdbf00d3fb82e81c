"""Forward kinematics with the corpus's median bones: keypoints free of the person's proportions."""

import _job

from signrep_core.body.bones import median_offsets
from signrep_core.body.kinematics import forward_kinematics
from signrep_core.store.files import read_json
from signrep_core.store.schemas import ANGLES, KEYPOINTS
from signrep_core.store.tables import TableWriter, read_groups

provenance = _job.start(snakemake)
body_offsets, hand_offsets = read_json(snakemake.input.bones, median_offsets, "median_bones")
names = ["video_id", "frame", "time_s", "body_angles", "right_angles", "left_angles", "confidence"]
with TableWriter(snakemake.output.keypoints, KEYPOINTS, provenance) as writer:
    for solved in read_groups(snakemake.input.angles, ANGLES, names):
        keypoints = forward_kinematics(
            solved["body_angles"], solved["right_angles"], solved["left_angles"], body_offsets, hand_offsets
        )
        keys = {key: solved[key] for key in ("video_id", "frame", "time_s")}
        writer.write({**keys, "keypoints": keypoints, "confidence": solved["confidence"]})
