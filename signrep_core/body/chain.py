"""Fitting a limb: a small tree of turns and bones whose angles are found by damped Gauss-Newton, many frames at once.

An arm, the head, the spine, the palm and a finger are all limbs: few angles (3 to 11), few points. Frames come last in
every array, so that each operation runs over contiguous frames, and a step's normal equations are solved by a Cholesky
factorisation written over whole arrays instead of one small matrix at a time.

Legend: N any trailing dimensions (frames; fingers and frames), A angles, P points of the limb; radians, metres.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np

from signrep_core.body.rotations import Axes, Floats

_AXES: Final = "xyz"
LEAST_NOISE: Final = 1e-5  # metres: springs never vanish, so that what landmarks leave open is at rest
_INITIAL_DAMPING: Final = 1e-6  # m²/rad²: an angle that moves its points by 1 mm/rad is half damped


@dataclass(frozen=True)
class Limb:
    """The tree: which axis each angle turns about, and where each point hangs.

    Angle k turns the frame of angle `parents[k]` about its own axis `axes[k]`, through the point `pivots[k]`.
    Point p lies at `starts[p]` plus a bone that is fixed in the frame of angle `frames[p]`.
    -1 stands for the limb's base frame, and for its origin.
    """

    axes: str
    parents: tuple[int, ...]
    pivots: tuple[int, ...]
    frames: tuple[int, ...]
    starts: tuple[int, ...]

    def moved_by(self, point: int) -> list[int]:
        """The angles that move a point, from the outermost inward."""
        angles, angle = [], self.frames[point]
        while angle >= 0:
            angles.append(angle)
            angle = self.parents[angle]
        return angles


def chain(axes: str, bones: Sequence[int]) -> Limb:
    """A limb of one bone after the other; `bones` tells how many angles precede each."""
    pivots = [sum(k >= before for before in bones) - 1 for k in range(len(axes))]
    return Limb(
        axes,
        tuple(range(-1, len(axes) - 1)),
        tuple(pivots),
        tuple(n - 1 for n in bones),
        tuple(range(-1, len(bones) - 1)),
    )


@dataclass(frozen=True)
class Bounds:
    """What is known of a limb's angles beforehand; each array broadcasts against (A, N).

    `lowest` and `highest` hold; towards `rest` an angle is drawn as if by a spring of `stiffness` metres per radian.
    """

    lowest: Floats
    highest: Floats
    rest: Floats
    stiffness: Floats

    @classmethod
    def of(cls, limits: Floats, rest: Floats, spread: Floats, noise: float) -> Self:
        """Bounds of angles (A, ...) whose landmarks scatter by `noise` metres.

        limits (A, ..., 2); spread (A, ...): how far an angle strays from rest (radians), infinite where it is free.
        """
        lowest, highest, rest, spread = (x[..., None] for x in (limits[..., 0], limits[..., 1], rest, spread))
        return cls(lowest, highest, rest, max(noise, LEAST_NOISE) / spread)


def pose_limb(limb: Limb, angles: Floats, base: Axes, bones: Floats) -> tuple[list[Axes], list[Floats]]:
    """The frame of every angle and every point (3, N), relative to the limb's origin.

    Args:
        limb: the tree.
        angles: (A, N).
        base: the columns of the limb's base frame, each (3, N).
        bones: (P, 3, N) in the frame that each hangs in; N may be ones.
    """
    cos, sin = np.cos(angles), np.sin(angles)
    frames: list[Axes] = []
    for k, axis in enumerate(limb.axes):
        frames.append(_turn(base if limb.parents[k] < 0 else frames[limb.parents[k]], axis, cos[k], sin[k]))
    points: list[Floats] = []
    for p, bone in enumerate(bones):
        point: Any = 0.0 if limb.starts[p] < 0 else points[limb.starts[p]]
        for length, column in zip(bone, frames[limb.frames[p]], strict=True):
            if np.any(length):
                point = point + length * column
        points.append(point)
    return frames, points


def fit_limb(
    limb: Limb,
    angles: Floats,
    base: Axes,
    bones: Floats,
    targets: Floats,
    weights: Floats,
    bounds: Bounds,
    steps: int,
    sight: Floats | None = None,
) -> Floats:
    """The angles that bring a limb's points nearest to their targets, within the bounds.

    Levenberg-Marquardt with an active set: an angle that is pushed out of its bound stops there for the step; a step
    that does not lower the cost of a frame is not taken there, and its damping raised.

    Args:
        limb, base, bones: as in `pose_limb`.
        angles: (A, N) to start from.
        targets: (P, 3, N) relative to the limb's origin; any finite value where the weight is 0.
        weights: (P, N), 0 where the point is missing.
        bounds: limits, rest and stiffness.
        steps: how many to take.
        sight: (P, 2, N) where targets are known but for their depth, as a camera sees them: each lies anywhere on the
            line (x, y) = sight · z through the given place. None: in space.

    Returns:
        (A, N) angles.
    """
    angles = np.clip(angles, bounds.lowest, bounds.highest)
    stiffness = np.broadcast_to(bounds.stiffness**2, angles.shape)
    damping = np.full(angles.shape[1:], _INITIAL_DAMPING)
    frames, points = pose_limb(limb, angles, base, bones)
    residual = _residual(points, targets, weights, sight)
    cost = _cost(residual, angles, bounds)
    for step in range(steps):
        jacobian = _jacobian(limb, frames, points, weights, sight)
        normal = np.einsum("ar...,br...->ab...", jacobian, jacobian)
        downhill = np.einsum("ar...,r...->a...", jacobian, residual)
        downhill += stiffness * (bounds.rest - angles)
        for k in range(len(limb.axes)):
            normal[k, k] += damping + stiffness[k]
        trial = angles + _bounded_step(normal, downhill, bounds.lowest - angles, bounds.highest - angles)
        trial_frames, trial_points = pose_limb(limb, trial, base, bones)
        trial_residual = _residual(trial_points, targets, weights, sight)
        trial_cost = _cost(trial_residual, trial, bounds)
        better = trial_cost < cost
        angles = np.where(better, trial, angles)
        if step + 1 < steps:
            damping = np.where(better, damping / 10, damping * 30)
            residual, cost = np.where(better, trial_residual, residual), np.where(better, trial_cost, cost)
            taken = better.all()
            frames, points = (trial_frames, trial_points) if taken else pose_limb(limb, angles, base, bones)
    return angles


def _turn(frame: Axes, axis: str, c: Floats, s: Floats) -> Axes:
    x, y, z = frame
    if axis == "x":
        return x, c * y + s * z, c * z - s * y
    if axis == "y":
        return c * x - s * z, y, s * x + c * z
    return c * x + s * y, c * y - s * x, z


def _residual(points: Sequence[Floats], targets: Floats, weights: Floats, sight: Floats | None) -> Floats:
    """Rows (3 P, N), or (2 P, N) with lines of sight, of weighted differences target - point."""
    shape = np.broadcast_shapes(*(np.shape(point) for point in points), targets.shape[1:])
    residual = np.empty((len(points), *shape))
    for p, point in enumerate(points):
        np.multiply(targets[p] - point, weights[p], out=residual[p])
    return _rows(residual[None], sight)[0]


def _rows(moved: Floats, sight: Floats | None) -> Floats:
    """Vectors (A, P, 3, N) as rows (A, 3 P, N), or (A, 2 P, N): what of them lies across the lines of sight."""
    if sight is not None:
        moved = moved[:, :, :2] - sight * moved[:, :, 2:]
    return moved.reshape(len(moved), -1, *moved.shape[3:])


def _cost(residual: Floats, angles: Floats, bounds: Bounds) -> Floats:
    return np.einsum("r...,r...->...", residual, residual) + ((bounds.stiffness * (angles - bounds.rest)) ** 2).sum(0)


def _jacobian(
    limb: Limb, frames: Sequence[Axes], points: Sequence[Floats], weights: Floats, sight: Floats | None
) -> Floats:
    """(A, 3 P, N), or (A, 2 P, N) with lines of sight: points moved by angles: axis × (point - pivot), weighted."""
    shape = np.broadcast_shapes(*(np.shape(point)[1:] for point in points), weights.shape[1:])
    jacobian = np.zeros((len(limb.axes), len(points), 3, *shape))
    for p, point in enumerate(points):
        for k in limb.moved_by(p):
            pivot = limb.pivots[k]
            arm = (point if pivot < 0 else point - points[pivot]) * weights[p]
            (ax, ay, az), (x, y, z) = frames[k][_AXES.index(limb.axes[k])], arm
            moved = jacobian[k, p]
            np.subtract(ay * z, az * y, out=moved[0])
            np.subtract(az * x, ax * z, out=moved[1])
            np.subtract(ax * y, ay * x, out=moved[2])
    return _rows(jacobian, sight)


def _bounded_step(normal: Floats, downhill: Floats, lowest: Floats, highest: Floats) -> Floats:
    """(A, N) the step x of normal · x = downhill, held within [lowest, highest] (which 0 is).

    An angle that is pushed out of its bound stops there, and the others are solved for again.
    """
    held = ((lowest >= 0) & (downhill < 0)) | ((highest <= 0) & (downhill > 0))
    stop = np.zeros_like(downhill)
    pull = downhill
    for last in (False, True):
        free = ~held
        matrix = normal * (free[:, None] & free[None])
        for k in range(len(held)):
            matrix[k, k] += held[k]
        step = _solve(matrix, np.where(held, stop, pull))
        out = (step < lowest) | (step > highest)
        stop = np.clip(step, lowest, highest)
        if last or not out.any():
            break
        held |= out
        stop *= held
        pull = downhill - np.einsum("ab...,b...->a...", normal, stop)
    return stop


def _solve(matrix: Floats, vector: Floats) -> Floats:
    """x of matrix · x = vector for symmetric positive definite matrices (A, A, N), vectors (A, N); destroys both."""
    size = len(vector)
    for k in range(size):  # matrix = L Lᵀ, forward substitution alongside
        scale = 1 / np.sqrt(matrix[k, k])
        matrix[k:, k] *= scale
        vector[k] *= scale
        for i in range(k + 1, size):
            matrix[i, k + 1 : i + 1] -= matrix[i, k] * matrix[k + 1 : i + 1, k]
            vector[i] -= matrix[i, k] * vector[k]
    for k in reversed(range(size)):
        for i in range(k + 1, size):
            vector[k] -= matrix[i, k] * vector[i]
        vector[k] /= matrix[k, k]
    return vector
