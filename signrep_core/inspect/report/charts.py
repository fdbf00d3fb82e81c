"""The report's charts, drawn from counts and tables; no function here reads a file.

Legend: J = 61 joints, A = 22 + 41 + 41 angles.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from signrep_core.body.bones import BONES, BoneHistogram
from signrep_core.inspect.report.statistics import (
    ANGLE_EDGES,
    ANGLE_NAMES,
    CONFIDENCE_EDGES,
    LENGTH_EDGES,
    Statistics,
    quantile,
)
from signrep_core.inspect.report.theme import FIRST, INK, MUTED, SECOND, SHADE, THIRD, new_figure, themed
from signrep_core.inspect.report.units import short, time_unit
from signrep_core.skeleton import (
    BODY,
    BODY_ANGLES,
    BODY_JOINTS,
    BODY_LIMITS,
    HAND_ANGLES,
    HAND_JOINTS,
    HAND_LIMITS,
    HANDS,
    RESERVED_ANGLES,
    SIDES,
)

WIDTH = 7.0  # inches, of a chart as wide as the page
# Groups of training metrics that are not terms of the loss: prefixes of their names.
_GROUPS = {
    "Collapse indicators": ("std_z", "effective_rank", "variance", "covariance"),
    "Style discriminator": ("discriminator", "adversarial"),
    "Validation": ("selection", "retrieval"),
    "Run": ("learning_rate", "grad_norm", "clips_per_s", "data_wait", "broken"),
}
Look = tuple[str, str, float]  # colour, marker, offset from the middle of its row
_BODY_LOOK: Look = (THIRD, "D", 0.0)
_SIDE_LOOK: Mapping[str, Look] = {"right": (FIRST, "o", -0.18), "left": (SECOND, "s", 0.18)}


@themed
def draw_detection(statistics: Statistics) -> Figure:
    """Draw for each joint the share of frames with a signer in which it was detected, and its median confidence."""
    figure, axes = new_figure(WIDTH, 6.2, 1, 2, width_ratios=(1, 1))
    body, hands = axes[0]
    share = 100 * statistics.seen / max(int(statistics.present), 1)
    median = np.array([100 * quantile(counts, CONFIDENCE_EDGES, 0.5) for counts in statistics.confidence], float)
    _rows(body, BODY_JOINTS)
    _dots(body, share[BODY], median[BODY], _BODY_LOOK)
    body.set_title("body")
    _rows(hands, HAND_JOINTS)
    for side in SIDES:
        _dots(hands, share[HANDS[side]], median[HANDS[side]], _SIDE_LOOK[side], side)
    hands.set_title("hands")
    _legend(hands, 2)
    for ax in axes[0]:
        ax.set(xlim=(-2, 102), xlabel="percent")
    return figure


@themed
def draw_bones(histogram: BoneHistogram) -> Figure:
    """Draw a histogram of each bone's lengths and its median, the length in the standard skeleton."""
    columns = 6
    figure, axes = new_figure(WIDTH, 8.4, -(-len(BONES) // columns), columns)
    medians = histogram.median_lengths()
    for ax, bone, median in zip(axes.ravel(), BONES, medians, strict=True):
        counts, edges = histogram.middle(bone, 30)
        ax.set_title(bone.replace("_", " "), fontsize=7.5, pad=2)
        ax.grid(visible=False)
        ax.set_yticks([])
        ax.tick_params(labelsize=7, length=2)
        if not counts.size:
            ax.text(0.5, 0.4, "not measured", transform=ax.transAxes, ha="center", color=MUTED, fontsize=7.5)
            ax.set_xticks([])
            continue
        ax.stairs(counts, 1000 * edges, fill=True, color=SHADE)
        ax.axvline(1000 * median, color=FIRST, linewidth=1.6)
        ax.set_xticks([1000 * median], [f"{round(1000 * median)} mm"])
        ax.set_xlim(1000 * edges[0], 1000 * edges[-1])
    return figure


@themed
def draw_angles(statistics: Statistics) -> Figure:
    """Draw the middle 98 % and 50 % of each angle's values and the limits of inverse kinematics."""
    figure, axes = new_figure(WIDTH, 9.0, 1, 2)
    body = [k for k in range(len(BODY_ANGLES)) if k not in RESERVED_ANGLES]
    _rows(axes[0, 0], [BODY_ANGLES[k] for k in body])
    for row, k in enumerate(body):
        _range(axes[0, 0], row, statistics.angles[k], BODY_LIMITS[k], _BODY_LOOK)
    axes[0, 0].set_title("body")
    _rows(axes[0, 1], HAND_ANGLES)
    for side in SIDES:
        for row, name in enumerate(HAND_ANGLES):
            counts = statistics.angles[ANGLE_NAMES.index(f"{side}_{name}", len(BODY_ANGLES))]
            _range(axes[0, 1], row, counts, HAND_LIMITS[row] if side == "right" else None, _SIDE_LOOK[side])
        axes[0, 1].plot([], [], color=_SIDE_LOOK[side][0], linewidth=3, label=side)
    axes[0, 1].set_title("hands")
    _legend(axes[0, 1], 2)
    axes[0, 1].tick_params(axis="y", labelsize=6.5)
    for ax in axes[0]:
        ax.set(xlim=(-185, 185), xlabel="degrees", xticks=[-180, -90, 0, 90, 180])
    return figure


@themed
def draw_lengths(statistics: Statistics, rate: float) -> Figure:
    """Draw the number of sequences by length."""
    figure, axes = new_figure(WIDTH, 2.4)
    seconds = [short(edge / rate) for edge in LENGTH_EDGES[:-1]]
    names = [*(f"{low}–{high}" for low, high in pairwise(seconds)), f"> {seconds[-1]}"]
    bars = axes[0, 0].bar(names, statistics.lengths, color=FIRST, width=0.7)
    axes[0, 0].bar_label(bars, fmt="{:,.0f}", color=INK, fontsize=9, padding=2)
    axes[0, 0].set(xlabel="seconds", ylabel="sequences", yticks=[])
    axes[0, 0].margins(y=0.15)
    axes[0, 0].grid(visible=False)
    return figure


@themed
def draw_activity(timelines: Mapping[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]], rate: float) -> Figure:
    """Draw when each hand is active: per sequence, activity (n,) of the right and the left hand by window start."""
    figure, axes = new_figure(WIDTH, 0.8 + 0.42 * len(timelines))
    ax = axes[0, 0]
    _rows(ax, [name if len(name) <= 24 else f"{name[:10]}…{name[-13:]}" for name in timelines], as_written=True)
    for row, hands in enumerate(timelines.values()):
        for side, active in zip(SIDES, hands, strict=True):
            colour, _, offset = _SIDE_LOOK[side]
            place = row + offset - 0.15, 0.3
            ax.broken_barh([(0, len(active) / rate)], place, facecolors=SHADE)
            ax.broken_barh(_runs(active, rate), place, facecolors=colour, label=side if row == 0 else None)
    ax.set_xlabel("seconds (start of the 16-frame window)")
    ax.broken_barh([], (0, 0), facecolors=SHADE, label="inactive")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2)
    return figure


@themed
def draw_training(metrics: pd.DataFrame) -> Figure:
    """Draw each metric of a training over its steps, in groups; every panel has its own scale."""
    columns = 4
    groups = _training_groups([name for name in metrics.columns if metrics[name].notna().any()])
    heights = [0.4 + 1.3 * -(-len(names) // columns) for names in groups.values()]
    last = max(int(metrics["step"].max()), 1)
    figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    parts = figure.subfigures(len(groups), 1, squeeze=False, height_ratios=heights)
    for part, (title, names) in zip(parts[:, 0], groups.items(), strict=True):
        part.suptitle(title, x=0.005, ha="left", fontsize=10)
        panels = part.subplots(-(-len(names) // columns), columns, squeeze=False).ravel()
        for ax, name in zip(panels, names, strict=False):
            known = metrics[metrics[name].notna()]
            ax.plot(known["step"], known[name], color=FIRST, marker="o" if len(known) < 6 else None, ms=3)
            ax.set_title(name.replace("_", " "), fontsize=8, pad=2)
            ax.set_xlim(-0.04 * last, 1.04 * last)
            ax.tick_params(labelsize=7, length=2)
            ax.locator_params(nbins=3)
        for ax in panels[len(names) :]:
            ax.set_axis_off()
    return figure


@themed
def draw_timing(stages: pd.DataFrame) -> Figure:
    """Draw the processor time of each stage; columns `stage`, `jobs`, `cpu_h`."""
    figure, axes = new_figure(WIDTH, 0.6 + 0.28 * len(stages))
    ax = axes[0, 0]
    _rows(ax, list(stages["stage"]))
    unit, scale = time_unit(stages["cpu_h"].max())
    bars = ax.barh(np.arange(len(stages)), scale * stages["cpu_h"], color=FIRST, height=0.6)
    labels = [
        f"{short(scale * row.cpu_h)} in {row.jobs:,} job{'s' if row.jobs > 1 else ''}" for row in stages.itertuples()
    ]
    ax.bar_label(bars, labels, color=INK, fontsize=8.5, padding=3)
    ax.set_xlabel(f"core-{unit}")
    ax.margins(x=0.2)
    ax.grid(visible=False)
    return figure


def _legend(ax: Any, columns: int) -> None:
    """Add a legend above the axes, on the right."""
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=columns, borderaxespad=0.2)


def _rows(ax: Any, names: Sequence[str], as_written: bool = False) -> None:
    """Give the y axis one named row each, from top to bottom."""
    ax.set_yticks(np.arange(len(names)), names if as_written else [name.replace("_", " ") for name in names])
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0, labelsize=8)
    ax.grid(visible=False, axis="y")


def _dots(
    ax: Any, share: NDArray[np.floating], median: NDArray[np.floating], look: Look, label: str | None = None
) -> None:
    """Draw a filled mark at each row's share and a hollow one at its median."""
    colour, marker, offset = look
    rows = np.arange(len(share)) + offset
    ax.hlines(rows, 0, share, color=colour, linewidth=1, alpha=0.45)
    ax.plot(share, rows, marker, color=colour, markersize=4.5, label=label)
    ax.plot(median, rows, marker, color=colour, markersize=4.5, markerfacecolor="none")


def _range(ax: Any, row: int, counts: NDArray[np.int64], limits: NDArray[np.floating] | None, look: Look) -> None:
    """Draw a thin line over the middle 98 %, a thick one over the middle half, and ticks at the limits."""
    colour, _, offset = look
    if limits is not None:
        ax.plot(np.degrees(limits), [row, row], "|", color=MUTED, markersize=7)
    if counts.sum():
        low, first, third, high = (np.degrees(quantile(counts, ANGLE_EDGES, q)) for q in (0.01, 0.25, 0.75, 0.99))
        ax.plot([low, high], [row + offset] * 2, color=colour, linewidth=1)
        ax.plot([first, third], [row + offset] * 2, color=colour, linewidth=3.2, solid_capstyle="butt")


def _runs(active: NDArray[np.bool_], rate: float) -> list[tuple[float, float]]:
    """Start and duration in seconds of each run of True."""
    changes = np.flatnonzero(np.diff(np.concatenate([[False], active, [False]]).astype(np.int8)))
    return [(begin / rate, (end - begin) / rate) for begin, end in changes.reshape(-1, 2)]


def _training_groups(names: Sequence[str]) -> dict[str, list[str]]:
    """Columns of a training's metrics by group; those outside _GROUPS are losses."""
    groups: dict[str, list[str]] = {"Loss: total and terms": []}
    for title, members in _GROUPS.items():
        groups[title] = [name for name in names if name.startswith(members)]
    taken = {"step", "epoch", *(name for found in groups.values() for name in found)}
    groups["Loss: total and terms"] = sorted((name for name in names if name not in taken), key=lambda n: n != "loss")
    return {title: found for title, found in groups.items() if found}
