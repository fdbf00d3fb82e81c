"""`status`: print the progress of a run and the time left."""

import argparse
import sys
from datetime import datetime
from pathlib import Path

from signrep_core.commands._wanted import add_options, find_wanted


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "status",
        help="print the progress of a run: videos by status, shards by stage, time left",
        epilog="example: signrep status results/mine",
    )
    parser.add_argument("results", type=Path, nargs="?", help="the results folder (default: the configuration's)")
    add_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the status."""
    from signrep_core.config import workflow_config
    from signrep_core.inspect.status import config_of, format_status, status

    results = options.results or Path(workflow_config(options.configfile).results)
    wanted = find_wanted(results, options.configfile, options.sheet)
    if isinstance(wanted, str):  # what the folder holds is all that is known
        config = (config_of(results) or workflow_config()).model_copy(update={"results": str(results)})
        found = status(config, [])
    else:
        found = status(wanted.config, wanted.rows)
    sys.stdout.write(format_status(found, datetime.now()))
    if isinstance(wanted, str):
        sys.stdout.write(f"not compared with the sheet: {wanted}\n")
