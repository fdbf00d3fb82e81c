"""Features of every window of a data set's sequences."""

from pathlib import Path

import _job

import torch

from signrep_core.evaluate.features import extract_features

_job.start(snakemake)
torch.set_num_threads(snakemake.threads)
extract_features(
    snakemake.input.weights,
    Path(snakemake.input.index).parent,
    snakemake.output.features,
    dataset=snakemake.wildcards.dataset,
)
