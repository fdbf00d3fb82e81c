"""Train a translator on the train split and select it on val."""

import sys
from pathlib import Path

import _job

import torch

from signrep_core.config import Translation
from signrep_core.errors import NoTrainingDataError
from signrep_core.store.schemas import SEQUENCES
from signrep_core.store.tables import read_table
from signrep_core.train.loop import leave_untrained
from signrep_core.train.translation import COLUMNS, TranslationSettings, train_translation

provenance = _job.start(snakemake)
inputs, outputs, dataset = snakemake.input, snakemake.output, snakemake.wildcards.dataset
config = Translation(**snakemake.params.translation)
index = read_table(inputs.index, SEQUENCES)
torch.set_num_threads(max(1, snakemake.threads - config.workers))  # the loader's processes have the others
out, settings = Path(outputs.weights).parent, TranslationSettings.from_config(config, snakemake.params.seed)
try:
    result = train_translation(
        inputs.features, index, out, settings, dataset=dataset, workers=config.workers, provenance=provenance
    )
except NoTrainingDataError as error:  # the other data sets go on
    result = leave_untrained(out, settings, COLUMNS, str(error), provenance)
if not result.finished:
    sys.exit(f"stopped after step {result.step} of {config.iterations}; run the workflow again to go on")
