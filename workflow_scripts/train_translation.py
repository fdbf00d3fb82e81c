"""Train a translator on the train split, select it on val and translate test."""

import sys
from pathlib import Path

import _job

import torch

from signrep_core.config import Translation
from signrep_core.evaluate.translation import write_evaluation
from signrep_core.store.schemas import SEQUENCES
from signrep_core.store.tables import read_table
from signrep_core.train.translation import TranslationSettings, train_translation

provenance = _job.start(snakemake)
inputs, outputs, dataset = snakemake.input, snakemake.output, snakemake.wildcards.dataset
config = Translation(**snakemake.params.translation)
index = read_table(inputs.index, SEQUENCES)
torch.set_num_threads(max(1, snakemake.threads - config.workers))  # the loader's processes have the others
result = train_translation(
    inputs.features,
    index,
    Path(outputs.weights).parent,
    TranslationSettings.from_config(config, snakemake.params.seed),
    dataset=dataset,
    workers=config.workers,
    provenance=provenance,
)
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
