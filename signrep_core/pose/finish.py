"""Finish a stretch of sightings: bodies and hands smoothed without delay, a confidence and a state for each hand.

Legend: T frames; 2 hands in the order of skeleton.SIDES.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from signrep_core.body.landmarks import Detections
from signrep_core.pose.filters import POSE, WORLD, OneEuro
from signrep_core.pose.follow import Sighting
from signrep_core.pose.graph import N_BODY, WRISTS
from signrep_core.pose.hand_search import SCALE_REACH, shoulder_widths
from signrep_core.pose.smooth import HAND, smooth, smooth_share
from signrep_core.pose.tracker import MIN_SHOULDERS
from signrep_core.skeleton import HAND_WRIST, MEDIAPIPE_POSE, SHOULDERS
from signrep_core.store.schemas import DETECTED, HAND_STATES, INTERPOLATED, MISSING

Floats = NDArray[np.floating]

BODY_CIRCLE: Final = 5.4  # shoulder widths: diameter of the circle around a body, MediaPipe's unit of speeds (15 clips)
CALIBRATION: Final = (1.0, -0.3)  # of a chosen hand's log odds: factor and shift, on rendered signers held out
HAND_SHARE: Final = 0.6  # of a hand's own wrist in the body's, which is farther from the truth on rendered signers
MAX_GAP: Final = 5  # frames without a hand between two with it, over which its angles are interpolated


class Finished(NamedTuple):
    """A stretch of frames."""

    present: NDArray[np.bool_]  # (T,) both shoulders are visible
    detections: Detections
    hand_states: NDArray[np.str_]  # (T, 2) of schemas.HAND_STATES


def finish(sightings: Sequence[Sighting]) -> Finished:
    """Finish successive frames of one take; those near an end of the stretch lack what lies beyond it."""
    points, visibility, world = _bodies(sightings)
    times = np.array([sighting.frame.time_s for sighting in sightings])
    hands = np.concatenate([sighting.hands.points for sighting in sightings])
    points[:, WRISTS, :2] = blend_wrists(points[:, WRISTS, :2], hands[:, :, HAND_WRIST, :2])
    odds = np.concatenate([sighting.hands.odds for sighting in sightings])
    unit = BODY_CIRCLE * shoulder_widths(points, SCALE_REACH)
    joints = list(MEDIAPIPE_POSE)
    visibility = np.nan_to_num(smooth_share(visibility[:, joints]))
    confidence = hand_confidence(odds)
    detections = Detections(
        body_xy=_smooth(points[:, joints, :2], unit, times, POSE),
        body_world=_smooth(world[:, joints], np.ones(len(times)), times, WORLD),
        visibility=visibility,
        hand_xyz=_smooth(hands, unit, times, HAND),
        hand_presence=confidence,
        handedness=np.ones_like(confidence),
    )
    states = label_gaps(np.concatenate([sighting.hands.states for sighting in sightings]))
    return Finished(visibility[:, SHOULDERS].min(1) >= MIN_SHOULDERS, detections, states)


def blend_wrists(body: Floats, hands: Floats) -> Floats:
    """(T, 2, 2) wrists of the body, moved towards those of the hands where these were found (else NaN)."""
    return np.where(np.isfinite(hands), (1 - HAND_SHARE) * body + HAND_SHARE * hands, body)


def hand_confidence(odds: Floats) -> Floats:
    """Probability that a chosen hand is right within 15 % of the shoulder width, by its log odds; 0 for none."""
    factor, shift = CALIBRATION
    return np.where(np.isfinite(odds), 1 / (1 + np.exp(-(factor * np.clip(odds, -50, 50) + shift))), 0)


def label_gaps(states: NDArray[np.str_]) -> NDArray[np.str_]:
    """(T, 2) states with INTERPOLATED where at most MAX_GAP frames without the hand lie between two with it."""
    labelled = states.astype(f"<U{max(map(len, HAND_STATES))}")
    for hand in range(states.shape[1]):
        detected = np.flatnonzero(np.isin(states[:, hand], DETECTED))
        for before, after in pairwise(detected):
            gap = slice(before + 1, after)
            if after - before - 1 <= MAX_GAP and (states[gap, hand] == MISSING).all():
                labelled[gap, hand] = INTERPOLATED
    return labelled


def _bodies(sightings: Sequence[Sighting]) -> tuple[Floats, Floats, Floats]:
    """(T, 33, 3) points, (T, 33) visibility and (T, 33, 3) world of the bodies, NaN where there is none."""
    n = len(sightings)
    points, world = np.full((n, N_BODY, 3), np.nan), np.full((n, N_BODY, 3), np.nan)
    visibility = np.full((n, N_BODY), np.nan)
    for t, sighting in enumerate(sightings):
        if sighting.body is not None:
            points[t], visibility[t], world[t] = sighting.body.points, sighting.body.visibility, sighting.body.world
    return points, visibility, world


def _smooth(values: Floats, unit: Floats, times: Floats, filter_: OneEuro) -> Floats:
    """`smooth` for values (T, ..., any)."""
    return smooth(values.reshape(len(values), -1), unit, times, filter_).reshape(values.shape)
