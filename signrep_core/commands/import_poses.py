"""`import`: convert .pose files to a pose table."""

import argparse
from pathlib import Path


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "import",
        help="convert .pose files of MediaPipe Holistic, or exported ones in pixels, to a pose table",
        epilog="example: signrep import poses/*.pose --out results/pose/00000.parquet",
    )
    parser.add_argument("files", type=Path, nargs="+", help=".pose files; each is a video, named by its file")
    parser.add_argument("--out", type=Path, required=True, help="the Parquet table to write")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the table."""
    from signrep_core.interop.pose_format import import_poses

    frames = import_poses(options.files, options.out)
    print(f"{options.out}: {len(frames)} videos, {sum(frames.values())} frames")
