"""Write a finished run of small text files with all records: `python -m tests.workflow.fake_run KEY=VALUE ...`.

The jobs, their params and their inputs are those that Snakemake plans, so that a dry run finds nothing to do.
"""

import sys
from typing import Any

import yaml

from signrep_core.config import load_config, workflow_config
from signrep_core.store.files import write_text
from signrep_core.store.job import open_job
from tests.workflow.plan import SMALL, planned_jobs


def main(config: dict[str, Any]) -> None:
    """Make the outputs of all jobs, inputs first."""
    settings = load_config({**workflow_config(SMALL).model_dump(), **config})
    for job in planned_jobs(config):
        inputs = {name: _paths(value) for name, value in job.input.items() if name != "sheet"}
        outputs = [str(path) for path in job.output]
        if outputs:
            with open_job(outputs, inputs, params=dict(job.params.items()), config=settings):
                for path in outputs:
                    write_text(path, f"{job.rule.name} made {path}\n")


def _paths(value: Any) -> list[str]:
    return [str(value)] if isinstance(value, str) else [str(path) for path in value]


if __name__ == "__main__":
    main(dict(yaml.safe_load(word.replace("=", ": ", 1)).popitem() for word in sys.argv[1:]))
