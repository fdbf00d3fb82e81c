"""`features`: compute features of video files, without the workflow."""

import argparse
from pathlib import Path


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "features",
        help="compute features of video files, without the workflow and without pose",
        epilog="example: signrep features clips/*.mp4 --weights best.safetensors --out features.parquet",
    )
    parser.add_argument("videos", nargs="+", metavar="VIDEO", help="video files, or image folders")
    parser.add_argument("--weights", type=Path, required=True, help="of a pretraining, or a converted checkpoint")
    parser.add_argument("--out", type=Path, default=Path("features.parquet"), help="default: features.parquet")
    parser.add_argument(
        "--box", type=parse_box, help="x0,y0,x1,y1 in pixels around head and hands (default: the middle of the frame)"
    )
    parser.add_argument("--fps", type=float, help="rate of image folders")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the table; videos that cannot be read are named and counted."""
    from signrep_core.errors import SignRepError
    from signrep_core.evaluate.raw_video import extract_video_files
    from signrep_core.store.job import open_job

    with open_job([options.out], {"weights": [options.weights]}, command=options.command) as job:
        failed = extract_video_files(
            options.weights, options.videos, options.out, box=options.box, fps=options.fps,
            provenance=job.provenance,
        )  # fmt: skip
    done = len(dict.fromkeys(options.videos)) - len(failed)
    if not done:
        raise SignRepError(f"none of {len(failed)} videos has features; for example {next(iter(failed.items()))}")
    print(f"{options.out}: features of {done} videos" + (f"; {len(failed)} cannot be read" if failed else ""))


def parse_box(text: str) -> tuple[float, float, float, float]:
    """x0,y0,x1,y1.

    Raises:
        ArgumentTypeError: these are not four numbers of a box.
    """
    try:
        x0, y0, x1, y1 = (float(number) for number in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected x0,y0,x1,y1 in pixels, found {text!r}") from None
    if x1 <= x0 or y1 <= y0:
        raise argparse.ArgumentTypeError(f"expected x0 < x1 and y0 < y1, found {text!r}")
    return x0, y0, x1, y1
