"""Look for a signer's hands in a recording: rounds of crops over all frames, each round one batch.

Every frame's hands are looked for on their own, first where the body's pose has them; a hand found beyond doubt is an
anchor. The others are looked for again, until one is likely enough: along the forearm, in a smaller region, where the
nearest anchors before and after have the hand relative to the forearm, once more around the best joints so found, and,
where the other hand is near, with that hand painted over, since the network sees the hand in front. `pose.hand_path`
chooses among the candidates.

Frames come in order and pictures are kept only as long as a later round may need them. What is found in a frame
depends on at most REACH frames before and after it, never on how the frames are divided among the calls.

Legend: T frames; 2 hands in the order of skeleton.SIDES; R crops of a hand and frame; sw shoulder widths.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from signrep_core.pose.crops import Regions, to_crop, to_picture
from signrep_core.pose.graph import SHOULDERS, WRISTS, hand_regions, hand_to_region
from signrep_core.pose.hand_regions import (
    blend_regions,
    carried_regions,
    forearm_regions,
    palm_lengths,
    similar,
)
from signrep_core.pose.held_pictures import Held, cut_held, hold
from signrep_core.pose.networks import HAND_SIDE as HAND_CROP
from signrep_core.pose.networks import HandOutput
from signrep_core.skeleton import FINGER_EDGES, SIDES

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]

# Rounds: crops of a hand and frame.
FIRST, SECOND, AGAIN, COVERED = slice(0, 1), slice(1, 4), slice(4, 5), slice(5, 7)
CARRIED: Final = 3  # the one that the anchors before and after give

SCALE_REACH: Final = 15  # frames on either side whose shoulder widths have a part in a frame's
GAP: Final = 15  # an anchor helps frames at most so far away
REACH: Final = SCALE_REACH + GAP

HAND_SIDE: Final = 0.73  # sw, side of a hand's crop (median of MediaPipe's tracked crops; 5-95 %: 0.58-0.92)
SMALL: Final = 0.62  # of the pose's region, for hands that are shown smaller
UNLIKE: Final = 0.25  # of the usual side: a difference below which that is not worth a crop
LEAST_SIDE: Final = 4.0  # pixels of a region
N_ANCHORS: Final = 8  # anchors from which the usual side of a hand's crop is taken

# An anchor: a hand that is the body's own beyond doubt.
SURE: Final = 0.8  # presence of an anchor that needs no second look
PRESENT, OWN, NEAR = 0.7, 0.6, 0.16  # presence, handedness, sw from the body's wrist
VERY, FAR = 0.9, 0.4  # or presence and handedness, sw
NEARER: Final = 0.05  # sw by which the other body wrist may be nearer
PALM: Final = (0.07, 0.4)  # sw
APART: Final = 0.13  # sw, mean distance of the joints below which both hands are one

# Log odds that a candidate is the hand: bias, presence, handedness, squared distance of the wrists (sw). Fitted on
# rendered signers with motion blur; only the last is a quarter of what fits there (163), since the wrists of hands
# beyond doubt lie up to 1.4 times as far apart on real clips, and farther where hands touch.
WEIGHTS: Final = (1.63, 0.59, 0.34, -40.0)
WRIST_CAP: Final = 0.2  # sw; the body's wrist is wrong where arms cross
LEAST_PRESENCE: Final = 0.1
ENOUGH: Final = 2.5  # log odds of a hand that needs no further look
AGAIN_FROM: Final = -6.0  # log odds from which the best joints give another crop
LIKELY: Final = 1.0  # log odds of a hand that is painted over
BEHIND: Final = 0.6  # sw; a hand whose wrist is farther from the middle of the other hand is not behind it
PALM_OUTLINE: Final = (0, 1, 5, 9, 13, 17)  # of a hand's joints
FINGER_WIDTH: Final = 0.6  # of the palm's length
AROUND: Final = (9, 25)  # pixels of the crop, widths of the brush between which the colour is taken
CLIP: Final = 1e-3  # of probabilities, before their log odds


HandNetwork = Callable[[NDArray[np.uint8]], HandOutput]  # of crops (N, 224, 224, 3)


@dataclass
class Looks:
    """All that was seen in T successive frames."""

    body: Floats  # (T, 33, 2) pixels, unfiltered; NaN where nobody was seen
    scale: Floats  # (T,) shoulder width, pixels
    outside: Bools  # (T, 2) the body's pose has the hand outside the picture
    regions: Regions  # (T, 2, R, 4) looked at; NaN where there was no need
    points: Floats  # (T, 2, R, 21, 3) pixels
    presence: Floats  # (T, 2, R)
    own: Floats  # (T, 2, R) probability that the hand is of its side

    def odds(self) -> Floats:
        """(T, 2, R) log odds that what was seen is the hand; -inf where nothing was."""
        bias, presence, own, distance = WEIGHTS
        gap = np.fmin(self.wrist_gaps(WRISTS), WRIST_CAP)
        odds = bias + presence * _log_odds(self.presence) + own * _log_odds(self.own) + distance * gap**2
        return np.where(self.presence > LEAST_PRESENCE, odds, -np.inf)

    def wrist_gaps(self, wrists: NDArray[np.intp]) -> Floats:
        """(T, 2, R) distance of each hand's wrist to one of the body for each hand, sw."""
        gaps = np.linalg.norm(self.points[..., 0, :2] - self.body[:, wrists, None], axis=-1)
        return gaps / self.scale[:, None, None]

    def join(self, later: "Looks") -> "Looks":
        """These frames and later ones."""
        return Looks(*(np.concatenate(pair) for pair in zip(vars(self).values(), vars(later).values(), strict=True)))

    def part(self, frames: slice) -> "Looks":
        """Some of the frames."""
        return Looks(*(values[frames] for values in vars(self).values()))


class HandSearch:
    """Looks for the hands of one person in successive frames: `add` them, then `finish`."""

    def __init__(self, network: HandNetwork) -> None:
        self._network = network
        self._begin()

    def _begin(self) -> None:
        self._seen: Looks = _unseen(np.empty((0, 33, 2)))  # of some frames before _done, and all from there on
        self._anchors: Bools = np.zeros((0, 2), bool)
        self._pictures: list[Held] = []  # from _done on
        self._known = self._done = 0  # frames of _seen of which the first round, and the last one, is over

    def add(self, pictures: Sequence[NDArray[np.uint8]], body: Floats) -> Looks:
        """Add frames in order.

        Args:
            pictures: N pictures (H, W, 3).
            body: (N, 33, 2) pixels.

        Returns:
            The frames that are finished now; they follow those returned before.
        """
        self._pictures += [hold(rgb, pose) for rgb, pose in zip(pictures, body, strict=True)]
        self._seen = self._seen.join(_unseen(body))
        self._anchors = np.concatenate([self._anchors, np.zeros((len(body), 2), bool)])
        known = len(self._seen.body) - SCALE_REACH
        return self._advance(known, known - GAP)

    def finish(self) -> Looks:
        """Return the frames that are left, and begin anew."""
        everything = len(self._seen.body)
        rest = self._advance(everything, everything)
        self._begin()
        return rest

    def _advance(self, known: int, done: int) -> Looks:
        """Look into frames for the first time up to `known`, and finish those up to `done`."""
        if known > self._known:
            self._look_first(slice(self._known, known))
            self._known = known
        if done <= self._done:
            return self._seen.part(slice(0, 0))
        frames = slice(self._done, done)
        self._look_again(frames)
        finished = self._seen.part(frames)
        del self._pictures[: done - self._done]
        dropped = max(done - REACH, 0)
        self._seen, self._anchors = self._seen.part(slice(dropped, None)), self._anchors[dropped:]
        self._known, self._done = self._known - dropped, done - dropped
        return finished

    def _look_first(self, frames: slice) -> None:
        """Look where the body's pose has the hands, and find the anchors."""
        seen = self._seen
        seen.scale[frames] = shoulder_widths(seen.body, SCALE_REACH)[frames]
        regions = hand_regions(seen.body[frames])
        sizes = [self._pictures[t - self._done].size for t in range(frames.start, frames.stop)]
        middle = regions[..., :2]
        seen.outside[frames] = (middle < 0).any(-1) | (middle >= np.array(sizes)[:, None]).any(-1)
        regions[..., 2] = HAND_SIDE * seen.scale[frames, None]
        self._look_into(frames, FIRST, regions[:, :, None])
        self._anchors[frames] = find_anchors(seen.part(frames))

    def _look_again(self, frames: slice) -> None:
        """Look into more regions for the hands that the first look left in doubt."""
        known = self._seen.part(slice(0, self._known))
        now = self._seen.part(frames)  # a view
        sure = self._anchors[frames] & (now.presence[:, :, 0] > SURE)
        weak = ~now.outside & ~sure & ~settled(now)
        regions = second_regions(known, self._anchors[: self._known])[frames]
        regions[~weak] = np.nan
        self._look_into(frames, SECOND, regions)
        weak &= ~settled(now)
        best, odds = best_looks(now)
        todo = weak & (odds > AGAIN_FROM)
        self._look_into(frames, AGAIN, np.where(todo[..., None], hands_to_regions(best), np.nan)[:, :, None])
        weak &= ~settled(now)
        self._look_behind(frames, weak, regions[:, :, CARRIED - SECOND.start])

    def _look_behind(self, frames: slice, weak: Bools, carried: Regions) -> None:
        """Look for hands that the other hand may hide, with that hand painted over."""
        now = self._seen.part(frames)
        other, known = other_hands(now)
        gap = np.linalg.norm(other.mean(2) - now.body[:, WRISTS], axis=-1)
        behind = weak & known & (gap < BEHIND * now.scale[:, None])
        regions = np.stack([now.regions[:, :, FIRST.start], carried], 2)
        now.regions[:, :, COVERED] = np.where(behind[..., None, None], regions, np.nan)
        self._look(frames, COVERED, other)

    def _look_into(self, frames: slice, rounds: slice, regions: Regions) -> None:
        """Look into regions (N, 2, n, 4) of some frames, as some of the rounds; similar ones are looked into once."""
        now = self._seen.part(frames)  # a view: what is written to it stays
        for r in range(rounds.start, rounds.stop):
            new = regions[:, :, r - rounds.start]
            again = similar(new[:, :, None], now.regions[:, :, :r]).any(2)
            now.regions[:, :, r] = np.where(again[..., None] | (new[..., 2:3] < LEAST_SIDE), np.nan, new)
        self._look(frames, rounds)

    def _look(self, frames: slice, rounds: slice, covered: Floats | None = None) -> None:
        """Show the network the regions of some rounds; with joints (N, 2, 21, 2) painted over."""
        now = self._seen.part(frames)
        t, hand, r = np.argwhere(np.isfinite(now.regions[:, :, rounds]).all(-1)).T
        r += rounds.start
        regions = now.regions[t, hand, r]
        crops = cut_held([self._pictures[frames.start - self._done + i] for i in t], regions, HAND_CROP)
        if covered is not None:
            for crop, joints in zip(crops, to_crop(covered[t, hand], regions, HAND_CROP), strict=True):
                cover_hand(crop, joints)
        found = self._network(crops)
        now.points[t, hand, r] = to_picture(found.landmarks, regions, HAND_CROP)
        now.presence[t, hand, r] = found.presence
        now.own[t, hand, r] = np.where(hand == SIDES.index("right"), found.right, 1 - found.right)


def shoulder_widths(body: Floats, reach: int) -> Floats:
    """(T,) running median over `reach` frames on either side, pixels; NaN where no frame shows the shoulders."""
    right, left = (body[:, joint, :2] for joint in SHOULDERS)
    return _running_median(np.linalg.norm(right - left, axis=-1), reach)


def find_anchors(first: Looks) -> Bools:
    """(T, 2) hands that the first look shows beyond doubt to be the body's own."""
    points, presence, own = first.points[:, :, 0], first.presence[:, :, 0], first.own[:, :, 0]
    gap, other_gap = (first.wrist_gaps(wrists)[:, :, 0] for wrists in (WRISTS, WRISTS[::-1]))
    close = (presence > PRESENT) & (own > OWN) & (gap < NEAR) & (gap < other_gap + NEARER)
    certain = (presence > VERY) & (own > VERY) & (gap < FAR)
    palm = palm_lengths(points) / first.scale[:, None]
    anchors = (close | certain) & (palm > PALM[0]) & (palm < PALM[1])
    doubled = anchors.all(1) & (_gap_of_hands(points) < APART * first.scale)
    anchors &= ~(doubled[:, None] & (gap > gap[:, ::-1]))
    return anchors


def best_looks(seen: Looks) -> tuple[Floats, Floats]:
    """(T, 2, 21, 3) joints of the best candidates, and (T, 2) their log odds."""
    odds = seen.odds()
    best = odds.argmax(2)[:, :, None, None, None]
    return np.take_along_axis(seen.points, best, 2)[:, :, 0], odds.max(2)


def settled(seen: Looks) -> Bools:
    """(T, 2) hands that need no further look: likely enough, and not where the other hand is."""
    points, odds = best_looks(seen)
    return (odds > ENOUGH) & ~(_gap_of_hands(points) < APART * seen.scale)[:, None]


def second_regions(seen: Looks, anchors: Bools) -> Regions:
    """(T, 2, 3, 4) where else to look: along the forearm, in a smaller region, and where the anchors before and after
    have the hand, or the only one of them.
    """
    regions = hands_to_regions(seen.points[:, :, 0])
    sides = usual_sides(regions[..., 2] / seen.scale[:, None], anchors) * seen.scale[:, None]
    small = hand_regions(seen.body)
    small[..., 2] *= SMALL
    small[np.abs(small[..., 2] - sides) < UNLIKE * sides] = np.nan
    before, after = nearest_anchors(anchors, GAP)
    frames = np.arange(len(anchors))[:, None]
    earlier, later = (carried_regions(seen.body, regions, source) for source in (before, after))
    between = blend_regions(earlier, later, (frames - before) / np.maximum(after - before, 1))
    carried = np.where(before[..., None] < 0, later, np.where(after[..., None] < 0, earlier, between))
    return np.stack([forearm_regions(seen.body, sides), small, carried], 2)


def other_hands(seen: Looks) -> tuple[Floats, Bools]:
    """(T, 2, 21, 2) joints of the other hand by its best candidate, and (T, 2) whether they are likely right."""
    odds = np.where(seen.own > OWN, seen.odds(), -np.inf)
    best = odds.argmax(2)[:, :, None, None, None]
    points = np.take_along_axis(seen.points[..., :2], best, 2)[:, :, 0]
    return points[:, ::-1], (odds.max(2) > LIKELY)[:, ::-1]


def cover_hand(crop: NDArray[np.uint8], joints: Floats) -> None:
    """Paint a hand over with the colour around it; joints (21, 2) in pixels of the crop."""
    place = np.round(joints).astype(np.int32)
    palm = float(palm_lengths(joints))
    mask = np.zeros(crop.shape[:2], np.uint8)
    cv2.fillPoly(mask, [place[list(PALM_OUTLINE)]], (255,))
    cv2.polylines(mask, [place[[a, b]] for a, b in FINGER_EDGES], False, (255,), max(round(FINGER_WIDTH * palm), 1))
    near, far = (cv2.dilate(mask, np.ones((width, width), np.uint8)) for width in AROUND)
    ring = (far > 0) & (near == 0)
    if ring.any():
        crop[mask > 0] = np.median(crop[ring], 0)


def usual_sides(sides: Floats, anchors: Bools) -> Floats:
    """(T, 2) median side of the anchors' regions near each frame: of that hand, of both, or HAND_SIDE, sw."""
    known = np.where(anchors, sides, np.nan)
    own = _running_median(known, GAP, N_ANCHORS)
    both = _running_median(known, GAP, N_ANCHORS, pooled=True)
    return np.where(np.isfinite(own), own, np.where(np.isfinite(both), both, HAND_SIDE))


def nearest_anchors(anchors: Bools, gap: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(T, 2) the last anchor before and the first one after each frame, at most `gap` frames away; -1 for none."""
    frames = np.arange(len(anchors))[:, None]
    before, after = np.full(anchors.shape, -1), np.full(anchors.shape, -1)
    if len(anchors) > 1:
        before[1:] = np.maximum.accumulate(np.where(anchors, frames, -gap - 1))[:-1]
        after[:-1] = np.minimum.accumulate(np.where(anchors, frames, len(anchors) + gap)[::-1])[::-1][1:]
    before[(before < 0) | (frames - before > gap)] = -1
    after[after - frames > gap] = -1
    return before, after


def hands_to_regions(points: Floats) -> Regions:
    """(T, 2, 4) regions around hands by their joints (T, 2, 21, >=2)."""
    return hand_to_region(points.reshape(-1, *points.shape[2:])).reshape(*points.shape[:2], 4)


def _gap_of_hands(points: Floats) -> Floats:
    """(T,) mean distance of the joints (T, 2, 21, >=2) of both hands, pixels."""
    return np.linalg.norm(points[:, 0, :, :2] - points[:, 1, :, :2], axis=-1).mean(-1)


def _unseen(body: Floats) -> Looks:
    """Frames that nobody has looked into."""
    shape = (len(body), 2, COVERED.stop)
    return Looks(
        body=np.asarray(body[..., :2], np.float64),
        scale=np.full(len(body), np.nan),
        outside=np.zeros((len(body), 2), bool),
        regions=np.full((*shape, 4), np.nan),
        points=np.full((*shape, 21, 3), np.nan, np.float32),
        presence=np.zeros(shape),
        own=np.zeros(shape),
    )


def _running_median(values: Floats, reach: int, least: int = 1, *, pooled: bool = False) -> Floats:
    """Median over `reach` frames on either side of (T,) or (T, n) values, NaN where fewer than `least` are finite.

    `pooled`: over all n values of the frames together.
    """
    padding = [(reach, reach)] + [(0, 0)] * (values.ndim - 1)
    near = sliding_window_view(np.pad(values, padding, constant_values=np.nan), 2 * reach + 1, 0)
    axis = (1, 2) if pooled else -1
    enough = np.isfinite(near).sum(axis, keepdims=True) >= least
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # nothing but NaN
        medians: Floats = np.nanmedian(np.where(enough, near, np.nan), axis, keepdims=pooled)
    return medians[..., 0] if pooled else medians


def _log_odds(probability: Floats) -> Floats:
    clipped = np.clip(probability, CLIP, 1 - CLIP)
    return np.log(clipped / (1 - clipped))
