"""Write down the workflow's jobs for a corpus: `python plan_jobs.py FOLDER SHEET` makes FOLDER/jobs.pickle."""

import pickle
import sys
from pathlib import Path
from typing import Any

from snakemake.script import Snakemake

from tests.workflow.plan import ROOT, planned_jobs


def main(folder: Path, sheet: str) -> None:
    """The jobs on the sheet, and those that render the demo, each with the object that its script gets."""
    pickled: list[dict[str, Any]] = []
    for config, rules in (
        ({"sheet": sheet, "results": str(folder / "results")}, None),
        ({"results": str(folder / "demo")}, ("write_synthetic_sheet", "synthesize")),
    ):
        # A plan's jobs are written before the next plan is made: all plans of a process share one configuration.
        for job in planned_jobs(config):
            if job.rule.script and (rules is None or job.rule.name in rules):
                pickled.append(_pickled(job, folder / f"{len(pickled):02}.pickle"))
    (folder / "jobs.pickle").write_bytes(pickle.dumps(pickled))


def _pickled(job: Any, path: Path) -> dict[str, Any]:
    """Write a job's file and return the fields of its `Job`."""
    script = (ROOT / "rules" / job.rule.script).resolve()
    given = Snakemake(
        job.input, job.output, job.params, job.wildcards, job.threads, job.resources, job.log,
        job.rule.workflow.config, job.rule.name, None,
        str(script.parent),
    )  # fmt: skip
    path.write_bytes(pickle.dumps((str(script), given)))
    return {
        "rule": job.rule.name,
        "pickled": path,
        "inputs": [Path(name) for name in job.input],
        "outputs": [Path(name) for name in job.output],
        "log": Path(job.log[0]),
        "seconds": _seconds(Path(job.benchmark)),
    }


def _seconds(benchmark: Path) -> float:
    """How long the engine's own run of the job took; 0 where it was not run."""
    return float(benchmark.read_text().splitlines()[1].split("\t")[0]) if benchmark.exists() else 0.0


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
