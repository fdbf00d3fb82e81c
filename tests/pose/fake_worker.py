"""A worker of extract_pose with MediaPipe and video decoding replaced: the path says what happens in a video."""

import os
import signal
import time
from collections.abc import Iterator

import numpy as np

from signrep_core.errors import SignRepError, VideoError
from signrep_core.pose import shard
from signrep_core.pose.backend import Detection
from signrep_core.video.reader import Frame
from signrep_core.video.row import VideoRow
from signrep_core.workers import Send, Work

FRAMES = 20


class StillSigner:
    """A backend that sees the same person in every frame; at x = the frame's grey level."""

    name = "still signer"

    def reset(self) -> None:
        pass

    def __call__(self, rgb: np.ndarray, time_s: float) -> Detection:
        xy = np.full((19, 2), float(rgb[0, 0, 0]), np.float32)
        xy[0, 0] += 100  # shoulders 100 px apart
        hands = np.full((2, 21, 3), np.nan, np.float32)
        return Detection(
            xy,
            np.zeros((19, 3), np.float32),
            np.ones(19, np.float32),
            hands,
            np.zeros(2, np.float32),
            np.zeros(2, np.float32),
        )


def read_row(row: VideoRow, target_fps: float | None) -> Iterator[Frame]:
    path = row.path
    if "damaged" in path:
        raise VideoError("undecodable", f"{path}: nothing decodes")
    for i in range(8 if "short" in path else FRAMES):
        if i == 10 and "kill" in path:
            os.kill(os.getpid(), signal.SIGSEGV)
        if i == 10 and "raise" in path:
            raise RuntimeError("a bug met its video")
        if "slow" in path:
            time.sleep(0.02)
        damaged, deinterlaced = "spoilt" in path and i in (18, 19), "combed" in path and i > 9
        yield Frame(i, i / 25, np.full((48, 64, 3), len(path), np.uint8), damaged, deinterlaced=deinterlaced)


def open_source(engine: str, tracking: str, model: str, device: str) -> StillSigner:
    if model == "broken":
        raise SignRepError("pose.model: broken")
    if model == "dies":
        os._exit(3)
    print("chatter on standard output", flush=True)
    return StillSigner()


def prepare(send: Send, engine: str, tracking: str, model: str, device: str) -> Work:
    shard.open_source = open_source  # type: ignore[assignment]
    shard.open_face_detector = lambda: lambda *_: np.zeros((0, 3))  # type: ignore[assignment]
    shard.read_row = read_row  # type: ignore[assignment]
    return shard.prepare_pose(send, engine, tracking, model, device)
