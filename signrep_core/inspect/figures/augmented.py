"""Windows as they are stored, next to their augmented versions that training sees (supplement A2)."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from signrep_core.config import Pretrain
from signrep_core.data.augment import Draws, augment, draw_augmentations, prepare, to_pixels
from signrep_core.data.windows import WindowPairs
from signrep_core.model.signrep import PRESETS
from signrep_core.store.files import atomic_path
from signrep_core.store.shards import ShardReader
from signrep_core.window import WINDOW

SHOWN_FRAMES = 4  # of a window's 16


def augmented_windows(
    shards: str | Path,
    out: str | Path,
    settings: Pretrain,
    *,
    n: int = 8,
    seed: int = 0,
) -> None:
    """Draw the first n windows of a training: stored (left) and augmented (right)."""
    dataset = WindowPairs(partial(ShardReader, Path(shards)), None, seed)
    size = PRESETS[settings.preset].encoder.image_size
    draws = draw_augmentations(n, torch.Generator().manual_seed(seed), settings.crop_area, settings.crop_ratio)
    figure = Figure(figsize=(12, 1.9 * n), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots(n, 1, squeeze=False)[:, 0]
    for item, ax in enumerate(axes):
        pair = dataset[item]
        frames = torch.from_numpy(pair["frames"][0])[None]
        stored, seen = prepare(frames, size), augment(frames, draws[item : item + 1], size)
        ax.imshow(_side_by_side(stored, seen))
        ax.set_title(f"{pair['windows'][0]}: {_describe(draws, item)}", loc="left", fontsize=9)
        ax.set_axis_off()
    with atomic_path(out) as partial_path:
        figure.savefig(partial_path, dpi=100)


def _side_by_side(*videos: torch.Tensor) -> NDArray[np.uint8]:
    """(S, W, 3): SHOWN_FRAMES frames of each video (1, 3, T, S, S), with a gap between the videos."""
    strips = [np.concatenate(list(to_pixels(video)[0, :: WINDOW // SHOWN_FRAMES].numpy()), axis=1) for video in videos]
    size = strips[0].shape[0]
    gap = np.full((size, size // 8, 3), 255, np.uint8)
    return np.concatenate([strips[0], gap, strips[1]], axis=1)


def _describe(draws: Draws, k: int) -> str:
    """The augmentations of a window in words."""
    _, _, height, width = draws.crop[k].tolist()
    words = [f"crop {width:.0%} × {height:.0%}"]
    words += [f"light {int(draws.illuminant[k])} of 25"] if draws.illuminant[k] >= 0 else []
    words += [f"blur {float(draws.sigma[k]):.1f} px"] if draws.sigma[k] else []
    return ", ".join(words + (["gray"] if draws.gray[k] else []))
