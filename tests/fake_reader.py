"""Shards in memory: a bright square whose path is the video's gloss, with targets computed from the path."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from signrep_core.errors import ShardError
from signrep_core.skeleton import N_BODY_ANGLES, N_HAND_ANGLES, N_JOINTS

SIDE = 64  # pixels; the real ones have 256


def planes_of(rgb: np.ndarray) -> np.ndarray:
    """(n, H, W, 3) RGB → (n, 3H/2, W) planes as video stores them: BT.709, TV range, colour at half the size."""
    n, height, width = rgb.shape[:3]
    luma = rgb @ np.array([0.2126, 0.7152, 0.0722])
    blue, red = (rgb[..., 2] - luma) / 1.8556, (rgb[..., 0] - luma) / 1.5748
    half = [c.reshape(n, height // 2, 2, width // 2, 2).mean((2, 4)).reshape(n, -1, width) for c in (blue, red)]
    planes = [16 + luma * 219 / 255, *(128 + c * 224 / 255 for c in half)]
    return np.concatenate(planes, 1).round().clip(0, 255).astype(np.uint8)


class FakeReader:
    """The contract of `ShardReader` without files; the folder's name is ignored."""

    n_videos, n_frames = 6, 24
    broken_rows: tuple[int, ...] = ()
    splits = ("train", "train", "train", "train", "val", "test")

    def __init__(self, folder: Path = Path()) -> None:
        n = self.n_videos
        names = [f"video{k:02d}" for k in range(n) for _ in range(2)]  # two sequences each
        self.index = {
            "video_id": names,
            "shard": [f"{k // 2:05d}" for k in range(n) for _ in range(2)],  # two videos in each
            "dataset": ["fake"] * (2 * n),
            "split": [self.splits[k % len(self.splits)] for k in range(n) for _ in range(2)],
            "gloss": [f"gloss{k % 3}" for k in range(n) for _ in range(2)],
            "text": [""] * (2 * n),
            "n_frames": np.full(2 * n, self.n_frames, np.int32),
        }

    def _path(self, row: int, start: int, n_frames: int) -> np.ndarray:
        """(n, 2) centre of the square in 0..1."""
        gloss, t = (row // 2) % 3, np.arange(start, start + n_frames) / 8
        return 0.5 + 0.3 * np.stack((np.sin((gloss + 1) * t), np.cos(t + row)), 1)

    def _check(self, row: int) -> None:
        if row in self.broken_rows:
            raise ShardError(f"row {row}: the packets do not decode")

    def read_window(self, row: int, start: int, n_frames: int = 16) -> np.ndarray:
        self._check(row)
        frames = np.full((n_frames, SIDE, SIDE, 3), 20 * (row % 5), np.uint8)
        for frame, (y, x) in zip(frames, (self._path(row, start, n_frames) * SIDE).astype(int), strict=True):
            frame[max(0, y - 6) : y + 6, max(0, x - 6) : x + 6] = 230
        return frames

    def read_planes(self, row: int, start: int, n_frames: int = 16) -> np.ndarray:
        return planes_of(self.read_window(row, start, n_frames))

    def read_planes_at(self, row: int, frames: np.ndarray) -> np.ndarray:
        return self.read_planes(row, int(frames[0]), int(frames[-1] - frames[0] + 1))[frames - frames[0]]

    def read_targets(self, row: int, start: int, n_frames: int = 16) -> dict[str, np.ndarray]:
        self._check(row)
        path = self._path(row, start, n_frames).astype(np.float32)
        keypoints = np.zeros((n_frames, N_JOINTS, 3), np.float32)
        keypoints[..., :2] = path[:, None]
        keypoints[..., 2] = np.linspace(0, 0.3, N_JOINTS)
        confidence = np.ones((n_frames, N_JOINTS), np.float32)
        if row % 2:  # a left hand that is not seen
            confidence[:, 40:] = 0
        return {
            "frame": np.arange(start, start + n_frames) + 100 * (row % 2),
            "body_angles": np.repeat(path[:, :1], N_BODY_ANGLES, 1),
            "right_angles": np.repeat(path[:, :1], N_HAND_ANGLES, 1),
            "left_angles": np.repeat(path[:, 1:], N_HAND_ANGLES, 1),
            "keypoints": keypoints,
            "confidence": confidence,
            "right_active": np.ma.array(np.ones(n_frames, bool), mask=np.zeros(n_frames, bool)),
            "left_active": np.ma.array(np.full(n_frames, row % 2 == 0), mask=np.zeros(n_frames, bool)),
        }


@contextmanager
def use_reader(reader: Any, *modules: ModuleType) -> Iterator[None]:
    """Let modules open `reader` in the place of `ShardReader` while the block runs; processes they start do so too."""
    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            patch.setattr(module, "ShardReader", reader)
        yield
