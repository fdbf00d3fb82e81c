"""Who is in a video, and who of them is the signer: faces at a few frames a second, linked to people and scored.

A sparse pass. Faces are found by MediaPipe's full-range detector: in the whole picture, now and then also in the parts
of a large one (an interpreter's inset), from then on in a window around each small face. They are linked to tracks by
place, tracks to people by their clothes' colours, and each person is scored by size, centrality, time in the picture
and the motion of hands and torso. What is kept is bounded by a few numbers per face.

Legend: a box is (x centre, y centre, width) of a face in pixels; all other lengths are in that width.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from signrep_core.pose.faces import open_face_network
from signrep_core.video.reader import Frame

SCAN_FPS: Final = 3.0
THOROUGH_EVERY: Final = 6  # scanned frames: every so often a picture is also searched in parts
PART_PX: Final = 480  # side of a part: the detector finds faces of about 5 % of what it is shown
WINDOW: Final = 8.0  # side of the window that a known face is looked for in, in face widths
MAX_GAP_S: Final = 2.0  # a track bridges so much time without its face
MAX_STEP: Final = 1.0  # a face moves at most so far between two scanned frames ...
MAX_GROWTH: Final = 1.6  # ... and grows or shrinks at most so much
JUMP: Final = (
    4.0  # a face that is so far away in the next sighting has not moved there: between the two lies a shot cut
)
SAME_CLOTHES: Final = 0.55  # correlation of colour histograms from which two tracks show one person
OTHER_CLOTHES: Final = 0.2  # below it even a face at the same place is someone else: a cut between two pictures
DOUBTFUL_SHARE: Final = 0.6  # a runner-up with this share of the signer's score makes the choice doubtful
MIN_SIGHTINGS: Final = 2  # a face seen once is no person
TORSO: Final = (-2.2, -0.5, 2.2, 4.0)  # where hands and torso are, from the face's centre
CLOTHES: Final = (-0.8, 1.0, 0.8, 2.6)
MOVED: Final = 15  # grey levels
NOSE_NEAR: Final = 0.9  # a nose this near (face widths) to the face's centre is on it
CROSSING: Final = 2.0  # two people this near (face widths) may be confused
SMALL_PX: Final = 160  # long side of the picture that motion is measured in

Box = NDArray[np.float64]  # (3,) x centre, y centre, width
# picture, (M, 3) boxes of faces known from before, whether to search parts too -> (N, 3) boxes
FaceDetector = Callable[[NDArray[np.uint8], NDArray[np.float64], bool], NDArray[np.float64]]


@dataclass
class Person:
    """One person's face over time."""

    times: list[float] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)  # of the video (`Frame.part`)
    motion: list[float] = field(default_factory=list)
    clothes: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))  # running mean histogram

    def see(self, time_s: float, box: Box, motion: float, clothes: NDArray[np.float64], part: int = 0) -> None:
        """Add a sighting."""
        n = len(self.times)
        self.clothes = clothes if n == 0 else self.clothes + (clothes - self.clothes) / min(n + 1, 30)
        self.times.append(time_s)
        self.boxes.append(box)
        self.parts.append(part)
        self.motion.append(motion)

    def join(self, later: "Person") -> None:
        """Add a later track of the same person."""
        share = len(later.times) / (len(self.times) + len(later.times))
        self.clothes = self.clothes + (later.clothes - self.clothes) * share
        self.times += later.times
        self.boxes += later.boxes
        self.parts += later.parts
        self.motion += later.motion

    def face_at(self, time_s: float, part: int = 0, period_s: float = 1 / SCAN_FPS) -> Box | None:
        """The face's box in a part of the video; None where it is not known.

        It is interpolated between sightings at most MAX_GAP_S apart, but not where it jumps, at a shot cut.
        """
        right = int(np.searchsorted(self.times, time_s))
        before = right - 1 if right > 0 and self.parts[right - 1] == part else None
        after = right if right < len(self.times) and self.parts[right] == part else None
        if before is not None and after is not None and self._moves(before, after):
            share = (time_s - self.times[before]) / (self.times[after] - self.times[before])
            box: Box = self.boxes[before] * (1 - share) + self.boxes[after] * share
            return box
        near = [i for i in (before, after) if i is not None and abs(self.times[i] - time_s) <= period_s]
        return self.boxes[min(near, key=lambda i: abs(self.times[i] - time_s))] if near else None

    def _moves(self, before: int, after: int) -> bool:
        """Whether a face may have moved from one sighting to another."""
        if self.times[after] - self.times[before] > MAX_GAP_S:
            return False
        a, b = self.boxes[before], self.boxes[after]
        return face_gap(a, b) <= JUMP and max(a[2], b[2]) <= MAX_GROWTH * min(a[2], b[2])


@dataclass(frozen=True)
class People:
    """The people of a video: its signer (None where no face was found), the others, and how clear the choice was."""

    signer: Person | None
    others: tuple[Person, ...]
    doubtful: bool

    def faces_at(self, time_s: float, part: int = 0) -> tuple[Box | None, list[Box]]:
        """The signer's face, where it is known, and the known faces of the others."""
        face = self.signer.face_at(time_s, part) if self.signer else None
        return face, [box for person in self.others if (box := person.face_at(time_s, part)) is not None]


def open_face_detector() -> FaceDetector:
    """MediaPipe's full-range face detector, from the wheel.

    Raises:
        SignRepError: as `faces.open_face_network`.
    """
    detector = open_face_network()

    def find(rgb: NDArray[np.uint8], known: NDArray[np.float64], thorough: bool) -> NDArray[np.float64]:
        height, width = rgb.shape[:2]
        found = _find_in_part(detector, rgb, (0, 0, width, height))
        if thorough and max(height, width) >= 1.5 * PART_PX:
            found += [box for part in _parts(width, height) for box in _find_in_part(detector, rgb, part)]
        for box in known:
            if not any(_overlap(box, other) for other in found):
                found += _find_in_part(detector, rgb, _window(box, width, height))
        return _distinct(found)

    return find


def find_people(frames: Iterable[Frame], find_faces: FaceDetector, on_frame: Callable[[], None]) -> People:
    """The people of a video from a sparse pass over its frames (about SCAN_FPS a second).

    Args:
        on_frame: called after each frame, for progress.
    """
    scan = _Scan()
    size = (1, 1)
    for frame in frames:
        size = (frame.rgb.shape[0], frame.rgb.shape[1])
        scan.begin_part(frame.part)
        scan.add(frame, find_faces(frame.rgb, scan.known(), scan.frames % THOROUGH_EVERY == 0))
        on_frame()
    people = [p for p in _link_tracks(scan.finish()) if len(p.times) >= MIN_SIGHTINGS or scan.frames < 4]
    return choose_signer(people, size, scan.frames)


def choose_signer(people: Sequence[Person], size: tuple[int, int], scanned: int) -> People:
    """The person who most likely signs; `size` is the picture's (height, width), `scanned` the frames looked at."""
    if not people:
        return People(None, (), doubtful=False)
    scores = score_people(people, size, scanned)
    order = sorted(range(len(people)), key=lambda i: -scores[i])
    doubtful = len(people) > 1 and scores[order[1]] >= DOUBTFUL_SHARE * scores[order[0]]
    return People(people[order[0]], tuple(people[i] for i in order[1:]), doubtful)


def score_people(people: Sequence[Person], size: tuple[int, int], scanned: int) -> list[float]:
    """√size · centrality · √presence · motion of each person, each factor in 0..1, relative to the best."""
    width = [float(np.median([box[2] for box in p.boxes])) for p in people]
    motion = [float(np.mean(p.motion)) for p in people]
    scores = []
    for i, person in enumerate(people):
        aside = abs(float(np.median([box[0] for box in person.boxes])) - size[1] / 2) / (size[1] / 2)
        presence = min(len(person.times) / max(scanned, 1), 1.0)
        moving = motion[i] / max(max(motion), 1e-6)
        scores.append(
            math.sqrt(width[i] / max(width)) * (1 - 0.5 * min(aside, 1)) * math.sqrt(presence) * (0.2 + 0.8 * moving)
        )
    return scores


# ---------------------------------------------------------------- the scan


class _Scan:
    """Faces of successive frames, linked to tracks."""

    def __init__(self) -> None:
        self.frames = 0
        self._open: list[Person] = []
        self._closed: list[Person] = []
        self._before: NDArray[np.uint8] | None = None
        self._part = 0

    def known(self) -> NDArray[np.float64]:
        """(M, 3) boxes at which faces were last seen."""
        return np.array([track.boxes[-1] for track in self._open]).reshape(-1, 3)

    def begin_part(self, part: int) -> None:
        """End all tracks where the picture's shape changes: a place in one part is none in the next."""
        if part != self._part:
            self._closed += self._open
            self._open, self._before, self._part = [], None, part

    def add(self, frame: Frame, faces: NDArray[np.float64]) -> None:
        """Take in a frame's faces."""
        small, factor = _small_grey(frame.rgb)
        before = small if self._before is None else self._before
        moved = cv2.absdiff(small, before) > MOVED
        self._before = small
        self.frames += 1
        alive = [p for p in self._open if frame.time_s - p.times[-1] <= MAX_GAP_S]
        self._closed += [p for p in self._open if frame.time_s - p.times[-1] > MAX_GAP_S]
        clothes = [_histogram(_cut(frame.rgb, box, CLOTHES)) for box in faces]
        links = _link_faces(alive, frame.time_s, faces, clothes)
        for k, box in enumerate(faces):
            motion = _motion(moved, faces * factor, k)
            if k in links:
                links[k].see(frame.time_s, box, motion, clothes[k], frame.part)
            else:
                person = Person()
                person.see(frame.time_s, box, motion, clothes[k], frame.part)
                alive.append(person)
        self._open = alive

    def finish(self) -> list[Person]:
        """All tracks, by the time at which they begin."""
        return sorted(self._closed + self._open, key=lambda p: p.times[0])


def _link_faces(
    tracks: Sequence[Person], time_s: float, faces: NDArray[np.float64], clothes: Sequence[NDArray[np.float64]]
) -> dict[int, Person]:
    """The track that each face continues; nearest pairs are matched first."""
    pairs = []
    for t, track in enumerate(tracks):
        last = track.boxes[-1]
        steps = max((time_s - track.times[-1]) * SCAN_FPS, 1.0)
        for k, box in enumerate(faces):
            distance, grown = face_gap(box, last), max(box[2], last[2]) / min(box[2], last[2])
            fits = distance <= MAX_STEP * (1 + 0.5 * (steps - 1)) and grown <= MAX_GROWTH
            if fits and _likeness(track.clothes, clothes[k]) >= OTHER_CLOTHES:
                pairs.append((distance, t, k))
    links: dict[int, Person] = {}
    taken: set[int] = set()
    for _, t, k in sorted(pairs):
        if t not in taken and k not in links:
            taken.add(t)
            links[k] = tracks[t]
    return links


def face_gap(a: Box, b: Box) -> float:
    """Distance of two faces in widths of the wider one."""
    return math.dist(a[:2], b[:2]) / max(float(a[2]), float(b[2]))


def nose_gap(nose: NDArray[np.floating], face: Box) -> float:
    """Distance of a nose from a face's centre in face widths."""
    return math.dist(nose[:2], face[:2]) / float(face[2])


def _link_tracks(tracks: Sequence[Person]) -> list[Person]:
    """Tracks of one person joined: the same clothes at another time."""
    people: list[Person] = []
    for track in tracks:
        ended = [p for p in people if p.times[-1] < track.times[0]]
        best = max(ended, key=lambda p: _likeness(p.clothes, track.clothes), default=None)
        if best is not None and _likeness(best.clothes, track.clothes) >= SAME_CLOTHES:
            best.join(track)
        else:
            people.append(track)
    return people


def _find_in_part(
    detector: Callable[[NDArray[np.uint8]], NDArray[np.float64]],
    rgb: NDArray[np.uint8],
    part: tuple[int, int, int, int],
) -> list[Box]:
    """Faces of a part (x, y, width, height) of the picture; those cut by an inner edge are left to another part."""
    x0, y0, width, height = part
    boxes = []
    offset = np.array([x0, y0, 0])
    for x, y, w in detector(rgb[y0 : y0 + height, x0 : x0 + width]) + offset:
        cut = (x0 > 0 and x - w / 2 < x0 + 2) or (x0 + width < rgb.shape[1] and x + w / 2 > x0 + width - 2)
        if w > 1 and not cut:
            boxes.append(np.array([x, y, w]))
    return boxes


def _parts(width: int, height: int) -> list[tuple[int, int, int, int]]:
    """Overlapping squares (x, y, width, height) that cover a picture."""
    w, h = min(PART_PX, width), min(PART_PX, height)
    columns, rows = (1 + math.ceil((size - side) / (0.75 * PART_PX)) for size, side in ((width, w), (height, h)))
    return [
        (round(x), round(y), w, h) for y in np.linspace(0, height - h, rows) for x in np.linspace(0, width - w, columns)
    ]


def _window(face: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """The part (x, y, width, height) of a picture around a face."""
    half = WINDOW / 2 * face[2]
    x0, y0 = max(int(face[0] - half), 0), max(int(face[1] - half), 0)
    return x0, y0, min(int(face[0] + half) + 1, width) - x0, min(int(face[1] + half) + 1, height) - y0


def _distinct(boxes: Sequence[Box]) -> NDArray[np.float64]:
    """(N, 3) boxes without those that lie on an earlier one."""
    kept: list[Box] = []
    for box in boxes:
        if not any(_overlap(box, other) for other in kept):
            kept.append(box)
    return np.array(kept).reshape(-1, 3)


def _overlap(a: Box, b: Box) -> bool:
    """Whether two boxes show one face."""
    return face_gap(a, b) <= 0.5


def _small_grey(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
    """A blurred grey thumbnail and its scale."""
    factor = min(SMALL_PX / max(rgb.shape[:2]), 1.0)
    small = cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), factor  # type: ignore[return-value]


def _motion(moved: NDArray[np.bool_], faces: NDArray[np.float64], k: int) -> float:
    """Share of the pixels around a torso that moved; what is nearer to a neighbour's face is the neighbour's."""
    x, y, width = faces[k]
    left, right = x + TORSO[0] * width, x + TORSO[2] * width
    for j, (other, _, other_width) in enumerate(faces):
        if j != k:
            border = (x * other_width + other * width) / (width + other_width)  # as many widths from either face
            left, right = (max(left, border), right) if other < x else (left, min(right, border))
    part = moved[_span(y + TORSO[1] * width, y + TORSO[3] * width), _span(left, right)]
    return float(part.mean()) if part.size else 0.0


def _cut(rgb: NDArray[np.uint8], box: Box, region: tuple[float, float, float, float]) -> NDArray[np.uint8]:
    x, y, width = box
    x0, y0, x1, y1 = region
    return rgb[_span(y + y0 * width, y + y1 * width), _span(x + x0 * width, x + x1 * width)]


def _span(start: float, end: float) -> slice:
    return slice(max(round(start), 0), max(round(end), 0))


def _histogram(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(128,) hue-saturation-value histogram, summing to 1 (0 where the region lies outside the picture)."""
    if rgb.size == 0:
        return np.zeros(128)
    hsv = cv2.cvtColor(np.ascontiguousarray(rgb[::2, ::2]), cv2.COLOR_RGB2HSV)
    counts = cv2.calcHist([hsv], [0, 1, 2], None, [8, 4, 4], [0, 180, 0, 256, 0, 256]).ravel()
    return counts / counts.sum()


def _likeness(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Cosine of two histograms; 1 where there is nothing to compare."""
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return 1.0 if length == 0 else float(a @ b) / length
