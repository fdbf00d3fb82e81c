"""`angles`: joint angles of poses, without the workflow."""

import argparse
from pathlib import Path


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "angles",
        help="joint angles of a pose table, without the workflow",
        epilog="example: signrep angles pose.parquet --out angles.parquet",
    )
    parser.add_argument("pose", type=Path, help="the pose of videos, as extract_pose writes it")
    parser.add_argument("--out", type=Path, required=True, help="the angles table")
    parser.add_argument("--solver", choices=("lifter", "closed_form"), default="lifter", help="default: lifter")
    parser.add_argument("--weights", type=Path, help="of the lifter (default: those that ship)")
    parser.add_argument("--max-gap", type=int, default=5, help="longest gap filled in time, frames (default: 5)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the angles table."""
    from signrep_core.lift.shard_tables import write_angles
    from signrep_core.lift.solver import open_solver
    from signrep_core.store.job import open_job

    inputs = {"pose": [options.pose], "weights": [options.weights] if options.weights else []}
    with open_job([options.out], inputs, command=options.command) as job:
        solve = open_solver(options.solver, options.weights, options.max_gap)
        write_angles(options.pose, options.out, solve, (), job.provenance)
    print(options.out)
