"""Follow the body of one person through a recording: which region of a frame is shown to the pose network, and whether
what it sees there is that person.

The region comes from where the body was in the last frames, and at the beginning, or after a loss, from the person's
known face. A pose counts only if its nose lies on that face and on nobody else's; where the face is not known (turned
away, covered), a pose is kept while nothing contradicts it. Nobody is searched for in the whole picture, so other
people need no treatment of their own.

The pose is not smoothed here. Regions are squares without rotation, and change slowly.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from signrep_core.pose.crops import Regions, rotate, to_picture
from signrep_core.pose.graph import CENTRE, EDGE, MIN_PRESENCE, N_BODY, next_person_region
from signrep_core.pose.networks import POSE_SIDE, PoseOutput
from signrep_core.pose.people import NOSE_NEAR, Box, nose_gap

Floats = NDArray[np.floating]

_NOSE: Final = 0
STEADY: Final = 9  # frames whose regions' median is the next one
FACE_TO_REGION: Final = (4.4, 14.4)  # face widths: the region's middle below the face's, and its side (15 real clips)


@dataclass(frozen=True)
class Body:
    """A body in one frame."""

    points: Floats  # (33, 3) MediaPipe's pose landmarks in pixels; z of the same scale
    visibility: Floats  # (33,)
    world: Floats  # (33, 3) metres
    on_face: bool  # the nose lies on the person's known face


class BodyTrack:
    """One person's body in successive frames: for each frame `regions` to try, and `take` with the network's answer."""

    def __init__(self, *, alone: bool) -> None:
        """`alone`: the video shows nobody else, so that a pose is believed where no face is known."""
        self._alone = alone
        self.begin()

    def begin(self) -> None:
        """Forget the frames before."""
        self._recent: deque[Floats] = deque(maxlen=STEADY)

    @property
    def locked(self) -> bool:
        """Whether the last frame showed the body."""
        return len(self._recent) > 0

    def region(self, face: Box | None) -> Regions | None:
        """(4,) region of the next frame, or None where nothing is known of the person's place."""
        if self._recent:
            return np.median(self._recent, 0)
        if face is None:
            return None
        x, y, width = face
        below, side = (share * width for share in FACE_TO_REGION)
        return np.array([x, y + below, side, 0.0])

    def take(self, seen: PoseOutput, region: Regions, face: Box | None, others: Sequence[Box]) -> Body | None:
        """The body that the network saw in a region (4,), or None, whereupon the track begins anew.

        Args:
            seen: the network's answer to one crop.
            face: the person's face in this frame, where it is known.
            others: the faces of other people.
        """
        landmarks = seen.landmarks[0]
        placed = to_picture(landmarks[None, :, :3], region[None], POSE_SIDE)[0]
        if seen.presence[0] <= MIN_PRESENCE or not self._is_person(placed[_NOSE, :2], face, others):
            self.begin()
            return None
        ((x, y, side, _),) = next_person_region(placed[None, CENTRE : EDGE + 1])
        self._recent.append(np.array([x, y, side, 0.0]))
        world = rotate(seen.world[:, :N_BODY], region[None, 3])[0]
        on_face = face is not None and nose_gap(placed[_NOSE], face) <= NOSE_NEAR
        return Body(placed[:N_BODY], landmarks[:N_BODY, 3], world, on_face)

    def _is_person(self, nose: Floats, face: Box | None, others: Sequence[Box]) -> bool:
        """Whether a pose is this person's, by where its nose is."""
        if face is not None:
            gap = nose_gap(nose, face)
            return gap <= NOSE_NEAR and all(gap <= nose_gap(nose, box) for box in others)
        if any(nose_gap(nose, box) <= NOSE_NEAR for box in others):
            return False
        return self.locked or self._alone
