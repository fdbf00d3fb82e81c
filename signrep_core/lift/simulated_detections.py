"""Simulated detections of poses: random cameras and image edges, projection, and the detector's errors.

The errors are those of the fitted error model, scaled by a factor that differs between windows, so that the lifter does
not rely on their exact size: the detector's errors on real people are smaller than on rendered ones. Joints outside the
image and joints that are not detected are simulated without measurements, because rendered signers are always in view.
In some windows a whole part is missing: both hands, or all but shoulders, elbows, wrists and hips.

Legend: B windows, T frames, J = 61 joints; pixels of an image in which the signer's shoulders are 100 apart.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from signrep_core.body.landmarks import GUESSED
from signrep_core.lift.detector_errors import ErrorModel, corrupt
from signrep_core.skeleton import BODY, HANDS, HEAD, N_JOINTS, SHOULDERS, SIDES

Floats = NDArray[np.floating]

SHOULDER_PX: Final = 100.0
DISTANCE_M: Final = (0.8, 4.0)  # from the camera to the neck
OFF_AXIS: Final = ((-0.06, 0.06), (-0.16, 0.04))  # tangents: the neck is mostly above the image's centre
NO_HANDS: Final = 0.1  # probability that a window has no hands
ONLY_ARMS: Final = 0.1  # probability that it has shoulders, elbows, wrists and hips only
NO_ERRORS: Final = 0.15  # probability that its detections are exact
MOST_OUTSIDE: Final = 0.4  # share of a hand's joints outside the image above which it is not found


@dataclass(frozen=True)
class Views:
    """Windows projected into images, without the detector's errors."""

    image_xy: Floats  # (B, T, 61, 2) pixels
    scale: Floats  # (B,) pixels per metre at the neck
    inside: NDArray[np.bool_]  # (B, T, 61) within the image


@dataclass(frozen=True)
class SimulatedDetections:
    """Detections as columns of a pose table."""

    image_xy: Floats  # (B, T, 61, 2) pixels, NaN where nothing was found
    confidence: Floats  # (B, T, 61), 0 where nothing was found


def draw_views(joints: Floats, rng: np.random.Generator) -> Views:
    """Project windows of joints (B, T, 61, 3), camera axes, by random cameras into randomly cropped images."""
    windows = len(joints)
    nearest, farthest = np.log(DISTANCE_M)
    distance = np.exp(rng.uniform(nearest, farthest, windows))
    off = np.stack([rng.uniform(*span, windows) for span in OFF_AXIS], -1)
    neck = np.concatenate([off, np.ones((windows, 1))], -1) * distance[:, None]
    placed = joints + neck[:, None, None]
    flat = placed[..., :2] / np.maximum(placed[..., 2:], 0.15) - off[:, None, None]
    shoulders = flat[:, :, SHOULDERS]
    width = np.median(np.linalg.norm(shoulders[:, :, 0] - shoulders[:, :, 1], axis=-1), 1)
    focal = SHOULDER_PX / width
    image_xy = flat * focal[:, None, None, None]
    return Views(image_xy, focal / distance, _inside(image_xy, rng))


def simulate_detections(
    views: Views, joints: Floats, rng: np.random.Generator, errors: ErrorModel
) -> SimulatedDetections:
    """Simulate the detector on windows of joints (B, T, 61, 3), camera axes."""
    windows, frames = joints.shape[:2]
    xy, _, confidence = corrupt(views.image_xy, joints, views.scale, rng, errors)
    strength = np.where(rng.random(windows) < 0.5, 1, rng.uniform(0.2, 1.4, windows))
    exact = rng.random(windows) < NO_ERRORS
    strength = np.where(exact, 0, strength)[:, None, None, None]
    xy = views.image_xy + (xy - views.image_xy) * strength
    noise = np.where(views.inside, np.where(exact, 0, 0.3)[:, None, None], 6.0)
    xy += noise[..., None] * rng.standard_normal(xy.shape, np.float32)
    confidence = _hide(confidence, views.inside, rng)
    for side in SIDES:
        gone = rng.random((windows, 1)) < 0.06  # one-handed signing, or a hand out of view for the whole window
        gone = gone | ((~views.inside[..., HANDS[side]]).mean(-1) > MOST_OUTSIDE) | _runs(rng, windows, frames)
        confidence[..., HANDS[side]][gone] = 0
    part = rng.random(windows)
    confidence[part < NO_HANDS + ONLY_ARMS, :, BODY.stop :] = 0
    confidence[part < ONLY_ARMS, :, HEAD] = 0
    missing = (confidence <= 0) | ~np.isfinite(xy).all(-1)
    xy[missing], confidence[missing] = np.nan, 0
    return SimulatedDetections(xy, confidence)


def _hide(confidence: Floats, inside: NDArray[np.bool_], rng: np.random.Generator) -> Floats:
    """Lower the confidence of joints outside the image and of some others, and set that of missing ones to 0."""
    windows = len(confidence)
    doubt = np.where(rng.random((windows, 1, N_JOINTS)) < 0.05, rng.uniform(0.05, 1, (windows, 1, N_JOINTS)), 1)
    lost = rng.random((windows, 1, N_JOINTS)) < 0.02
    lost[..., SHOULDERS] = lost[..., BODY.stop :] = False
    doubt[..., BODY.stop :] = 1
    guessed = np.where(np.arange(N_JOINTS) < BODY.stop, rng.beta(1, 4, (windows, 1, N_JOINTS)), GUESSED)
    return np.where(inside, 1, guessed) * np.where(lost, 0, doubt) * confidence


def _runs(rng: np.random.Generator, windows: int, frames: int) -> NDArray[np.bool_]:
    """(B, T) one run of frames in some of the windows."""
    start, length = rng.integers(0, frames, (windows, 1)), rng.integers(1, 12, (windows, 1))
    t = np.arange(frames)
    return (t >= start) & (t < start + length) & (rng.random((windows, 1)) < 0.15)


def _inside(image_xy: Floats, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Joints inside an image with random edges: often without hips, sometimes without elbows."""
    windows, draw = len(image_xy), rng.uniform
    bottom = np.where(rng.random(windows) < 0.65, draw(1.35, 2.6, windows), draw(0.7, 1.6, windows))
    left, right, top = draw(0.95, 2.6, windows), draw(0.95, 2.6, windows), draw(0.75, 1.8, windows)
    low, high = (SHOULDER_PX * np.stack(edges, -1)[:, None, None] for edges in ((-left, -top), (right, bottom)))
    return ((image_xy > low) & (image_xy < high)).all(-1)
