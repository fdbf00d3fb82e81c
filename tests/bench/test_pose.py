"""The comparison of pose engines, with backends whose distances are known."""

from pathlib import Path

import numpy as np
import pytest

from signrep_core.bench import pose
from signrep_core.bench.pose import PoseWork
from signrep_core.pose.backend import Detection
from signrep_core.pose.networks import open_networks


class Still:
    """A backend that sees one person, shoulders 100 px apart, shifted by some pixels; its hands in some frames."""

    name = "still"

    def __init__(self, shift: float, hands: int = 9) -> None:
        self._shift, self._hands, self._frame = shift, hands, 0

    def reset(self) -> None:
        self._frame = 0

    def __call__(self, rgb: np.ndarray, time_s: float) -> Detection:
        self._frame += 1
        body = np.full((19, 2), 50.0, np.float32)
        body[0, 0] += 100
        seen = self._frame <= self._hands
        hands = np.full((2, 21, 3), 50.0 if seen else np.nan, np.float32) + self._shift
        score = np.full(2, float(seen), np.float32)
        return Detection(
            body + self._shift, np.zeros((19, 3), np.float32), np.ones(19, np.float32), hands, score, score
        )


@pytest.fixture
def figures(clips: Path, tmp_path: Path) -> dict[str, float]:
    """Four frames: the engine is 0.7 px off in x and y, and does not see the hands of the last frame."""
    work = PoseWork(tmp_path, [clips / "asl_yes_A.mkv"], frames=4)
    ways = pose._Ways(Still(0.7, hands=3), Still(0), Still(0))
    return {figure.what: figure.value for figure in pose._measure_videos(work, ways)}


def test_distances_are_in_percent_of_the_shoulder_width(figures: dict[str, float]) -> None:
    """0.7 px in x and y are 0.99 px, of 100."""
    for kind in ("body", "hands"):
        assert figures[f"{kind}: median"] == pytest.approx(0.99, abs=0.001)
        assert figures[f"{kind}: points within 1 % sw"] == 100
    assert figures["body: nose, 99th percentile"] == pytest.approx(0.99, abs=0.001)
    assert figures["frames with a person"] == 4


def test_presence_and_hands_are_counted(figures: dict[str, float]) -> None:
    assert figures["hands: presence agrees"] == 75
    assert figures["right hands found, engine"] == 75
    assert figures["left hands found, MediaPipe"] == 100


@pytest.mark.slow
def test_the_networks_of_a_frame_are_measured() -> None:
    found = {figure.what: figure.value for figure in pose._measure_networks(open_networks(), repeats=1)}
    parts = [
        found[what] for what in ("pose network, 1 a frame", "recrop network, 2 a frame", "hand network, 2 a frame")
    ]
    assert sum(parts) == pytest.approx(found["all networks of a frame"])
    assert min(parts) > 0
