"""Write the page on the run, with its drawings."""

from pathlib import Path

import _job

from signrep_core.inspect.report.report import write_report

_job.start(snakemake)
page = Path(snakemake.output.page)
write_report(page.parent, page, rate=snakemake.params.rate)
