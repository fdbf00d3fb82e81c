"""Translate the test split."""

from pathlib import Path

import _job

from signrep_core.evaluate.comparison import Comparison
from signrep_core.evaluate.translation import write_evaluation
from signrep_core.store.schemas import SEQUENCES
from signrep_core.store.tables import read_table

with _job.open_job(snakemake) as job:
    inputs, outputs = snakemake.input, snakemake.output
    _job.use_threads(snakemake.threads)
    write_evaluation(
        inputs.weights,
        inputs.features,
        read_table(inputs.index, SEQUENCES),
        snakemake.wildcards.dataset,
        (outputs.metrics, outputs.translations),
        Comparison({Path(path).parent.name: path for path in inputs.baselines}, inputs.videos, job.provenance),
    )
