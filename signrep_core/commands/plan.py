"""`plan`: estimate the cost of a sheet before it is run."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

CALIBRATED = 6  # videos that are run to see what the stages cost
SPAN_S = 5.0  # of each


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "plan",
        help="estimate the cost of a sheet from a sample: core-hours, GB and time",
        description="Probes 1 %% of the sheet's videos (at least 30), and takes the cost of an hour of video from the "
        "records of a run (--measured); without one the stages are run on a few seconds of a few videos.",
        epilog="example: signrep plan videos.tsv --cores 64 --measured results/pilot",
    )
    parser.add_argument("sheet", type=Path, help="the sheet, as `sheet` writes it")
    parser.add_argument("--measured", type=Path, help="results of a run on such videos and such a machine")
    parser.add_argument("--configfile", help="YAML with the values that differ from the defaults")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1, help="to run on (default: this machine's)")
    parser.add_argument("--gpus", type=int, default=1, help="to train on (default: 1)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the forecast."""
    from signrep_core.config import workflow_config
    from signrep_core.inspect import forecast
    from signrep_core.sources.sheet import cut_shards, open_sheet

    config = workflow_config(options.configfile)
    rows, notes = open_sheet(options.sheet, config.splits)
    for note in notes:
        print(note, file=sys.stderr)
    sample = forecast.sample_videos(rows, threads=os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as scratch:
        measured = options.measured or _calibrate(options.configfile, rows, Path(scratch))
        stages = forecast.measure_stages(measured)
    costs = forecast.forecast(sample, stages, len(cut_shards(rows, config.videos_per_shard)))
    pretrain = config.pretrain
    gpu_hours = options.measured and forecast.training_hours(
        options.measured, pretrain.run, pretrain.iterations, pretrain.batch_size
    )
    sys.stdout.write(
        forecast.format_forecast(sample, costs, cores=options.cores, gpu_hours=gpu_hours, gpus=options.gpus)
    )


def _calibrate(configfile: str | None, rows: list, scratch: Path) -> Path:
    """Run the workflow's stages on a few seconds of a few videos, in shards of two."""
    import random
    import subprocess

    from signrep_core.errors import SignRepError
    from signrep_core.sources.sheet import write_sheet
    from signrep_core.store.records import SNAKEFILE

    if not SNAKEFILE.is_file():
        raise SignRepError(f"no workflow at {SNAKEFILE} to measure with; give the results of a run: --measured RESULTS")
    print(f"running the stages on {SPAN_S:.0f} s of {min(CALIBRATED, len(rows))} videos to see what they cost; "
          "the results of a run, as --measured, make this unnecessary", file=sys.stderr, flush=True)  # fmt: skip
    chosen = random.Random(1).sample(rows, min(CALIBRATED, len(rows)))
    spans = [row._replace(path=os.path.abspath(row.path), end=(row.start or 0.0) + SPAN_S) for row in chosen]
    write_sheet(scratch / "videos.tsv", spans)
    results = scratch / "results"
    command = [sys.executable, "-m", "snakemake", "-s", str(SNAKEFILE), "--cores", str(os.cpu_count() or 1), "--quiet",
               "--until", "pack_shards", "describe_shard", "distance_priors",
               *(["--configfile", configfile] if configfile else []),
               "--config", f"sheet={scratch / 'videos.tsv'}", f"results={results}", "videos_per_shard=2"]  # fmt: skip
    done = subprocess.run(command, cwd=scratch, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise SignRepError(f"the stages cannot be run on a sample of the sheet:\n{done.stdout[-3000:]}")
    return results
