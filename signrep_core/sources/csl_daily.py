"""CSL-Daily as published: sentences and splits in `sentence_label/`, and folders of JPEG frames at 30 fps.

The sentences exist twice: in `csl2020ct_v2.pkl`, and as text in `video_map.txt`, which is read if there is no pickle.
Only the pickle names the signers.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from signrep_core.errors import SourceError
from signrep_core.sources.listing import Listing, first_folder, first_of
from signrep_core.sources.metadata import clean, read_delimited, unpickle_safely
from signrep_core.sources.sheet import Row
from signrep_core.text import to_split

DATASET = "csl_daily"
FPS = 30.0
COLUMNS = ("name", "gloss", "char")  # of index|name|length|gloss|char|word|postag
_PLACES = ("sentence/frames_512x512", "sentence_frames-512x512/frames_512x512", "frames_512x512", "sentence-crop")


class Sentence(NamedTuple):
    """Annotation of a sentence."""

    gloss: str
    text: str
    signer: str


def list_csl_daily(folder: str | Path) -> Listing:
    """List the sentences; the glosses are the row's `gloss`, the Chinese sentence is its `text`.

    A name in the splits without annotation, and an annotation without a split, count as missing.

    Raises:
        SourceError: annotations, splits or the folder of frames are missing or have another format.
    """
    frames = first_folder(*(Path(folder, place) for place in _PLACES))
    labels = Path(folder, "sentence_label")
    sentences = _read_sentences(labels)
    listing = Listing()
    split_file = labels / "split_1.txt"
    for entry in read_delimited(split_file, ("name", "split"), "|", quoted=False, names=("name",)):
        name, sentence = entry["name"], sentences.pop(entry["name"], None)
        split = to_split(entry["split"])
        if sentence is None:
            listing.leave_out(Row(name, "", DATASET, split), "no annotation with this name")
            continue
        row = Row(name, "", DATASET, split, sentence.gloss, "csl", sentence.signer, fps=FPS, text=sentence.text)
        listing.add(row, first_of(frames / name), f"folder {frames / name}")
    for name in sentences:
        listing.leave_out(Row(name, "", DATASET, "no split"), f"not in {split_file.name}")
    return listing


def _read_sentences(labels: Path) -> dict[str, Sentence]:
    """Name -> sentence, from the pickle or, without one, from the text file."""
    pickled, text = labels / "csl2020ct_v2.pkl", labels / "video_map.txt"
    if pickled.is_file() or not text.is_file():
        return dict(_unpickle_sentences(pickled))
    entries = read_delimited(text, COLUMNS, "|", quoted=False, names=("name",))
    return {
        entry["name"]: Sentence(" ".join(entry["gloss"].split()), "".join(entry["char"].split()), "")
        for entry in entries
    }


def _unpickle_sentences(path: Path) -> Iterator[tuple[str, Sentence]]:
    content = unpickle_safely(path)
    info = content.get("info") if isinstance(content, dict) else None
    if not isinstance(info, list):
        raise SourceError(
            f"{path}: expected a mapping with a list `info`, found {_kind(content)}; give it as published"
        )
    for number, entry in enumerate(info):
        for key, kind in (("name", str), ("label_gloss", list), ("label_char", list), ("signer", int)):
            if not isinstance(entry, dict) or not isinstance(entry.get(key), kind):
                raise SourceError(
                    f"{path}, info {number}: expected {key!r} to be {kind.__name__}, found {_kind(entry)}; "
                    "give it as published"
                )
        gloss, text = clean(" ".join(entry["label_gloss"])), clean("".join(entry["label_char"]))
        yield entry["name"], Sentence(gloss, text, str(entry["signer"]))


def _kind(value: Any) -> str:
    return f"a mapping of {', '.join(map(repr, value))}" if isinstance(value, dict) else type(value).__name__
