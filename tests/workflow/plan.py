"""The workflow's own plan, with the small settings."""

from pathlib import Path
from typing import Any

import yaml
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, Quietness, ResourceSettings

ROOT = Path(__file__).parents[2]
SMALL = Path(__file__).with_name("small.yaml")


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
