"""Videos in, excluded, rejected by reason; sequences, frames, hours; pose frames per second."""

from pathlib import Path

import _job

from signrep_core.inspect.report.summary import check_complete, format_summary, summarize
from signrep_core.store.files import write_json, write_text

with _job.open_job(snakemake) as job:
    inputs, params = snakemake.input, snakemake.params
    timings = sorted(Path(snakemake.output.text).parent.glob("benchmarks/extract_pose/*.tsv"))
    figures = summarize(inputs.videos, inputs.sequences, inputs.statistics, timings, params.target_fps, params.training)
    check_complete(figures, params.videos)
    write_json(snakemake.output.json, {**figures, "provenance": job.provenance})
    write_text(snakemake.output.text, format_summary(figures))
