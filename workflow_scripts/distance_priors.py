"""Per-axis signed distances between fingertips, palms and body, of every frame."""

import _job

from signrep_core.body.priors import distances
from signrep_core.store.schemas import DISTANCES, KEYPOINTS
from signrep_core.store.tables import TableWriter, read_groups

provenance = _job.start(snakemake)
with TableWriter(snakemake.output.distances, DISTANCES, provenance) as writer:
    for group in read_groups(snakemake.input.keypoints, KEYPOINTS):
        keys = {key: group[key] for key in ("video_id", "frame", "time_s")}
        writer.write({**keys, **distances(group["keypoints"], group["confidence"])[0]})
