"""Joints of active hands that a crop loses, and the scale at which training and evaluation see the signer.

Of the clips of three signers, as the detector and the lifter see them, and of rendered signers, whose joints are known.
A joint counts once in every window of 16 frames in which its hand is active and the joint is seen. Lost: outside of
the view, the mean over random crops; of the joints inside the stored square, and of all. Scale: size of the signer in
the model's input over that in the whole square resized to it, which evaluation sees.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from signrep_core.body.bones import BoneHistogram
from signrep_core.body.kinematics import forward_kinematics
from signrep_core.body.priors import activity
from signrep_core.config import Angles, Config, Pretrain
from signrep_core.data.augment import draw_augmentations
from signrep_core.lift.solver import open_solver
from signrep_core.pose.shard import extract_shard
from signrep_core.skeleton import HANDS, MIN_CONFIDENCE, SIDES
from signrep_core.sources.sheet import Row
from signrep_core.store.resume import open_resume_cache
from signrep_core.store.schemas import POSE
from signrep_core.store.tables import read_videos
from signrep_core.synthetic.corpus import plan_corpus, true_columns
from signrep_core.video.crop_boxes import signer_runs, torso_box
from signrep_core.video.probe import probe_shard
from signrep_core.window import WINDOW

ROOT: Final = Path(__file__).parents[1]
CLIPS: Final = (ROOT.parent / "shared" / "clips", ROOT / "tests" / "data" / "clips")  # the first that exists
CHOICES: Final = (((0.5, 1.0), (0.85, 1.18)), ((0.7, 1.0), (0.85, 1.18)))  # the defaults before decision 0029; between
MARGINS: Final = (0.05, 0.1, 0.2)
CROPS: Final = 200
CENTRE: Final = 224 / 256  # side of the middle crop, which evaluation saw before decision 0029


class Signing(NamedTuple):
    """A video's joints; T frames, J joints, N windows."""

    image_xy: NDArray[np.float64]  # (T, J, 2) pixels
    confidence: NDArray[np.float64]  # (T, J)
    active: tuple[NDArray[np.bool_], NDArray[np.bool_]]  # (N,) right, left in the window that starts at a frame


def rows() -> list[tuple[str, str]]:
    """Shares of lost joints, of those inside the stored square and of all."""
    found = {"clips": list(_real()), "rendered": list(_rendered())}
    lines = []
    for margin in MARGINS:
        hands = {
            name: np.concatenate([_in_square(one, margin) for one in signings]) for name, signings in found.items()
        }
        outside = "; ".join(f"{name} {_outside(xy, 0, 0, 1, 1).mean():.1%}" for name, xy in hands.items())
        lines.append((f"margin {margin:g}: joints of active hands outside of the stored square", outside))
        if margin == Config().crop.margin:
            stored = hands
    low = (1 - CENTRE) / 2
    lines.append(_view(f"the middle {CENTRE:.3g} of the square", stored, np.array([[low, low, CENTRE, CENTRE]])))
    for area, ratio in (*CHOICES, (Pretrain().crop_area, Pretrain().crop_ratio)):
        crops = draw_augmentations(CROPS, torch.Generator().manual_seed(0), area, ratio).crop.numpy()
        lines.append(
            _view(f"random crops, area {area[0]:g}-{area[1]:g}, ratio {ratio[0]:g}-{ratio[1]:g}", stored, crops)
        )
    return lines


def _view(name: str, hands: dict[str, NDArray[np.float64]], crops: NDArray[np.float64]) -> tuple[str, str]:
    """Row of a view of the square: one or more crops (y, x, height, width)."""
    inside = {name: xy[~_outside(xy, 0, 0, 1, 1)] for name, xy in hands.items()}
    lost = [f"{name} {_lost(inside[name], crops):.1%}, {_lost(xy, crops):.1%}" for name, xy in hands.items()]
    scale = 1 / np.sqrt(crops[:, 2] * crops[:, 3])
    return f"{name}: lost inside, in all; mean scale", f"{'; '.join(lost)}; {scale.mean():.2f}"


def _lost(xy: NDArray[np.float64], crops: NDArray[np.float64]) -> float:
    """Mean share of points (n, 2) that lie outside of crops (y, x, height, width)."""
    return float(np.mean([_outside(xy, x, y, x + width, y + height).mean() for y, x, height, width in crops]))


def _outside(xy: NDArray[np.float64], x0: float, y0: float, x1: float, y1: float) -> NDArray[np.bool_]:
    return (xy[:, 0] < x0) | (xy[:, 0] > x1) | (xy[:, 1] < y0) | (xy[:, 1] > y1)


def _in_square(signing: Signing, margin: float) -> NDArray[np.float64]:
    """Seen joints of active hands (n, 2) in shares of their sequence's square, once for each window of a joint."""
    seen = (signing.confidence >= MIN_CONFIDENCE) & np.isfinite(signing.image_xy).all(-1)
    points = [np.zeros((0, 2))]
    for start, n in signer_runs(seen.any(1)):
        run = slice(start, start + n)
        x0, y0, side = torso_box(signing.image_xy[run], signing.confidence[run], margin)
        for hand, active in zip(SIDES, signing.active, strict=True):
            for first in start + np.flatnonzero(active[start : start + n - WINDOW + 1]):
                window = slice(first, first + WINDOW), HANDS[hand]
                points.append((signing.image_xy[window][seen[window]] - (x0, y0)) / side)
    return np.concatenate(points)


def _real() -> Iterator[Signing]:
    """The clips' signers by detector and lifter, with default settings."""
    folder = next(path for path in CLIPS if path.is_dir())
    clips = sorted(folder.glob("asl_*.mkv"))
    with tempfile.TemporaryDirectory() as temporary:
        pose = Path(temporary) / "pose.parquet"
        videos = probe_shard([Row(path.stem, str(path), "asl", "test") for path in clips], threads=2)
        with open_resume_cache(pose) as cache:
            extract_shard(videos, pose, cache, threads=2)
        poses = [video for _, video in read_videos(pose, POSE)]
    settings, histogram = Angles(), BoneHistogram()
    solve = open_solver(settings.solver, settings.lifter, settings.max_gap)
    solutions = [solve(video) for video in poses]
    for solution in solutions:
        histogram.add_lengths(solution.lengths)
    bones: Any = [np.float64(histogram.medians()[part]) for part in ("body_offsets", "hand_offsets")]
    for video, solution in zip(poses, solutions, strict=True):
        joints = forward_kinematics(solution.body_angles, solution.right_angles, solution.left_angles, *bones)
        yield Signing(video["image_xy"], video["confidence"], _activity(joints, solution.confidence))


def _rendered(signers: int = 8, glosses: int = 8, size: int = 320) -> Iterator[Signing]:
    """Signers of the synthetic corpus; what lies outside of the picture is not seen."""
    for performance in plan_corpus(signers=signers, glosses=glosses, takes=1, seed=0, size=size):
        truth = true_columns(performance)
        seen = ((truth["image_xy"] >= 0) & (truth["image_xy"] < size)).all(-1).astype(float)
        yield Signing(truth["image_xy"], seen, _activity(truth["joints"], seen))


def _activity(joints: Any, confidence: Any) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    right, left = activity(joints, confidence)
    return right.filled(False), left.filled(False)
