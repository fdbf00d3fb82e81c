"""`sheet`: list videos as the sheet that the workflow reads."""

import argparse
from pathlib import Path


def add(commands: argparse._SubParsersAction) -> None:
    """The command's arguments, a source each."""
    sheet = commands.add_parser("sheet", help="list videos as the sheet that the workflow reads")
    sources = sheet.add_subparsers(required=True, metavar="SOURCE")
    folder = sources.add_parser(
        "folder",
        help="every video below a folder",
        epilog="example: python -m signrep_core sheet folder my_videos --out videos.tsv",
    )
    folder.add_argument("folder", type=Path, help="searched with its subfolders")
    folder.add_argument("--out", type=Path, required=True, help="the sheet to write, for example videos.tsv")
    folder.add_argument("--dataset", help="name of the data set (default: the folder's name)")
    folder.add_argument("--split", default="train", help="split of all videos (default: train)")
    folder.set_defaults(run=_folder)


def _folder(options: argparse.Namespace) -> None:
    from signrep_core.sources.folder import list_folder
    from signrep_core.sources.sheet import write_sheet

    rows = list_folder(options.folder, dataset=options.dataset, split=options.split)
    write_sheet(options.out, rows)
    print(f"{options.out}: {len(rows)} videos")
