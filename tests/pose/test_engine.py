"""The engine against streams recorded from MediaPipe's own graph; lanes that leave each other alone."""

import numpy as np
import pytest

from signrep_core.pose.engine import Engine, Landmarks
from signrep_core.pose.networks import Networks
from tests.pose.record_streams import STREAMS, frames

BLACK = (12, 13)  # frames of the stream


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return list(frames())


@pytest.fixture(scope="module")
def steps(networks: Networks, pictures: list[np.ndarray]) -> list[Landmarks]:
    engine = Engine(networks)
    return [engine.step([rgb]) for rgb in pictures]


def stack(steps: list[Landmarks], name: str) -> np.ndarray:
    return np.stack([getattr(step, name)[0] for step in steps])


@pytest.mark.slow
def test_bodies_are_those_of_mediapipe_to_one_percent_of_the_shoulders(steps: list[Landmarks]) -> None:
    expected = np.load(STREAMS)
    shoulders = np.nanmedian(np.linalg.norm(expected["body"][:, 11, :2] - expected["body"][:, 12, :2], axis=-1))
    for name in ("raw_body", "body"):
        gap = np.linalg.norm(stack(steps, name)[..., :2] - expected[name][..., :2], axis=-1) / shoulders
        assert np.isnan(gap).any(-1).nonzero()[0].tolist() == list(BLACK)
        assert (gap[~np.isnan(gap)] <= 0.01).mean() >= 0.999
    np.testing.assert_allclose(stack(steps, "world"), expected["world"], atol=0.01)
    np.testing.assert_allclose(stack(steps, "visibility")[:12], expected["body_visibility"][:12], atol=0.02)


@pytest.mark.slow
def test_hands_are_those_of_mediapipe(steps: list[Landmarks]) -> None:
    """The last grey level may change a decision; in nine of ten hands it does not."""
    expected = np.load(STREAMS)["hands"]
    gap = np.abs(stack(steps, "hands")[..., :2] - expected[..., :2]).max((-1, -2))  # (T, 2)
    assert (np.isnan(gap) == np.isnan(expected[..., 0, 0])).mean() >= 0.9
    assert np.nanmedian(gap) < 1
    assert stack(steps, "presence")[~np.isnan(gap)].min() > 0.5
    assert stack(steps, "tracked").any()


@pytest.mark.slow
def test_lanes_do_not_touch_each_other(networks: Networks, pictures: list[np.ndarray], steps: list[Landmarks]) -> None:
    """Lane 1 has the stream's first frames with a pause between them, lane 0 others; its results stay the same."""
    engine = Engine(networks, lanes=2)
    first = engine.step([pictures[15], pictures[0]])
    pause = engine.step([pictures[16], None])
    second = engine.step([None, pictures[1]])
    assert np.isnan(pause.body[1]).all()
    assert not np.isnan(pause.body[0]).any()
    np.testing.assert_allclose(first.body[1], steps[0].body[0], atol=0.01)
    np.testing.assert_allclose(second.pose_region[1], steps[1].pose_region[0], atol=0.01)
    np.testing.assert_allclose(second.raw_body[1], steps[1].raw_body[0], atol=0.5)


@pytest.mark.slow
def test_a_lane_that_is_reset_begins_anew(
    networks: Networks, pictures: list[np.ndarray], steps: list[Landmarks]
) -> None:
    engine = Engine(networks)
    engine.step([pictures[15]])
    engine.reset()
    np.testing.assert_allclose(engine.step([pictures[0]]).body, steps[0].body, atol=0.01)
