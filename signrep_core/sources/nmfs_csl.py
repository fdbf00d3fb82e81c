"""NMFs-CSL as published: `uni_{train,test}list01.csv` (folder/name,label; no header) and JPEG frames at 30 fps."""

from pathlib import Path

from signrep_core.sources.listing import Listing, first_folder, first_of
from signrep_core.sources.metadata import read_delimited
from signrep_core.sources.sheet import Row

DATASET = "nmfs_csl"
FPS = 30.0


def list_nmfs_csl(folder: str | Path) -> Listing:
    """List the videos; the gloss is the number of the label; labels below 610 are the confusing words.

    Raises:
        SourceError: a list or the folder of frames is missing or has another format.
    """
    frames = first_folder(*(Path(folder, place) for place in ("jpg_video", "jpg_video_ori")))
    listing = Listing()
    for split in ("train", "test"):
        table = Path(folder, f"uni_{split}list01.csv")
        for entry in read_delimited(table, ("name", "label"), header=False, names=("name",)):
            name = entry["name"].strip("/")
            row = Row(name, "", DATASET, split, entry["label"], language="csl", fps=FPS)
            listing.add(row, first_of(frames / name), f"folder {frames / name}")
    return listing
