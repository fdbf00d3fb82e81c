"""Features of every window of a data set's sequences."""

from pathlib import Path

import _job

import torch

from signrep_core.evaluate.features import Inference, Selection, extract_features

with _job.open_job(snakemake) as job:
    workers = snakemake.threads // 2 if torch.cuda.is_available() else 0  # a GPU waits for decoding, a CPU for itself
    _job.use_threads(snakemake.threads, loaders=workers)
    extract_features(
        snakemake.input.weights,
        Path(snakemake.input.index).parent,
        snakemake.output.features,
        Selection(snakemake.wildcards.dataset, empty_ok=True),
        Inference(workers=workers),
        job.provenance,
    )
