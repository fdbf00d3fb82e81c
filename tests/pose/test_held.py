"""Frames that are decoded once where they fit in memory."""

from collections.abc import Iterator

import numpy as np

from signrep_core.pose.held import HeldFrames, thin
from signrep_core.video.reader import Frame

N = 10
SIZE = 4 * 4 * 3  # bytes of a picture


class Video:
    """Ten frames at 25 a second; counts what is decoded."""

    def __init__(self) -> None:
        self.opened: list[float | None] = []
        self.decoded = 0

    def __call__(self, fps: float | None) -> Iterator[Frame]:
        self.opened.append(fps)
        for i in range(N):
            self.decoded += 1
            yield Frame(i, i / 25, np.zeros((4, 4, 3), np.uint8))


def test_a_short_video_is_decoded_once() -> None:
    video = Video()
    frames = HeldFrames(video, N * SIZE)
    assert [frame.index for frame in frames(5.0)] == [0, 5]
    assert [frame.index for frame in frames(None)] == list(range(N))
    assert (video.opened, video.decoded) == ([None], N)


def test_a_video_that_does_not_fit_is_read_twice_and_not_held() -> None:
    video = Video()
    frames = HeldFrames(video, 3 * SIZE)
    assert len(list(frames(5.0))) == len(list(frames(None))) == N
    assert video.opened == [None, 5.0, None]
    assert video.decoded == 4 + 2 * N


def test_thinning_takes_the_first_frame_of_each_step() -> None:
    """At 3 a second, steps begin at 0, 0.333 and 0.667 s; frames lie at 0, 0.3, 0.4, 0.9 s."""
    frames = [Frame(i, t, np.zeros((1, 1, 3), np.uint8)) for i, t in enumerate((0.0, 0.3, 0.4, 0.9))]
    assert [frame.index for frame in thin(frames, 3)] == [0, 2, 3]
