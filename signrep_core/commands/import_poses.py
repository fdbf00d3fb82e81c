"""`import`: convert .pose files to a pose table."""

import argparse
from pathlib import Path


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "import",
        help="convert .pose files of MediaPipe Holistic, or exported ones in pixels, to a pose table",
        description="Resamples the poses by time to the frames of the table that is replaced, or to --fps. The "
        "workflow then makes what depends on them, and takes the imported poses as they are.",
        epilog="example: signrep import poses/*.pose --out results/pose/00000.parquet",
    )
    parser.add_argument("files", type=Path, nargs="+", help=".pose files; each is a video, named by its file")
    parser.add_argument("--out", type=Path, required=True, help="the Parquet table to write")
    parser.add_argument(
        "--fps", type=float, default=25.0, help="rate of a new table outside of a results folder (default: 25)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the table."""
    from signrep_core.interop.pose_format import import_poses
    from signrep_core.store.job import open_job

    with open_job([options.out], {"poses": options.files}, command=options.command) as job:
        frames = import_poses(options.files, options.out, options.fps, job.provenance)
    print(f"{options.out}: {len(frames)} videos, {sum(frames.values())} frames")
