"""An image folder (PNG, JPEG and others) as a video: the number in a file's name is its time, at a given rate."""

import functools
import hashlib
import logging
import math
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from signrep_core.errors import VideoError
from signrep_core.video.image_names import FORMATS, NamingError, format_of, place_images
from signrep_core.video.rgb import same_shape
from signrep_core.video.timeline import exact_span

log = logging.getLogger(__name__)

MAX_PIXELS = 7680 * 4320  # of an image, here and in a video: 8K


class ImageFolder:
    """An image folder, with the interface of `video.source.VideoFile`; an image is decoded only when it is asked for.

    A number without an image, and an image that cannot be decoded, are damaged frames. Images of one shape get the size
    of the first of them; another shape begins a part.

    Args:
        fps: images per second; the folder does not know.

    Raises:
        VideoError: not_a_video (no image in it, or names that do not count the frames), no_duration (no rate given).
    """

    timeless = False
    untimely = 0
    tick = Fraction(0)
    rotation = 0
    deinterlaced = False

    def __init__(self, path: str | Path, fps: float | None) -> None:
        self.path = Path(path)
        try:
            with os.scandir(self.path) as entries:
                self._images = place_images([entry.name for entry in entries if entry.is_file()])
        except (NamingError, OSError) as error:
            raise VideoError("not_a_video", f"{path}: {error}") from error
        if not self._images.names:
            raise VideoError("not_a_video", _without_images(self.path))
        if not fps:
            raise VideoError("no_duration", f"{path}: an image folder has no rate; give it in the sheet (fps)")
        self._period = 1 / Fraction(fps).limit_denominator(1001)
        self._first: NDArray[np.uint8] | None = None
        self._last: tuple[str, NDArray[np.uint8], bool] | None = None
        self._size = 0, 0  # width and height of the part's images
        self.part = -1  # of the image that `to_rgb` gave last

    @property
    def codec(self) -> str:
        """Format of the first image."""
        return format_of(self._images.names[0]) or ""

    def note(self, start: float | None, end: float | None) -> str:
        """Say what the names show of the span: missing images, doubled formats; mostly empty."""
        begin, stop = exact_span(start, end)
        first = math.ceil((begin or 0) / self._period)
        last = len(self._images) if stop is None else min(math.ceil(stop / self._period), len(self._images))
        return "; ".join(filter(None, (*self._images.notes, self._images.describe_missing(first, last))))

    def decode(self, start: Fraction | None, end: Fraction | None) -> Iterator[tuple[str | None, Fraction]]:
        """Yield (image, its time) from one before `start` to one after `end`; None for a missing image."""
        first = max(int((start or 0) / self._period) - 1, 0)
        for place in range(first, len(self._images)):
            yield self._images.names.get(place), place * self._period
            if end is not None and place * self._period > end:
                return

    packet_times = decode

    def to_rgb(self, name: str | None) -> tuple[NDArray[np.uint8], bool]:
        """Read an image as (H, W, 3) uint8, read-only, of its part's size, and False; for a missing or damaged one the
        image before it, and True.

        Raises:
            VideoError: undecodable: no image can be decoded; too_large.
        """
        if name is None:
            return self._before(), True
        if self._last is None or self._last[0] != name:
            found = self._read(name)
            self._last = (name, self._before(), True) if found is None else (name, self._scale(found), False)
        return self._last[1:]

    def first_rgb(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 of the first image that can be decoded."""
        if self._first is None:
            images = (self._read(name) for _, name in sorted(self._images.names.items()))
            self._first = next((found for found in images if found is not None), None)
            if self._first is None:
                raise VideoError("undecodable", f"{self.path}: none of its images can be decoded")
        return self._first

    def digest(self) -> str:
        """SHA-256 over the images' names and bytes, in hex."""
        stat = os.stat(self.path)
        return _digest(str(self.path), stat.st_mtime_ns, tuple(sorted(self._images.names.values())))

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _before(self) -> NDArray[np.uint8]:
        """The image that `to_rgb` gave last; at the beginning the first of the folder."""
        return self._last[1] if self._last else self._scale(self.first_rgb())

    def _scale(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Scale an image to the size of its part; another shape begins a part."""
        size = rgb.shape[1], rgb.shape[0]
        if self.part < 0 or not same_shape(size, self._size):
            self._size = size
            self.part += 1
        if size == self._size:
            return rgb
        scaled = np.asarray(cv2.resize(rgb, self._size, interpolation=cv2.INTER_AREA), np.uint8)
        scaled.flags.writeable = False
        return scaled

    def _read(self, name: str) -> NDArray[np.uint8] | None:
        """Decode an image, (H, W, 3); None if it is damaged."""
        try:
            found = cv2.imdecode(np.fromfile(self.path / name, np.uint8), cv2.IMREAD_COLOR)
        except (OSError, cv2.error) as error:
            log.debug("%s: %s", name, error)
            found = None
        if found is None:
            log.warning("%s: cannot be decoded; another image is shown", self.path / name)
            return None
        if found.shape[0] * found.shape[1] > MAX_PIXELS:
            size = f"{found.shape[1]}×{found.shape[0]}"
            raise VideoError("too_large", f"{self.path / name}: {size} pixels, at most {MAX_PIXELS}; scale it down")
        rgb = np.ascontiguousarray(found[..., ::-1], np.uint8)
        rgb.flags.writeable = False
        return rgb


def _without_images(folder: Path) -> str:
    within = next((entry.name for entry in sorted(folder.iterdir()) if _holds_images(entry)), None)
    hint = f"; its folder {within} holds some: give that one as the path" if within else ""
    return f"{folder}: a folder without images ({', '.join(FORMATS)}), not a video{hint}"


def _holds_images(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.R_OK) and any(map(format_of, os.listdir(folder)))


@functools.lru_cache(maxsize=256)
def _digest(folder: str, modified_ns: int, names: tuple[str, ...]) -> str:
    """Digest a folder, once for all its spans."""
    found = hashlib.sha256()
    for name in names:
        found.update(name.encode(errors="surrogateescape") + b"\0")
        found.update(Path(folder, name).read_bytes())
    return found.hexdigest()
