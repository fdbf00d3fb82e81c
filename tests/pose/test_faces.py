"""The face detector against MediaPipe's own, and its decoding by hand."""

from itertools import islice
from pathlib import Path

import numpy as np

from signrep_core.pose.backend import import_mediapipe, quiet_stderr
from signrep_core.pose.faces import decode_faces, open_face_network
from signrep_core.pose.graph import grid
from signrep_core.pose.networks import DetectorOutput
from signrep_core.video.reader import read_frames


def test_faces_are_those_of_mediapipe(clips: Path) -> None:
    solution = import_mediapipe("mediapipe.python.solutions.face_detection")
    find = open_face_network()
    with quiet_stderr(), solution.FaceDetection(model_selection=1) as published:
        for clip in ("asl_walk_C.mkv", "asl_yes_A.mkv"):
            for frame in islice(read_frames(clips / clip), 0, 20, 10):
                (theirs,) = published.process(frame.rgb).detections
                box = theirs.location_data.relative_bounding_box
                expected = [(box.xmin + box.width / 2) * 640, (box.ymin + box.height / 2) * 480, box.width * 640]
                np.testing.assert_allclose(find(frame.rgb), [expected], atol=0.005 * expected[2])


def test_overlapping_boxes_are_averaged_by_their_scores_and_others_stay() -> None:
    """Scores of 0.9, 0.7 (logits 2.197, 0.847): x = (0.9 · 0.5 + 0.7 · 0.52) / 1.6 = 0.50875 of the crop."""
    logits, boxes = np.full((1, 2304), -9.0, np.float32), np.zeros((1, 2304, 16), np.float32)
    for k, (x, logit) in enumerate(((0.5, 2.1972), (0.52, 0.8473), (0.1, 1.0), (0.9, -0.1))):
        logits[0, k] = logit
        boxes[0, k, :4] = np.array([x - grid(48)[k, 0], 0.5 - grid(48)[k, 1], 0.1, 0.12]) * 192
    np.testing.assert_allclose(
        decode_faces(DetectorOutput(boxes, logits)), [[0.50875, 0.5, 0.1], [0.1, 0.5, 0.1]], atol=1e-4
    )


def test_no_sure_face_is_an_empty_result() -> None:
    output = DetectorOutput(np.zeros((1, 2304, 16), np.float32), np.full((1, 2304), -1, np.float32))
    assert decode_faces(output).shape == (0, 3)
