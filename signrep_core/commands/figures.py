"""`figures`: draw figures for papers and pages."""

import argparse
from pathlib import Path


def add(commands: argparse._SubParsersAction) -> None:
    """The command's arguments, a figure each."""
    figures = commands.add_parser(
        "figures",
        help="draw figures for papers and pages",
        epilog="example: signrep figures skeleton --out skeleton.svg",
    )
    which = figures.add_subparsers(required=True, metavar="FIGURE")
    skeleton = which.add_parser(
        "skeleton",
        help="the 61 joints with their indices: body, head and both hands",
        epilog="example: signrep figures skeleton --out skeleton.svg",
    )
    skeleton.add_argument("--out", type=Path, default=Path("skeleton.png"), help="PNG, SVG or PDF by its suffix")
    skeleton.set_defaults(run=_skeleton)


def _skeleton(options: argparse.Namespace) -> None:
    from signrep_core.inspect.figures.skeleton import draw_skeleton

    draw_skeleton(options.out)
    print(options.out)
