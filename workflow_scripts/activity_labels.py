"""Activity of each hand, for every window start of every video."""

import _job

from signrep_core.body.priors import activity
from signrep_core.store.schemas import ACTIVITY, KEYPOINTS
from signrep_core.store.tables import TableWriter, read_videos

provenance = _job.start(snakemake)
with TableWriter(snakemake.output.activity, ACTIVITY, provenance) as writer:
    for _, video in read_videos(snakemake.input.keypoints, KEYPOINTS):
        right, left = activity(video["keypoints"], video["confidence"], threshold=snakemake.params.threshold)
        keys = {key: video[key] for key in ("video_id", "frame", "time_s")}
        writer.write({**keys, "right_active": right, "left_active": left})
