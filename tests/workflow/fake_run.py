"""Write a finished results folder of small text files with all records: `python fake_run.py KEY=VALUE ...`.

The jobs, their params and their inputs are those that Snakemake plans, so that a dry run finds nothing to do.
"""

import sys
from pathlib import Path
from typing import Any

import yaml
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, Quietness, ResourceSettings

from signrep_core.config import load_config, workflow_config
from signrep_core.store.files import write_text
from signrep_core.store.job import open_job

ROOT = Path(__file__).parents[2]
SMALL = Path(__file__).with_name("small.yaml")


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


def planned_jobs(config: dict[str, Any]) -> list[Any]:
    """The plan's jobs in an order in which they can run."""
    values = {**yaml.safe_load(SMALL.read_text()), **config}
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL}, dryrun=True)) as api:
        workflow = api.workflow(
            snakefile=ROOT / "Snakefile",
            resource_settings=ResourceSettings(cores=2),
            config_settings=ConfigSettings(config=values),
        )
        workflow.dag(DAGSettings(forceall=True)).execute_workflow(executor="dryrun")
        return [job for level in workflow._workflow.dag.toposorted() for job in level]


def _paths(value: Any) -> list[str]:
    return [str(value)] if isinstance(value, str) else [str(path) for path in value]


if __name__ == "__main__":
    main(dict(yaml.safe_load(word.replace("=", ": ", 1)).popitem() for word in sys.argv[1:]))
