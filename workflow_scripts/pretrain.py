"""Train encoder, decoder and style discriminator on the shards."""

import sys
from pathlib import Path

import _job

from signrep_core.train.loop import RunSetup
from signrep_core.train.pretrain import pretrain

with _job.open_job(snakemake) as job:
    config = job.config.pretrain
    _job.use_threads(snakemake.threads, loaders=config.workers)
    result = pretrain(
        Path(snakemake.input.index).parent,
        config,
        RunSetup(Path(snakemake.output.weights).parent, snakemake.params.seed, provenance=job.provenance),
    )
    if not result.finished:
        sys.exit(f"stopped after step {result.step} of {config.iterations}; run the workflow again to go on")
