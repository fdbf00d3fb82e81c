"""`python -m tests.faults`: the faults in their full size, and the table of docs/reliability.md (`make faults`)."""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.faults import harness
from tests.faults.site import Site, build

BEGIN, END = "<!-- made by `make faults`, not by hand -->", "<!-- end -->"
TITLE = "| fault | times tried | lost | how it is shown |"

FAULTS = ("twice", "killed", "full", "read-only", "limited", "ended", "workflow")


def try_fault(name: str, site: Site, kills: int, seed: int, until: float) -> harness.Tally:
    """Try one of FAULTS on every job, or on one of each stage where each has to run to its end."""
    each = harness.quickest(site.jobs)
    match name:
        case "twice":
            return harness.two_at_once(site)
        case "killed":
            return harness.kill_jobs(site, site.jobs, kills, signal.SIGKILL, seed, until)
        case "full":
            return harness.full_disk_mounted(site, each)
        case "read-only":
            return harness.read_only(site, each)
        case "limited":
            return harness.full_disk_by_limit(site, each)
        case "ended":
            return harness.kill_jobs(site, each, max(kills // 4, 1), signal.SIGTERM, seed + 1, until)
    return harness.kill_workflows(site, max(kills // 20, 1), seed + 2)


def main() -> None:
    """Try the faults and print the row of each; exit with 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=FAULTS, help="which, in turn (default: all)")
    parser.add_argument("--kills", type=int, default=100, help="kills over all stages (default: 100)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=600, help="no job is killed later than this (default: 600)")
    parser.add_argument("--folder", type=Path, help="where the corpus is kept for another time")
    parser.add_argument("--write", type=Path, help="Markdown file in whose table the rows are replaced")
    options = parser.parse_args()
    lost: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        site = build(options.folder or Path(scratch))
        until = time.monotonic() + 60 * options.minutes
        for name in options.faults:
            try:
                tally = try_fault(name, site, options.kills, options.seed, until)
            except PermissionError as error:
                sys.stderr.write(f"{name} is not tried: this user may not mount ({error})\n")
                continue
            lost += tally.lost
            sys.stdout.write(tally.row() + "\n" + "".join(f"    lost: {what}\n" for what in tally.lost))
            sys.stdout.flush()
            if options.write:
                write_row(options.write, tally)
    sys.exit(1 if lost else 0)


def write_row(path: Path, tally: harness.Tally) -> None:
    """Replace the row of a fault between the marks; the other rows stay."""
    text = path.read_text(encoding="utf-8")
    head, (table, tail) = text.split(BEGIN)[0], text.split(BEGIN)[1].split(END)
    rows = {row.split(" | ")[0]: row for row in table.split("\n") if row.startswith("| ")}
    rows[tally.row().split(" | ")[0]] = tally.row()
    title = rows.pop(TITLE.split(" | ")[0], TITLE)
    path.write_text(
        "\n".join([head + BEGIN, "", title, "|---|---|---|---|", *rows.values(), "", END]) + tail, encoding="utf-8"
    )


if __name__ == "__main__":
    main()
