"""Rounds of crops, on drawn signers whose hands are coloured patches."""

import numpy as np
import pytest

from signrep_core.pose.hand_search import (
    AGAIN,
    CARRIED,
    COVERED,
    FIRST,
    REACH,
    SECOND,
    HandSearch,
    Looks,
    cover_hand,
    nearest_anchors,
    settled,
    usual_sides,
)
from tests.pose.scene import PATCH, SIZE, PatchNetwork, body, picture

RIGHT, LEFT = 0, 1
RIGHT_WRIST, LEFT_WRIST = 16, 15  # of the pose


def search(
    pictures: list[np.ndarray], bodies: list[np.ndarray], step: int = 1000, network: PatchNetwork | None = None
) -> Looks:
    hands = HandSearch(network or PatchNetwork())
    parts = [hands.add(pictures[i : i + step], np.array(bodies[i : i + step])) for i in range(0, len(bodies), step)]
    parts.append(hands.finish())
    found = parts[0]
    for part in parts[1:]:
        found = found.join(part)
    return found


def still(frames: int, **options: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    right, left = (150, 300), (330, 300)
    return [picture(right, left, **options)] * frames, [body(right, left)] * frames


def looked(looks: Looks, hand: int) -> np.ndarray:
    """(T, R) rounds in which a crop was made."""
    return np.isfinite(looks.regions[:, hand, :, 0])


def test_a_plain_hand_costs_one_crop() -> None:
    network = PatchNetwork()
    looks = search(*still(5), network=network)
    assert looked(looks, RIGHT)[:, FIRST].all()
    assert network.crops == 10
    assert (looks.presence[:, :, 0] > 0.9).all()
    assert (looks.own[:, :, 0] > 0.9).all()
    np.testing.assert_allclose(looks.points[:, RIGHT, 0, 0, :2], [[150, 300 + PATCH / 2]] * 5, atol=2)


def test_a_likely_hand_is_not_looked_for_again() -> None:
    """Presence 0.75 is too little for an anchor that is sure, and with the right side and place enough."""
    network = PatchNetwork(most=0.75)
    looks = search(*still(5), network=network)
    assert network.crops == 10
    assert settled(looks).all()


def test_likely_hands_at_the_same_place_are_not_settled() -> None:
    looks = search(*still(2))
    looks.points[1, LEFT, 0] = looks.points[1, RIGHT, 0] + 0.05 * looks.scale[1]
    looks.body[1, LEFT_WRIST] = looks.body[1, RIGHT_WRIST]
    assert settled(looks).tolist() == [[True, True], [False, False]]


def test_a_faint_hand_is_looked_for_again() -> None:
    looks = search(*still(3, faint=1))
    assert (looks.presence[:, RIGHT, 0] == np.float32(0.3)).all()
    assert looked(looks, RIGHT)[:, SECOND].any(1).all()
    assert (looks.presence[:, RIGHT].max(1) > 0.9).all()
    assert not looked(looks, RIGHT)[:, AGAIN].any(), "it is found by then"
    assert not looked(looks, LEFT)[:, SECOND].any(), "the left hand is plain"


def test_a_hand_that_stays_faint_is_looked_for_around_its_own_joints() -> None:
    looks = search(*still(3, faint=1), network=PatchNetwork(most=0.4))
    assert looked(looks, RIGHT)[:, AGAIN].all()


def test_a_hand_is_looked_for_where_the_frames_around_have_it() -> None:
    """The forearm points aside, the hand up. In frame 10 the pose has the hand too high, but the wrist where it is."""
    pictures, bodies = still(21)
    aside = [pose.copy() for pose in bodies]
    for pose in aside:
        pose[14] = pose[16] + (90, 0)
    aside[10][[18, 20]] -= (0, 50)
    looks = search(pictures, aside)
    assert looks.presence[10, RIGHT, 0] < 0.5
    carried = looks.regions[10, RIGHT, CARRIED]
    np.testing.assert_allclose(carried[:2], (150, 300), atol=10)
    assert looks.presence[10, RIGHT, CARRIED] > 0.9


def test_what_is_found_does_not_depend_on_the_stretches() -> None:
    """120 frames of moving hands, some of them faint, in stretches of 7, 50 and all at once."""
    t = np.arange(120)
    places = [((150 + 40 * np.sin(k / 9), 300.0), (330.0, 300 + 50 * np.cos(k / 7))) for k in t]
    pictures = [
        picture(right, left, faint=int(k % 5 == 0) + int(k % 11 == 0)) for k, (right, left) in enumerate(places)
    ]
    bodies = [body(*both) for both in places]
    whole = search(pictures, bodies)
    assert len(whole.body) == 120
    for step in (7, 50):
        for name, values in vars(search(pictures, bodies, step)).items():
            np.testing.assert_array_equal(values, getattr(whole, name), err_msg=name)


def test_pictures_are_kept_only_as_long_as_they_are_needed() -> None:
    hands, (pictures, bodies) = HandSearch(PatchNetwork()), still(1)
    for _ in range(100):
        hands.add(pictures, np.array(bodies))
        assert len(hands._pictures) <= REACH + 1
        assert len(hands._seen.body) <= 3 * REACH


def test_a_hand_outside_the_picture_gets_no_second_chance() -> None:
    right, left = (150.0, SIZE[0] + 60.0), (330.0, 300.0)
    looks = search([picture(None, left)] * 2, [body(right, left)] * 2)
    assert looks.outside.tolist() == [[True, False]] * 2
    assert not looked(looks, RIGHT)[:, SECOND].any()


def test_without_a_body_nothing_is_looked_at() -> None:
    network = PatchNetwork()
    pictures, bodies = still(4)
    nobody = np.full((33, 2), np.nan)
    looks = search(pictures, [bodies[0], nobody, nobody, bodies[3]], network=network)
    assert network.crops == 4
    assert np.isneginf(looks.odds()[1:3]).all()
    assert np.isfinite(looks.odds()[[0, 3], :, 0]).all()


def test_an_empty_recording_gives_nothing() -> None:
    assert len(HandSearch(PatchNetwork()).finish().body) == 0


def test_a_hand_behind_the_other_is_looked_for_with_that_one_painted_over() -> None:
    """From frame 3 on the left patch covers most of the right one, so that the network sees the left hand in both."""
    right, left = (240.0, 300.0), (250.0, 310.0)
    pictures = [picture(right, (400.0, 310.0))] * 3 + [picture(right, left)] * 3
    looks = search(pictures, [body(right, (400.0, 310.0))] * 3 + [body(right, left)] * 3)
    assert (looks.own[3:, RIGHT, 0] < 0.1).all()
    assert looked(looks, RIGHT)[:, COVERED].any(1).tolist() == [False] * 3 + [True] * 3
    assert not looked(looks, LEFT)[:, COVERED].any()


def test_a_covered_hand_has_the_colour_around_it() -> None:
    crop = picture((150, 300), None)[250:350, 100:200].copy()
    joints = np.array(
        [(50, 70), (40, 65), (38, 60), (36, 55), (34, 50)]
        + [(x, y) for x in (42, 48, 54, 60) for y in (50, 44, 38, 32)]
    )
    cover_hand(crop, joints.astype(float))
    assert (crop[50, 50] == 90).all() or (crop[50, 50] == crop[10, 10]).all()


def test_the_nearest_anchors_are_at_most_a_gap_away() -> None:
    anchors = np.zeros((10, 2), bool)
    anchors[[1, 4], 0] = True
    before, after = nearest_anchors(anchors, 3)
    assert before[:, 0].tolist() == [-1, -1, 1, 1, 1, 4, 4, 4, -1, -1]
    assert after[:, 0].tolist() == [1, 4, 4, 4, -1, -1, -1, -1, -1, -1]
    assert (before[:, 1] == -1).all()


@pytest.mark.parametrize(("right", "left", "expected"), [(9, 0, 0.6), (5, 4, 0.5), (3, 3, 0.73)])
def test_the_usual_side_is_that_of_the_hand_of_both_or_the_default(right: int, left: int, expected: float) -> None:
    """The median of at least 8 anchors; the right hand's are 0.6 of the shoulder width, the left one's 0.4."""
    anchors = np.zeros((12, 2), bool)
    anchors[:right, RIGHT], anchors[:left, LEFT] = True, True
    sides = np.tile([0.6, 0.4], (12, 1))
    if right == 5:
        sides[:5, RIGHT] = 0.5
    assert usual_sides(sides, anchors)[6, RIGHT] == pytest.approx(expected)
