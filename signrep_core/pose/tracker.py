"""Following the signer: the pose backend kept on one person of a video, frame by frame.

The backend sees a steady region around the signer where that is clearly smaller than the picture, else the whole
picture. While it has not locked on, the heads of other people are painted over, so that it finds the signer. A pose
counts only if its nose lies on the signer's known face; one that is on someone else is thrown away and the backend
reset. Where no face is known (turned away, covered), a lock is kept while nothing contradicts it.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from signrep_core.pose.backend import Backend, Detection
from signrep_core.pose.people import CROSSING, NOSE_NEAR, Box, People, face_gap, nose_gap
from signrep_core.skeleton import NOSE, SHOULDERS

REACH: Final = (4.5, 3.5, 4.5, 7.0)  # left, up, right, down of the face: where arms reach, in face widths
WHOLE_FROM: Final = 0.6  # a region with this share of the picture is the whole picture
MAX_REGION_GROWTH: Final = 1.5  # a region that must grow more than this begins anew
MIN_SHOULDERS: Final = 0.5  # confidence of both shoulders of a present signer
RETRY_FRAMES: Final = 5  # after a failed lock, look again this many frames later

Region = tuple[int, int, int, int]  # x0, y0, x1, y1


@dataclass(frozen=True)
class Observation:
    """The signer in one frame: the detection (None where absent), and whether someone else may have been meant."""

    detection: Detection | None
    doubtful: bool
    on_face: bool  # the nose lies on a face that the scan saw


class Tracker:
    """Follows one video's signer; call it with the frames in order."""

    def __init__(self, backend: Backend, people: People) -> None:
        self._backend, self._people = backend, people
        self._regions: deque[tuple[float, Region]] = deque()
        self._region: Region = (0, 0, 0, 0)
        self._locked = False
        self._wait = self._part = 0
        backend.reset()

    def __call__(self, rgb: NDArray[np.uint8], time_s: float) -> Observation:
        """The signer in a frame (H, W, 3)."""
        self._choose_region(rgb, time_s)
        face, others = self._people.faces_at(time_s, self._part)
        doubtful = self._people.doubtful or (face is not None and any(face_gap(face, box) < CROSSING for box in others))
        if self._wait:
            self._wait -= 1
            return Observation(None, doubtful, on_face=False)
        was_locked = self._locked
        detection = self._look(rgb, time_s, others, face)
        if detection is None and was_locked:  # lost, or strayed to someone else: look afresh in the same frame
            detection = self._look(rgb, time_s, others, face)
        if detection is None:
            return Observation(None, doubtful, on_face=False)
        on_face = face is not None and nose_gap(detection.body_xy[NOSE], face) <= NOSE_NEAR
        present = detection.visibility[list(SHOULDERS)].min() >= MIN_SHOULDERS
        return Observation(detection if present else None, doubtful, on_face)

    def begin_part(self, part: int) -> None:
        """Begin anew with pictures of another shape: places of the frames before mean nothing in them."""
        self._regions.clear()
        self._locked, self._wait, self._part = False, 0, part
        self._backend.reset()

    def _look(self, rgb: NDArray[np.uint8], time_s: float, others: list[Box], face: Box | None) -> Detection | None:
        """The signer's pose, and whether the backend is locked on; it is reset when it found someone else's."""
        picture = rgb if self._locked or not others else _without_heads(rgb, others, face)
        x0, y0, x1, y1 = self._region
        detection = self._backend(picture[y0:y1, x0:x1], time_s)
        if detection is not None:
            detection = detection.shifted(x0, y0)
            if self._is_signer(detection, face, others):
                self._locked = True
                return detection
            self._backend.reset()
            self._wait = 0 if self._locked else RETRY_FRAMES - 1
        self._locked = False
        return None

    def _is_signer(self, detection: Detection, face: Box | None, others: list[Box]) -> bool:
        """Whether a pose is the signer's, by where its nose is."""
        if face is not None:
            gap = nose_gap(detection.body_xy[NOSE], face)
            return gap <= NOSE_NEAR and all(gap <= nose_gap(detection.body_xy[NOSE], box) for box in others)
        if any(nose_gap(detection.body_xy[NOSE], box) <= NOSE_NEAR for box in others):
            return False
        return self._locked or not self._people.others

    def _choose_region(self, rgb: NDArray[np.uint8], time_s: float) -> None:
        """Move to the region of this time; the backend begins anew where it changes."""
        if not self._regions:
            self._regions.extend(plan_regions(self._people, (rgb.shape[0], rgb.shape[1]), self._part))
            self._region = self._regions[0][1]
        while time_s >= self._regions[0][0]:
            self._regions.popleft()
        if self._region != self._regions[0][1]:
            self._region = self._regions[0][1]
            self._backend.reset()
            self._locked = False


def plan_regions(people: People, size: tuple[int, int], part: int = 0) -> list[tuple[float, Region]]:
    """Steady regions that hold the signer's reach in a part of the video, each with the time at which it ends; the last
    one never ends.
    """
    height, width = size
    if people.signer is None or part not in people.signer.parts:
        return [(math.inf, (0, 0, width, height))]
    spans: list[tuple[float, NDArray[np.float64]]] = []  # begin, region
    for time_s, box, where in zip(people.signer.times, people.signer.boxes, people.signer.parts, strict=True):
        if where != part:
            continue
        need = reach(box)
        if spans:
            union = np.concatenate([np.minimum(spans[-1][1][:2], need[:2]), np.maximum(spans[-1][1][2:], need[2:])])
            if (union[2:] - union[:2] <= MAX_REGION_GROWTH * (need[2:] - need[:2])).all():
                spans[-1] = (spans[-1][0], union)
                continue
        spans.append((time_s, need))
    ends = [begin for begin, _ in spans[1:]] + [math.inf]
    return [(end, _clip(region, size)) for end, (_, region) in zip(ends, spans, strict=True)]


def reach(face: Box) -> NDArray[np.float64]:
    """(4,) x0, y0, x1, y1 of where a person's arms reach."""
    x, y, width = face
    left, up, right, down = (width * share for share in REACH)
    return np.array([x - left, y - up, x + right, y + down])


def _clip(region: NDArray[np.float64], size: tuple[int, int]) -> Region:
    """A region inside the picture, or the whole picture where it takes most of it."""
    height, width = size
    x0, y0 = (int(v) for v in np.clip(np.floor(region[:2]), 0, [width - 1, height - 1]))
    x1, y1 = (int(v) for v in np.clip(np.ceil(region[2:]), [x0 + 1, y0 + 1], [width, height]))
    if (x1 - x0) * (y1 - y0) >= WHOLE_FROM * width * height:
        return 0, 0, width, height
    return x0, y0, x1, y1


def _without_heads(rgb: NDArray[np.uint8], others: list[Box], signer: Box | None) -> NDArray[np.uint8]:
    """A copy with other people's heads painted over in grey, except where the signer's own head is."""
    painted = rgb.copy()
    for x, y, width in others:
        half = 0.9 * width
        painted[_slice(y - half, y + half), _slice(x - half, x + half)] = 127
    if signer is not None:
        x, y, width = signer
        own = _slice(y - 0.7 * width, y + 0.7 * width), _slice(x - 0.6 * width, x + 0.6 * width)
        painted[own] = rgb[own]
    return painted


def _slice(start: float, end: float) -> slice:
    return slice(max(round(start), 0), max(round(end), 0))
