"""Follow a video's signer through all frames: the body frame by frame, the hands looked for offline.

Frames come in order; each gives one `Sighting`, some tens of frames later. At a shot cut and where the picture changes
its shape, following begins anew.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from signrep_core.pose.body_track import Body, BodyTrack
from signrep_core.pose.crops import Regions, cut_crop, cut_crops
from signrep_core.pose.graph import N_BODY, person_region, whole_picture
from signrep_core.pose.hands import NO_HANDS, HandFinder, Hands
from signrep_core.pose.networks import PERSON_SIDE, POSE_SIDE, Networks
from signrep_core.pose.people import CROSSING, Box, People, face_gap
from signrep_core.video.reader import Frame

STRETCH: Final = 32  # frames whose hands are looked for together


@dataclass(frozen=True)
class Sighting:
    """The signer in one frame."""

    frame: Frame  # without its picture
    size: tuple[int, int]  # height, width of the picture
    body: Body | None  # not smoothed
    doubtful: bool  # someone else may have been meant
    hands: Hands  # of this frame alone

    @property
    def on_face(self) -> bool:
        """Whether the nose lies on the signer's known face."""
        return self.body is not None and self.body.on_face


def follow_signer(frames: Iterable[Frame], networks: Networks, people: People) -> Iterator[Sighting]:
    """Follow the signer of `people` through a video's frames; a damaged frame shows nobody."""
    follower = _Follower(networks, people)
    for frame in frames:
        yield from follower.add(frame)
    yield from follower.finish()


def same_take(a: Frame, b: Frame) -> bool:
    """Whether nothing breaks the picture between two successive frames."""
    return (a.part, a.shot) == (b.part, b.shot)


class _Follower:
    """Follows one person; a sighting comes out when its hands are chosen."""

    def __init__(self, networks: Networks, people: People) -> None:
        self._networks, self._people = networks, people
        self._track = BodyTrack(alone=not people.others)
        self._finder = HandFinder(networks.hand)
        self._pictures: list[NDArray[np.uint8]] = []  # of the last of the waiting frames, in which nobody has looked
        self._waiting: deque[Sighting] = deque()

    def add(self, frame: Frame) -> Iterator[Sighting]:
        """Take in the next frame; gives the sightings that are finished now."""
        if self._waiting and not same_take(self._waiting[-1].frame, frame):
            yield from self.finish()
        self._waiting.append(self._see(frame))
        self._pictures.append(frame.rgb)
        if len(self._pictures) == STRETCH:
            yield from self._join(self._look_for_hands())

    def finish(self) -> Iterator[Sighting]:
        """Give the sightings that are left, and begin anew."""
        yield from self._join(self._look_for_hands())
        yield from self._join(self._finder.finish())
        self._track.begin()

    def _look_for_hands(self) -> Hands:
        """Look for the hands of a stretch of frames; gives those that are chosen now, also of earlier frames."""
        bodies = [sighting.body for sighting in islice(self._waiting, len(self._waiting) - len(self._pictures), None)]
        points = np.full((len(bodies), N_BODY, 2), np.nan)
        for place, body in zip(points, bodies, strict=True):
            if body is not None:
                place[:] = body.points[:, :2]
        pictures, self._pictures = self._pictures, []
        return self._finder.add(pictures, points)

    def _join(self, hands: Hands) -> Iterator[Sighting]:
        """The first of the waiting sightings, with their hands."""
        for k in range(len(hands.odds)):
            yield replace(self._waiting.popleft(), hands=hands.part(slice(k, k + 1)))

    def _see(self, frame: Frame) -> Sighting:
        """The body in a frame."""
        face, others = self._people.faces_at(frame.time_s, frame.part)
        doubtful = self._people.doubtful or (face is not None and any(face_gap(face, box) < CROSSING for box in others))
        body = None
        if not frame.damaged:
            was_locked = self._track.locked
            body = self._look(frame.rgb, face, others)
            if body is None and was_locked:  # lost, or strayed to someone else: look afresh in the same frame
                body = self._look(frame.rgb, face, others)
        size = (frame.rgb.shape[0], frame.rgb.shape[1])
        return Sighting(replace(frame, rgb=frame.rgb[:0]), size, body, doubtful, NO_HANDS)

    def _look(self, rgb: NDArray[np.uint8], face: Box | None, others: Sequence[Box]) -> Body | None:
        region = self._track.region(face)
        if region is None and not self._people.others:
            region = self._find_person(rgb)
        if region is None:
            return None
        seen = self._networks.pose(cut_crops([rgb], region[None], POSE_SIDE))
        return self._track.take(seen, region, face, others)

    def _find_person(self, rgb: NDArray[np.uint8]) -> Regions | None:
        """(4,) region of the surest person of a picture, where no face is known: one turned away, or too small."""
        size = (rgb.shape[0], rgb.shape[1])
        crop = cut_crop(rgb, whole_picture(size), PERSON_SIDE, black=True)
        return person_region(self._networks.person(crop[None]), 0, PERSON_SIDE, size)
