"""Following one signer among others, with networks that see heads as grey squares; hands are never seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from signrep_core.pose import follow
from signrep_core.pose.body_track import FACE_TO_REGION
from signrep_core.pose.follow import Sighting, follow_signer
from signrep_core.pose.networks import HAND_SIDE, PERSON_SIDE, POSE_SIDE, DetectorOutput, HandOutput, PoseOutput
from signrep_core.pose.people import People, Person
from signrep_core.video.reader import Frame

HEADS = {"signer": 250, "other": 200}  # grey levels
HEAD = 40  # pixels of a face's width
Y = 100.0
EXPECTED = np.array([0.5, 0.5 - FACE_TO_REGION[0] / FACE_TO_REGION[1]])  # where the head is in the first crop, 0..1


@dataclass
class HeadNetworks:
    """Sees the head that is nearest to where a crop should have it."""

    visibility: float = 0.9
    poses: int = 0
    searches: int = 0

    def pose(self, crops: np.ndarray) -> PoseOutput:
        self.poses += len(crops)
        landmarks, presence = np.zeros((len(crops), 39, 5), np.float32), np.full(len(crops), 0.05, np.float32)
        landmarks[..., 3:] = self.visibility
        for crop, points, k in zip(crops, landmarks, range(len(crops)), strict=True):
            heads = [head for level in HEADS.values() if (head := _head(crop, level)) is not None]
            if heads:
                x, y, width = min(heads, key=lambda head: np.hypot(*(head[:2] - POSE_SIDE * EXPECTED)))
                presence[k] = 0.95
                points[0, :2] = x, y
                points[[12, 11], :2] = (x - width, y + 1.5 * width), (x + width, y + 1.5 * width)
                points[33, :2] = x, y + FACE_TO_REGION[0] * width
                points[34, :2] = points[33, :2] - (0, FACE_TO_REGION[1] / 2.5 * width)
        return PoseOutput(landmarks, presence, np.zeros((len(crops), 39, 3), np.float32))

    def hand(self, crops: np.ndarray) -> HandOutput:
        n = len(crops)
        assert crops.shape[1:] == (HAND_SIDE, HAND_SIDE, 3)
        return HandOutput(
            np.zeros((n, 21, 3), np.float32),
            np.zeros(n, np.float32),
            np.zeros(n, np.float32),
            np.zeros((n, 21, 3), np.float32),
        )

    def person(self, crops: np.ndarray) -> DetectorOutput:
        """No person, or the leftmost head's, by the first anchor, whose centre is (4, 4) of 224 pixels."""
        self.searches += 1
        boxes, logits = np.zeros((1, 2254, 12), np.float32), np.full((1, 2254), -10, np.float32)
        heads = [head for level in HEADS.values() if (head := _head(crops[0], level)) is not None]
        if heads:
            x, y, width = min(heads, key=lambda head: head[0])
            hips = y + FACE_TO_REGION[0] * width
            boxes[0, 0, :8] = (
                x - 4,
                y - 4,
                width,
                width,
                x - 4,
                hips - 4,
                x - 4,
                hips - FACE_TO_REGION[1] / 2.5 * width - 4,
            )
            logits[0, 0] = 10
        assert crops.shape[1] == PERSON_SIDE
        return DetectorOutput(boxes, logits)


def _head(crop: np.ndarray, level: int) -> np.ndarray | None:
    y, x = np.nonzero(np.abs(crop[..., 0].astype(int) - level) < 8)
    if len(x) < 20 or x.min() == 0 or x.max() == crop.shape[1] - 1:
        return None
    return np.array([x.mean(), y.mean(), x.max() - x.min() + 1])


def picture(width: int = 1000, height: int = 700, **x: float) -> np.ndarray:
    rgb = np.full((height, width, 3), 20, np.uint8)
    for name, centre in x.items():
        left, top = round(centre) - HEAD // 2, round(Y) - HEAD // 2
        rgb[top : top + HEAD, left : left + HEAD] = HEADS[name]
    return rgb


def person(*places: float | None, y: float = Y, width: float = HEAD) -> Person:
    """A face seen three times a second; None where it is not."""
    someone = Person()
    for i, x in enumerate(places):
        if x is not None:
            someone.see(i / 3, np.array([x, y, width]), 0.0, np.ones(128))
    return someone


def run(
    pictures: Sequence[np.ndarray], people: People, *, networks: HeadNetworks | None = None, rate: float = 25.0,
    damaged: Sequence[int] = (), shots: Sequence[int] | None = None,
) -> list[Sighting]:  # fmt: skip
    frames = [
        Frame(i, i / rate, rgb, damaged=i in damaged, shot=0 if shots is None else shots[i])
        for i, rgb in enumerate(pictures)
    ]
    found = list(follow_signer(frames, networks or HeadNetworks(), people))  # type: ignore[arg-type]
    assert [sighting.frame.index for sighting in found] == list(range(len(pictures)))
    assert all(sighting.frame.rgb.size == 0 for sighting in found), "pictures are let go"
    return found


def noses(found: Sequence[Sighting]) -> list[int | None]:
    return [None if s.body is None else round(float(s.body.points[0, 0])) for s in found]


def near(found: Sequence[Sighting], expected: Sequence[float]) -> bool:
    return all(nose is not None and abs(nose - x) <= 0.3 * HEAD for nose, x in zip(noses(found), expected, strict=True))


def test_a_lone_signer_is_followed() -> None:
    found = run([picture(signer=500)] * 40, People(person(*[500] * 6), (), False))
    assert near(found, [500] * 40)
    assert all(sighting.on_face and not sighting.doubtful for sighting in found)


def test_the_signer_is_followed_and_nobody_else() -> None:
    """The other person stands nearer to the left edge, and moves."""
    people = People(person(*[650] * 6), (person(*range(200, 260, 10)),), False)
    assert near(run([picture(other=200 + i, signer=650) for i in range(40)], people), [650] * 40)


def test_when_the_signer_leaves_nobody_takes_the_place_and_on_return_is_found_again() -> None:
    networks = HeadNetworks()
    signer = person(*[600] * 3, *[None] * 3, *[700] * 3)
    people = People(signer, (person(*[200] * 9),), False)
    pictures = [picture(other=200, signer=600)] * 25 + [picture(other=200)] * 25 + [picture(other=200, signer=700)] * 15
    found = run(pictures, people, networks=networks)
    assert near(found[:25], [600] * 25)
    assert noses(found[25:50]) == [None] * 25
    assert near(found[-10:], [700] * 10)
    assert networks.searches == 0, "with others about, nobody is picked"


def test_a_person_who_comes_when_the_signer_has_left_is_someone_else() -> None:
    people = People(person(*[600] * 3), (person(*[None] * 4, *[600] * 4),), False)
    found = run([picture(signer=600)] * 25 + [picture()] * 8 + [picture(other=600)] * 30, people)
    assert noses(found[34:]) == [None] * 29


def test_people_who_cross_are_not_confused() -> None:
    """The other one walks past in front; where both heads are at one place the frame is doubtful."""
    walk = np.linspace(300, 900, 50)
    signer, other = person(*[600] * 8), person(*walk[::8])
    pictures = [picture(signer=600, other=x) if abs(x - 600) > HEAD else picture(signer=600) for x in walk]
    found = run(pictures, People(signer, (other,), False))
    assert all(nose is None or abs(nose - 600) <= 3 for nose in noses(found))
    assert near(found[:15] + found[-15:], [600] * 30)
    assert any(sighting.doubtful for sighting in found)


def test_where_the_face_is_not_seen_the_body_is_kept() -> None:
    people = People(person(*[500] * 3), (person(*[150] * 12),), False)
    found = run([picture(other=150, signer=500)] * 60, people)
    assert near(found, [500] * 60)
    assert not found[-1].on_face


def test_a_printed_face_is_nobody() -> None:
    """The only head that the network sees is not where the face is."""
    assert noses(run([picture(other=300)] * 20, People(person(*[700] * 4), (), False))) == [None] * 20


def test_without_any_known_face_the_surest_person_is_followed() -> None:
    networks = HeadNetworks()
    found = run([picture(signer=500)] * 20, People(None, (), False), networks=networks)
    assert near(found, [500] * 20)
    assert networks.searches == 1, "only at the beginning"
    assert not found[0].on_face


def test_an_empty_scene_and_black_frames_show_nobody() -> None:
    nobody = People(None, (), False)
    assert noses(run([picture()] * 5 + [np.zeros((700, 1000, 3), np.uint8)] * 5, nobody)) == [None] * 10
    signer = People(person(*[500] * 4), (), False)
    black = [np.zeros((700, 1000, 3), np.uint8)] * 10
    found = run([picture(signer=500)] * 10 + black + [picture(signer=500)] * 10, signer)
    assert noses(found[10:20]) == [None] * 10
    assert near(found[:10] + found[20:], [500] * 20)


def test_damaged_frames_show_nobody_and_the_signer_is_found_behind_them() -> None:
    found = run([picture(signer=500)] * 30, People(person(*[500] * 4), (), False), damaged=range(10, 15))
    assert noses(found[10:15]) == [None] * 5
    assert near(found[:10] + found[15:], [500] * 25)


def test_after_a_cut_the_signer_is_where_the_face_is() -> None:
    people = People(person(*[300] * 4, *[800] * 4), (), False)
    found = run([picture(signer=300)] * 26 + [picture(signer=800)] * 26, people, shots=[0] * 26 + [1] * 26)
    assert near(found[:26], [300] * 26)
    assert near(found[-20:], [800] * 20)
    assert {round(float(s.body.points[0, 0]), -2) for s in found if s.body is not None} == {300, 800}


def test_an_inset_is_followed_in_a_large_picture() -> None:
    people = People(person(*[1750] * 4), (person(*[500] * 4),), False)
    assert near(run([picture(1920, 1080, other=500, signer=1750)] * 12, people), [1750] * 12)


def test_a_signer_who_walks_is_followed() -> None:
    walk = np.linspace(300, 900, 75)
    people = People(person(*np.interp(np.arange(10) / 3, np.arange(75) / 25, walk)), (), False)
    assert near(run([picture(signer=x) for x in walk], people), walk)


def test_sixty_frames_a_second() -> None:
    walk = np.linspace(300, 500, 90)
    people = People(person(*np.interp(np.arange(6) / 3, np.arange(90) / 60, walk)), (), False)
    assert near(run([picture(signer=x) for x in walk], people, rate=60.0), walk)


def test_unseen_shoulders_are_the_networks_own() -> None:
    (sighting,) = run([picture(signer=500)], People(person(500), (), False), networks=HeadNetworks(0.2))
    assert sighting.body is not None
    assert sighting.body.visibility.max() == pytest.approx(0.2)


def test_sightings_do_not_depend_on_the_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures, people = [picture(signer=500 + i) for i in range(40)], People(person(*range(500, 548, 8)), (), False)
    whole = run(pictures, people)
    monkeypatch.setattr(follow, "STRETCH", 5)
    for a, b in zip(whole, run(pictures, people), strict=True):
        assert a.body is not None
        assert b.body is not None
        np.testing.assert_array_equal(a.body.points, b.body.points)
        np.testing.assert_array_equal(a.hands.states, b.hands.states)


def test_no_frame_gives_no_sighting() -> None:
    assert run([], People(None, (), False)) == []
