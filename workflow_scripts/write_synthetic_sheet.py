"""The demo corpus's sheet."""

import _job

from signrep_core.config import Synthetic
from signrep_core.synthetic.corpus import plan_demo, write_corpus_sheet

with _job.open_job(snakemake):
    plan = plan_demo(Synthetic(**snakemake.params.corpus), snakemake.params.seed)
    write_corpus_sheet(plan, snakemake.output.sheet, "videos")
