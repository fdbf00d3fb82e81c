"""`export`: write poses, windows and tables in other formats."""

import argparse
from pathlib import Path

from signrep_core.text import compose


def add(commands: argparse._SubParsersAction) -> None:
    """The command's arguments, a format each."""
    export = commands.add_parser(
        "export",
        help="write poses, windows and tables in other formats",
        epilog="examples:\n"
        "  signrep export pose asl_book_C --results results --out asl_book_C.pose\n"
        "  signrep export webdataset results/shards --out windows\n"
        "  signrep export huggingface results --out dataset",
    )
    formats = export.add_subparsers(required=True, metavar="FORMAT")

    pose = formats.add_parser(
        "pose",
        help="a video's poses as a .pose file",
        epilog="example: signrep export pose asl_book_C --results results --out asl_book_C.pose",
    )
    pose.add_argument("video_id", type=compose, help="as in the sheet")
    pose.add_argument("--results", type=Path, required=True, help="results folder of a run")
    pose.add_argument(
        "--points", choices=("image", "keypoints"), default="image",
        help="detections in pixels, or posed joints in millimetres (default: image)",
    )  # fmt: skip
    pose.add_argument("--out", type=Path, required=True, help="the .pose file to write")
    pose.set_defaults(run=_pose)

    windows = formats.add_parser(
        "webdataset",
        help="windows of 16 frames with their targets as WebDataset tars",
        epilog="example: signrep export webdataset results/shards --out windows",
    )
    windows.add_argument("shards", type=Path, help="folder of packed shards")
    windows.add_argument("--stride", type=int, default=18, help="frames from window to window (default: 18)")
    windows.add_argument("--per-tar", type=int, default=2000, help="windows in a tar (default: 2000)")
    windows.add_argument("--out", type=Path, required=True, help="folder for the tars")
    windows.set_defaults(run=_windows)

    tables = formats.add_parser(
        "huggingface",
        help="tables in the layout that datasets.load_dataset reads",
        epilog="example: signrep export huggingface results --out dataset",
    )
    tables.add_argument("results", type=Path, help="results folder of a run")
    tables.add_argument("--tables", nargs="+", help="which (default: videos pose angles keypoints activity crops)")
    tables.add_argument("--out", type=Path, required=True, help="folder for data/ and README.md")
    tables.set_defaults(run=_tables)


def _pose(options: argparse.Namespace) -> None:
    from signrep_core.interop.pose_format import export_pose

    print(f"{options.out}: {export_pose(options.results, options.video_id, options.out, options.points)} frames")


def _windows(options: argparse.Namespace) -> None:
    from signrep_core.interop.windows import export_windows

    made = export_windows(options.shards, options.out, stride=options.stride, per_tar=options.per_tar)
    print(f"{options.out}: {made['windows']} windows in {made['tars']} tars")


def _tables(options: argparse.Namespace) -> None:
    from signrep_core.interop.hugging_face import TABLES, export_tables

    for table, rows in export_tables(options.results, options.out, options.tables or TABLES).items():
        print(f"{options.out}/data/{table}: {rows} rows")
