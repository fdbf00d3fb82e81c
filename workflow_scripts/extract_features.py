"""Features of every window of a data set's sequences."""

from pathlib import Path

import _job

import torch

from signrep_core.evaluate.features import extract_features

provenance = _job.start(snakemake)
workers = snakemake.threads // 2 if torch.cuda.is_available() else 0  # a GPU waits for decoding, a CPU for itself
torch.set_num_threads(max(1, snakemake.threads - workers))
extract_features(
    snakemake.input.weights,
    Path(snakemake.input.index).parent,
    snakemake.output.features,
    dataset=snakemake.wildcards.dataset,
    workers=workers,
    empty_ok=True,
    provenance=provenance,
)
