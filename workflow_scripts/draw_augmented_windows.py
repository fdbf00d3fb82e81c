"""Draw windows as stored and as augmented for training."""

from pathlib import Path

import _job

from signrep_core.inspect.figures.augmented import augmented_windows
from signrep_core.model.signrep import PRESETS

with _job.open_job(snakemake):
    augmented_windows(
        Path(snakemake.input.index).parent,
        snakemake.output.figure,
        size=PRESETS[snakemake.params.preset].encoder.image_size,
        seed=snakemake.params.seed,
    )
