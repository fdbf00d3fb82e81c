"""`explain`: print the origin of a file of the results."""

import argparse
import sys
from pathlib import Path

from signrep_core.commands._wanted import add_options, find_wanted


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "explain",
        help="print the origin of a file of the results, and the command that makes it again",
        epilog="example: signrep explain results/pose/00003.parquet",
    )
    parser.add_argument("file", type=Path, nargs="+", help="outputs of a results folder")
    add_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Explain each file."""
    from signrep_core.inspect.explain import explain
    from signrep_core.store.layout import find_results

    for file in options.file:
        results = find_results(file)
        wanted = find_wanted(results, options.configfile, options.sheet) if results else None
        sys.stdout.write(explain(file, wanted))
