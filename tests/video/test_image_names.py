"""Place in time of a folder's images, from their names alone; layouts as tools and data sets write them."""

import re

import pytest

from signrep_core.video.image_names import NamingError, is_image, place_images


def numbered(pattern: str, *numbers: int) -> list[str]:
    return [pattern.format(number) for number in numbers]


@pytest.mark.parametrize(
    ("names", "placed"),
    [
        pytest.param(numbered("images{:04d}.png", 1, 2, 3), [0, 1, 2], id="Phoenix14T"),
        pytest.param(numbered("{:06d}.jpg", 0, 1, 2), [0, 1, 2], id="CSL-Daily"),
        pytest.param(numbered("s1-{}.png", 9, 10, 11), [0, 1, 2], id="no zeros in front"),
        pytest.param(numbered("frame{}.jpg", 98, 99, 100), [0, 1, 2], id="begins anywhere"),
        pytest.param(numbered("a_{}.jpeg", 1, 2, 4), [0, 1, 3], id="a number is missing"),
        pytest.param(numbered("{}.png", 10, 15, 25), [0, 1, 3], id="every fifth frame, one missing"),
        pytest.param(
            [f"01April_2010_Thursday-1.avi_pid0_fn{k:06d}-0.png" for k in (0, 1, 2)], [0, 1, 2], id="Phoenix 2014"
        ),
        pytest.param(["f_1_t0.00.png", "f_2_t0.04.png", "f_3_t0.08.png"], [0, 1, 2], id="number and time"),
        pytest.param(["shot1_1.png", "shot1_2.png", "shot2_3.png"], [0, 1, 2], id="number of the shot"),
        pytest.param(["1.png", "002.png", "3.png"], [0, 1, 2], id="zeros in front of some"),
        pytest.param(["frame9.jpg", "frame_10.jpg", "Frame 11.JPG"], [0, 1, 2], id="names that change"),
        pytest.param(["1.jpg", "2.png", "3.JPEG"], [0, 1, 2], id="formats that take turns"),
        pytest.param(["vid (1).jpg", "vid (2).jpg", "vid (3).jpg"], [0, 1, 2], id="renamed in Windows"),
        pytest.param(["mv-1.webp", "mv-2.bmp", "mv-3.tif"], [0, 1, 2], id="other formats"),
        pytest.param(["2024-05-01_12.jpg"], [0], id="one image"),
    ],
)
def test_the_number_in_the_name_is_the_time(names: list[str], placed: list[int]) -> None:
    found = place_images(reversed(names))
    assert found.names == dict(zip(placed, names, strict=True))
    assert len(found) == placed[-1] + 1


@pytest.mark.parametrize(
    ("names", "note"),
    [
        (["1.png", "2.png", "5.png", "6.png"], "2 of 6 images are missing, the first is number 3"),
        (["0.png", "10.png", "15.png"], "the images' numbers go in steps of 5"),
        (["0.png", "10.png", "15.png"], "1 of 4 images are missing, the first is number 5"),
        (["1.png", "2.png", "cover.jpg"], "1 image without a number left out: cover.jpg"),
        (
            [f"{k}.{kind}" for k in (1, 2, 3) for kind in ("png", "jpg")],
            "frames in two formats: 3 jpeg left out, for example 1.jpg",
        ),
        (["1.jpg", "2.jpg", "3.jpg", "2.png"], "frames in two formats: 1 png left out, for example 2.png"),
    ],
)
def test_what_is_missing_or_left_out_is_noted(names: list[str], note: str) -> None:
    found = place_images(names)
    assert note in (*found.notes, found.describe_missing(0, len(found)))


def test_a_folder_in_order_has_no_note() -> None:
    assert place_images([*numbered("{:03d}.png", *range(1, 30)), "Thumbs.db", "._001.png", "notes.txt"]).notes == ()


def test_images_missing_from_a_span_are_counted() -> None:
    found = place_images(["1.png", "2.png", "5.png", "6.png"])
    assert found.describe_missing(0, 2) == ""
    assert found.describe_missing(3, 6) == "1 of 3 images are missing, the first is number 4"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a.png", "b.png"], "no image has a number in its name, such as a.png"),
        (["1.jpg", "1.jpeg"], "2 images have the number 1: 1.jpeg and 1.jpg; keep one of them"),
        (["1.png", "001.png"], "2 images have the number 1: 001.png and 1.png"),
        (["rgb_1.png", "depth_1.png"], "2 images have the number 1: depth_1.png and rgb_1.png"),
        (["rgb_1.jpg", "mask_1.png"], "2 images have the number 1: mask_1.png and rgb_1.jpg"),
        (["i1.png", "i2.png", "i2 (1).png"], "names of two kinds: i1.png and i2 (1).png"),
        ([f"cam{c}_{k}.png" for c in (0, 1) for k in (1, 2)], "several numbers change from name to name (cam0_1.png"),
        (["00-58.png", "00-59.png", "01-00.png", "01-58.png"], "several numbers change"),
        (["1700000000123.jpg", "1700000000156.jpg", "1700000000190.jpg"], "count from 1700000000123 to 1700000000190"),
        (["1.png", "2.png", "9.png"], "but there are 3 images: most are missing"),
    ],
)
def test_names_that_do_not_say_the_time_are_refused(names: list[str], said: str) -> None:
    with pytest.raises(NamingError, match=re.escape(said)):
        place_images(names)


def test_images_are_known_by_their_suffix() -> None:
    assert is_image("a.PNG")
    assert not is_image(".a.png")
    assert not is_image("png")
    assert place_images(["notes.txt"]).names == {}
