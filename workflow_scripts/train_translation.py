"""Train a translator on the train split, select it on val and translate test."""

import sys
from pathlib import Path

import _job

import torch

from signrep_core.config import Translation
from signrep_core.errors import NoTrainingDataError
from signrep_core.evaluate.translation import write_evaluation
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
write_evaluation(
    outputs.weights,
    inputs.features,
    index,
    dataset=dataset,
    metrics=outputs.metrics,
    translations=outputs.translations,
    baselines={Path(path).parent.name: path for path in inputs.baselines},
    accounts=inputs.accounts,
    provenance=provenance,
)
