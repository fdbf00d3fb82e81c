"""Record inner streams of MediaPipe's own graph: `python -m tests.pose.record_streams` writes tests/data/streams.npz.

The stream: twelve frames of a signer, two black ones, and six frames from later on.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from signrep_core.pose.backend import SIDE_INPUTS, import_mediapipe, reference_graph
from signrep_core.skeleton import SIDES
from signrep_core.video.reader import read_frames

DATA = Path(__file__).parents[1] / "data"
STREAMS = DATA / "streams.npz"
_POSE, _HANDS = "poselandmarkcpu__", "handlandmarksleftandrightcpu__"
LISTS = {  # of landmarks, with their number
    "raw_body": (_POSE + "unfiltered_pose_landmarks", 33),
    "body": ("pose_landmarks", 33),
    "world": ("pose_world_landmarks", 33),
    "raw_auxiliary": (_POSE + "unfiltered_auxiliary_landmarks", 2),
    "auxiliary": (_POSE + "auxiliary_landmarks", 2),
}
RECTS = {"pose_region": _POSE + "pose_rect", "next_region": "pose_landmarks_roi"}
HAND_RECTS = {"first": "roi_from_pose", "recropped": "roi_from_recrop", "region": "tracking_roi"}


def frames() -> Iterator[np.ndarray]:
    """The stream's pictures."""
    signer = [frame.rgb for frame in islice(read_frames(DATA / "clips" / "asl_walk_C.mkv"), 40, 62)]
    black = np.zeros_like(signer[0])
    yield from [*signer[:12], black, black, *signer[16:]]


def main(folder: Path) -> None:
    """Run the graph, whose network lies in a folder."""
    streams = {stream for stream, _ in LISTS.values()} | set(RECTS.values())
    streams |= {f"{_HANDS}{side}_hand_{name}" for side in SIDES for name in HAND_RECTS.values()}
    solution = import_mediapipe("mediapipe.python.solution_base")
    graph = solution.SolutionBase(
        graph_config=reference_graph(folder),
        side_inputs=SIDE_INPUTS,
        outputs=[*streams, *(f"{side}_hand_landmarks" for side in SIDES)],
        stream_type_hints=dict.fromkeys(streams, solution.PacketDataType.PROTO),
    )
    rows = [_row(graph.process({"image": rgb}), rgb.shape) for rgb in frames()]
    np.savez_compressed(STREAMS, **{key: np.array([row[key] for row in rows], np.float32) for key in rows[0]})


def _row(result: Any, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """One frame's streams in pixels."""
    height, width = shape[:2]

    def points(stream: str, count: int) -> np.ndarray:
        found = getattr(result, stream)
        if found is None:
            return np.full((count, 3), np.nan)
        unit = 1 if "world" in stream else np.array([width, height, width])
        return np.array([(p.x, p.y, p.z) for p in found.landmark]) * unit

    def rect(stream: str) -> np.ndarray:
        found = getattr(result, stream)
        if found is None:
            return np.full(4, np.nan)
        return np.array([found.x_center * width, found.y_center * height, found.width * width, found.rotation])

    row = {key: points(*stream) for key, stream in LISTS.items()} | {key: rect(s) for key, s in RECTS.items()}
    for key, name in HAND_RECTS.items():
        row[key] = np.stack([rect(f"{_HANDS}{side}_hand_{name}") for side in SIDES])
    row["hands"] = np.stack([points(f"{side}_hand_landmarks", 21) for side in SIDES])
    for key in ("raw_body", "body"):
        found = getattr(result, LISTS[key][0])
        row[f"{key}_visibility"] = np.array([p.visibility for p in found.landmark]) if found else np.zeros(33)
    return row


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        main(Path(folder))
