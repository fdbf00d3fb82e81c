"""`python -m tests.faults`: the faults in their full size, and the table of docs/reliability.md (`make faults`)."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.faults import harness
from tests.faults.site import SHARDS, Site, build

BEGIN, END = "<!-- made by `make faults`, not by hand -->", "<!-- end -->"


def run(site: Site, kills: int, seed: int) -> Iterator[harness.Tally]:
    """Every fault in turn, the quick ones first."""
    yield harness.two_at_once(site)
    quick = sorted(site.jobs, key=lambda job: job.seconds)[: len(site.jobs) * 2 // 3]
    try:
        yield harness.full_disk_mounted(site, quick)
        yield harness.read_only(site, quick)
    except PermissionError as error:
        sys.stderr.write(f"a full and a read-only disk are not tried: this user may not mount ({error})\n")
    yield harness.full_disk_by_limit(site, site.jobs)
    yield harness.kill_jobs(site, quick, max(kills // 4, 1), signal.SIGTERM, seed + 1)
    yield harness.kill_jobs(site, site.jobs, kills, signal.SIGKILL, seed)
    yield harness.kill_workflows(site, max(kills // 20, 1), seed + 2)


def main() -> None:
    """Try the faults and print the table, after each fault once more; end with 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="kills over all stages (default: 100)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without-training", action="store_true", help="leave out what comes after the shards")
    parser.add_argument("--folder", type=Path, help="where the corpus is kept for another time")
    parser.add_argument("--write", type=Path, help="Markdown file whose table is replaced")
    options = parser.parse_args()
    table = ["| fault | times tried | lost | how it is shown |", "|---|---|---|---|"]
    lost: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        site = build(options.folder or Path(scratch), SHARDS if options.without_training else ())
        for tally in run(site, options.kills, options.seed):
            table.append(tally.row())
            lost += tally.lost
            sys.stdout.write(tally.row() + "\n" + "".join(f"    lost: {what}\n" for what in tally.lost))
            sys.stdout.flush()
            if options.write:
                write_table(options.write, table)
    sys.exit(1 if lost else 0)


def write_table(path: Path, table: list[str]) -> None:
    """Replace the table between the marks."""
    text = path.read_text(encoding="utf-8")
    head, tail = text.split(BEGIN)[0], text.split(END)[1]
    path.write_text("\n".join([head + BEGIN, "", *table, "", END]) + tail, encoding="utf-8")


if __name__ == "__main__":
    main()
