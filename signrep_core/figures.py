"""Pictures for people: strips of frames beside their nearest strips (supplement A7, Figs. 3-5)."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from signrep_core.data.windows import WINDOW, WindowReader
from signrep_core.errors import ShardError, TableError
from signrep_core.evaluate.nearest import Window, nearest_windows, pick_references
from signrep_core.evaluate.retrieval import read_features
from signrep_core.store.files import atomic_path
from signrep_core.store.shards import ShardReader

log = logging.getLogger(__name__)

STRIP_FRAMES = 8  # of a window's 16


def retrieval_strips(
    features: str | Path,
    shards: str | Path,
    out: str | Path,
    *,
    n_references: int = 3,
    n_nearest: int = 3,
    open_reader: Callable[[Path], WindowReader] = ShardReader,
) -> list[list[Window]]:
    """Draw reference strips, each above its nearest strips of other videos; needs no gloss.

    The references are the most active windows of the videos with the most active ones.

    Returns:
        For each reference: itself, then the nearest windows.

    Raises:
        TableError: the table holds no features.
    """
    references, vectors = pick_references(read_features(features), n_references)
    if not references:
        raise TableError(f"{features}: holds no window, nothing to draw; rerun: snakemake --forcerun extract_features")
    found = nearest_windows(read_features(features), references, vectors, n_nearest)
    groups = [[reference, *nearest] for reference, nearest in zip(references, found, strict=True)]
    reader = open_reader(Path(shards))
    _draw([[(_caption(reader, w, k), _strip(reader, w)) for k, w in enumerate(group)] for group in groups], Path(out))
    return groups


def _strip(reader: WindowReader, window: Window) -> NDArray[np.uint8]:
    """(H, STRIP_FRAMES·W, 3): every second frame of a window side by side; gray where the shard cannot be read."""
    try:
        row, start = _locate(reader, window)
        n_frames = min(WINDOW, int(reader.index["n_frames"][row]) - start)
        frames = reader.read_window(row, start, n_frames)
    except ShardError as error:
        log.warning("a strip of the figure stays empty: %s", error)
        frames = np.full((WINDOW, 256, 256, 3), 128, np.uint8)
    picked = frames[np.linspace(0, len(frames) - 1, STRIP_FRAMES).round().astype(int)]
    return np.concatenate(list(picked), axis=1)


def _locate(reader: WindowReader, window: Window) -> tuple[int, int]:
    """Row of the index and start within it of a window known by video and frame."""
    ids = np.asarray(reader.index["video_id"], dtype=object)
    for row in np.flatnonzero(ids == window.video_id):
        start = window.start_frame - int(reader.read_targets(int(row), 0, 1)["frame"][0])
        if 0 <= start < int(reader.index["n_frames"][row]):
            return int(row), start
    raise ShardError(
        f"no sequence of video {window.video_id!r} holds frame {window.start_frame}: features and shards are of "
        "different runs; rerun: snakemake --forcerun extract_features"
    )


def _caption(reader: WindowReader, window: Window, k: int) -> str:
    row = list(reader.index["video_id"]).index(window.video_id)
    gloss = reader.index["gloss"][row]
    role = "reference" if k == 0 else f"nearest {k}, cosine {window.similarity:.3f}"
    return f"{role}: {window.video_id}, frame {window.start_frame}" + (f", {gloss}" if gloss else "")


def _draw(groups: list[list[tuple[str, NDArray[np.uint8]]]], out: Path) -> None:
    strips = [strip for group in groups for strip in group]
    figure = Figure(figsize=(12, 1.9 * len(strips)), layout="constrained")
    FigureCanvasAgg(figure)
    rows: Any = figure.subplots(len(strips), 1, squeeze=False)[:, 0]
    for axes, (caption, strip) in zip(rows, strips, strict=True):
        axes.imshow(strip)
        axes.set_title(caption, loc="left", fontsize=9, fontweight="bold" if caption.startswith("ref") else "normal")
        axes.set_axis_off()
    with atomic_path(out) as partial:
        figure.savefig(partial, dpi=100)
