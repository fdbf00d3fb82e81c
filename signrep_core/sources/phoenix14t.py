"""RWTH-PHOENIX-Weather 2014 T as published: corpus tables separated by `|`, and folders of PNG frames at 25 fps."""

from pathlib import Path

from signrep_core.sources.listing import Listing, first_folder, first_of
from signrep_core.sources.metadata import read_delimited
from signrep_core.sources.sheet import Row

DATASET = "phoenix14t"
FPS = 25.0
COLUMNS = ("name", "video", "speaker", "orth", "translation")  # of name|video|start|end|speaker|orth|translation
SPLITS = {"train": "train", "val": "dev", "test": "test"}  # ours -> theirs


def list_phoenix14t(folder: str | Path) -> Listing:
    """List the sentences; the glosses are the row's `gloss`, the German translation is its `text`.

    Args:
        folder: `PHOENIX-2014-T`, or the folder of the release that contains it.

    Raises:
        SourceError: a table or the folder of frames is missing or has another format.
    """
    frames = first_folder(*(Path(folder, inner, "features", "fullFrame-210x260px") for inner in ("", "PHOENIX-2014-T")))
    tables = frames.parents[1] / "annotations" / "manual"
    listing = Listing()
    for split, theirs in SPLITS.items():
        table = tables / f"PHOENIX-2014-T.{theirs}.corpus.csv"
        for entry in read_delimited(table, COLUMNS, "|", quoted=False, names=("name", "video")):
            row = Row(
                entry["name"], "", DATASET, split, entry["orth"], "gsg", entry["speaker"], fps=FPS,
                text=entry["translation"],
            )  # fmt: skip
            # `video` is NAME/1/*.png, but the frames of the release are directly in NAME.
            nested, direct = frames / theirs / Path(entry["video"]).parent, frames / theirs / entry["name"]
            listing.add(row, first_of(nested) or first_of(direct), f"folder {direct}")
    return listing
