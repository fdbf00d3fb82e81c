"""Options of the commands that train on several devices."""

import argparse


def add_devices(parser: argparse.ArgumentParser) -> None:
    """Add `--devices` and `--nodes`."""
    parser.add_argument(
        "--devices",
        type=int,
        help="GPUs of each machine, or processes on a CPU (default: as many as torchrun or srun started there, or 1)",
    )
    parser.add_argument(
        "--nodes", type=int, help="machines, on which torchrun or srun started it (default: as many as they say, or 1)"
    )
