"""`config`: print every key with its default, meaning and source."""

import argparse
import sys


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "config",
        help="print every key with its default, meaning and source",
        epilog="example: signrep config",
    )
    parser.add_argument(
        "--format", choices=("yaml", "markdown"), default="yaml", help="YAML, or the text of docs/configuration.md"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the defaults."""
    from signrep_core.config import reference_page, reference_yaml, workflow_config

    sys.stdout.write(reference_yaml() if options.format == "yaml" else reference_page(workflow_config()))
