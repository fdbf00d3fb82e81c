"""Train encoder, decoder and style discriminator on the shards."""

import sys
from pathlib import Path

import _job

import torch

from signrep_core.config import Pretrain
from signrep_core.train.pretrain import PretrainSettings, pretrain

provenance = _job.start(snakemake)
config = Pretrain(**snakemake.params.pretrain)
torch.set_num_threads(max(1, snakemake.threads - config.workers))  # the loader's processes have the others
result = pretrain(
    Path(snakemake.input.index).parent,
    Path(snakemake.output.weights).parent,
    PretrainSettings.from_config(config, snakemake.params.seed),
    workers=config.workers,
    provenance=provenance,
)
if not result.finished:
    sys.exit(f"stopped after step {result.step} of {config.iterations}; run the workflow again to go on")
