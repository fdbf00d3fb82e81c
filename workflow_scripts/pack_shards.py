"""Join frames, packet index and targets of a shard."""

import _job

from signrep_core.store.pack import pack_shard

provenance = _job.start(snakemake)
inputs, outputs = snakemake.input, snakemake.output
pack_shard(
    snakemake.wildcards.shard,
    videos=inputs.videos,
    crops=inputs.crops,
    crops_mp4=inputs.mp4,
    angles=inputs.angles,
    keypoints=inputs.keypoints,
    activity=inputs.activity,
    out_mp4=outputs.mp4,
    out_frames=outputs.frames,
    out_sequences=outputs.sequences,
    target_fps=snakemake.params.target_fps,
    provenance=provenance,
)
