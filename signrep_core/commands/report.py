"""`report`: write an HTML page about a run."""

import argparse
from pathlib import Path


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "report",
        help="write the report page of a run, finished or not",
        epilog="example: signrep report results --out results/report.html",
    )
    parser.add_argument("results", type=Path, help="the run's results folder")
    parser.add_argument("--run", dest="name", help="name of the pretraining to show (default: the configured one)")
    parser.add_argument("--out", type=Path, help="the page (default: report.html in that folder)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the page and its charts."""
    from signrep_core.config import workflow_config
    from signrep_core.inspect.report.files import find_files
    from signrep_core.inspect.report.report import write_report
    from signrep_core.inspect.status import config_of

    config = config_of(options.results) or workflow_config()
    files = find_files(options.results, options.name or config.pretrain.run)
    out = options.out or options.results / "report.html"
    write_report(files, out, rate=config.timeline.rate)
    print(out)
