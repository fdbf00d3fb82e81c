"""Text that is compared: glosses, signers, languages, splits, names of data sets, ids and translations.

Two texts that look the same must be equal, so all text enters through `normalise`, or `compose` if it is an id. Case
and width ("HELLO", "ＨＥＬＬＯ") are part of the text: they can tell signs apart. Paths never pass through here: they
are bytes on the disk.
"""

import unicodedata
from typing import Final

# Words for a split in data sets -> our names; compared without case.
SPLIT_WORDS: Final = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev", "devel", "development"),
    "test": ("test", "testing"),
}
_SPLITS: Final = {word: split for split, words in SPLIT_WORDS.items() for word in words}
# Soft hyphen, zero-width spaces, direction marks, byte order mark. The joiners U+200C and U+200D are part of words.
_INVISIBLE: Final = dict.fromkeys(
    [0xAD, 0x61C, 0x180E, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF]
)


def compose(text: str) -> str:
    """Composed Unicode (NFC): "é" is one character whether it was typed, or copied from a folder of macOS."""
    return unicodedata.normalize("NFC", text)


def normalise(text: str) -> str:
    """Composed Unicode without invisible characters, with single spaces between words and none at the ends."""
    return compose(" ".join(text.translate(_INVISIBLE).split()))


def fold(text: str) -> str:
    """Form that texts have in common which differ only in case, width or compatible characters."""
    return unicodedata.normalize("NFKC", normalise(text)).casefold()


def find_split(text: str) -> str | None:
    """Our name of the split that a data set's word stands for ("Dev" -> "val"); None for another word."""
    return _SPLITS.get(fold(text))


def to_split(text: str) -> str:
    """Our name of a split; a word of the user's own stays as it is."""
    return find_split(text) or normalise(text)
