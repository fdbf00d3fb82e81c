"""`lift`: motion capture to joint angles, and the real motion that the lifter trains on."""

import argparse
from pathlib import Path


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command's arguments, a subcommand for each kind."""
    parser = commands.add_parser(
        "lift",
        help="fit the skeleton to motion capture",
        epilog="example: signrep lift fit motion.npz --out angles.npz",
    )
    kinds = parser.add_subparsers(required=True, metavar="KIND")
    fit = kinds.add_parser(
        "fit",
        help="joint angles and constant bones of recordings of named points",
        description="MOTION is a .npz with `points` (frames, points, 3) in metres (+x the signer's left, +y down, +z "
        "away from the camera; NaN where missing), their `names` (joints of the skeleton, or neck, head, mid_hip, "
        "right_hand, left_hand), and optionally `lengths` and `people` of the recordings.",
        epilog="example: signrep lift fit motion.npz --out angles.npz",
    )
    fit.add_argument("motion", type=Path, help="the recordings, .npz")
    fit.add_argument("--out", type=Path, required=True, help="angles, bones and residuals, .npz")
    fit.set_defaults(run=run_fit)
    bank = kinds.add_parser(
        "bank",
        help="make the file of real motion that the lifter trains on, from its two sources",
        epilog="example: signrep lift bank --arms arms_kinect.npz --hands hands_leap.npz --out real_motion.npz",
    )
    bank.add_argument("--arms", type=Path, required=True, help="arms_kinect.npz")
    bank.add_argument("--hands", type=Path, required=True, help="hands_leap.npz")
    bank.add_argument("--out", type=Path, required=True, help="the file, for `train lifter --motion`")
    bank.set_defaults(run=run_bank)


def run_fit(options: argparse.Namespace) -> None:
    """Fit one file and print the distances that remain."""
    from signrep_core.lift.retarget import fit_motion, read_motion, summarise_fit, write_fit

    motion = read_motion(options.motion)
    fitted = fit_motion(motion)
    write_fit(options.out, fitted, motion)
    print(summarise_fit(fitted, motion))
    print(options.out)


def run_bank(options: argparse.Namespace) -> None:
    """Fit both sources and write their angles."""
    from signrep_core.lift.real_motion import fit_real_motion, save_real_motion

    save_real_motion(options.out, fit_real_motion(options.arms, options.hands))
    print(options.out)
