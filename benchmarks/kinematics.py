"""Frames per second of processor time on one core: angles, keypoints and priors."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from signrep_core.body.kinematics import forward_kinematics, solve_angles
from signrep_core.body.priors import activity, distances
from signrep_core.skeleton import (
    DEFAULT_BODY_OFFSETS,
    DEFAULT_HAND_OFFSETS,
    N_JOINTS,
    OBSERVED_BODY_RANGES,
    OBSERVED_HAND_RANGES,
)

FRAMES = 4096
NOISE_M = 0.004  # about what the detector's landmarks scatter


def rows(repeats: int = 3) -> list[tuple[str, str]]:
    """(what, figure with unit): each step alone, then all together; the best of some repeats."""
    angles, landmarks, confidence = noisy_poses(np.random.default_rng(0))
    steps: dict[str, Callable[[], Any]] = {
        "landmarks to angles": lambda: solve_angles(landmarks, confidence),
        "angles to keypoints": lambda: forward_kinematics(*angles, DEFAULT_BODY_OFFSETS, DEFAULT_HAND_OFFSETS),
        "distances": lambda: distances(landmarks, confidence),
        "activity": lambda: activity(landmarks, confidence),
    }
    seconds = {name: min(_seconds(step) for _ in range(repeats)) for name, step in steps.items()}
    seconds["angles, keypoints, distances and activity together"] = sum(seconds.values())
    return [(name, f"{FRAMES / elapsed:,.0f} frames per core-second") for name, elapsed in seconds.items()]


def noisy_poses(rng: np.random.Generator) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """A smooth random motion within the observed ranges: its angles, and landmarks (T, 61, 3) with confidences."""
    phase = np.linspace(0, FRAMES / 25, FRAMES)[:, None]  # seconds at 25 frames/s
    angles = []
    for limits in (OBSERVED_BODY_RANGES, OBSERVED_HAND_RANGES, OBSERVED_HAND_RANGES):
        speed, start = rng.uniform(0.5, 3, len(limits)), rng.uniform(0, 6, len(limits))
        angles.append(limits.mean(1) + np.diff(limits)[:, 0] / 2 * np.sin(speed * phase + start))
    joints = forward_kinematics(*angles, DEFAULT_BODY_OFFSETS, DEFAULT_HAND_OFFSETS)
    return angles, joints + rng.normal(0, NOISE_M, joints.shape), np.ones((FRAMES, N_JOINTS))


def _seconds(step: Callable[[], Any]) -> float:
    start = time.process_time()
    step()
    return time.process_time() - start
