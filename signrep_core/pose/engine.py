"""MediaPipe Holistic without its graph: the same networks, regions and filters, for many videos at a time.

A lane is a video. A step takes the next frame of every lane: one batch of poses, then one of all lanes' hands.

Legend: L lanes, S sides in the order of skeleton.SIDES.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from signrep_core.pose import filters, graph
from signrep_core.pose.crops import Regions, cut_crop, cut_crops, rotate, to_picture
from signrep_core.pose.filters import Lanes, LowPass
from signrep_core.pose.graph import MIN_PRESENCE, N_BODY
from signrep_core.pose.networks import HAND_SIDE, PERSON_SIDE, POSE_SIDE, RECROP_SIDE, Networks
from signrep_core.skeleton import N_HAND_JOINTS, SIDES

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]  # (H, W, 3)

AUXILIARY: Final = slice(graph.CENTRE, graph.EDGE + 1)
MIN_WRIST_VISIBILITY: Final = 0.1  # hand_visibility_from_hand_landmarks_from_pose
_RIGHT: Final = np.array([side == "right" for side in SIDES])


@dataclass
class Landmarks:
    """Results of one step; pixels of each lane's picture, NaN and 0 where nothing was found."""

    body: Array  # (L, 33, 3) smoothed
    raw_body: Array  # (L, 33, 3) as the network gives them
    visibility: Array  # (L, 33)
    world: Array  # (L, 33, 3) metres
    hands: Array  # (L, S, 21, 3)
    presence: Array  # (L, S)
    own_side: Array  # (L, S) probability that the hand is of its side
    pose_region: Regions  # (L, 4)
    hand_region: Regions  # (L, S, 4)
    tracked: NDArray[np.bool_]  # (L, S) the hand's region follows the frame before

    @classmethod
    def empty(cls, lanes: int) -> "Landmarks":
        """No person in any lane."""
        sides = len(SIDES)

        def missing(*shape: int) -> Array:
            return np.full((lanes, *shape), np.nan)

        return cls(
            missing(N_BODY, 3), missing(N_BODY, 3), np.zeros((lanes, N_BODY)), missing(N_BODY, 3),
            missing(sides, N_HAND_JOINTS, 3), np.zeros((lanes, sides)), np.zeros((lanes, sides)),
            missing(4), missing(sides, 4), np.zeros((lanes, sides), bool),
        )  # fmt: skip


class Engine:
    """Follows one person in each lane, as MediaPipe does."""

    def __init__(self, networks: Networks, lanes: int = 1) -> None:
        self._networks, self._lanes = networks, lanes
        self._region = np.full((lanes, 4), np.nan)
        self._hands = np.full((lanes, len(SIDES), N_HAND_JOINTS, 3), np.nan)
        # pose_landmark_filtering; visibility and world filters go on when a pose is lost
        self._visibility = LowPass(np.full((lanes, N_BODY), np.nan))
        self._body = Lanes((lanes, N_BODY, 3), filters.POSE)
        self._auxiliary = Lanes((lanes, 2, 3), filters.AUXILIARY)
        self._world = Lanes((lanes, N_BODY, 3), filters.WORLD)

    def reset(self, lane: int = 0) -> None:
        """Forget a lane's frames before."""
        lanes = np.arange(self._lanes) == lane
        self._region[lane] = self._hands[lane] = self._visibility.before[lane] = np.nan
        for smooth in (self._body, self._auxiliary, self._world):
            smooth.reset(lanes)

    def step(self, pictures: Sequence[Picture | None]) -> Landmarks:
        """Landmarks of every lane's next frame; None where a lane has none, whose state stays as it is."""
        found = Landmarks.empty(self._lanes)
        live = np.array([picture is not None for picture in pictures])
        on = self._follow_bodies(pictures, live, found)
        self._follow_hands(pictures, on, found)
        self._hands[live] = found.hands[live]
        return found

    def _follow_bodies(
        self, pictures: Sequence[Picture | None], live: NDArray[np.bool_], found: Landmarks
    ) -> NDArray[np.bool_]:
        """Fill in the bodies; returns (L,) where one was found."""
        self._find_people(pictures, live & np.isnan(self._region[:, 0]))
        regions = found.pose_region = self._region.copy()
        self._region[live] = np.nan
        lanes = np.flatnonzero(live & ~np.isnan(regions[:, 0]))
        output = self._networks.pose(cut_crops(_of(pictures, lanes), regions[lanes], POSE_SIDE))
        points, world = np.zeros((self._lanes, AUXILIARY.stop, 3)), np.zeros((self._lanes, N_BODY, 3))
        seen = np.zeros((self._lanes, N_BODY))
        points[lanes] = to_picture(output.landmarks[:, : AUXILIARY.stop, :3], regions[lanes], POSE_SIDE)
        world[lanes] = rotate(output.world[:, :N_BODY], regions[lanes, 3])
        seen[lanes] = output.landmarks[:, :N_BODY, 3]
        on = np.zeros(self._lanes, bool)
        on[lanes] = output.presence > MIN_PRESENCE
        for smooth in (self._body, self._auxiliary):
            smooth.reset(live & ~on)
        raw, auxiliary = points[:, :N_BODY], points[:, AUXILIARY]
        scale = np.where(on, graph.aligned(auxiliary[:, 0, :2], auxiliary[:, 1, :2], graph.UP)[:, 2], 1)
        self._region[on] = graph.next_person_region(self._auxiliary(auxiliary, on, scale))[on]
        found.raw_body[on], found.body[on] = raw[on], self._body(raw, on, scale)[on]
        found.visibility[on], found.world[on] = self._visibility(seen, on)[on], self._world(world, on)[on]
        return on

    def _find_people(self, pictures: Sequence[Picture | None], lost: NDArray[np.bool_]) -> None:
        """Look for a person in whole pictures."""
        lanes = np.flatnonzero(lost)
        seen = _of(pictures, lanes)
        crops = np.empty((len(lanes), PERSON_SIDE, PERSON_SIDE, 3), np.uint8)
        for picture, crop in zip(seen, crops, strict=True):
            cut_crop(picture, graph.whole_picture(_size(picture)), PERSON_SIDE, crop, black=True)
        output = self._networks.person(crops)
        for k, (lane, picture) in enumerate(zip(lanes, seen, strict=True)):
            region = graph.person_region(output, k, PERSON_SIDE, _size(picture))
            if region is not None:
                self._region[lane] = region

    def _follow_hands(self, pictures: Sequence[Picture | None], on: NDArray[np.bool_], found: Landmarks) -> None:
        """Fill in the hands whose wrist may be seen."""
        wrists = found.visibility[:, graph.WRISTS]
        lanes, sides = np.nonzero(on[:, None] & (wrists > MIN_WRIST_VISIBILITY))
        seen = _of(pictures, lanes)
        first = graph.hand_regions(found.body)[lanes, sides]
        axis = to_picture(self._networks.recrop(cut_crops(seen, first, RECROP_SIDE)), first, RECROP_SIDE)
        regions, tracked = graph.keep_regions(self._hands[lanes, sides], graph.recropped(axis))
        found.hand_region[lanes, sides], found.tracked[lanes, sides] = regions, tracked
        output = self._networks.hand(cut_crops(seen, regions, HAND_SIDE))
        here = output.presence > MIN_PRESENCE
        place = lanes[here], sides[here]
        found.hands[place] = to_picture(output.landmarks[here], regions[here], HAND_SIDE)
        found.presence[place] = output.presence[here]
        found.own_side[place] = np.where(_RIGHT[sides], output.right, 1 - output.right)[here]


def _size(picture: Picture) -> graph.Size:
    return picture.shape[0], picture.shape[1]


def _of(pictures: Sequence[Picture | None], lanes: NDArray[np.intp]) -> list[Picture]:
    """The pictures of some lanes that have one."""
    return [picture for lane in lanes if (picture := pictures[lane]) is not None]
