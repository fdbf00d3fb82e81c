"""`status`: print the progress of a run and the time left."""

import argparse
import sys
from datetime import datetime
from pathlib import Path


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "status",
        help="print the progress of a run: videos by status, shards by stage, time left",
        epilog="example: signrep status results/mine",
    )
    parser.add_argument("results", type=Path, nargs="?", help="the results folder (default: the configuration's)")
    parser.add_argument(
        "--configfile", help="the run's YAML (default: the configuration that the results were made with)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the status."""
    from signrep_core.config import workflow_config
    from signrep_core.inspect.status import config_of, format_status, status
    from signrep_core.synthetic.corpus import planned_rows

    config = workflow_config(options.configfile) if options.configfile else None
    if config is None:
        config = config_of(options.results or Path(workflow_config().results)) or workflow_config()
    if options.results:
        config = config.model_copy(update={"results": str(options.results)})
    gone = config.sheet is not None and not Path(config.sheet).exists()
    rows = [] if gone else planned_rows(config)  # without the sheet, what the folder holds is all that is known
    sys.stdout.write(format_status(status(config, rows), datetime.now()))
