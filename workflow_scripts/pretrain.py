"""Train encoder, decoder and style discriminator on the shards."""

import sys
from pathlib import Path

import _job

import torch

from signrep_core.train.pretrain import PretrainSettings, pretrain

_job.start(snakemake)
torch.set_num_threads(snakemake.threads)
values = dict(snakemake.params.settings)
workers = values.pop("workers")
settings = PretrainSettings(**{**values, "splits": tuple(values["splits"])}, seed=snakemake.params.seed)
result = pretrain(Path(snakemake.input.index).parent, Path(snakemake.output.weights).parent, settings, workers=workers)
if not result.finished:
    sys.exit(f"stopped after step {result.step} of {settings.iterations}; run the workflow again to go on")
