"""The people in a video and the choice of the signer; faces are given, not detected."""

import itertools

import numpy as np
import pytest

from signrep_core.pose.people import Box, People, Person, choose_signer, find_people
from signrep_core.video.reader import Frame

SIZE = (360, 640)
RED, BLUE, WALL = (200, 30, 30), (30, 30, 200), (90, 90, 90)


def scene(*people: tuple[Box, tuple[int, int, int], int]) -> np.ndarray:
    """A picture with people: (face box, colour of clothes, how far up the hands are in pixels)."""
    rgb = np.full((*SIZE, 3), WALL, np.uint8)
    for (x, y, width), colour, hand in people:
        rgb[int(y + width) : int(y + 4 * width), max(int(x - width), 0) : int(x + width)] = colour
        top = int(y + 3 * width - hand)
        rgb[top : top + int(width), max(int(x - 1.8 * width), 0) : int(x - width)] = (230, 190, 160)
    return rgb


def face(x: float, y: float = 100, width: float = 40) -> Box:
    return np.array([x, y, width], float)


def people_of(scenes: list[list[tuple[Box, tuple[int, int, int], int]]]) -> People:
    """The people of successive scenes, three a second."""
    frames = [Frame(i, i / 3, scene(*people)) for i, people in enumerate(scenes)]
    boxes = iter([np.array([person[0] for person in people]).reshape(-1, 3) for people in scenes])
    return find_people(frames, lambda *_: next(boxes), lambda: None)


def test_a_lone_person_is_the_signer_without_doubt() -> None:
    people = people_of([[(face(300), RED, 0)]] * 6)
    assert people.signer is not None
    assert (len(people.signer.times), people.others, people.doubtful) == (6, (), False)


def test_without_faces_there_is_no_signer() -> None:
    assert people_of([[]] * 6) == People(None, (), doubtful=False)


def test_of_two_equals_the_one_whose_hands_move_signs() -> None:
    still_left = [[(face(200), RED, 0), (face(440), BLUE, 60 * (i % 2))] for i in range(8)]
    people = people_of(still_left)
    assert people.signer is not None
    assert people.signer.boxes[0][0] == 440
    assert not people.doubtful


def test_of_two_movers_the_larger_signs() -> None:
    people = people_of(
        [[(face(200, width=20), RED, 30 * (i % 2)), (face(440, width=50), BLUE, 75 * (i % 2))] for i in range(8)]
    )
    assert people.signer is not None
    assert people.signer.boxes[0][2] == 50


def test_of_two_movers_of_a_size_the_central_one_signs() -> None:
    people = people_of([[(face(60), RED, 60 * (i % 2)), (face(330), BLUE, 60 * (i % 2))] for i in range(8)])
    assert people.signer is not None
    assert people.signer.boxes[0][0] == 330


def test_two_alike_make_the_choice_doubtful() -> None:
    people = people_of([[(face(200), RED, 60 * (i % 2)), (face(440), BLUE, 60 * (i % 2))] for i in range(8)])
    assert people.doubtful


def test_people_who_walk_past_each_other_keep_their_identity() -> None:
    steps = [(face(100 + 35 * i, 100), face(520 - 35 * i, 150)) for i in range(13)]
    people = people_of([[(a, RED, 0), (b, BLUE, 60 * (i % 2))] for i, (a, b) in enumerate(steps)])
    assert people.signer is not None
    assert len(people.others) == 1
    for person in (people.signer, *people.others):
        moves = np.sign(np.diff([box[0] for box in person.boxes]))
        assert abs(moves.sum()) == 12, "each goes one way only"


def test_a_cut_that_swaps_the_places_does_not_swap_the_people() -> None:
    before = [[(face(200), RED, 60 * (i % 2)), (face(440), BLUE, 0)] for i in range(6)]
    after = [[(face(200), BLUE, 0), (face(440), RED, 60 * (i % 2))] for i in range(6)]
    people = people_of(before + after)
    assert people.signer is not None
    assert len(people.others) == 1
    assert [box[0] for box in people.signer.boxes] == [200] * 6 + [440] * 6


def test_someone_who_comes_back_is_the_same_person() -> None:
    here, away = [(face(300), RED, 0)], list[tuple[Box, tuple[int, int, int], int]]()
    people = people_of([here] * 6 + [away] * 12 + [[(face(420), RED, 0)]] * 6)
    assert people.signer is not None
    assert len(people.signer.times) == 12
    assert people.others == ()


def test_a_face_seen_once_is_no_person() -> None:
    people = people_of(
        [[(face(300), RED, 0)]] * 5 + [[(face(300), RED, 0), (face(560), BLUE, 0)]] + [[(face(300), RED, 0)]] * 5
    )
    assert people.others == ()


@pytest.mark.parametrize(
    ("time_s", "x"),
    [(0.0, 100.0), (0.5, 150.0), (1.0, 200.0), (1.2, 200.0), (1.5, None), (8.9, 500.0), (9.0, 500.0), (9.5, None)],
)
def test_a_face_is_known_between_observations_and_a_moment_around_them(time_s: float, x: float | None) -> None:
    person = Person()
    for time, place in ((0.0, 100.0), (1.0, 200.0), (9.0, 500.0)):
        person.see(time, face(place), 0.0, np.ones(128))
    box = person.face_at(time_s)
    assert (None if box is None else box[0]) == x


def test_the_scan_of_a_crowd_grows_with_its_faces_and_not_with_its_pairs() -> None:
    people = []
    for k in range(50):
        person = Person()
        for i in range(20):
            person.see(i / 3, face(12 * k), 0.1 * (k == 7), np.eye(128)[k])
        people.append(person)
    chosen = choose_signer(people, SIZE, 20)
    assert chosen.signer is people[7]
    assert len(chosen.others) == 49


def test_parts_of_a_large_picture_cover_it() -> None:
    from signrep_core.pose.people import PART_PX, _parts

    for width, height in ((1920, 1080), (1080, 1920), (720, 400), (481, 481)):
        covered = np.zeros((height, width), bool)
        for x, y, w, h in _parts(width, height):
            assert max(w, h) <= PART_PX
            covered[y : y + h, x : x + w] = True
        assert covered.all()


def test_known_faces_and_thorough_searches_are_asked_for() -> None:
    asked: list[tuple[int, bool]] = []
    frames = [Frame(i, i / 3, scene((face(300), RED, 0))) for i in range(8)]

    def find(rgb: np.ndarray, known: np.ndarray, thorough: bool) -> np.ndarray:
        asked.append((len(known), thorough))
        return face(300)[None]

    find_people(frames, find, lambda: None)
    assert asked == [(0, True), *itertools.repeat((1, False), 5), (1, True), (1, False)]


def test_a_picture_of_another_shape_begins_new_tracks_of_the_same_person() -> None:
    wide = [Frame(i, i / 3, scene((face(300), RED, 60 * (i % 2)))) for i in range(6)]
    high = [Frame(i, i / 3, scene((face(300), RED, 60 * (i % 2)))[:, 160:460], part=1) for i in range(6, 12)]
    people = find_people(
        wide + high, lambda rgb, *_: face(300 if rgb.shape[1] == 640 else 140).reshape(1, 3), lambda: None
    )
    assert people.signer is not None
    assert [box[0] for box in people.signer.boxes] == [300] * 6 + [140] * 6
    assert people.others == ()
