"""MediaPipe's full-range face detector without its graph (face_detection_full_range_cpu)."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
from numpy.typing import NDArray

from signrep_core.pose.crops import cut_crop
from signrep_core.pose.graph import MIN_OVERLAP, grid, iou, whole_picture
from signrep_core.pose.models import WHEEL, find_models
from signrep_core.pose.networks import FACE_SIDE, DetectorOutput, Networks, logistic, openvino_runs

Boxes = NDArray[np.float64]  # (N, 3) x centre, y centre, width, pixels

MIN_SCORE: Final = 0.6  # min_score_thresh of the graph, above the min_detection_confidence of its users
_ANCHORS: Final = grid(48)  # one for each cell of stride 4


def open_face_network() -> Callable[[NDArray[np.uint8]], Boxes]:
    """Open the detector on one thread of the CPU; it gives the faces (N, 3) of a picture (H, W, 3).

    Raises:
        SignRepError: a package or the network is missing, or it is not the known one.
    """
    with TemporaryDirectory() as folder:
        networks = Networks("faces", openvino_runs({"face": find_models(WHEEL, Path(folder))["face"]}))

    def find(rgb: NDArray[np.uint8]) -> Boxes:
        x, y, side, _ = region = whole_picture((rgb.shape[0], rgb.shape[1]))
        output = networks.face(cut_crop(rgb, region, FACE_SIDE, black=True)[None])
        return (decode_faces(output) - [0.5, 0.5, 0]) * side + [x, y, 0]

    return find


def decode_faces(output: DetectorOutput) -> Boxes:
    """Faces (N, 3) of one crop as shares of it, the surest first: the weighted means of boxes that overlap."""
    score = logistic(np.clip(output.logits[0], -100, 100))  # score_clipping_thresh
    likely = np.flatnonzero(score >= MIN_SCORE)
    likely = likely[np.argsort(-score[likely], kind="stable")]
    score, raw = score[likely], output.boxes[0, likely] / FACE_SIDE
    centre, half = raw[:, :2] + _ANCHORS[likely], raw[:, 2:4] / 2
    boxes = np.concatenate([centre - half, centre + half], 1)
    faces = []
    while len(boxes):
        near = iou(boxes, boxes[0]) > MIN_OVERLAP
        x0, y0, x1, y1 = np.average(boxes[near], 0, score[near])
        faces.append([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0])
        boxes, score = boxes[~near], score[~near]
    return np.array(faces).reshape(-1, 3)
