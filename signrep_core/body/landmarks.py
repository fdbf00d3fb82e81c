"""Landmarks of one signer: the detector's output as the 61 joints in metres with confidences.

Body joints are the detector's world landmarks, re-centred at the neck. A hand is detected in image space (x, y and a
depth of the same scale, pixels); it is scaled to metres by weak perspective, that is with the body's metres per pixel,
and attached at the body's wrist. That scale is a running median over some seconds, so that hands keep their size from
frame to frame and still follow a zoom or a cut. (On real clips the size of a hand then varies by 8.8 % within a clip;
with the detector's own metric hand model by 11.9 %, with a depth correction from the wrist's z by 9.2-11.2 %.)

Legend: T frames, J = 61 joints; hands in the order of `skeleton.SIDES` (right, left); NaN = not detected.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from signrep_core.skeleton import (
    BODY,
    EARS,
    HAND_WRIST,
    HANDS,
    HIPS,
    KNUCKLES,
    MIN_CONFIDENCE,
    N_JOINTS,
    NOSE,
    SHOULDERS,
    SIDES,
    WRISTS,
)

Floats = NDArray[np.floating]

SCALE_WINDOW: Final = 125  # frames of the running median of metres per pixel: 5 s at 25 fps
SCALE_JOINTS: Final = (*SHOULDERS, *HIPS, NOSE, *EARS)  # wide apart, and far from the moving hands

# Plausibility of a detected hand, measured on real clips: its wrist lies 9-25 mm (median of a clip) from the body's,
# 20-50 mm (95th percentile); hands that were really the other one 50-110 mm.
WRIST_NEAR_M: Final = 0.06  # up to here the wrists agree
WRIST_FAR_M: Final = 0.16  # from here on the hand is not this arm's
WRONG_WRIST_M: Final = 0.03  # nearer than this to the other arm's wrist: it is the other hand
COINCIDE_M: Final = 0.04  # mean distance of the two hands' joints: below it they may be one hand found twice
PALM_M: Final = (0.02, 0.10)  # mean length of the palm's edges; 0.048 on the clips
GUESSED: Final = 0.4  # factor on the confidence of a hand joint outside the image
_INDEX, _MIDDLE, _, _PINKY = KNUCKLES
_PALM_EDGES: Final = np.array(
    [*((HAND_WRIST, k) for k in (_INDEX, _PINKY, _MIDDLE)), *pairwise(KNUCKLES), (_INDEX, _PINKY)]
)


@dataclass(frozen=True)
class Detections:
    """The detector's output frame by frame; NaN (and 0 in the scores) where nothing was found."""

    body_xy: Floats  # (T, 19, 2) pixels
    body_world: Floats  # (T, 19, 3) metres, any origin, skeleton axes
    visibility: Floats  # (T, 19)
    hand_xyz: Floats  # (T, 2, 21, 3) pixels; z of the same scale, relative to the wrist
    hand_presence: Floats  # (T, 2) the detector's score that a hand is there
    handedness: Floats  # (T, 2) the detector's probability that the hand is of its side


@dataclass(frozen=True)
class Landmarks:
    """The 61 joints of each frame."""

    xyz: Floats  # (T, 61, 3) metres, neck at the origin
    image_xy: Floats  # (T, 61, 2) pixels
    confidence: Floats  # (T, 61) in 0..1, 0 where not detected
    box: Floats  # (T, 4) x0, y0, x1, y1 of the joints with MIN_CONFIDENCE, pixels


def assemble_landmarks(seen: Detections, size: tuple[int, int], *, judged: bool = False) -> Landmarks:
    """Assemble the 61 joints from a detector's body and hands; joint 19 = 2 and 40 = 5 where the hand was detected.

    Args:
        size: height and width of the frames; a hand joint outside them was guessed by the detector.
        judged: the presence of a hand is its confidence; otherwise it is lowered by `hand_confidence`.
    """
    frames = len(seen.body_xy)
    scale = metres_per_pixel(seen.body_xy, seen.body_world, seen.visibility)
    hand_scores = seen.hand_presence if judged else hand_confidence(seen, scale)
    xyz = np.full((frames, N_JOINTS, 3), np.nan, np.float32)
    image_xy = np.full((frames, N_JOINTS, 2), np.nan, np.float32)
    confidence = np.zeros((frames, N_JOINTS), np.float32)
    xyz[:, BODY] = seen.body_world - seen.body_world[:, SHOULDERS].mean(1, keepdims=True)
    image_xy[:, BODY] = seen.body_xy
    confidence[:, BODY] = np.nan_to_num(seen.visibility)
    for k, side in enumerate(SIDES):
        hand = seen.hand_xyz[:, k]
        wrist = xyz[:, WRISTS[k], None]
        xyz[:, HANDS[side]] = wrist + (hand - hand[:, :1]) * scale[:, None, None]
        image_xy[:, HANDS[side]] = hand[..., :2]
        inside = ((hand[..., :2] >= 0) & (hand[..., :2] < (size[1], size[0]))).all(-1)
        confidence[:, HANDS[side]] = hand_scores[:, k, None] * np.where(inside, 1, GUESSED)
    confidence[np.isnan(xyz).any(-1)] = 0
    return Landmarks(xyz, image_xy, confidence, visible_box(image_xy, confidence))


def metres_per_pixel(body_xy: Floats, body_world: Floats, visibility: Floats, window: int = SCALE_WINDOW) -> Floats:
    """(T,) scale that best maps the trunk's and head's pixels onto their metres (weak perspective), smoothed.

    Per frame a least-squares fit weighted by visibility, then a running median over the frames with a body.
    """
    joints = list(SCALE_JOINTS)
    weights = np.nan_to_num(visibility[:, joints, None])
    weights = weights / np.maximum(weights.sum(1, keepdims=True), 1e-9)
    pixels, metres = body_xy[:, joints], body_world[:, joints, :2]
    pixels = pixels - (weights * pixels).sum(1, keepdims=True)
    metres = metres - (weights * metres).sum(1, keepdims=True)
    variance = (weights * pixels**2).sum((1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = (weights * pixels * metres).sum((1, 2)) / variance
        good = np.isfinite(scale) & (scale > 0)
    smooth = np.full(len(scale), np.nan)
    if good.any():
        smooth[good] = median_filter(scale[good], size=window, mode="reflect")
    return smooth


def hand_confidence(seen: Detections, scale: Floats) -> Floats:
    """(T, 2) confidence of each hand: its presence score, lowered where the hand is implausible.

    Reasons: a wrist far from the arm's wrist, or nearer to the other arm's; a palm of impossible size; low handedness;
    and, for the less plausible of two coinciding hands, being the other hand detected twice.
    """
    wrists = seen.body_xy[:, WRISTS]
    distance, to_other = (
        np.linalg.norm(seen.hand_xyz[:, :, 0, :2] - arms, axis=-1) * scale[:, None]
        for arms in (wrists, wrists[:, ::-1])
    )
    near = np.clip((WRIST_FAR_M - distance) / (WRIST_FAR_M - WRIST_NEAR_M), 0, 1)
    near = np.where(to_other < distance - WRONG_WRIST_M, 0.4 * near, near)
    edges = seen.hand_xyz[:, :, _PALM_EDGES[:, 0]] - seen.hand_xyz[:, :, _PALM_EDGES[:, 1]]
    palm = np.linalg.norm(edges, axis=-1).mean(-1) * scale[:, None]
    sized = np.where((palm >= PALM_M[0]) & (palm <= PALM_M[1]), 1.0, 0.3)
    right_side = np.clip(2 * np.nan_to_num(seen.handedness), 0, 1)
    own = near * right_side  # plausibility that the hand belongs to this arm
    apart = np.linalg.norm(seen.hand_xyz[:, 0, :, :2] - seen.hand_xyz[:, 1, :, :2], axis=-1).mean(-1) * scale
    duplicate = (apart < COINCIDE_M)[:, None] & (own <= own[:, ::-1]) & (own < 0.75)
    score = seen.hand_presence * near * sized * (0.7 + 0.3 * right_side) * np.where(duplicate, 0.3, 1.0)
    return np.nan_to_num(score)


def visible_box(image_xy: Floats, confidence: Floats) -> Floats:
    """(T, 4) x0, y0, x1, y1 around the joints with MIN_CONFIDENCE; NaN where there is none."""
    seen = (confidence >= MIN_CONFIDENCE)[..., None]
    low = np.where(seen, image_xy, np.inf).min(1)
    high = np.where(seen, image_xy, -np.inf).max(1)
    box = np.concatenate([low, high], -1)
    box[~np.isfinite(box).all(-1)] = np.nan
    return box.astype(np.float32)
