"""Confusion matrix of a recogniser's test videos."""

from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from signrep_core.evaluate.recognition import Predictions
from signrep_core.store.files import atomic_path

MAX_GLOSSES: Final = 30  # rows and columns that fit on a page


def confusion_matrix(predictions: Predictions, out: str | Path, title: str) -> None:
    """Draw how often each gloss (row) was recognised as which gloss (column).

    Of many glosses only those with the most errors are drawn; predictions outside them count in a last column. Only
    videos with a trained gloss are counted.
    """
    usable = predictions.labels >= 0
    truth, predicted = predictions.labels[usable], predictions.top[usable, 0]
    shown = _select_glosses(truth, predicted)
    place = np.full(len(predictions.glosses), len(shown))
    place[shown] = np.arange(len(shown))
    counts = np.zeros((len(shown) + 1, len(shown) + 1), np.int64)
    np.add.at(counts, (place[truth], place[predicted]), 1)
    names = [predictions.glosses[k] for k in shown]
    others = bool(counts[:-1, -1].any())
    left_out = len(set(truth.tolist()) - set(shown.tolist()))
    note = f"\n{len(shown)} glosses with the most errors of {len(shown) + left_out}" if left_out else ""
    columns = [*names, "others"] if others else names
    _draw_matrix(counts[:-1, : len(columns)], names, columns, f"{title}{note}", Path(out))


def _select_glosses(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> NDArray[np.int64]:
    """The glosses of the matrix in their order: all that occur, or the MAX_GLOSSES with the most errors."""
    glosses = np.union1d(truth, predicted)
    if len(glosses) <= MAX_GLOSSES:
        return glosses
    wrong = truth != predicted
    n = glosses[-1] + 1
    errors = np.bincount(truth[wrong], minlength=n) + np.bincount(predicted[wrong], minlength=n)
    worst: NDArray[np.int64] = np.sort(np.argsort(-errors, kind="stable")[:MAX_GLOSSES])
    return worst


def _draw_matrix(counts: NDArray[np.int64], rows: list[str], columns: list[str], title: str, out: Path) -> None:
    """Draw counts as numbers, coloured by their share of the row; without rows, a figure that says so."""
    side = 2.2 + 0.34 * max(len(columns), 4)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_title(title, loc="left", fontsize=9)
    if rows:
        _draw_counts(figure, axes, counts, rows, columns)
    else:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no test video with a trained gloss", ha="center", va="center", fontsize=9)
    with atomic_path(out) as partial:
        figure.savefig(partial, dpi=120)


def _draw_counts(figure: Figure, axes: Axes, counts: NDArray[np.int64], rows: list[str], columns: list[str]) -> None:
    share = counts / counts.sum(1, keepdims=True).clip(1)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i, j in zip(*np.nonzero(counts), strict=True):
        axes.text(j, i, str(counts[i, j]), ha="center", va="center", fontsize=8,
                  color="white" if share[i, j] > 0.6 else "black")  # fmt: skip
    axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=8)
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    axes.set_xlabel("predicted gloss")
    axes.set_ylabel("true gloss")
    figure.colorbar(image, ax=axes, shrink=0.6, label="share of the row")
