"""Look of the report: colours of the pages for light and dark mode, and matplotlib charts as SVG.

A chart is drawn once, in the light colours; on a dark page a CSS filter inverts its brightness and keeps its hues. The
data colours are Okabe and Ito's, which colour-blind readers can tell apart; where two series share an axis they also
differ in shape or carry their names.
"""

import functools
import io
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, ParamSpec

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

P = ParamSpec("P")

# role -> (light, dark)
COLOURS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "ink": ("#1b1f24", "#e8eaed"),
        "muted": ("#5b6470", "#a3abb5"),
        "grid": ("#e1e4e8", "#343a42"),
        "surface": ("#ffffff", "#16191d"),
        "first": ("#0072b2", "#56b4e9"),
        "second": ("#d55e00", "#e69f00"),
        "third": ("#009e73", "#2fc79b"),
        "shade": ("#bcd8ec", "#2f4d66"),
    }
)
INK, MUTED, GRID, SURFACE, FIRST, SECOND, THIRD, SHADE = (light for light, _ in COLOURS.values())

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
    """Make a function draw in the report's style."""

    @functools.wraps(draw)
    def drawn(*arguments: P.args, **options: P.kwargs) -> Figure:
        with matplotlib.rc_context(_STYLE):
            return draw(*arguments, **options)

    return drawn


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, Any]:
    """A figure of `width` × `height` inches and its axes (rows, columns)."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def to_svg(figure: Figure, name: str) -> str:
    """The figure as a transparent SVG file with the same bytes each time; `name` makes its ids unique within a page."""
    written = io.StringIO()
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name, "svg.id": name}):
        FigureCanvasSVG(figure)
        metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(written, format="svg", facecolor="none", metadata=metadata)
    return written.getvalue()


def on_white(svg: str) -> str:
    """The same SVG file with a background, for programs that show a transparent one on another colour."""
    head, tag, drawing = svg.partition("<svg")
    attributes, end, content = drawing.partition(">")
    return f'{head}{tag}{attributes}{end}\n <rect width="100%" height="100%" fill="{SURFACE}"/>{content}'


def page_colours() -> str:
    """CSS that sets the colours for light and dark mode."""
    light, dark = ("; ".join(f"--{role}: {pair[k]}" for role, pair in COLOURS.items()) for k in (0, 1))
    return f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
