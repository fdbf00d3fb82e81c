"""`train`: fit what the pose stage ships with, from rendered signers: the error model of its detector."""

import argparse
from pathlib import Path


def add(commands: argparse._SubParsersAction) -> None:
    """The command's arguments."""
    parser = commands.add_parser("train", help="fit or train what the pose stage ships with")
    what = parser.add_subparsers(required=True, metavar="WHAT")
    detector = what.add_parser(
        "detector",
        help="measure how the pose detector errs, from rendered signers and what it found in them",
        epilog="example: python -m signrep_core train detector --truth truth.parquet --pose pose.parquet "
        "--out detector.json",
    )
    detector.add_argument("--truth", type=Path, required=True, help="truth.parquet, as synthesize writes it")
    detector.add_argument(
        "--pose", type=Path, required=True, help="the pose of those videos, as extract_pose writes it"
    )
    detector.add_argument("--size", type=int, default=320, help="picture side in pixels (default: 320)")
    detector.add_argument("--out", type=Path, required=True, help="the error model, JSON")
    detector.set_defaults(run=run_detector)


def run_detector(options: argparse.Namespace) -> None:
    """Fit the detector's errors."""
    from signrep_core.synthetic.detector import fit_errors, read_pairs, save_errors

    save_errors(fit_errors(read_pairs(options.truth, options.pose, (options.size, options.size))), options.out)
