"""How the report's drawings look: matplotlib figures as SVG whose colours follow the reader's light or dark theme.

A figure is drawn in stand-in colours; in the SVG they become CSS variables, which the page, or a style inside a file
of its own, sets for both themes. The data colours are Okabe and Ito's, told apart by colour-blind readers; where two
series share an axis they also differ in shape or are named in place.
"""

import functools
import io
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, ParamSpec

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

P = ParamSpec("P")

# role -> (light, dark); the stand-in of the k-th role is #0101kk
COLOURS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "ink": ("#1b1f24", "#e8eaed"),
        "muted": ("#5b6470", "#a3abb5"),
        "grid": ("#e1e4e8", "#343a42"),
        "surface": ("#ffffff", "#16191d"),
        "first": ("#0072b2", "#56b4e9"),
        "second": ("#d55e00", "#e69f00"),
        "third": ("#009e73", "#2fc79b"),
        "shade": ("#cfe3f1", "#2f4d66"),
    }
)
_STAND_INS: Final = {role: f"#0101{k:02x}" for k, role in enumerate(COLOURS)}
INK, MUTED, GRID, SURFACE, FIRST, SECOND, THIRD, SHADE = _STAND_INS.values()

_STYLE: Final[Any] = {
    "svg.fonttype": "none", "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 10,
    "text.color": INK, "axes.labelcolor": MUTED, "axes.edgecolor": GRID, "axes.titlecolor": INK,
    "axes.titlesize": 10, "axes.titlelocation": "left", "axes.labelsize": 9, "axes.facecolor": "none",
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "axes.grid": True,
    "grid.color": GRID, "grid.linewidth": 0.8, "xtick.color": GRID, "ytick.color": GRID,
    "xtick.labelcolor": MUTED, "ytick.labelcolor": MUTED, "xtick.labelsize": 9, "ytick.labelsize": 9,
    "figure.facecolor": "none", "legend.frameon": False, "legend.fontsize": 9, "lines.linewidth": 1.6,
}  # fmt: skip


def themed(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in stand-in colours."""

    @functools.wraps(draw)
    def drawn(*arguments: P.args, **options: P.kwargs) -> Figure:
        with matplotlib.rc_context(_STYLE):
            return draw(*arguments, **options)

    return drawn


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, Any]:
    """A figure of inches and its axes (rows, columns)."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def to_svg(figure: Figure, name: str) -> str:
    """The figure as an `<svg>` element that takes its colours from the page; `name` keeps its ids its own."""
    written = io.StringIO()
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name, "svg.id": name}):
        FigureCanvasSVG(figure)
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = written.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"font: ([^'\"]*?)'DejaVu Sans'[^;\"]*", r"font: \1 system-ui, sans-serif", svg)
    for role, stand_in in _STAND_INS.items():
        svg = svg.replace(stand_in, f"var(--{role})")
    return svg


def page_colours() -> str:
    """CSS that sets the colours for light and dark."""
    light, dark = ("; ".join(f"--{role}: {pair[k]}" for role, pair in COLOURS.items()) for k in (0, 1))
    return f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"


def standalone(svg: str) -> str:
    """The drawing as a file of its own, which brings its colours along."""
    style = f"<style>{page_colours()}svg {{ background: var(--surface) }}</style>"
    return '<?xml version="1.0" encoding="utf-8"?>\n' + re.sub(r"(<svg[^>]*>)", rf"\1{style}", svg, count=1)
