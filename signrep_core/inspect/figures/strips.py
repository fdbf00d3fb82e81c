"""Nearest neighbours as strips of frames, as in the paper's Figs. 3-5 (supplement A7)."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from signrep_core.data.windows import WindowReader
from signrep_core.errors import ShardError, VideoError
from signrep_core.evaluate.nearest import SearchResult, Window, draw_references, nearest_windows
from signrep_core.evaluate.retrieval import read_features
from signrep_core.store.files import atomic_path
from signrep_core.store.shards import ShardReader
from signrep_core.video.crop_file import video_file_window
from signrep_core.video.encode import EncoderSettings
from signrep_core.window import WINDOW

log = logging.getLogger(__name__)

STRIP_FRAMES: Final = 8  # of a window's 16
FRAME_PX: Final = 128  # width of a drawn frame
LABEL_IN, ROW_IN, GAP_IN = 2.1, 1.36, 0.3  # inches: width of the labels, height of a strip, gap between groups
DPI: Final = 100
# Colours that colour-blind readers can distinguish; the labels give the same information.
REFERENCE, SAME, OTHER, UNKNOWN = "#222222", "#0072B2", "#D55E00", "#666666"
EMPTY: Final = np.full((WINDOW, EncoderSettings.size, EncoderSettings.size, 3), 128, np.uint8)


@dataclass(frozen=True)
class Strip:
    """A window to draw: its frames, its label, and the colour of its border."""

    frames: NDArray[np.uint8]  # (T, H, W, 3)
    title: str
    details: str
    colour: str


def retrieval_strips(
    features: str | Path,
    shards: str | Path,
    out: str | Path,
    *,
    n_references: int = 3,
    n_nearest: int = 3,
    seed: int = 0,
) -> list[list[Window]]:
    """Draw reference strips, each above its nearest strips of other videos; needs no gloss.

    The references are drawn at random among windows with an active signer, by the seed (A7); in all strips the signer
    is active.

    Returns:
        Per reference, the reference and its nearest windows; for a table without windows the figure says so.
    """
    references, vectors = draw_references(read_features(features), n_references, seed)
    if not references:
        log.warning("%s: contains no window, so the figure is empty", features)
    found = nearest_windows(read_features(features), references, vectors, n_nearest)
    groups = [[reference, *nearest] for reference, nearest in zip(references, found, strict=True)]
    reader = ShardReader(Path(shards))
    glosses = dict(zip(reader.index["video_id"], reader.index["gloss"], strict=True))
    strips = []
    for reference, *nearest in groups:
        title = ("reference", reference, glosses, glosses.get(reference.video_id, ""))
        strips.append([make_strip(shown_frames(reader, reference), *title)])
        strips[-1] += _nearest(nearest, partial(shown_frames, reader), glosses, glosses.get(reference.video_id, ""))
    draw_strips(strips, out)
    return groups


def search_strips(
    query: NDArray[np.uint8],
    found: SearchResult,
    glosses: Mapping[str, str],
    frames_of: Callable[[Window], NDArray[np.uint8]],
    out: str | Path,
) -> None:
    """Draw the most active strip of a query above the nearest strips of a gallery.

    Args:
        query: frames (T, H, W, 3) of the query's reference window.
        frames_of: reads the frames of a gallery's window.
    """
    strip = make_strip(query, "reference", found.reference, {}, "")
    draw_strips([[strip, *_nearest(found.windows, frames_of, glosses, "")]], out)


def _nearest(
    windows: list[Window], frames_of: Callable[[Window], NDArray[np.uint8]], glosses: Mapping[str, str], wanted: str
) -> list[Strip]:
    """Strips of the found windows, the nearest first; `wanted` is the gloss of the reference, empty if unknown."""
    return [
        make_strip(frames_of(window), f"nearest {k}: {window.similarity:.3f}", window, glosses, wanted)
        for k, window in enumerate(windows, 1)
    ]


def video_file_frames(window: Window, fps: float | None = None) -> NDArray[np.uint8]:
    """Frames of a window whose video_id is the path of a video file, or of an image folder; grey if it cannot be read.

    Args:
        fps: frame rate of an image folder.
    """
    try:
        return video_file_window(window.video_id, window.start_frame, fps=fps)
    except VideoError as error:
        log.warning("a strip of the figure stays empty: %s; give the shards of the gallery", error)
        return EMPTY


def make_strip(frames: NDArray[np.uint8], role: str, window: Window, glosses: Mapping[str, str], wanted: str) -> Strip:
    """A strip with label and colour by its role: reference, same gloss, other gloss, or unknown."""
    gloss = glosses.get(window.video_id, "")
    if role == "reference":
        colour, verdict = REFERENCE, ""
    elif not gloss or not wanted:
        colour, verdict = UNKNOWN, ""
    else:
        colour, verdict = (SAME, " (same)") if gloss == wanted else (OTHER, " (other)")
    lines = [gloss + verdict, _shorten(window.video_id), f"frame {window.start_frame}"]
    return Strip(frames, role, "\n".join(filter(None, lines)), colour)


def shown_frames(reader: WindowReader, window: Window) -> NDArray[np.uint8]:
    """The window's frames, (T, H, W, 3); grey if the shard cannot be read."""
    try:
        row, start = _locate(reader, window)
        n_frames = min(WINDOW, int(reader.index["n_frames"][row]) - start)
        return reader.read_window(row, start, n_frames)
    except ShardError as error:
        log.warning("a strip of the figure stays empty: %s", error)
        return EMPTY


def draw_strips(groups: list[list[Strip]], out: str | Path) -> None:
    """Draw groups of strips, each with its reference first; without groups, a figure that says so."""
    width_in = LABEL_IN + STRIP_FRAMES * FRAME_PX / DPI + GAP_IN / 2
    n_rows = sum(map(len, groups))
    height_in = n_rows * ROW_IN + (len(groups) + 1) * GAP_IN
    figure = Figure(figsize=(width_in, height_in), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    top = height_in - GAP_IN
    if not groups:
        figure.text(0.5, 0.5, "no video has features", ha="center", va="center", color=UNKNOWN)
    for group in groups:
        for strip in group:
            _draw_strip(figure, strip, top / height_in, width_in, height_in)
            top -= ROW_IN
        top -= GAP_IN
    with atomic_path(out) as partial:
        figure.savefig(partial, dpi=DPI)


def _draw_strip(figure: Figure, strip: Strip, top: float, width_in: float, height_in: float) -> None:
    picked = strip.frames[np.linspace(0, len(strip.frames) - 1, STRIP_FRAMES).round().astype(int)]
    size = FRAME_PX / DPI
    axes: Any = figure.add_axes(
        (LABEL_IN / width_in, top - size / height_in, STRIP_FRAMES * size / width_in, size / height_in)
    )
    axes.imshow(np.concatenate(list(picked), axis=1), aspect="auto")
    axes.set_axis_off()
    edge = Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, edgecolor=strip.colour, linewidth=3)
    edge.set_clip_on(False)
    axes.add_patch(edge)
    is_reference = strip.colour == REFERENCE
    at: dict[str, Any] = {"x": (LABEL_IN - 0.15) / width_in, "ha": "right", "color": strip.colour}
    figure.text(y=top - 0.12 / height_in, s=strip.title, va="top", fontweight="bold", fontsize=10, **at)
    weight = "bold" if is_reference else "normal"
    figure.text(y=top - 0.38 / height_in, s=strip.details, va="top", fontsize=9, fontweight=weight, **at)


def _shorten(name: str, length: int = 24) -> str:
    """The end of a long name, which is more specific than its beginning; for a path, the file name."""
    name = Path(name).name if Path(name).is_absolute() else name
    return name if len(name) <= length else f"…{name[1 - length :]}"


def _locate(reader: WindowReader, window: Window) -> tuple[int, int]:
    """Row of the index that contains a window, and the window's start within this sequence."""
    ids = np.asarray(reader.index["video_id"], dtype=object)
    for row in np.flatnonzero(ids == window.video_id):
        start = window.start_frame - int(reader.read_targets(int(row), 0, 1)["frame"][0])
        if 0 <= start < int(reader.index["n_frames"][row]):
            return int(row), start
    raise ShardError(
        f"no sequence of video {window.video_id!r} contains frame {window.start_frame}: features and shards belong to "
        "different runs; rerun: snakemake --forcerun extract_features"
    )
