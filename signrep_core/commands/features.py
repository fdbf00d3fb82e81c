"""`features`: compute features of video files or of packed shards, without the workflow."""

import argparse
import shutil
from pathlib import Path

from signrep_core.text import normalise


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "features",
        help="compute features of video files or of packed shards, without the workflow and without pose",
        epilog="examples:\n"
        "  signrep features clips/*.mp4 --weights best.safetensors --out features.parquet\n"
        "  signrep features --shards shards --weights best.safetensors --out features.parquet --part 2/4\n"
        "  signrep features --join 4 --out features.parquet",
    )
    parser.add_argument("videos", nargs="*", metavar="VIDEO", help="video files, or image folders")
    parser.add_argument("--shards", type=Path, help="folder of packed shards, in place of video files")
    parser.add_argument("--weights", type=Path, help="of a pretraining, or a converted checkpoint")
    parser.add_argument("--out", type=Path, default=Path("features.parquet"), help="default: features.parquet")
    parser.add_argument(
        "--box", type=parse_box, help="x0,y0,x1,y1 in pixels around head and hands (default: the middle of the frame)"
    )
    parser.add_argument("--fps", type=float, help="rate of image folders")
    of_shards = parser.add_argument_group("with --shards")
    of_shards.add_argument("--dataset", type=normalise, help="name of a data set, as in the sheet (default: all)")
    of_shards.add_argument("--half", action="store_true", help="store 16 bits of each value")
    of_shards.add_argument("--batch-size", type=int, default=256, help="windows in a forward pass (default: 256)")
    of_shards.add_argument("--workers", type=int, default=0, help="processes that decode (default: 0)")
    of_shards.add_argument("--part", help="i/n: the i-th of n parts, for one of n machines; join them with --join n")
    of_shards.add_argument("--join", type=int, metavar="n", help="join the n parts of the table --out, and remove them")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the table, a part of it, or join its parts.

    Raises:
        ConfigError: the arguments do not say exactly one of these, or lack the weights.
    """
    from signrep_core.errors import ConfigError

    chosen = [bool(options.videos), options.shards is not None, options.join is not None]
    if sum(chosen) != 1:
        raise ConfigError("signrep features: give either video files, or --shards, or --join")
    if options.join is not None:
        _join(options)
    elif options.weights is None:
        raise ConfigError("signrep features: --weights is missing: the best.safetensors of a pretraining")
    elif options.shards is not None:
        _of_shards(options)
    else:
        _of_files(options)


def _of_files(options: argparse.Namespace) -> None:
    """Write the features of video files; those that cannot be read are named and counted."""
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


def _of_shards(options: argparse.Namespace) -> None:
    from signrep_core.errors import ConfigError
    from signrep_core.evaluate.feature_parts import WHOLE, Part, part_path
    from signrep_core.evaluate.features import Inference, Selection, extract_features
    from signrep_core.store.job import open_job

    try:
        part = Part.parse(options.part) if options.part else WHOLE
    except ValueError as error:
        raise ConfigError(f"signrep features --part: {error}") from error
    selection = Selection(options.dataset, part=part)
    inference = Inference(batch_size=options.batch_size, workers=options.workers, half=options.half)
    out = part_path(options.out, part)
    inputs = {
        "weights": [options.weights],
        "index": [options.shards / "index.parquet"],
        "info": [options.shards / "info.json"],
    }
    with open_job([out], inputs, command=options.command) as job:
        done = extract_features(
            options.weights, options.shards, options.out, selection, inference, job.provenance
        )  # fmt: skip
    print(f"{out}: features of {done} videos")


def _join(options: argparse.Namespace) -> None:
    from signrep_core.evaluate.feature_parts import join_parts, parts_folder
    from signrep_core.store.job import open_job

    with open_job([options.out], {}, command=options.command) as job:
        rows = join_parts(options.out, options.join, job.provenance)
    shutil.rmtree(parts_folder(options.out))
    print(f"{options.out}: {rows} windows of {options.join} parts")


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
