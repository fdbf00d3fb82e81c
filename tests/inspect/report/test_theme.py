"""Drawings follow the reader's theme."""

from xml.etree import ElementTree

from signrep_core.inspect.report.theme import COLOURS, FIRST, new_figure, page_colours, standalone, themed, to_svg


@themed
def draw():
    figure, axes = new_figure(2, 2)
    axes[0, 0].plot([0, 1], color=FIRST, label="a < b")
    axes[0, 0].legend()
    return figure


def test_colours_are_the_page_s():
    svg = to_svg(draw(), "x")
    assert "var(--first)" in svg
    assert "#0101" not in svg
    assert all(f"--{role}:" in page_colours() for role in COLOURS)


def test_a_drawing_is_sound_xml_and_the_same_each_time():
    svg = to_svg(draw(), "x")
    assert svg == to_svg(draw(), "x")
    ElementTree.fromstring(svg)
    assert "a &lt; b" in svg


def test_two_drawings_share_no_id():
    ids = [{e.get("id") for e in ElementTree.fromstring(to_svg(draw(), name)).iter("{*}clipPath")} for name in "ab"]
    assert not ids[0] & ids[1]


def test_a_file_of_its_own_brings_both_themes():
    alone = standalone(to_svg(draw(), "x"))
    ElementTree.fromstring(alone)
    assert "prefers-color-scheme: dark" in alone
