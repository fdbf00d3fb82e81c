"""Kinematic chains: small trees of rotations and bones, fitted to points by damped Gauss-Newton, many frames at once.

An arm, the head, the spine, the palm and a finger are each a chain of few angles (3 to 11) and few points. Frames come
last in every array, so that each operation runs over contiguous frames, and the normal equations of a step are solved
by a Cholesky factorisation written over whole arrays instead of one small matrix at a time.

Legend: N any trailing dimensions (frames; fingers and frames), A angles, P points of the chain; radians, metres.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np

from signrep_core.body.rotations import Axes, Floats, rotate_columns

STEPS: Final = 3  # Gauss-Newton steps
LEAST_NOISE: Final = 1e-5  # metres: keeps every spring above zero, so that angles without evidence are at rest
_AXES: Final = "xyz"
_INITIAL_DAMPING: Final = 1e-6  # m²/rad²: an angle that moves its points by 1 mm/rad is half damped


@dataclass(frozen=True)
class KinematicChain:
    """A tree of rotations: the axis of each angle, and the frame and start of each point.

    Angle k rotates the frame of angle `parents[k]` about its own axis `axes[k]`, through the point `pivots[k]`.
    Point p lies at `starts[p]` plus a bone that is fixed in the frame of angle `frames[p]`.
    -1 stands for the chain's base frame, and for its origin.
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


def serial_chain(axes: str, bones: Sequence[int]) -> KinematicChain:
    """A chain of bones in a row; `bones` holds the number of angles before each."""
    pivots = [sum(k >= before for before in bones) - 1 for k in range(len(axes))]
    return KinematicChain(
        axes,
        tuple(range(-1, len(axes) - 1)),
        tuple(pivots),
        tuple(n - 1 for n in bones),
        tuple(range(-1, len(bones) - 1)),
    )


@dataclass(frozen=True)
class Bounds:
    """Prior knowledge of a chain's angles; each array broadcasts against (A, N).

    Angles stay within `lowest` and `highest`; a spring of `stiffness` metres per radian draws them towards `rest`.
    """

    lowest: Floats
    highest: Floats
    rest: Floats
    stiffness: Floats

    @classmethod
    def of(cls, limits: Floats, rest: Floats, deviation: Floats, noise: float) -> Self:
        """Bounds of angles (A, ...) whose landmarks scatter by `noise` metres.

        limits (A, ..., 2); deviation (A, ...): usual distance of an angle from rest (radians), infinite where free.
        """
        arrays = (limits[..., 0], limits[..., 1], rest, deviation)
        lowest, highest, rest, deviation = (values[..., None] for values in arrays)
        return cls(lowest, highest, rest, max(noise, LEAST_NOISE) / deviation)


@dataclass(frozen=True)
class Targets:
    """The measured places of a chain's points."""

    places: Floats  # (P, 3, N) relative to the chain's origin; any finite value where the weight is 0
    weights: Floats  # (P, N), 0 where the point is missing


def pose_chain(chain: KinematicChain, angles: Floats, base: Axes, bones: Floats) -> tuple[list[Axes], list[Floats]]:
    """The frame of every angle and every point (3, N), relative to the chain's origin.

    Args:
        chain: the tree.
        angles: (A, N).
        base: the columns of the chain's base frame, each (3, N).
        bones: (P, 3, N), each in the frame that it is fixed in; N may be ones.
    """
    cos, sin = np.cos(angles), np.sin(angles)
    frames: list[Axes] = []
    for k, axis in enumerate(chain.axes):
        parent = base if chain.parents[k] < 0 else frames[chain.parents[k]]
        frames.append(rotate_columns(parent, axis, cos[k], sin[k]))
    points: list[Floats] = []
    for p, bone in enumerate(bones):
        point: Any = 0.0 if chain.starts[p] < 0 else points[chain.starts[p]]
        for length, column in zip(bone, frames[chain.frames[p]], strict=True):
            if np.any(length):
                point = point + length * column
        points.append(point)
    return frames, points


def fit_chain(
    chain: KinematicChain, start: Floats, base: Axes, bones: Floats, targets: Targets, bounds: Bounds
) -> Floats:
    """The angles (A, N) that bring a chain's points nearest to their targets, within the bounds.

    STEPS of Levenberg-Marquardt with an active set: an angle that would leave its bounds stops there for the step. A
    frame does not take a step that raises its cost; its damping is raised instead.

    Args:
        chain, base, bones: as in `pose_chain`.
        start: (A, N) angles to start from.
        targets: where the points should be.
        bounds: limits, rest and stiffness.
    """
    angles = np.clip(start, bounds.lowest, bounds.highest)
    stiffness = np.broadcast_to(bounds.stiffness**2, angles.shape)
    damping = np.full(angles.shape[1:], _INITIAL_DAMPING)
    frames, points = pose_chain(chain, angles, base, bones)
    residual = _residual(points, targets)
    cost = _cost(residual, angles, bounds)
    for step in range(STEPS):
        jacobian = _jacobian(chain, frames, points, targets.weights)
        normal = np.einsum("ar...,br...->ab...", jacobian, jacobian)
        downhill = np.einsum("ar...,r...->a...", jacobian, residual)
        downhill += stiffness * (bounds.rest - angles)
        for k in range(len(chain.axes)):
            normal[k, k] += damping + stiffness[k]
        trial = angles + _bounded_step(normal, downhill, bounds.lowest - angles, bounds.highest - angles)
        trial_frames, trial_points = pose_chain(chain, trial, base, bones)
        trial_residual = _residual(trial_points, targets)
        trial_cost = _cost(trial_residual, trial, bounds)
        better = trial_cost < cost
        angles = np.where(better, trial, angles)
        if step + 1 < STEPS:
            damping = np.where(better, damping / 10, damping * 30)
            residual, cost = np.where(better, trial_residual, residual), np.where(better, trial_cost, cost)
            taken = better.all()
            frames, points = (trial_frames, trial_points) if taken else pose_chain(chain, angles, base, bones)
    return angles


def _residual(points: Sequence[Floats], targets: Targets) -> Floats:
    """(3 P, N) weighted differences target - point."""
    shape = np.broadcast_shapes(*(np.shape(point) for point in points), targets.places.shape[1:])
    residual = np.empty((len(points), *shape))
    for p, point in enumerate(points):
        np.multiply(targets.places[p] - point, targets.weights[p], out=residual[p])
    return residual.reshape(-1, *shape[1:])


def _cost(residual: Floats, angles: Floats, bounds: Bounds) -> Floats:
    return np.einsum("r...,r...->...", residual, residual) + ((bounds.stiffness * (angles - bounds.rest)) ** 2).sum(0)


def _jacobian(chain: KinematicChain, frames: Sequence[Axes], points: Sequence[Floats], weights: Floats) -> Floats:
    """(A, 3 P, N) weighted derivatives of the points by the angles: axis × (point - pivot)."""
    shape = np.broadcast_shapes(*(np.shape(point)[1:] for point in points), weights.shape[1:])
    jacobian = np.zeros((len(chain.axes), len(points), 3, *shape))
    for p, point in enumerate(points):
        for k in chain.moved_by(p):
            pivot = chain.pivots[k]
            arm = (point if pivot < 0 else point - points[pivot]) * weights[p]
            (ax, ay, az), (x, y, z) = frames[k][_AXES.index(chain.axes[k])], arm
            moved = jacobian[k, p]
            np.subtract(ay * z, az * y, out=moved[0])
            np.subtract(az * x, ax * z, out=moved[1])
            np.subtract(ax * y, ay * x, out=moved[2])
    return jacobian.reshape(len(chain.axes), -1, *shape)


def _bounded_step(normal: Floats, downhill: Floats, lowest: Floats, highest: Floats) -> Floats:
    """(A, N) the step x of normal · x = downhill within [lowest, highest], which contain 0.

    An angle that would leave its bounds stops there, and the others are solved for again.
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
    """x of matrix · x = vector for symmetric positive definite matrices (A, A, N), vectors (A, N); overwrites both."""
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
