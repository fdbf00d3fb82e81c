"""ASL-Citizen as published: `splits/{train,val,test}.csv` and `videos/`."""

from pathlib import Path

from signrep_core.sources.listing import Listing, find_named, whole_video
from signrep_core.sources.metadata import read_delimited
from signrep_core.sources.sheet import Row

DATASET = "asl_citizen"
COLUMNS = ("Participant ID", "Video file", "Gloss")  # the fourth is `ASL-LEX Code`


def list_asl_citizen(folder: str | Path) -> Listing:
    """List the videos of the three splits; one that was moved or converted below `videos` is found by its name.

    Raises:
        SourceError: the file of a split is missing or has another format.
    """
    listing, entries = Listing(), []
    for split in ("train", "val", "test"):
        for entry in read_delimited(Path(folder, "splits", f"{split}.csv"), COLUMNS, names=("Video file",)):
            path = Path(folder, "videos", entry["Video file"])
            row = Row(path.stem, "", DATASET, split, entry["Gloss"], language="ase", signer=entry["Participant ID"])
            entries.append((row, path))
    videos = Path(folder, "videos")
    lost = [path.stem for _, path in entries if not path.is_file()]  # in folders of their own, or converted
    found = find_named(videos, lost) if lost and videos.is_dir() else {}
    for row, path in entries:
        listing.add(row, str(path) if path.is_file() else whole_video(found, path.stem), f"file {path}")
    return listing
