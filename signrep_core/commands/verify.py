"""`verify`: check every byte and every invariant of a results folder."""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from signrep_core.commands._wanted import add_options, find_wanted

if TYPE_CHECKING:
    from signrep_core.inspect.verify.corpus import Report
    from signrep_core.inspect.verify.problems import Problem

STATES = {"under way": "under way: a job writes them now", "stopped": "not written: their job was stopped"}
SHOWN = 5  # files with the same problem that are listed one by one


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "verify",
        help="check every byte and every invariant of a results folder",
        description="Compares each output with its record, each table with the others, and all with the sheet and the "
        "configuration; exit status 1 if a file is broken, missing or out of date. Works on a folder of shards "
        "alone, too, and while a run is going on.",
        epilog="example: signrep verify results/mine --threads 4",
    )
    parser.add_argument("results", type=Path, help="the results folder, or a copied folder of shards")
    parser.add_argument("--repair", action="store_true", help="remove the broken files, so that the workflow makes "
                        "them again when it is run as before")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument("--threads", type=int, default=1, help="shards checked in parallel (default: 1)")
    add_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Check, print, and repair if asked to; 1 if there are problems."""
    from signrep_core.inspect.verify.corpus import verify
    from signrep_core.inspect.verify.problems import open_results
    from signrep_core.inspect.verify.repair import repair

    alone = options.results.is_dir() and open_results(options.results).only_shards
    wanted = "" if alone else find_wanted(options.results, options.configfile, options.sheet)
    report = verify(options.results, options.threads, None if isinstance(wanted, str) else wanted)
    against = wanted if isinstance(wanted, str) else f"{len(wanted.rows)} videos in {wanted.config.sheet_path}"
    removed = repair(open_results(options.results), report.problems) if options.repair else []
    if options.json:
        found = {**vars(report), "problems": [problem._asdict() for problem in report.problems], "removed": removed,
                 "sheet": against}  # fmt: skip
        json.dump(found, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        note = f"    {'not ' if isinstance(wanted, str) else ''}compared with the sheet: {against}" if against else ""
        sys.stdout.write("\n".join(filter(None, [*_lines(options.results, report, removed), note])) + "\n")
    return int(bool(report.problems))


def _lines(folder: Path, report: "Report", removed: Sequence[str]) -> list[str]:
    """The report as lines of text."""
    alike: dict[str, list[Problem]] = defaultdict(list)
    for problem in report.problems:
        alike[problem.what].append(problem)
    lines = []
    for what, problems in alike.items():
        for problem in problems[:SHOWN]:
            lines += [f"{folder / problem.file}: {what}", f"    expected  {problem.expected}",
                      f"    found     {problem.found}", f"    remake    rule {problem.rule}"]  # fmt: skip
        if len(problems) > SHOWN:
            lines.append(f"... and {len(problems) - SHOWN} more: {what} (--json lists all)")
    broken = len({problem.file for problem in report.problems})
    lines.append(
        f"{folder}: {report.files} files in {report.shards} shards, {report.bytes / 1e9:.3g} GB: "
        + (f"{len(report.problems)} problems in {broken} files" if broken else "no problems")
    )
    waiting = {state: [name for name, found in report.pending.items() if found == state] for state in STATES}
    kinds = [(waiting[state], told) for state, told in STATES.items()]
    kinds += [(report.leftovers, "left by killed jobs"), (report.unknown, "not made by the workflow, not checked")]
    for names, told in kinds:
        if names:
            lines.append(f"    {len(names)} files {told}, such as {names[0]}")
    if report.to_come:
        lines.append(f"    {report.to_come} files are still to be made; run the workflow as before")
    if removed:
        lines.append(f"removed {len(removed)} files; run the workflow again as before, and it makes them")
    elif broken:
        lines.append("remove them with --repair and run the workflow again as before, and it makes them")
    return lines
