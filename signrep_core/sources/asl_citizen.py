"""ASL-Citizen as published: `splits/{train,val,test}.csv` and `videos/`."""

from pathlib import Path

from signrep_core.sources.listing import Listing
from signrep_core.sources.metadata import read_delimited
from signrep_core.sources.sheet import Row

DATASET = "asl_citizen"
COLUMNS = ("Participant ID", "Video file", "Gloss")  # the fourth is `ASL-LEX Code`


def list_asl_citizen(folder: str | Path) -> Listing:
    """List the videos of the three splits.

    Raises:
        SourceError: the file of a split is missing or has another format.
    """
    listing = Listing()
    for split in ("train", "val", "test"):
        for entry in read_delimited(Path(folder, "splits", f"{split}.csv"), COLUMNS):
            path = Path(folder, "videos", entry["Video file"])
            row = Row(path.stem, "", DATASET, split, entry["Gloss"], language="ase", signer=entry["Participant ID"])
            listing.add(row, str(path) if path.is_file() else None, f"file {path}")
    return listing
