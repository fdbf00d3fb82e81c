"""`sheet`: list videos as the sheet that the workflow reads, from a folder or from a data set's own files."""

import argparse
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from signrep_core.sources.asl_citizen import list_asl_citizen
from signrep_core.sources.csl_daily import list_csl_daily
from signrep_core.sources.folder import list_folder, list_gloss_folders
from signrep_core.sources.how2sign import list_how2sign
from signrep_core.sources.listing import Listing, write_listing
from signrep_core.sources.nmfs_csl import list_nmfs_csl
from signrep_core.sources.phoenix14t import list_phoenix14t
from signrep_core.sources.sheet import read_sheet, write_sheet
from signrep_core.sources.wlasl import SUBSETS, list_wlasl
from signrep_core.sources.youtube_sl_25 import list_youtube_sl_25

# Arguments that several sources take.
_FOLDER = ("folder", {"type": Path, "help": "the data set's folder, as published"})
_VIDEOS = ("--videos", {"type": Path, "required": True, "help": "folder of the videos, searched with its subfolders"})
_SPLIT = ("--split", {"default": "train", "help": "split of the videos (default: train)"})
_SUFFIXES = (
    "--suffixes",
    {"nargs": "+", "default": (), "metavar": "SUFFIX", "help": "of further files to list as videos, such as dat"},
)
_FPS = ("--fps", {"type": float, "help": "take folders of images (PNG, JPEG and others) as videos too, at this rate"})


def add(commands: argparse._SubParsersAction) -> None:
    """The command's arguments, a source each."""
    sheet = commands.add_parser(
        "sheet",
        help="list videos as the sheet that the workflow reads",
        epilog="examples:\n"
        "  signrep sheet folder my_videos --out videos.tsv\n"
        "  signrep sheet wlasl WLASL_v0.3.json --videos videos --subset 100 --out wlasl.tsv",
    )
    sources = sheet.add_subparsers(required=True, metavar="SOURCE")

    def source(name: str, what: str, example: str, find: Callable[..., Any], *arguments: Any) -> None:
        parser = sources.add_parser(name, help=what, epilog=f"example: signrep sheet {name} {example} --out videos.tsv")
        for argument, settings in arguments:
            parser.add_argument(argument, **settings)
        parser.add_argument("--out", type=Path, required=True, help="the sheet to write, for example videos.tsv")
        parser.add_argument("--dataset", help="name of the data set (default: the source's, or the folder's)")
        names = [argument.lstrip("-") for argument, _ in arguments]
        parser.set_defaults(run=run, find=lambda options: find(**{name: getattr(options, name) for name in names}))

    everything = ("folder", {"type": Path, "help": "searched with its subfolders"})
    source("folder", "every video below a folder", "my_videos", list_folder, everything, _SPLIT, _SUFFIXES, _FPS)
    by_gloss = ("folder", {"type": Path, "help": "holds GLOSS/VIDEO, or SPLIT/GLOSS/VIDEO"})
    source("glosses", "a folder per gloss", "my_signs", list_gloss_folders, by_gloss, _SPLIT, _SUFFIXES, _FPS)
    table = ("metadata", {"type": Path, "help": "youtube-sl-25-metadata.csv"})
    source(
        "youtube-sl-25", "YouTube-SL-25", "youtube-sl-25-metadata.csv --videos videos", list_youtube_sl_25, table,
        _VIDEOS,
    )  # fmt: skip
    table = ("metadata", {"type": Path, "help": "WLASL_v0.3.json"})
    subset = ("--subset", {"type": int, "choices": SUBSETS, "default": 2000, "help": "glosses (default: 2000)"})
    source("wlasl", "WLASL", "WLASL_v0.3.json --videos videos --subset 100", list_wlasl, table, _VIDEOS, subset)
    source("asl-citizen", "ASL-Citizen", "ASL_Citizen", list_asl_citizen, _FOLDER)
    source("nmfs-csl", "NMFs-CSL", "NMFs-CSL", list_nmfs_csl, _FOLDER)
    source("phoenix14t", "RWTH-PHOENIX-Weather 2014 T", "PHOENIX-2014-T", list_phoenix14t, _FOLDER)
    source("csl-daily", "CSL-Daily", "csl-daily", list_csl_daily, _FOLDER)
    table = ("metadata", {"type": Path, "help": "folder of how2sign_realigned_{train,val,test}.csv"})
    source("how2sign", "How2Sign, re-aligned", "how2sign --videos raw_videos", list_how2sign, table, _VIDEOS)
    _add_join(sources)


def _add_join(sources: argparse._SubParsersAction) -> None:
    parser = sources.add_parser(
        "join", help="several sheets in one", epilog="example: signrep sheet join wlasl.tsv how2sign.tsv --out all.tsv"
    )
    parser.add_argument("sheets", type=Path, nargs="+", help="sheets; rows keep their order")
    parser.add_argument("--out", type=Path, required=True, help="the sheet to write")
    parser.set_defaults(run=_join)


def _join(options: argparse.Namespace) -> None:
    """Write the rows of all sheets to one, and print how many each data set has."""
    rows = [row for sheet in options.sheets for row in read_sheet(sheet)]
    write_sheet(options.out, rows)
    counts = Counter(row.dataset for row in rows)
    print(f"{options.out}: {len(rows):,} rows: " + ", ".join(f"{name} {n:,}" for name, n in sorted(counts.items())))


def run(options: argparse.Namespace) -> None:
    """List a source's videos and print how many are there."""
    found = options.find(options)
    listing = found if isinstance(found, Listing) else Listing(found)
    if options.dataset:
        listing.rows = [row._replace(dataset=options.dataset) for row in listing.rows]
    print(write_listing(options.out, listing))
