"""Frames of a video, read twice (for faces, for the pose), but decoded once where its pictures fit in memory."""

from collections.abc import Iterable, Iterator
from typing import Final

from signrep_core.pose.extract import OpenFrames
from signrep_core.video.reader import Frame

HELD: Final = 256 << 20  # bytes of pictures: 12 seconds of 640 × 480 at 25 a second


class HeldFrames:
    """Opens a video's frames as `pose.extract.OpenFrames`: sparse ones first, then those of the common timeline."""

    def __init__(self, open_frames: OpenFrames, limit: int = HELD) -> None:
        self._open, self._limit = open_frames, limit
        self._held: list[Frame] | None = None

    def __call__(self, fps: float | None) -> Iterable[Frame]:
        """Frames at a rate, or with None on the common timeline."""
        if fps is not None:
            self._held = _hold(self._open(None), self._limit)
        if self._held is None:
            return self._open(fps)
        return self._held if fps is None else thin(self._held, fps)


def thin(frames: Iterable[Frame], fps: float) -> Iterator[Frame]:
    """Pick the first frame of each step of 1 / fps seconds that has one."""
    step = -1
    for frame in frames:
        if (now := int(frame.time_s * fps + 1e-6)) > step:
            step = now
            yield frame


def _hold(frames: Iterable[Frame], limit: int) -> list[Frame] | None:
    """All frames, or None where their pictures take more bytes."""
    held, size = [], 0
    for frame in frames:
        size += frame.rgb.nbytes
        if size > limit:
            return None
        held.append(frame)
    return held
