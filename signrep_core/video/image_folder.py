"""An image folder (PNG, JPEG) as a video: the files in the order of their numbers, at a given rate."""

import functools
import hashlib
import logging
import os
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from signrep_core.errors import VideoError

log = logging.getLogger(__name__)

SUFFIXES = (".png", ".jpg", ".jpeg")
MAX_PIXELS = 7680 * 4320  # of a image, here and in a video: 8K


class ImageFolder:
    """An image folder, with the interface of `video.source.VideoFile`; an image is decoded only when it is asked for.

    Args:
        fps: images per second; the folder does not know.

    Raises:
        VideoError: not_a_video (no image in it), no_duration (no rate given).
    """

    timeless = False
    untimely = 0
    tick = Fraction(0)
    rotation = 0

    def __init__(self, path: str | Path, fps: float | None) -> None:
        self.path = Path(path)
        self._names = list_images(self.path)
        if not self._names:
            raise VideoError("not_a_video", f"{path}: a folder without images ({', '.join(SUFFIXES)}), not a video")
        if not fps:
            raise VideoError("no_duration", f"{path}: an image folder has no rate; give it in the sheet (fps)")
        self._period = 1 / Fraction(fps).limit_denominator(1001)
        self.codec = Path(self._names[0]).suffix[1:].lower()
        self._last: tuple[str, NDArray[np.uint8], bool] | None = None

    def decode(self, start: Fraction | None, end: Fraction | None) -> Iterator[tuple[str, Fraction]]:
        """Yield (image, its time), from one before `start` to one after `end`."""
        first = max(int((start or 0) / self._period) - 1, 0)
        for number in range(first, len(self._names)):
            yield self._names[number], number * self._period
            if end is not None and number * self._period > end:
                return

    packet_times = decode

    def to_rgb(self, name: str) -> tuple[NDArray[np.uint8], bool]:
        """Read an image as (H, W, 3) uint8, read-only, of the first one's size, and False; for a damaged one the image
        before it, and True.

        Raises:
            VideoError: undecodable: a damaged image at the beginning; too_large.
        """
        if self._last is None or self._last[0] != name:
            self._last = name, *self._read(name)
        return self._last[1:]

    def first_rgb(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 of the first image."""
        return self.to_rgb(self._names[0])[0]

    def digest(self) -> str:
        """SHA-256 over the images' names and bytes, in hex."""
        stat = os.stat(self.path)
        return _digest(str(self.path), stat.st_mtime_ns, tuple(self._names))

    def note(self, start: float | None, end: float | None) -> str:
        """Return what a person should know of the span."""
        return ""

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _read(self, name: str) -> tuple[NDArray[np.uint8], bool]:
        try:
            found = cv2.imdecode(np.fromfile(self.path / name, np.uint8), cv2.IMREAD_COLOR)
        except (OSError, cv2.error) as error:
            log.debug("%s: %s", name, error)
            found = None
        if found is None:
            if self._last is None:
                raise VideoError("undecodable", f"{self.path / name}: cannot be decoded as an image")
            log.warning("%s: cannot be decoded; the image before it is shown", self.path / name)
            return self._last[1], True
        if found.shape[0] * found.shape[1] > MAX_PIXELS:
            size = f"{found.shape[1]}×{found.shape[0]}"
            raise VideoError("too_large", f"{self.path / name}: {size} pixels, at most {MAX_PIXELS}; scale it down")
        if self._last is not None and found.shape != self._last[1].shape:
            found = cv2.resize(found, self._last[1].shape[1::-1], interpolation=cv2.INTER_AREA)
        rgb = np.ascontiguousarray(found[..., ::-1], np.uint8)
        rgb.flags.writeable = False
        return rgb, False


def list_images(folder: Path) -> list[str]:
    """The images' names in a folder, 2.png before 10.png; hidden files are none."""
    names = [
        entry.name
        for entry in os.scandir(folder)
        if entry.name.lower().endswith(SUFFIXES) and not entry.name.startswith(".")
    ]
    return sorted(names, key=lambda name: ([int(number) for number in re.findall(r"\d+", name)], name))


@functools.lru_cache(maxsize=256)
def _digest(folder: str, modified_ns: int, names: tuple[str, ...]) -> str:
    """Digest a folder, once for all its spans."""
    found = hashlib.sha256()
    for name in names:
        found.update(name.encode(errors="surrogateescape") + b"\0")
        found.update(Path(folder, name).read_bytes())
    return found.hexdigest()
