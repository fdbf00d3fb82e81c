"""Train a translator on the train split and select it on val."""

import sys
from pathlib import Path

import _job

from signrep_core.store.schemas import SEQUENCES
from signrep_core.store.tables import read_table
from signrep_core.train.loop import RunSetup
from signrep_core.train.translation import train_translation

with _job.open_job(snakemake) as job:
    inputs, outputs, dataset = snakemake.input, snakemake.output, snakemake.wildcards.dataset
    settings = job.config.translator(dataset)
    index = read_table(inputs.index, SEQUENCES)
    _job.use_threads(snakemake.threads, loaders=settings.workers)
    setup = RunSetup(Path(outputs.weights).parent, snakemake.params.seed, provenance=job.provenance)
    result = train_translation(inputs.features, index, settings, setup, dataset)
    if not result.finished:
        sys.exit(f"stopped after step {result.step}; run the workflow again to go on")
