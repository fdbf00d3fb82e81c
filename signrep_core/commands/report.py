"""`report`: one page of HTML on what a run did."""

import argparse
from pathlib import Path


def add(commands: argparse._SubParsersAction) -> None:
    """The command's arguments."""
    parser = commands.add_parser(
        "report",
        help="write the page on a run, finished or not",
        epilog="example: signrep report results --out results/report.html",
    )
    parser.add_argument("results", type=Path, help="the run's results folder")
    parser.add_argument("--out", type=Path, help="the page (default: report.html in that folder)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the page and its drawings."""
    from signrep_core.inspect.report.report import write_report

    out = options.out or options.results / "report.html"
    write_report(options.results, out)
    print(out)
