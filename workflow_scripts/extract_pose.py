"""Landmarks of every frame on the common timeline, one signer followed through each video."""

import _job

from signrep_core.pose.shard import extract_shard
from signrep_core.store.resume import open_ledger
from signrep_core.store.schemas import VIDEOS
from signrep_core.store.tables import read_table, write_table
from signrep_core.store.video_status import annotate, settle

provenance = _job.start(snakemake)
params = snakemake.params
account = read_table(snakemake.input.account, VIDEOS)
with open_ledger(snakemake.output.pose) as ledger:
    outcomes = extract_shard(
        account,
        snakemake.output.pose,
        model=params.model,
        target_fps=params.target_fps,
        min_shoulder_px=params.min_shoulder_px,
        threads=snakemake.threads,
        provenance=provenance,
        ledger=ledger,
    )
    rejected = {outcome.video_id: outcome.settled for outcome in outcomes if outcome.settled}
    noted = annotate(account, {outcome.video_id: outcome.note for outcome in outcomes})
    write_table(snakemake.output.account, VIDEOS, settle(noted, rejected), provenance)
