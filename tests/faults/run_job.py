"""Run one job of the workflow without the engine: `python run_job.py JOB.pickle [largest file in bytes]`."""

import pickle
import resource
import runpy
import sys
from pathlib import Path


def main(path: str, largest: str | None = None) -> None:
    """Run the script of a pickled (script, snakemake object) as Snakemake runs it."""
    script, snakemake = pickle.loads(Path(path).read_bytes())
    if largest is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest), resource.RLIM_INFINITY))
    for output in snakemake.output:
        Path(output).parent.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(Path(script).parent))
    runpy.run_path(script, {"snakemake": snakemake}, run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
