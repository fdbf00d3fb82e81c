"""`doctor`: check whether this machine can run everything."""

import argparse
from pathlib import Path


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "doctor",
        help="check Python, packages, codecs, models, GPU, memory and disk, one line each",
        epilog="example: signrep doctor --results results",
    )
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the runs (default: results)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print a line per check; an error if something that every run needs is missing."""
    from signrep_core.errors import SignRepError
    from signrep_core.inspect.doctor import check_machine

    failed = []
    for name, check in check_machine(options.results):
        mark = {"ok": "ok  ", "note": "note", "fails": "FAIL"}[check.state]
        print(f"{mark}  {name:<14}{check.found}" + (f"; {check.remedy}" if check.remedy else ""), flush=True)
        failed += [name] * (check.state == "fails")
    if failed:
        raise SignRepError(f"this machine cannot run the workflow yet: see {', '.join(failed)} above")
