"""Train the lifter on simulated detections."""

import sys
from pathlib import Path

import _job

from signrep_core.lift.train import LifterSettings, train_lifter
from signrep_core.synthetic.clips import make_bank

with _job.open_job(snakemake):
    result = train_lifter(Path(snakemake.output.weights).parent, LifterSettings(seed=snakemake.params.seed), make_bank)
    if not result.finished:
        sys.exit(f"stopped after step {result.step}; run the workflow again to resume")
