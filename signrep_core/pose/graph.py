"""Regions of MediaPipe Holistic: where its graph looks for the person and the hands.

Pure functions over any number of lanes. Constants are those of the graph in the mediapipe 0.10.21 wheel
(holistic_landmark_cpu, complexity 1), named by its calculators. Regions are those of `pose.crops`.

Legend: N regions or hands; a side's index is its place in skeleton.SIDES.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from signrep_core.pose.crops import Regions, rotate
from signrep_core.pose.networks import DetectorOutput, logistic
from signrep_core.skeleton import SIDES

Array = NDArray[np.float64]
Size = tuple[int, int]  # height, width of a picture

PERSON_REGION: Final = (1.25, 0.0)  # pose_detection_to_roi, pose_landmarks_to_roi: scale, shift down in sides
FROM_POSE: Final = (2.7, -0.1)  # hand_landmarks_from_pose_to_recrop_roi
FROM_RECROP: Final = (1.0, -0.1)  # hand_recrop_by_roi
FROM_HAND: Final = (2.0, -0.1)  # hand_landmarks_to_roi
MIN_PERSON_SCORE: Final = 0.5  # min_detection_confidence
MIN_PRESENCE: Final = 0.5  # min_tracking_confidence; also the hand_landmark graph's threshold
MIN_OVERLAP: Final = 0.3  # pose_detection's NonMaxSuppressionCalculator, weighted
UP, DOWN = np.pi / 2, -np.pi / 2  # direction that an axis has in a crop
# Among the pose network's landmarks; pairs are right, left.
N_BODY: Final = 33  # those of the body
CENTRE, EDGE = 33, 34  # middle of the hips, and a point of the circle around the whole body: they give the next region
SHOULDERS, ELBOWS, HIPS = (12, 11), (14, 13), (24, 23)
_WRIST_PINKY_INDEX: Final = np.array([{"right": (16, 18, 20), "left": (15, 17, 19)}[side] for side in SIDES])
WRISTS: Final = _WRIST_PINKY_INDEX[:, 0]
# HandLandmarksToRectCalculator: the palm, and of each finger all but the tip's two points
_PALM: Final = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)
_INDEX_MCP, _MIDDLE_MCP, _RING_MCP = 5, 9, 13  # it calls them PIP
# RoiTrackingCalculator of hand_tracking: a region is kept that differs from the recropped one by at most ...
_MAX_TURN: Final = np.deg2rad(40)
_MAX_SHIFT: Final = 0.2  # of the recropped region's side, along each of its axes
_MAX_GROWTH: Final = 0.4  # of that side
_INSIDE: Final = 0.9  # ... and where the hand before lies within this share of the recropped region


def anchors() -> Array:
    """(2254, 2) centres x, y of the person detector's anchors (SsdAnchorsCalculator), as shares of its input."""
    layers = ((28, 2), (14, 2), (7, 6))  # strides 8, 16 and three times 32, two anchors each
    return np.concatenate([np.repeat(grid(cells), count, 0) for cells, count in layers])


def grid(cells: int) -> Array:
    """(cells², 2) centres x, y of the cells of a square, row by row, as shares of it."""
    centres = (np.arange(cells) + 0.5) / cells
    y, x = np.meshgrid(centres, centres, indexing="ij")
    return np.stack([x, y], -1).reshape(-1, 2)


def iou(boxes: Array, box: Array) -> Array:
    """(N,) intersection over union of boxes (N, 4) x0, y0, x1, y1 with one (4,)."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(-1) + (box[2:] - box[:2]).prod()
    return shared / (areas - shared)


_ANCHORS: Final = anchors()


def whole_picture(size: Size) -> Regions:
    """(4,) region that shows a detector the whole picture, with margins where it is not square."""
    height, width = size
    return np.array([width / 2, height / 2, max(size), 0.0])


def person_region(output: DetectorOutput, k: int, side: int, size: Size) -> Regions | None:
    """(4,) region of the surest person in crop k, which is `side` pixels wide and shows a whole picture; or None."""
    score = logistic(np.clip(output.logits[k], -100, 100))  # score_clipping_thresh
    likely = np.flatnonzero(score >= MIN_PERSON_SCORE)
    if not len(likely):
        return None
    score, raw, anchor = score[likely], output.boxes[k, likely] / side, _ANCHORS[likely]
    centre, half = raw[:, :2] + anchor, raw[:, 2:4] / 2
    boxes = np.concatenate([centre - half, centre + half], 1)
    weight = score * (iou(boxes, boxes[score.argmax()]) > MIN_OVERLAP)
    axis = ((raw[:, 4:8].reshape(-1, 2, 2) + anchor[:, None]) * weight[:, None, None]).sum(0) / weight.sum()
    x, y, longest, _ = whole_picture(size)
    hips, head = (axis - 0.5) * longest + [x, y]
    return transform(aligned(hips, head, UP), *PERSON_REGION)


def aligned(start: Array, end: Array, direction: float) -> Regions:
    """Regions (..., 4) around `start`, twice as wide as it is far from `end`, which lies in `direction` of the crop
    (AlignmentPointsRectsCalculator).
    """
    x, y = np.moveaxis(end - start, -1, 0)
    angle = wrap(direction - np.arctan2(-y, x))
    return np.stack([start[..., 0], start[..., 1], 2 * np.hypot(x, y), angle], -1)


def transform(regions: Regions, scale: float, shift_down: float) -> Regions:
    """Regions shifted along their own vertical axis by a share of their side, then scaled (RectTransformation)."""
    x, y, side, angle = np.moveaxis(regions, -1, 0)
    shift = side * shift_down
    return np.stack([x - shift * np.sin(angle), y + shift * np.cos(angle), side * scale, angle], -1)


def next_person_region(auxiliary: Array) -> Regions:
    """(N, 4) regions of the next frame from (N, 2, >=2) the smoothed auxiliary points: hips, top of the circle."""
    return transform(aligned(auxiliary[:, 0, :2], auxiliary[:, 1, :2], UP), *PERSON_REGION)


def hand_regions(body: Array) -> Regions:
    """(N, sides, 4) regions of the hands from (N, 33, >=2) pose landmarks (HandDetectionsFromPoseToRectsCalculator)."""
    wrist, pinky, index = (body[:, _WRIST_PINKY_INDEX[:, k], :2] for k in range(3))
    middle = (2 * index + pinky) / 3
    regions = aligned(wrist, middle, UP)
    regions[..., :2] = middle
    return transform(regions, *FROM_POSE)


def recropped(axis: Array) -> Regions:
    """(N, 4) regions of hands from the recrop network's (N, 2, 2) points, in the picture."""
    return transform(aligned(axis[:, 0], axis[:, 1], DOWN), *FROM_RECROP)


def hand_to_region(hands: Array) -> Regions:
    """(N, 4) regions of hands (N, 21, >=2): the upright box of the palm in its own direction, made square."""
    tip = ((hands[:, _INDEX_MCP] + hands[:, _RING_MCP]) / 2 + hands[:, _MIDDLE_MCP])[..., :2] / 2
    angle = aligned(hands[:, 0, :2], tip, UP)[:, 3]
    palm = hands[:, _PALM, :2]
    middle = (palm.max(1) + palm.min(1)) / 2
    upright = rotate(palm - middle[:, None], -angle)
    high, low = upright.max(1), upright.min(1)
    centre = rotate((high + low)[:, None] / 2, angle)[:, 0] + middle
    width, height = (high - low).T
    regions = np.column_stack([centre, height, angle])  # RectTransformation shifts by the height ...
    regions = transform(regions, *FROM_HAND)
    regions[:, 2] = np.maximum(width, height) * FROM_HAND[0]  # ... and takes the longer side (square_long)
    return regions


def keep_regions(before: Array, anew: Regions) -> tuple[Regions, NDArray[np.bool_]]:
    """Choose between the region around the hand of the frame before and the recropped one (RoiTrackingCalculator).

    Args:
        before: (N, 21, >=2) hands of the frame before; NaN where there was none.
        anew: (N, 4) recropped regions.

    Returns:
        (N, 4) regions, and (N,) whether they follow the frame before.
    """
    known = ~np.isnan(before[:, 0, 0])
    hands = np.where(known[:, None, None], before, 0)[..., :2]
    old = hand_to_region(hands)
    side, angle = anew[:, 2:3], anew[:, 3]
    shift = rotate((old - anew)[:, None, :2], -angle)[:, 0]
    inside = np.abs(rotate(hands - anew[:, None, :2], -angle)) < _INSIDE / 2 * side[:, None]
    kept = (
        known
        & (np.abs(wrap(old[:, 3] - angle)) <= _MAX_TURN)
        & (np.abs(shift) <= _MAX_SHIFT * side).all(-1)
        & (np.abs(old[:, 2] - anew[:, 2]) <= _MAX_GROWTH * anew[:, 2])
        & inside.all((-1, -2))
    )
    return np.where(kept[:, None], old, anew), kept


def wrap(angle: NDArray[np.floating]) -> NDArray[np.floating]:
    """The same angle within -π to π."""
    return angle - 2 * np.pi * np.floor((angle + np.pi) / (2 * np.pi))
