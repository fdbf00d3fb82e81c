"""Figure of the skeleton with the indices of its joints, as in the paper's Fig. 2: body, enlarged head, and both hands.

The signer faces the viewer, so the signer's right hand is on the left.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from signrep_core.body.forward import forward_kinematics
from signrep_core.skeleton import (
    ARMS,
    BODY,
    BODY_ANGLES,
    BODY_EDGES,
    DEFAULT_BODY_OFFSETS,
    DEFAULT_HAND_OFFSETS,
    FINGER_EDGES,
    HAND_ANGLES,
    HANDS,
    HEAD,
    JOINTS,
    KNUCKLES,
    N_BODY_ANGLES,
    NOSE,
    OBSERVED_HAND_RANGES,
    SIDES,
    Side,
)
from signrep_core.store.files import atomic_path

# Colours that colour-blind readers can distinguish; right and left as in all other figures.
COLOURS: Final = {"right": "#0072B2", "left": "#D55E00", "": "#444444"}
_HEAD: Final = range(HEAD.start, HEAD.stop)
# The body's wrists and the hands' are the same points.
SAME_PLACE: Final = {ARMS[side][2]: f"{ARMS[side][2]} = {HANDS[side].start}" for side in SIDES}
# Degrees; arms slightly raised and bent, so that no bone covers another.
_ARMS: Final = {
    "right_shoulder_z": 28.0, "right_shoulder_x": -10.0, "right_shoulder_y": 0.0, "right_elbow_x": -40.0,
    "left_shoulder_z": -28.0, "left_shoulder_x": -10.0, "left_shoulder_y": 0.0, "left_elbow_x": -40.0,
}  # fmt: skip


def draw_skeleton(out: str | Path) -> None:
    """Draw the figure as PNG, SVG or PDF, by the suffix of `out`."""
    figure = skeleton_figure()
    with atomic_path(out) as partial:
        figure.savefig(partial, dpi=130)


def skeleton_figure() -> Figure:
    """The figure: panels `body`, `head, enlarged`, `right hand` and `left hand`."""
    joints = stand()
    figure = Figure(figsize=(12.5, 7.6), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    panels: Any = figure.subplot_mosaic(
        [["body", "head", "head"], ["body", "right", "left"]], width_ratios=(1.25, 1, 1)
    )
    body = range(BODY.stop)
    _draw(panels["body"], "body", {k: joints[k, :2] for k in body}, BODY_EDGES, [k for k in body if k not in _HEAD])
    panels["body"].plot(*zip(joints[NOSE, :2], (0, 0), strict=True), color=COLOURS[""], linestyle=":", zorder=0)
    panels["body"].annotate("neck, the origin", (0, 0), xytext=(0, -14), textcoords="offset points", ha="center")
    panels["body"].scatter(0, 0, marker="x", color=COLOURS[""])
    links = [link for link in BODY_EDGES if set(link) <= set(_HEAD)]
    _draw(panels["head"], "head, enlarged", {k: joints[k, :2] for k in _HEAD}, links, _HEAD)
    for side in SIDES:
        hand = HANDS[side]
        flat = lay_flat(joints[hand], side)
        names = range(hand.start, hand.stop)
        links = [(hand.start + a, hand.start + b) for a, b in FINGER_EDGES]
        _draw(panels[side], f"{side} hand", dict(zip(names, flat, strict=True)), links, names)
    return figure


def stand() -> NDArray[np.float64]:
    """Joints (61, 3) of a person with default bones and straight fingers."""
    body = np.zeros(N_BODY_ANGLES)
    for name, degrees in _ARMS.items():
        body[BODY_ANGLES.index(name)] = np.radians(degrees)
    bends = [name.endswith(("mcp_x", "pip_x", "dip_x")) and not name.startswith("thumb") for name in HAND_ANGLES]
    hand = np.where(bends, 0, OBSERVED_HAND_RANGES.mean(1))
    joints: NDArray[np.float64] = forward_kinematics(body, hand, hand, DEFAULT_BODY_OFFSETS, DEFAULT_HAND_OFFSETS)
    return joints


def lay_flat(hand: NDArray[np.float64], side: Side) -> NDArray[np.float64]:
    """Project a hand (21, 3) onto its palm: fingers up, thumb towards the signer's middle; (21, 2), y down."""
    centred = hand - hand[0]
    index, middle, _, pinky = centred[list(KNUCKLES)]
    along = middle / np.linalg.norm(middle)
    across = index - pinky
    across -= across @ along * along
    flat = np.stack((centred @ across / np.linalg.norm(across), -centred @ along), 1)
    flat[:, 0] *= 1 if side == "right" else -1  # index finger on the viewer's right for the signer's right hand
    return flat


def _draw(
    axes: Any, title: str, places: dict[int, Any], links: Iterable[tuple[int, int]], named: Iterable[int]
) -> None:
    links = [link for link in links if set(link) <= set(places)]
    for a, b in links:
        (x0, y0), (x1, y1) = places[a], places[b]
        sides = {_side(a), _side(b)}
        colour = COLOURS[sides.pop()] if len(sides) == 1 else COLOURS[""]
        axes.plot((x0, x1), (y0, y1), color=colour, linewidth=2.2, solid_capstyle="round", zorder=1)
    for k, (x, y) in places.items():
        axes.scatter(
            x, y, s=34 if k in named else 10, color=COLOURS[_side(k)], edgecolor="white", linewidth=0.8, zorder=2
        )
    for k in named:
        right, down = _label_direction(k, places, links)
        axes.annotate(
            SAME_PLACE.get(k, str(k)), places[k], xytext=(12 * right, -12 * down), textcoords="offset points",
            ha="center", va="center", fontsize=10, color=COLOURS[_side(k)],
        )  # fmt: skip
    axes.set_title(title, fontsize=12)
    axes.set_aspect("equal")
    axes.margins(0.12)
    axes.invert_yaxis()
    axes.set_axis_off()


def _label_direction(k: int, places: dict[int, Any], links: list[tuple[int, int]]) -> NDArray[np.float64]:
    """Direction from a joint to its label: away from its edges, or sideways if they form a straight line."""
    ways = [np.subtract(places[b if a == k else a], places[k]) for a, b in links if k in (a, b)]
    ways = [way / np.linalg.norm(way) for way in ways] or [np.array([0.0, 1.0])]
    away = -np.sum(ways, 0)
    if np.linalg.norm(away) < 0.7:
        # Straight line: the label is on the thumb's side of a finger, outside of an arm, above an eye.
        away = np.array([-ways[0][1], ways[0][0]])
        outward = (1 if _side(k) == "right" else -1) if k >= BODY.stop else np.sign(places[k][0])
        away *= 1 if (-away[1] if k in _HEAD else away[0] * outward) >= 0 else -1
    return np.asarray(away / np.linalg.norm(away))


def _side(joint: int) -> str:
    return next((side for side in SIDES if side in JOINTS[joint]), "")
