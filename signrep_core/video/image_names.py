"""The images of a folder in the order of time: the number in a name is the frame's number.

Numbers may begin anywhere, and may go in equal steps (every fifth frame of a video). A number without an image is a
frame that is missing. Pure functions of names.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

# Suffixes of images -> format, those that lose least first.
FORMATS: Final = {
    ".png": "png", ".bmp": "bmp", ".tif": "tiff", ".tiff": "tiff", ".webp": "webp", ".jpg": "jpeg", ".jpeg": "jpeg",
    ".jpe": "jpeg", ".jfif": "jpeg",
}  # fmt: skip
_RANKS = {name: rank for rank, name in enumerate(dict.fromkeys(FORMATS.values()))}


@dataclass(frozen=True)
class Images:
    """The images of a folder by their place in time."""

    names: dict[int, str]  # place, from 0 = the first image -> name; a place without a name is missing
    first: int = 0  # number in the first name
    step: int = 1  # of the numbers
    notes: tuple[str, ...] = ()  # on what was found, but for missing images

    def __len__(self) -> int:
        return max(self.names, default=-1) + 1

    def describe_missing(self, first: int, last: int) -> str:
        """Say how many of the places from `first` to before `last` have no image; empty if none."""
        missing = [place for place in range(first, last) if place not in self.names]
        if not missing:
            return ""
        number = self.first + missing[0] * self.step
        return f"{len(missing)} of {last - first} images are missing, the first is number {number}"


class NamingError(ValueError):
    """The names do not say which image comes when; the message names them."""


class _Name(NamedTuple):
    """A name in parts."""

    name: str
    texts: tuple[str, ...]  # between the numbers
    numbers: tuple[int, ...]
    format: str


def is_image(name: str) -> bool:
    """Whether a file's name is that of an image; hidden files are none."""
    return not name.startswith(".") and format_of(name) is not None


def format_of(name: str) -> str | None:
    """Format of an image by its name's suffix, or None."""
    return next((kind for suffix, kind in FORMATS.items() if name.lower().endswith(suffix)), None)


def place_images(names: Iterable[str]) -> Images:
    """Give each image of a folder its place in time.

    Args:
        names: of all files; those of other files are ignored.

    Raises:
        NamingError: names without a number, with several that change, or two images with one number; or most numbers
            have no image.
    """
    found = [_split(name) for name in sorted(filter(is_image, names))]
    numbered = [name for name in found if name.numbers]
    if not found:
        return Images({})
    if not numbered:
        raise NamingError(f"no image has a number in its name, such as {found[0].name}; number them in their order")
    notes = []
    if bare := [name.name for name in found if not name.numbers]:
        notes.append(f"{_count(bare)} without a number left out: {_some(bare)}")
    column = _find_column(numbered)
    by_number: dict[int, list[_Name]] = defaultdict(list)
    for name in numbered:
        by_number[name.numbers[column]].append(name)
    common = Counter(name.format for name in numbered)
    chosen = {number: _choose(number, alike, common) for number, alike in sorted(by_number.items())}
    if left := [name for name in numbered if chosen[name.numbers[column]] is not name]:
        kinds = Counter(name.format for name in left)
        said = ", ".join(f"{n} {kind}" for kind, n in kinds.items())
        notes.append(f"frames in two formats: {said} left out, for example {left[0].name}")
    return _place({number: name.name for number, name in chosen.items()}, notes)


def _split(name: str) -> _Name:
    stem, suffix = name.rsplit(".", 1)
    texts = re.split("[0-9]+", stem)
    return _Name(name, tuple(texts), tuple(map(int, re.findall("[0-9]+", stem))), FORMATS[f".{suffix.lower()}"])


def _find_column(names: Sequence[_Name]) -> int:
    """Find which of the numbers in a name counts the frames."""
    one = names[0]
    other = next((name for name in names if len(name.numbers) != len(one.numbers)), None)
    if other:
        raise NamingError(f"names of two kinds: {one.name} and {other.name}; keep the frames of one video")
    columns = range(len(one.numbers))
    changing = [k for k in columns if any(name.numbers[k] != one.numbers[k] for name in names)]
    if len(changing) < 2:
        return changing[0] if changing else columns[-1]
    # A counter and, say, a time: each image has its own; the counter has the smaller range.
    own = [k for k in changing if len({(name.numbers[k], name.format) for name in names}) == len(names)]
    if not own:
        other = next(name for name in names if name.numbers != one.numbers)
        raise NamingError(
            f"several numbers change from name to name ({one.name}, {other.name}), and none counts the frames; keep "
            "one number that does"
        )
    return min(own, key=lambda k: max(name.numbers[k] for name in names) - min(name.numbers[k] for name in names))


def _choose(number: int, alike: Sequence[_Name], common: Counter[str]) -> _Name:
    """Choose the image of a number; of the same frame in several formats, that in the format that most images have."""
    kinds = {name.format for name in alike}
    if len(kinds) < len(alike) or len({name.texts for name in alike}) > 1:
        named = " and ".join(name.name for name in alike[:2])
        raise NamingError(f"{len(alike)} images have the number {number}: {named}; keep one of them")
    return min(alike, key=lambda name: (-common[name.format], _RANKS[name.format]))


def _place(names: dict[int, str], notes: list[str]) -> Images:
    first, last = min(names), max(names)
    step = math.gcd(*(number - first for number in names)) or 1
    places = {(number - first) // step: name for number, name in names.items()}
    missing = (last - first) // step + 1 - len(names)
    if missing > len(names):
        raise NamingError(
            f"the names count from {first} to {last}, but there are {len(names)} images: most are missing, or the "
            "numbers are no frame numbers; number the frames without gaps"
        )
    if step > 1:
        notes.append(f"the images' numbers go in steps of {step}")
    return Images(places, first, step, tuple(notes))


def _count(names: Sequence[str]) -> str:
    return "1 image" if len(names) == 1 else f"{len(names)} images"


def _some(names: Sequence[str], n: int = 3) -> str:
    return ", ".join(names[:n]) + (", ..." if len(names) > n else "")
