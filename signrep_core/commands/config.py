"""`config`: print config.yaml."""

import argparse
import sys


def add(commands: argparse._SubParsersAction) -> None:
    """The command's arguments."""
    parser = commands.add_parser("config", help="print config.yaml: every key with its default and its reason")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the defaults as YAML."""
    from signrep_core.config import default_yaml

    sys.stdout.write(default_yaml())
