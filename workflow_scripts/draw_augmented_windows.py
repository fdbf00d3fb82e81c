"""Draw windows as stored and as augmented for training."""

from pathlib import Path

import _job

from signrep_core.config import Pretrain
from signrep_core.inspect.figures.augmented import augmented_windows

with _job.open_job(snakemake):
    augmented_windows(
        Path(snakemake.input.index).parent,
        snakemake.output.figure,
        Pretrain(**snakemake.params.settings),
        seed=snakemake.params.seed,
    )
