"""`explain`: print the origin of a file of the results."""

import argparse
import sys
from pathlib import Path


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "explain",
        help="print the origin of a file of the results, and the command that makes it again",
        epilog="example: signrep explain results/pose/00003.parquet",
    )
    parser.add_argument("file", type=Path, nargs="+", help="outputs of a results folder")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Explain each file."""
    from signrep_core.inspect.explain import explain

    for file in options.file:
        sys.stdout.write(explain(file))
