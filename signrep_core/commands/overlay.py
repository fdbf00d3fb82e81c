"""`overlay`: draw a video with its joints, crop, activity and posed skeleton."""

import argparse
from pathlib import Path


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "overlay",
        help="draw a video with its joints, crop and activity, next to the posed skeleton",
        epilog="examples:\n"
        "  signrep overlay my_video.mp4 --out overlay.mp4\n"
        "  signrep overlay asl_book_C --results results --out overlay.mp4\n"
        "  signrep overlay --shard 00000 --results results --out sheet.jpg",
    )
    parser.add_argument(
        "video", nargs="?", help="a video file or image folder, or with --results the id of a video in that run"
    )
    parser.add_argument("--results", type=Path, help="results folder of a run, to show what it found")
    parser.add_argument("--shard", help="a contact sheet of this shard's sequences instead, as JPEG")
    parser.add_argument("--fps", type=float, help="rate of an image folder; with --results the sheet's counts")
    parser.add_argument("--seconds", type=float, help="only so much of the video's beginning")
    parser.add_argument("--out", type=Path, required=True, help="the MP4 (or JPEG) to write")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the overlay or the sheet."""
    from signrep_core.errors import ConfigError
    from signrep_core.inspect.overlay import write_overlay, write_overlay_of_file, write_sheet
    from signrep_core.text import compose

    if (options.shard is None) == (options.video is None) or (options.shard and not options.results):
        raise ConfigError("overlay: give a video file, or an id with --results, or --shard with --results")
    if options.shard:
        print(f"{options.out}: {write_sheet(options.results, options.shard, options.out)} sequences")
    elif options.results:
        n_frames = write_overlay(options.results, compose(options.video), options.out, options.seconds)
        print(f"{options.out}: {n_frames} frames")
    else:
        n_frames = write_overlay_of_file(options.video, options.out, options.seconds, options.fps)
        print(f"{options.out}: {n_frames} frames")
