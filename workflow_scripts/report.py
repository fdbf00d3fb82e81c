"""Write the report page of the run, with its charts."""

from pathlib import Path

import _job

from signrep_core.inspect.report.files import ReportFiles
from signrep_core.inspect.report.report import write_report

with _job.open_job(snakemake):
    inputs = {
        name: Path(value) if isinstance(value, str) else list(map(Path, value))
        for name, value in snakemake.input.items()
    }
    files = ReportFiles(Path(snakemake.output.page).parent, snakemake.params.run, **inputs)
    write_report(files, snakemake.output.page, rate=snakemake.params.rate)
