"""docs/architecture.md names what exists: every module, function and room on the page is in the code."""

import re
import tomllib

import pytest

from tests.names import CORE, MODULES, ROOMS, ROOT, find

PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
NAMES = sorted(set(re.findall(rf"`((?:{'|'.join([*ROOMS, *(name[:-3] for name in MODULES)])})\.[\w.]+)`", PAGE)))


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith(".py")])
def test_every_name_of_the_page_exists(name: str) -> None:
    find(name)


def test_the_walks_name_functions() -> None:
    for title in ("one video", "one angle", "one 16-frame window"):
        walk = PAGE.split(f"## The way of {title}")[1].split("\n## ")[0]
        assert len([name for name in NAMES if f"`{name}`" in walk]) >= 8, title


def test_videos_are_opened_as_rows_outside_the_room_video() -> None:
    """A row brings its span and rate along (`video.row.read_row`); a bare path lacks them."""
    bare = re.compile(r"\b(read_frames|open_video|probe_video|ImageFolder)\b|cv2\.VideoCapture")
    modules = [path for path in CORE.rglob("*.py") if path.parent.name != "video"]
    assert [str(path) for path in modules if bare.search(path.read_text(encoding="utf-8"))] == []


def floors() -> dict[str, int]:
    """Room -> floor, by the page."""
    rows = re.findall(r"^\| (\d+) \| (.+?) \|", PAGE, re.MULTILINE)
    return {room.removesuffix("/"): int(floor) for floor, rooms in rows for room in re.findall(r"`([^`]+)`", rooms)}


def test_every_room_has_its_floor_on_the_page() -> None:
    assert set(floors()) == {*ROOMS, *MODULES}


def test_the_floors_are_those_that_the_import_contract_holds() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    on_page, places = floors(), {}
    for height, layer in enumerate(reversed(layers)):
        for module in layer.split(" | "):
            name = module.removeprefix("signrep_core.")
            places[name if name in on_page else f"{name}.py"] = height
    ordered = sorted((room for room in places if room in on_page), key=lambda room: places[room])
    heights = [on_page[room] for room in ordered]
    assert heights == sorted(heights), dict(zip(ordered, heights, strict=True))
    for room in ROOMS:
        for other in ROOMS:
            if places[room] == places[other]:
                assert on_page[room] == on_page[other], (room, other)
