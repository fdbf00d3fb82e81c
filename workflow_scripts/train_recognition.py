"""Learn the glosses of the train split and select the weights on val."""

import sys
from pathlib import Path

import _job

import torch

from signrep_core.config import Recognition
from signrep_core.errors import NoTrainingDataError
from signrep_core.train.loop import leave_untrained
from signrep_core.train.recognition import COLUMNS, RecognitionSettings, train_recognition

provenance = _job.start(snakemake)
inputs, outputs = snakemake.input, snakemake.output
config = Recognition(**snakemake.params.recognition)
start = inputs.get("start")
torch.set_num_threads(max(1, snakemake.threads - config.workers))  # the loader's processes have the others
out = Path(outputs.weights).parent
settings = RecognitionSettings.from_config(config, snakemake.params.seed, "video" if start else "keypoints")
try:
    result = train_recognition(
        Path(inputs.index).parent,
        out,
        settings,
        dataset=snakemake.wildcards.dataset,
        weights=start and Path(start),
        features=inputs.get("features"),
        workers=config.workers,
        provenance=provenance,
    )
except NoTrainingDataError as error:  # the other data sets go on
    result = leave_untrained(out, settings, COLUMNS, str(error), provenance)
if not result.finished:
    sys.exit(f"stopped after step {result.step}; run the workflow again to go on")
