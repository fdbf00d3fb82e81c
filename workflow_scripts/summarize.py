"""Videos in, excluded, rejected by reason; sequences, frames, hours; pose frames per second."""

from pathlib import Path

import _job

from signrep_core.store.files import write_json, write_text
from signrep_core.summary import format_summary, summarize

_job.start(snakemake)
inputs = snakemake.input
timings = sorted(Path(snakemake.params.benchmarks, "extract_pose").glob("*.tsv"))
figures = summarize(inputs.accounts, inputs.sequences, inputs.pose, timings, target_fps=snakemake.params.target_fps)
write_json(snakemake.output.json, figures)
write_text(snakemake.output.text, format_summary(figures))
