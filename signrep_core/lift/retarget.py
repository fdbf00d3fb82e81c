"""Motion capture to joint angles: the skeleton fitted to named points over whole recordings.

A recording is a sequence of points in metres, in the skeleton's axes: any of the 61 joints by their names, and the
`EXTRA_POINTS`. The bones of a person are constant. The closed form (`body.inverse`) gives a start, which needs a hand's
wrist and knuckles; the fit over all frames at once then lowers

    sum rho(residual / noise) + sum (acceleration / usual)² + sum ((angle - rest) / deviation)²

with rho pseudo-Huber, angles within the joint limits, and the noise read from how much the measured bone lengths
scatter. Centroids are subtracted in each frame, so that the place of the whole signer does not matter.

Legend: N frames of all recordings, P points, R recordings, K people, J = 61 joints, S = 2 sides; metres, radians.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from signrep_core.body.bones import BONES, measure_bones, scatter, video_offsets
from signrep_core.body.fit_body import BODY_DEVIATION, BODY_REST
from signrep_core.body.fit_hand import HAND_DEVIATION, HAND_REST
from signrep_core.body.forward import palm_frame, pose_body, pose_hand, wrist_angles
from signrep_core.body.inverse import solve_angles
from signrep_core.errors import SignRepError
from signrep_core.lift.lifter import orthonormal
from signrep_core.skeleton import (
    ARMS,
    BODY,
    BODY_LIMITS,
    EARS,
    HAND_LIMITS,
    HANDS,
    HIPS,
    JOINTS,
    KNUCKLES,
    N_BODY_OFFSETS,
    N_JOINTS,
    N_WRIST_ANGLES,
    SHOULDERS,
    SIDES,
)
from signrep_core.store.files import atomic_path

Floats = NDArray[np.floating]

# Points that are no joints: each is the mean of the joints named, the neck the origin.
EXTRA_POINTS: Final[dict[str, tuple[int, ...]]] = {
    "neck": (),
    "head": EARS,
    "mid_hip": HIPS,
    **{f"{side}_hand": tuple(HANDS[side].start + joint for joint in KNUCKLES) for side in SIDES},
}
STEPS: Final = 200  # of the fit
RATE: Final = 0.02  # radians: its first steps
MAX_FRAMES: Final = 20_000  # fitted at a time; the bones of a person are those of the first of these blocks
LEAST_NOISE: Final = 5e-4  # metres
USUAL_ACCELERATION: Final = 4e-3  # metres per frame², of signing hands at 25 to 30 frames a second
BONE_DEVIATION: Final = 0.2  # of the logarithm of a bone's length from the closed form's
_RIGID: Final = [BONES.index("upper_arm"), BONES.index("forearm")]


@dataclass(frozen=True)
class Motion:
    """Recordings of named points, one after the other."""

    points: Floats  # (N, P, 3) metres: +x the signer's left, +y down, +z away from the camera; NaN where missing
    names: tuple[str, ...]  # (P,) of JOINTS or EXTRA_POINTS
    lengths: NDArray[np.integer]  # (R,) frames of each recording
    people: NDArray[np.integer]  # (R,) number of each recording's person

    def __post_init__(self) -> None:
        known = {*JOINTS, *EXTRA_POINTS}
        if unknown := [name for name in self.names if name not in known]:
            raise SignRepError(
                f"motion: no point is named {unknown[0]!r}; expected joints or {', '.join(EXTRA_POINTS)}"
            )
        if not len(self.lengths) or np.min(self.lengths) < 1:
            raise SignRepError(f"motion: expected recordings of at least one frame, found lengths {list(self.lengths)}")
        expected = (int(np.sum(self.lengths)), len(self.names), 3)
        if self.points.shape != expected or len(self.lengths) != len(self.people):
            raise SignRepError(
                f"motion: expected points {expected} for these names and lengths and one person a recording, "
                f"found {self.points.shape} and {len(self.people)} people of {len(self.lengths)} recordings"
            )


@dataclass(frozen=True)
class FittedMotion:
    """Angles and bones of recordings, and the distances that remain."""

    body: Floats  # (N, 22) radians
    hands: Floats  # (S, N, 41)
    body_offsets: Floats  # (K, 16) of each person, in the order of their numbers
    hand_offsets: Floats  # (K, 20)
    residual: Floats  # (N, P) metres from the posed to the given points; NaN where missing


class _Bones(NamedTuple):
    body: Tensor  # (16,)
    hand: Tensor  # (20,)


def read_motion(path: str | Path) -> Motion:
    """Read a `.npz` with `points` (N, P, 3) and `names`, and optionally `lengths` and `people` of the recordings.

    Raises:
        SignRepError: not such a file, or its shapes and names do not fit.
    """
    try:
        with np.load(path) as file:
            points, names = np.asarray(file["points"], np.float64), tuple(map(str, file["names"]))
            lengths = file["lengths"] if "lengths" in file else np.array([len(points)])
            people = file["people"] if "people" in file else np.zeros(len(lengths), int)
    except (OSError, ValueError, KeyError) as error:
        raise SignRepError(f"{path}: expected a .npz with the arrays points and names ({error})") from error
    return Motion(points, names, lengths, people)


def write_fit(path: str | Path, fitted: FittedMotion, motion: Motion) -> None:
    """Write a fit as `.npz`: the fields of FittedMotion with the names, lengths and people."""
    about = {"names": np.array(motion.names), "lengths": motion.lengths, "people": motion.people}
    with atomic_path(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **vars(fitted), **about)


def summarise_fit(fitted: FittedMotion, motion: Motion) -> str:
    """A table of the distances from the posed to the given points."""
    lines = ["| point | median | 9 in 10 below | frames |", "|---|---|---|---|"]
    for name, distances in zip(motion.names, fitted.residual.T, strict=True):
        seen = 1000 * distances[np.isfinite(distances)]
        figures = [f"{np.quantile(seen, share):.1f} mm" if len(seen) else "" for share in (0.5, 0.9)]
        lines.append(f"| {name} | {figures[0]} | {figures[1]} | {len(seen)} |")
    return "\n".join(lines)


def fit_motion(motion: Motion) -> FittedMotion:
    """Fit the skeleton to recordings; angles that no point shows are at rest."""
    of_frame, recording = (
        np.repeat(values, motion.lengths) for values in (motion.people, np.arange(len(motion.people)))
    )
    people = np.unique(motion.people)
    body, hands = np.tile(BODY_REST, (len(of_frame), 1)), np.tile(HAND_REST, (2, len(of_frame), 1))
    residual, offsets = np.full(motion.points.shape[:2], np.nan), []
    for person in people:
        bones = None
        for frames in _blocks(np.flatnonzero(of_frame == person)):
            joined = recording[frames][1:] == recording[frames][:-1]
            fit = _Fit(motion.points[frames], motion.names, joined, bones)
            bones = fit.run()
            body[frames], hands[:, frames], residual[frames] = fit.result(bones)
        assert bones is not None
        offsets.append(np.concatenate([bone.numpy() for bone in bones]))
    split = np.split(np.array(offsets), [N_BODY_OFFSETS], 1)
    return FittedMotion(body, hands, split[0], split[1], residual)


def _blocks(frames: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    yield from np.array_split(frames, -(-len(frames) // MAX_FRAMES))


class _Fit:
    """The fit of one person's frames."""

    def __init__(self, points: Floats, names: tuple[str, ...], joined: NDArray[np.bool_], bones: _Bones | None) -> None:
        self.joints = _named_joints(points, names)
        self.sides = [k for k, side in enumerate(SIDES) if _seen(self.joints[:, HANDS[side]])]
        self.has_body = _seen(self.joints[:, [*ARMS["right"][1:], *ARMS["left"][1:]]])
        self.names = names
        self.weights = _tensor(_point_weights(names))
        self.seen = torch.from_numpy(np.isfinite(points).all(-1))
        self.points = _tensor(np.nan_to_num(points))
        self.joined = torch.from_numpy(joined[1:] & joined[:-1])
        self.bones = bones
        self._start()

    def _start(self) -> None:
        """Take the closed form's angles and bones."""
        confidence = np.isfinite(self.joints[..., 0]).astype(np.float64)
        lengths = measure_bones(self.joints, confidence)
        if self.bones is None:
            self.bones = _Bones(*map(_tensor, video_offsets(lengths)))
        start = solve_angles(self.joints, confidence, 5, *(bone.double().numpy() for bone in self.bones))
        self.body = _tensor(start.body_angles)
        solved = [start.right_angles, start.left_angles]
        self.fingers = [_tensor(angles[:, N_WRIST_ANGLES:]) for angles in solved]
        self.palms = [
            torch.cat(palm_frame(side, _tensor(angles[:, :N_WRIST_ANGLES]))[:2], -1)
            for side, angles in zip(SIDES, solved, strict=True)
        ]
        noise = [scatter(lengths[:, _RIGID].reshape(len(lengths), -1))]
        noise += [scatter(lengths[:, N_BODY_OFFSETS:, k]) for k in range(len(SIDES))]
        part = [
            next((k + 1 for k, side in enumerate(SIDES) if name.startswith(f"{side}_hand_")), 0) for name in self.names
        ]
        self.noise = _tensor(np.maximum(np.array(noise)[part], LEAST_NOISE))

    def run(self) -> _Bones:
        """Lower the loss; returns the bones."""
        assert self.bones is not None
        start, held = self.bones, self.bones
        change = [torch.zeros_like(bone, requires_grad=True) for bone in start]
        variables = [self.body] * self.has_body + [v[k] for v in (self.palms, self.fingers) for k in self.sides]
        for variable in variables:
            variable.requires_grad_()
        groups: list[dict[str, Any]] = [{"params": variables}, {"params": change, "lr": RATE / 2}]
        optimiser = torch.optim.Adam(groups, RATE, (0.8, 0.95))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
        for _ in range(STEPS):
            optimiser.zero_grad()
            held = _Bones(*(bone * shift.exp() for bone, shift in zip(start, change, strict=True)))
            loss = self._loss(held) + sum((shift / BONE_DEVIATION).square().sum() for shift in change)
            loss.backward()
            optimiser.step()
            schedule.step()
            self._clip()
        return _Bones(*(bone.detach() for bone in held))

    @torch.no_grad()
    def _clip(self) -> None:
        for angles, limits in ((self.body, BODY_LIMITS), *((f, HAND_LIMITS[N_WRIST_ANGLES:]) for f in self.fingers)):
            angles.clamp_(*_tensor(limits.T))

    def _posed(self, bones: _Bones) -> Tensor:
        """(N, P, 3) the posed points from the neck, or from the wrist of a hand without a body."""
        zero = torch.zeros(len(self.points), 3)
        joints = pose_body(self.body, bones.body) if self.has_body else [zero] * BODY.stop
        for k, side in enumerate(SIDES):
            wrist = joints[ARMS[side][2]]
            if k in self.sides:
                x, y, z = orthonormal(self.palms[k]).unbind(-1)
                joints = joints + pose_hand(side, (x, y, z), self.fingers[k], bones.hand, wrist)
            else:
                joints = joints + [wrist] * (HANDS[side].stop - HANDS[side].start)
        return torch.einsum("pj,njx->npx", self.weights, torch.stack(joints, -2))

    def _centred(self, points: Tensor) -> Tensor:
        seen = self.seen[..., None]
        return points - (points * seen).sum(1, keepdim=True) / seen.sum(1, keepdim=True).clamp_min(1)

    def _loss(self, bones: _Bones) -> Tensor:
        posed = self._posed(bones)
        off = self._centred(posed - self.points).square().sum(-1) / self.noise**2
        data = (self.seen * 8 * ((1 + off / 4).sqrt() - 1)).sum()
        acceleration = (posed[2:] - 2 * posed[1:-1] + posed[:-2]).square().sum(-1) * self.joined[:, None]
        stray = ((self.body - _tensor(BODY_REST)) / _tensor(BODY_DEVIATION)).square().sum()
        rest, deviation = (_tensor(values[N_WRIST_ANGLES:]) for values in (HAND_REST, HAND_DEVIATION))
        stray = stray + sum(((self.fingers[k] - rest) / deviation).square().sum() for k in self.sides)
        return data + acceleration.sum() / USUAL_ACCELERATION**2 + stray

    @torch.no_grad()
    def result(self, bones: _Bones) -> tuple[Floats, Floats, Floats]:
        """Body angles (n, 22), hands (2, n, 41) and residuals (n, P)."""
        off = self._centred(self._posed(bones) - self.points).norm(dim=-1)
        residual = np.where(self.seen.numpy(), off.numpy(), np.nan)
        hands = [
            torch.cat((wrist_angles(side, orthonormal(self.palms[k])), self.fingers[k]), -1).numpy()
            for k, side in enumerate(SIDES)
        ]
        return self.body.numpy(), np.stack(hands), residual


def _named_joints(points: Floats, names: tuple[str, ...]) -> Floats:
    """(n, 61, 3) the points that are joints, from the neck if it is known; NaN where missing."""
    joints = np.full((len(points), N_JOINTS, 3), np.nan)
    for k, name in enumerate(names):
        if name in JOINTS:
            joints[:, JOINTS.index(name)] = points[:, k]
    neck = points[:, names.index("neck")] if "neck" in names else joints[:, SHOULDERS].mean(1)
    return joints - np.where(np.isfinite(neck), neck, 0)[:, None]


def _point_weights(names: tuple[str, ...]) -> Floats:
    """(P, 61) weights of the joints in each point."""
    weights = np.zeros((len(names), N_JOINTS))
    for row, name in zip(weights, names, strict=True):
        joints = EXTRA_POINTS.get(name) if name in EXTRA_POINTS else (JOINTS.index(name),)
        row[list(joints or ())] = 1 / max(len(joints or ()), 1)
    return weights


def _seen(joints: Floats) -> bool:
    return bool(np.isfinite(joints).any())


def _tensor(values: Floats) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))
