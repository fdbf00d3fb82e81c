"""Tracking one signer, with a fake backend that locks on to the first head that it sees."""

import math

import numpy as np
import pytest

from signrep_core.pose.backend import Detection
from signrep_core.pose.people import People, Person
from signrep_core.pose.tracker import Tracker, plan_regions

HEADS = {"signer": 250, "other": 200}  # grey levels of the heads
BACKGROUND = 20


def picture(width: int = 640, **x: float) -> np.ndarray:
    """A picture with a 20 px head per person, at (x, 100)."""
    rgb = np.full((360, width, 3), BACKGROUND, np.uint8)
    for name, centre in x.items():
        rgb[90:110, int(centre) - 10 : int(centre) + 10] = HEADS[name]
    return rgb


def person(*places: float, width: float = 40) -> Person:
    """Observations, three a second."""
    someone = Person()
    for i, x in enumerate(places):
        someone.see(i / 3, np.array([x, 100.0, width]), 0.0, np.ones(128))
    return someone


class Eyes:
    """Sees the leftmost head, then keeps to heads of its grey level until it is reset."""

    name = "eyes"

    def __init__(self, shoulders: float = 1.0) -> None:
        self.kept: int | None = None
        self.shoulders, self.resets, self.shapes = shoulders, 0, list[tuple[int, ...]]()

    def reset(self) -> None:
        self.kept = None
        self.resets += 1

    def __call__(self, rgb: np.ndarray, time_s: float) -> Detection | None:
        self.shapes.append(rgb.shape)
        grey = rgb[..., 0]
        levels = [self.kept] if self.kept is not None else list(HEADS.values())
        found = [np.argwhere(grey == level) for level in levels]
        found = sorted((f for f in found if len(f)), key=lambda f: f[:, 1].min())
        if not found:
            self.kept = None
            return None
        y, x = found[0].mean(0) + 0.5
        self.kept = int(grey[found[0][0][0], found[0][0][1]])
        xy = np.full((19, 2), (x, y), np.float32)
        visibility = np.full(19, self.shoulders, np.float32)
        no_hands = np.full((2, 21, 3), np.nan, np.float32)
        return Detection(xy, np.zeros((19, 3), np.float32), visibility, no_hands, np.zeros(2), np.zeros(2))


def noses(tracker: Tracker, pictures: list[np.ndarray]) -> list[float | None]:
    """x of the signer's nose in successive frames, 25 a second."""
    seen = [tracker(rgb, i / 25).detection for i, rgb in enumerate(pictures)]
    return [None if d is None else round(float(d.body_xy[8, 0])) for d in seen]


def test_a_lone_signer_is_followed_in_the_whole_picture() -> None:
    eyes = Eyes()
    signer = person(*[300] * 4, width=72)
    assert noses(Tracker(eyes, People(signer, (), False)), [picture(signer=300)] * 20) == [300] * 20
    assert set(eyes.shapes) == {(360, 640, 3)}


def test_the_signer_is_found_though_someone_else_would_be_found_first() -> None:
    tracker = Tracker(Eyes(), People(person(*[400] * 4), (person(*[200] * 4),), False))
    assert noses(tracker, [picture(other=200, signer=400)] * 20) == [400] * 20


def test_coordinates_are_those_of_the_source_frame_in_a_region_too() -> None:
    eyes = Eyes()
    tracker = Tracker(eyes, People(person(*[1500] * 4), (), False))
    assert noses(tracker, [picture(1920, signer=1500)] * 5) == [1500] * 5
    assert set(eyes.shapes) == {(360, 360, 3)}, "nine face widths of 40 px, and all of the height"


def test_when_the_signer_leaves_nobody_takes_the_place() -> None:
    signer, other = person(*[400] * 4), person(*[200] * 10)
    tracker = Tracker(Eyes(), People(signer, (other,), False))
    found = noses(tracker, [picture(other=200, signer=400)] * 25 + [picture(other=200)] * 50)
    assert found[:25] == [400] * 25
    assert found[25:] == [None] * 50


def test_a_jump_to_someone_else_is_undone_in_the_same_frame() -> None:
    eyes = Eyes()
    tracker = Tracker(eyes, People(person(*[400] * 4), (person(*[200] * 4),), False))
    pictures = [picture(other=200, signer=400)] * 12
    assert noses(tracker, pictures[:6]) == [400] * 6
    eyes.kept = HEADS["other"]
    assert noses(tracker, pictures[6:]) == [400] * 6


def test_a_pose_away_from_the_known_face_is_no_signer() -> None:
    """A printed face: the only head the backend sees is not where the signer's face is."""
    tracker = Tracker(Eyes(), People(person(*[400] * 7), (), False))
    assert noses(tracker, [picture(other=300)] * 12) == [None] * 12


def test_a_lock_survives_while_the_face_is_not_seen() -> None:
    signer = person(*[400] * 3)
    tracker = Tracker(Eyes(), People(signer, (person(*[200] * 30),), False))
    assert noses(tracker, [picture(other=200, signer=400)] * 100) == [400] * 100


def test_without_any_known_face_the_pose_is_believed() -> None:
    tracker = Tracker(Eyes(), People(None, (), False))
    observations = [tracker(picture(signer=300), i / 25) for i in range(5)]
    assert all(s.detection is not None and not s.on_face for s in observations)


@pytest.mark.parametrize(("visible", "present"), [(0.5, True), (0.49, False)])
def test_present_needs_both_shoulders(visible: float, present: bool) -> None:
    tracker = Tracker(Eyes(visible), People(person(*[300] * 4), (), False))
    assert (tracker(picture(signer=300), 0.0).detection is not None) == present


def test_doubt_is_recorded_where_people_are_close_or_the_choice_was() -> None:
    rgb = picture(other=330, signer=400)
    near = Tracker(Eyes(), People(person(*[400] * 4), (person(*[330] * 4),), False))
    far = Tracker(Eyes(), People(person(*[400] * 4), (person(*[100] * 4),), False))
    unclear = Tracker(Eyes(), People(person(*[400] * 4), (person(*[100] * 4),), True))
    assert [f(rgb, 0.0).doubtful for f in (near, far, unclear)] == [True, False, True]


def test_the_region_moves_with_a_signer_who_walks_and_the_backend_begins_anew() -> None:
    places = list(np.linspace(300, 1600, 14))
    people = People(person(*places, width=30), (), False)
    regions = plan_regions(people, (1080, 1920))
    assert len(regions) > 1
    assert regions[-1][0] == math.inf
    eyes = Eyes()
    tracker = Tracker(eyes, people)
    times = np.arange(0, 13 / 3, 1 / 25)
    walk = np.interp(times, people.signer.times, places) if people.signer else times
    for time_s, x in zip(times, walk, strict=True):
        rgb = np.full((1080, 1920, 3), BACKGROUND, np.uint8)
        rgb[90:110, int(x) - 10 : int(x) + 10] = HEADS["signer"]
        detection = tracker(rgb, float(time_s)).detection
        assert detection is not None
        assert abs(detection.body_xy[8, 0] - x) <= 1.5
    assert eyes.resets == len(regions)
