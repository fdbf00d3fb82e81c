"""Shot cuts, on drawn pictures and on clips joined one after the other."""

from itertools import islice
from pathlib import Path

import numpy as np

from signrep_core.video.reader import Frame, read_frames
from signrep_core.video.shots import AROUND, SHORTEST, count_shots, is_cut


def shots(pictures: list[np.ndarray], **options: list[int]) -> list[int]:
    damaged, parts = options.get("damaged", []), options.get("parts", [0] * len(pictures))
    frames = [
        Frame(i, i / 25, rgb, damaged=i in damaged, part=part)
        for i, (rgb, part) in enumerate(zip(pictures, parts, strict=True))
    ]
    counted = list(count_shots(frames))
    assert [frame.index for frame in counted] == list(range(len(pictures)))
    return [frame.shot for frame in counted]


def flat(*colour: int, size: tuple[int, int] = (90, 160)) -> np.ndarray:
    return np.full((*size, 3), colour, np.uint8)


def test_a_cut_begins_a_shot() -> None:
    assert shots([flat(200, 40, 40)] * 20 + [flat(30, 60, 160)] * 20) == [0] * 20 + [1] * 20


def test_a_still_picture_has_no_cut() -> None:
    assert shots([flat(200, 40, 40)] * 5) == [0] * 5
    assert shots([]) == []
    assert shots([flat(1, 2, 3)]) == [0]


def test_a_fade_is_no_cut() -> None:
    assert set(shots([flat(*(round(255 * k / 40) for _ in range(3))) for k in range(40)])) == {0}


def test_a_picture_that_changes_all_the_time_has_no_cuts() -> None:
    rng = np.random.default_rng(0)
    assert set(shots([rng.integers(0, 255, (90, 160, 3)).astype(np.uint8) for _ in range(40)])) == {0}


def test_shots_have_a_shortest_length() -> None:
    """A flash of two frames after 20: its end comes too soon for another cut."""
    pictures = [flat(200, 40, 40)] * 20 + [flat(250, 250, 250)] * 2 + [flat(200, 40, 40)] * (SHORTEST + 5)
    assert set(shots(pictures)) == {0, 1}


def test_a_change_of_shape_is_no_cut() -> None:
    """It is a part of its own already."""
    pictures = [flat(200, 40, 40)] * 20 + [flat(30, 60, 160, size=(160, 90))] * 20
    assert set(shots(pictures, parts=[0] * 20 + [1] * 20)) == {0}


def test_damaged_frames_neither_make_nor_hide_a_cut() -> None:
    """The frames 18 to 21 hold the last good one; the cut is seen where good frames come again."""
    red, blue = flat(200, 40, 40), flat(30, 60, 160)
    assert shots([red] * 22 + [blue] * 20, damaged=[18, 19, 20, 21]) == [0] * 22 + [1] * 20
    assert set(shots([red] * 18 + [blue] * 4 + [red] * 18, damaged=[18, 19, 20, 21])) == {0}


def test_only_as_many_frames_are_read_ahead_as_are_needed() -> None:
    read: list[int] = []

    def frames() -> "list[Frame]":
        for i in range(100):
            read.append(i)
            yield Frame(i, i / 25, flat(9, 9, 9))

    next(iter(count_shots(frames())))
    assert len(read) == AROUND + 1


def test_a_large_change_among_large_ones_is_no_cut() -> None:
    """Three times the mean of 6 and 6 is 18; of 4 and 5, 13.5."""
    assert not is_cut(17.0, [6.0, 6.0])
    assert is_cut(17.0, [4.0, 5.0])
    assert not is_cut(14.9, [0.0, 0.0])


def test_signing_is_one_shot_and_joined_clips_are_two(clips: Path) -> None:
    first, second = (
        [frame.rgb for frame in islice(read_frames(clips / f"asl_{name}.mkv"), 40)] for name in ("walk_C", "yes_A")
    )
    assert shots(first + second) == [0] * 40 + [1] * 40
