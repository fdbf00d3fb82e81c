"""Cut each run of frames with a signer to one steady square of the upper torso; settle the final account."""

import _job

from signrep_core.store.resume import open_ledger
from signrep_core.store.schemas import CROPS, VIDEOS
from signrep_core.store.tables import read_table, write_table
from signrep_core.store.video_status import settle
from signrep_core.video.crop import crop_shard

provenance = _job.start(snakemake)
params = snakemake.params
account = read_table(snakemake.input.account, VIDEOS)
with open_ledger(snakemake.output.mp4) as ledger:
    result = crop_shard(
        account,
        snakemake.input.pose,
        snakemake.output.mp4,
        threads=snakemake.threads,
        target_fps=params.target_fps,
        margin=params.margin,
        crf=params.crf,
        preset=params.preset,
        max_gap=params.max_gap,
        ledger=ledger,
    )
    write_table(snakemake.output.crops, CROPS, result.crops, {**provenance, "encoder": result.encoder})
    write_table(snakemake.output.account, VIDEOS, settle(account, result.outcomes), provenance)
