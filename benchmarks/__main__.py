"""`python -m benchmarks [SUBJECT ...]`: measure on this machine and print one table (`make bench`)."""

import importlib
import os
import pkgutil
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # figures are per core, unless a row says otherwise


def main(subjects: list[str]) -> None:
    """Print the rows of each subject as a Markdown table."""
    found = [module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]) if module.name[0] != "_"]
    if unknown := set(subjects) - set(found):
        sys.exit(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(found)}")
    print("| subject | what | figure |\n|---|---|---|")
    for subject in subjects or found:
        for what, figure in importlib.import_module(f"benchmarks.{subject}").rows():
            print(f"| {subject} | {what} | {figure} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
