"""Hands of a recording: looked for and chosen, on drawn signers and on a real one."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from signrep_core.pose.crops import cut_crops
from signrep_core.pose.follow import follow_signer
from signrep_core.pose.hands import HandFinder, Hands
from signrep_core.pose.held_pictures import SHARP, cut_held, hold
from signrep_core.pose.networks import Networks
from signrep_core.pose.people import People
from signrep_core.store.schemas import MISSING, OUTSIDE, RECOVERED, SEEN
from signrep_core.video.reader import read_frames
from tests.pose.scene import PATCH, SIZE, PatchNetwork, body, picture

RIGHT, LEFT = 0, 1
Frames = tuple[list[np.ndarray], list[np.ndarray]]


def find(pictures: list[np.ndarray], bodies: list[np.ndarray], step: int = 32) -> Hands:
    finder = HandFinder(PatchNetwork())
    parts = [finder.add(pictures[i : i + step], np.array(bodies[i : i + step])) for i in range(0, len(bodies), step)]
    parts.append(finder.finish())
    return Hands(*(np.concatenate(values) for values in zip(*(vars(part).values() for part in parts), strict=True)))


def moving(frames: int) -> Frames:
    """A signer who moves both hands; every fifth frame one or both are hard to see, and some bodies are missing."""
    places = [((150 + 40 * np.sin(k / 9), 300.0), (330.0, 300 + 50 * np.cos(k / 7))) for k in range(frames)]
    pictures = [picture(*both, faint=int(k % 5 == 0) + int(k % 11 == 0)) for k, both in enumerate(places)]
    bodies = [np.full((33, 2), np.nan) if k in (40, 41) else body(*both) for k, both in enumerate(places)]
    return pictures, bodies


def test_each_hand_is_found_and_tells_how() -> None:
    places = (150, 300), (330, 300)
    bright, faint, out = picture(*places), picture(*places, faint=1), picture(None, (330, 300))
    here, away = body((150, 300), (330, 300)), body((150, SIZE[0] + 60), (330, 300))
    hands = find([bright] * 3 + [faint] * 2 + [bright, out], [here] * 6 + [away])
    assert hands.states[:, RIGHT].tolist() == [SEEN] * 3 + [RECOVERED] * 2 + [SEEN, OUTSIDE]
    assert hands.states[:, LEFT].tolist() == [SEEN] * 7
    np.testing.assert_allclose(hands.points[:6, RIGHT, 0, :2], [[150, 300 + PATCH / 2]] * 6, atol=2)
    assert np.isnan(hands.points[6, RIGHT]).all()
    assert np.isneginf(hands.odds[6, RIGHT])


def test_without_a_body_there_are_no_hands() -> None:
    hands = find(*moving(80))
    assert (hands.states[40:42] == MISSING).all()
    assert np.isin(hands.states[[39, 42]], (SEEN, RECOVERED)).all()


@pytest.mark.parametrize("step", [7, 50])
def test_the_hands_do_not_depend_on_the_stretches(step: int) -> None:
    frames = moving(100)
    whole = find(*frames, step=1000)
    for name, values in vars(find(*frames, step=step)).items():
        np.testing.assert_array_equal(values, getattr(whole, name), err_msg=name)


def test_hands_come_out_soon() -> None:
    finder, (pictures, bodies), out = HandFinder(PatchNetwork()), moving(90), 0
    for k in range(90):
        out += len(finder.add(pictures[k : k + 1], np.array(bodies[k : k + 1])).odds)
        assert k - out < 60


def test_a_finder_begins_anew_after_its_end() -> None:
    pictures, bodies = moving(20)
    finder = HandFinder(PatchNetwork())
    for _ in range(2):
        first, rest = finder.add(pictures, np.array(bodies)), finder.finish()
        assert len(first.odds) + len(rest.odds) == 20
    assert len(finder.finish().odds) == 0


# ---------------------------------------------------------------- kept pictures


def test_a_small_picture_is_kept_as_it_is() -> None:
    rgb = picture((150, 300), (330, 300))
    held = hold(rgb, body((150, 300), (330, 300)))
    region = np.array([[150.0, 300, 73, 0.2]])
    np.testing.assert_array_equal(cut_held([held], region, 224), cut_crops([rgb], region, 224))


def test_of_a_large_picture_the_signers_reach_is_kept_no_sharper_than_needed() -> None:
    """8K with shoulders of 1,600 pixels: a fifth of the sides is enough."""
    rgb = np.zeros((4320, 7680, 3), np.uint8)
    rgb[2000:2400, 3000:3400] = 200
    pose = body((150, 300), (330, 300)) * 16
    held = hold(rgb, pose)
    assert held.rgb.shape[0] <= 2 * 2.6 * SHARP + 1
    assert held.rgb.nbytes <= 8.4e6
    assert held.size == (7680, 4320)
    (crop,) = cut_held([held], np.array([[3200.0, 2200, 1200, 0]]), 224)
    expected = cut_crops([rgb], np.array([[3200.0, 2200, 1200, 0]]), 224)[0]
    assert np.abs(crop.astype(int) - expected).mean() < 3


def test_of_a_small_signer_in_a_large_picture_only_the_part_is_kept() -> None:
    rgb = np.zeros((1080, 1920, 3), np.uint8)
    held = hold(rgb, np.add(body((150, 300), (330, 300)), (1400, 500)))
    assert held.factor == 1
    assert held.rgb.shape == (520, 520, 3)
    assert held.rgb.base is None, "the whole picture is let go"


def test_of_nobody_nothing_is_kept() -> None:
    assert hold(np.zeros((100, 100, 3), np.uint8), np.full((33, 2), np.nan)).rgb.size == 0


def test_a_signer_seen_from_the_side_has_a_trunk() -> None:
    pose = np.zeros((33, 2))
    pose[[11, 12]] = (500, 300)
    pose[[23, 24]] = (500, 500)
    held = hold(np.zeros((1080, 1920, 3), np.uint8), pose)
    assert held.rgb.shape[1] == pytest.approx(2 * 2.6 * 0.75 * 200, abs=2)


# ---------------------------------------------------------------- a real signer


def test_a_fast_hand_that_the_causal_engine_loses_is_found(clips: Path, networks: Networks) -> None:
    """asl_yes_A, 25 frames around the hand's way up: both hands, nearly everywhere."""
    frames = islice(read_frames(clips / "asl_yes_A.mkv"), 5, 30)
    found = list(follow_signer(frames, networks, People(None, (), False)))
    states = np.concatenate([sighting.hands.states for sighting in found])
    assert np.isin(states, (SEEN, RECOVERED)).mean() > 0.85
