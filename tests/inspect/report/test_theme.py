"""Charts as SVG, and their colours in light and dark mode."""

from xml.etree import ElementTree

from signrep_core.inspect.report.theme import COLOURS, FIRST, new_figure, on_white, page_colours, themed, to_svg


@themed
def draw():
    figure, axes = new_figure(2, 2)
    axes[0, 0].plot([0, 1], color=FIRST, label="a < b")
    axes[0, 0].legend()
    return figure


def test_a_chart_is_valid_xml_and_the_same_each_time():
    svg = to_svg(draw(), "x")
    assert svg == to_svg(draw(), "x")
    ElementTree.fromstring(svg)
    assert "a &lt; b" in svg
    assert FIRST in svg


def test_two_charts_of_a_page_share_no_id():
    ids = [{e.get("id") for e in ElementTree.fromstring(to_svg(draw(), name)).iter("{*}clipPath")} for name in "ab"]
    assert not ids[0] & ids[1]


def test_a_chart_in_a_file_has_a_background_of_its_own():
    svg = to_svg(draw(), "x")
    first, *others = ElementTree.fromstring(on_white(svg))
    assert (first.tag.split("}")[1], first.attrib) == ("rect", {"width": "100%", "height": "100%", "fill": "#ffffff"})
    assert [ElementTree.tostring(e) for e in others] == [ElementTree.tostring(e) for e in ElementTree.fromstring(svg)]
    assert "#ffffff" not in svg


def test_pages_have_every_colour_for_light_and_for_dark_mode():
    light, dark = page_colours().split("@media (prefers-color-scheme: dark)")
    assert all(f"--{role}: {pair[0]}" in light and f"--{role}: {pair[1]}" in dark for role, pair in COLOURS.items())
