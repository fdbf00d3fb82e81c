"""Learn the glosses of the train split and select the weights on val."""

import sys
from pathlib import Path

import _job

from signrep_core.train.loop import RunSetup
from signrep_core.train.recognition import Origin, train_recognition

with _job.open_job(snakemake) as job:
    inputs, outputs = snakemake.input, snakemake.output
    config = job.config.recognition
    start = inputs.get("start")
    _job.use_threads(snakemake.threads, loaders=config.workers)
    result = train_recognition(
        Path(inputs.index).parent,
        config,
        RunSetup(Path(outputs.weights).parent, snakemake.params.seed, provenance=job.provenance),
        Origin(snakemake.wildcards.dataset, start and Path(start), inputs.get("features")),
    )
    if not result.finished:
        sys.exit(f"stopped after step {result.step}; run the workflow again to go on")
