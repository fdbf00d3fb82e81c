"""Find shot cuts: where a video goes over to another picture from one frame to the next.

The measure is PySceneDetect's adaptive detector: the mean change of hue, saturation and value of a small picture, which
at a cut is large in itself and against the changes around it. A person who moves fast changes several frames alike, a
fade changes them little by little; neither is a cut.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from signrep_core.video.reader import Frame

WIDTH: Final = 160  # pixels of the small picture, as in PySceneDetect at most 256
MIN_CHANGE: Final = 15.0  # mean change of the three channels, of 255 (min_content_val)
MIN_RATIO: Final = 3.0  # to the mean of the changes around (adaptive_threshold)
AROUND: Final = 2  # frames on either side (window_width)
SHORTEST: Final = 15  # frames of a shot (min_scene_len)


def count_shots(frames: Iterable[Frame]) -> Iterator[Frame]:
    """The same frames with `shot`, which counts the cuts before each; AROUND frames are read ahead.

    A change of the picture's shape is none, and neither is what lies between damaged frames.
    """
    waiting: deque[Frame] = deque()
    changes: deque[float] = deque([0.0] * AROUND, 2 * AROUND + 1)  # of the frames around the first one that waits
    small: NDArray[np.uint8] | None = None
    shot, since = 0, 0
    for frame in chain(frames, [None] * AROUND):
        if frame is not None:
            now = _small(frame.rgb)
            known = small is not None and small.shape == now.shape and not frame.damaged
            changes.append(float(cv2.absdiff(now, small).mean()) if known else 0.0)  # type: ignore[arg-type]
            small = small if frame.damaged else now
            waiting.append(frame)
        else:
            changes.append(0.0)
        if len(changes) == 2 * AROUND + 1 and waiting:
            since += 1
            if since > SHORTEST and is_cut(changes[AROUND], [*changes][:AROUND] + [*changes][AROUND + 1 :]):
                shot, since = shot + 1, 1
            yield replace(waiting.popleft(), shot=shot)


def is_cut(change: float, around: list[float]) -> bool:
    """Whether a change from one frame to the next is a cut, by the changes around it."""
    return change >= MIN_CHANGE and change >= MIN_RATIO * sum(around) / len(around)


def _small(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Hue, saturation and value of a picture, WIDTH pixels wide."""
    height = max(round(WIDTH * rgb.shape[0] / rgb.shape[1]), 1)
    return cv2.cvtColor(cv2.resize(rgb, (WIDTH, height)), cv2.COLOR_RGB2HSV)  # type: ignore[return-value]
