"""CSL-Daily as published: `sentence_label/csl2020ct_v2.pkl` and `split_1.txt`, and folders of JPEG frames at 30 fps."""

from pathlib import Path
from typing import Any

from signrep_core.errors import SourceError
from signrep_core.sources.listing import Listing, first_folder, first_of
from signrep_core.sources.metadata import clean, read_delimited, read_plain_pickle
from signrep_core.sources.sheet import Row

DATASET = "csl_daily"
FPS = 30.0
SPLITS = {"train": "train", "dev": "val", "test": "test"}  # theirs -> ours
_PLACES = ("sentence/frames_512x512", "sentence_frames-512x512/frames_512x512", "frames_512x512", "sentence-crop")


def list_csl_daily(folder: str | Path) -> Listing:
    """List the sentences; their glosses are the row's `gloss`, the Chinese sentence its `text`.

    A name of the splits without an annotation, and an annotated one without a split, counts as missing.

    Raises:
        SourceError: annotations, splits or the folder of frames are missing or of another form.
    """
    frames = first_folder(*(Path(folder, place) for place in _PLACES))
    labels = Path(folder, "sentence_label")
    annotations = _read_annotations(labels / "csl2020ct_v2.pkl")
    listing = Listing()
    split_file = labels / "split_1.txt"
    for entry in read_delimited(split_file, ("name", "split"), "|", quoted=False):
        name, annotation = entry["name"], annotations.pop(entry["name"], None)
        split = SPLITS.get(entry["split"], entry["split"])
        if annotation is None:
            listing.leave_out(Row(name, "", DATASET, split), "no annotation of that name")
            continue
        listing.add(_to_row(annotation, split), first_of(frames / name), f"folder {frames / name}")
    for name in annotations:
        listing.leave_out(Row(name, "", DATASET, "no split"), f"not in {split_file.name}")
    return listing


def _to_row(annotation: dict[str, Any], split: str) -> Row:
    return Row(
        annotation["name"], "", DATASET, split,
        gloss=clean(" ".join(annotation["label_gloss"])),
        language="csl",
        signer=str(annotation["signer"]),
        fps=FPS,
        text=clean("".join(annotation["label_char"])),
    )  # fmt: skip


def _read_annotations(path: Path) -> dict[str, dict[str, Any]]:
    """Name -> annotation."""
    content = read_plain_pickle(path)
    info = content.get("info") if isinstance(content, dict) else None
    if not isinstance(info, list):
        raise SourceError(
            f"{path}: expected a mapping with a list `info`, found {_kind(content)}; give it as published"
        )
    found = {}
    for number, entry in enumerate(info):
        for key, kind in (("name", str), ("label_gloss", list), ("label_char", list), ("signer", int)):
            if not isinstance(entry, dict) or not isinstance(entry.get(key), kind):
                raise SourceError(
                    f"{path}, info {number}: expected {key!r} to be {kind.__name__}, found {_kind(entry)}; "
                    "give it as published"
                )
        found[entry["name"]] = entry
    return found


def _kind(value: Any) -> str:
    return f"a mapping of {', '.join(map(repr, value))}" if isinstance(value, dict) else type(value).__name__
