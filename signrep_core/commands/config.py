"""`config`: every key with its default and its reason."""

import argparse
import sys


def add(commands: argparse._SubParsersAction) -> None:
    """The command's arguments."""
    parser = commands.add_parser(
        "config",
        help="print config.yaml: every key with its default and its reason",
        epilog="example: signrep config > config.yaml",
    )
    parser.add_argument(
        "--format", choices=("yaml", "markdown"), default="yaml", help="config.yaml, or docs/configuration.md"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the defaults."""
    from signrep_core.config import default_yaml, reference_page

    sys.stdout.write(default_yaml() if options.format == "yaml" else reference_page())
