"""Accuracy of the lifter on real hands and arms that it never saw, put on bodies and projected.

Hands: the fingers of a held-out person on the bodies of synthetic signers. Arms: a held-out person's body, of which
only shoulders, elbows, wrists and hips are given. Both with and without the detector's measured errors, beside the same
protocol on synthetic signers. A bend is the angle between two bones of a finger, whatever the convention of angles.

Legend: B windows, T frames, S = 2 sides; degrees.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from signrep_core.bench.figures import Figure
from signrep_core.body.forward import forward_kinematics
from signrep_core.lift.detector_errors import ErrorModel, corrupt
from signrep_core.lift.lifter import Lifter
from signrep_core.lift.normalise import window_frame
from signrep_core.lift.real_motion import RealMotion
from signrep_core.lift.simulated_detections import draw_views
from signrep_core.lift.training_poses import Bank, Poses, Variety, draw_poses
from signrep_core.skeleton import BODY_ANGLES, HANDS, HEAD, N_JOINTS, SIDES, WRISTS

Floats = NDArray[np.floating]

WINDOWS: Final = 60
FRAMES: Final = 60
SEED: Final = 7
# Motion as it was recorded, seen by cameras as varied as those of the training.
AS_RECORDED: Final = Variety(
    varied=0, performed=0, symmetric=0, slowest=1, fastest=1, random_fingers=0, bones=0, wide_yaw=25
)
# Largest median error in degrees, and least correlation.
HAND_GOALS: Final = {"knuckles": (5.0, 0.9), "middle joints": (6.0, 0.9), "end joints": (6.0, 0.9), "thumb": (7.0, 0.7)}
ARM_GOALS: Final = (10.0, 0.6)  # of the elbow in degrees; correlation of the wrists' depth
_ELBOWS: Final = [BODY_ANGLES.index(f"{side}_elbow_x") for side in SIDES]
# Joints before, at and after each bend, among a hand's joints.
_BENDS: Final = {
    "knuckles": [(0, k, k + 1) for k in (5, 9, 13, 17)],
    "middle joints": [(k, k + 1, k + 2) for k in (5, 9, 13, 17)],
    "end joints": [(k + 1, k + 2, k + 3) for k in (5, 9, 13, 17)],
    "thumb": [(1, 2, 3), (2, 3, 4)],
}


class Compared(NamedTuple):
    """Values of one kind: ours and true, (n, joints of the kind)."""

    ours: Floats
    true: Floats

    def figures(self, what: str, unit: str, most: float | None, least: float | None) -> Iterator[Figure]:
        """Median error beside the mean and that of the best constant, and the correlation with the truth."""
        error, constant = np.abs(self.ours - self.true), np.abs(self.true - np.median(self.true, 0))
        note = f"mean {error.mean():.3g}; a constant {np.median(constant):.3g}, mean {constant.mean():.3g}"
        yield Figure(what, float(np.median(error)), unit, at_most=most, note=note)
        pairs = zip(self.ours.T, self.true.T, strict=True)
        correlation = float(np.mean([_correlation(ours, true) for ours, true in pairs]))
        yield Figure(f"{what}, correlation", correlation, at_least=least)


def _correlation(a: Floats, b: Floats) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else 0.0


def with_motion(bank: Bank, part: str, motion: Mapping[str, RealMotion], person: int) -> Bank:
    """A bank whose bodies (`arms`) or fingers (`hands`) and their bones are only those of one person."""
    own = motion[part].of({person})
    bones = (own.offsets[[person]].astype(np.float64),)
    if part == "arms":
        return bank._replace(bodies=(own.track,), body_offsets=bones)
    return bank._replace(fingers=(own.track,), hand_offsets=bones)


def draw(bank: Bank, real: bool) -> Poses:
    """Windows of the bank's motion as it was recorded; of a bank without real motion whole performances."""
    variety = replace(AS_RECORDED, performed=0 if real else 1)
    return draw_poses(bank, WINDOWS, FRAMES, np.random.default_rng(SEED), variety)


def lift_poses(lifter: Lifter, poses: Poses, errors: ErrorModel | None, given: list[int]) -> tuple[Floats, Floats]:
    """Lifted body angles (B, T, 22) and joints (B, T, 61, 3) of poses of which only some joints are given."""
    rng = np.random.default_rng(SEED)
    views = draw_views(poses.joints, rng)
    xy, confidence = views.image_xy.copy(), np.ones(views.image_xy.shape[:-1])
    if errors is not None:
        xy, _, confidence = corrupt(xy, poses.joints, views.scale, rng, errors)
    hidden = np.setdiff1d(np.arange(N_JOINTS), given)
    xy[..., hidden, :], confidence[..., hidden] = np.nan, 0
    inputs = [np.nan_to_num(window_frame(xy).apply(xy)), np.where(np.isfinite(xy).all(-1), confidence, 0)]
    with torch.inference_mode():
        lifted = lifter(*(torch.from_numpy(np.ascontiguousarray(values, np.float32)) for values in inputs))
        angles = (lifted.body_angles, *lifted.hand_angles())
    body, right, left = (values.double().numpy() for values in angles)
    return body, forward_kinematics(body, right, left, poses.body_offsets[:, None], poses.hand_offsets[:, None])


def bends(joints: Floats, kind: str) -> Floats:
    """(n, bends) degrees between the bones at each joint of a kind, of both hands of joints (..., 61, 3)."""
    hands = np.stack([joints[..., HANDS[side], :] for side in SIDES]).reshape(-1, 21, 3)
    found = []
    for before, at, after in _BENDS[kind]:
        a, b = hands[:, at] - hands[:, before], hands[:, after] - hands[:, at]
        cosine = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
        found.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    return np.stack(found, -1)


def measure_hands(lifter: Lifter, bank: Bank, errors: ErrorModel | None, real: bool = True) -> Iterator[Figure]:
    """Bends of the fingers, of all joints given; only real motion without errors has goals."""
    poses = draw(bank, real)
    joints = lift_poses(lifter, poses, errors, list(range(N_JOINTS)))[1]
    for kind, goals in HAND_GOALS.items():
        limits = goals if real and errors is None else (None, None)
        yield from Compared(bends(joints, kind), bends(poses.joints, kind)).figures(kind, "°", *limits)


def measure_arms(lifter: Lifter, bank: Bank, errors: ErrorModel | None, real: bool = True) -> Iterator[Figure]:
    """Elbows and the depth of wrists, of shoulders, elbows, wrists and hips alone."""
    poses = draw(bank, real)
    body, joints = lift_poses(lifter, poses, errors, list(range(HEAD.start)))
    elbow, correlation = ARM_GOALS if real and errors is None else (None, None)
    ours, true = (np.degrees(angles[..., _ELBOWS]).reshape(-1, 2) for angles in (body, poses.body))
    yield from Compared(ours, true).figures("elbows", "°", elbow, None)
    depth = [1000 * places[..., WRISTS, 2].reshape(-1, 2) for places in (joints, poses.joints)]
    yield from Compared(*depth).figures("depth of the wrists", "mm", None, correlation)
