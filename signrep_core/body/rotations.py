"""Rotations: vectors with their axes first, Euler angles of a frame in closed form, and rotation matrices.

Legend: n frames (and fingers); a vector is (3, n), a frame is its three columns; angles in radians.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from signrep_core.body.arrays import Array, namespace

Floats = NDArray[np.float64]
Axes = Sequence[Floats]  # the columns of a rotation matrix: x, y, z, each (3, n)


# ---------------------------------------------------------------- vectors, axes first
def dot(a: Floats, b: Floats) -> Floats:
    """Inner products, (n,)."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def cross(a: Floats, b: Floats) -> Floats:
    """Vector products, (3, n)."""
    return np.stack((a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]))


def unit(a: Floats) -> Floats:
    """Vectors scaled to length 1; a zero vector stays zero."""
    return a / np.maximum(np.sqrt(dot(a, a)), 1e-12)


def perpendicular(a: Floats, normal: Floats) -> Floats:
    """Unit vector along the part of `a` that is perpendicular to the unit vector `normal`."""
    return unit(a - dot(a, normal) * normal)


def local(frame: Axes, a: Floats) -> Floats:
    """Coordinates of a vector in a frame."""
    return np.stack([dot(axis, a) for axis in frame])


# ---------------------------------------------------------------- rotations about an axis
def rotate_columns(columns: Sequence[Array], axis: str, cos: Array, sin: Array) -> tuple[Array, Array, Array]:
    """Columns of R · R_axis(angle) from those of R.

    Given the three coordinates of a vector v instead, the result is R_axis(angle)ᵀ · v, by the same formula.
    """
    x, y, z = columns
    if axis == "x":
        return x, cos * y + sin * z, cos * z - sin * y
    if axis == "y":
        return cos * x - sin * z, y, sin * x + cos * z
    return cos * x + sin * y, cos * y - sin * x, z


def inverse_rotate(axis: str, angle: Array, a: Array) -> Array:
    """R_axis(angle)ᵀ · a."""
    xp = namespace(angle)
    return xp.stack(rotate_columns(a, axis, xp.cos(angle), xp.sin(angle)))


def rotation_matrices(vectors: Floats) -> Floats:
    """(..., 3, 3) rotation matrices of rotation vectors (..., 3), by Rodrigues' formula."""
    angle = np.linalg.norm(vectors, axis=-1)[..., None]
    x, y, z = np.moveaxis(vectors / np.maximum(angle, 1e-12), -1, 0)
    zero = np.zeros_like(x)
    skew = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*x.shape, 3, 3)
    s, c = np.sin(angle)[..., None], np.cos(angle)[..., None]
    return np.asarray(np.eye(3) + s * skew + (1 - c) * (skew @ skew))


def rotation_about(axis: str, angle: float) -> Floats:
    """(3, 3) rotation about x, y or z."""
    return rotation_matrices(angle * np.eye(3)["xyz".index(axis)])


def rotation_vector(matrix: Floats) -> Floats:
    """(3,) rotation vector of a rotation matrix (3, 3), at most π long."""
    angle = np.arccos(np.clip((np.trace(matrix) - 1) / 2, -1, 1))
    axis = np.array([matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]])
    if angle > np.pi - 1e-3:
        values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
        return np.asarray(angle * vectors[:, np.argmax(values)])
    return np.asarray(axis * (angle / (2 * np.sin(angle)) if angle > 1e-6 else 0.5))


# ---------------------------------------------------------------- Euler angles
def xyz_angles(frame: Sequence[Array]) -> Array:
    """(3, n) angles of a frame Rx Ry Rz, y within ±90°; where y is ±90° exactly, x is 0. numpy or torch."""
    x, y, z = frame
    xp = namespace(x)
    a = xp.arctan2(-z[1], z[2])
    b = xp.arctan2(z[0], xp.hypot(z[1], z[2]))
    c = xp.arctan2(inverse_rotate("x", a, x)[1], inverse_rotate("x", a, y)[1])
    return xp.stack((a, b, c))


def zxy_angles(frame: Axes) -> Floats:
    """(3, n) angles of a frame Rz Rx Ry, x within ±90°; where x is ±90° exactly, z is 0."""
    x, y, z = frame
    a = np.arctan2(-y[0], y[1])
    b = np.arctan2(y[2], np.hypot(y[0], y[1]))
    c = np.arctan2(inverse_rotate("z", a, z)[0], inverse_rotate("z", a, x)[0])
    return np.stack((a, b, c))


def aim_z(a: Floats) -> Floats:
    """(2, n) angles of Rx Ry that bring z along a vector."""
    return np.stack((np.arctan2(-a[1], a[2]), np.arctan2(a[0], np.hypot(a[1], a[2]))))


def nearest_turn(angles: Floats, limits: Floats) -> Floats:
    """Angles (A, ..., n) shifted by multiples of 2π to within π of the middle of their limits (A, ..., 2).

    Clipping an angle outside its limits then brings it to the nearer limit.
    """
    return angles - 2 * np.pi * np.round((angles - limits.mean(-1)[..., None]) / (2 * np.pi))


def pull_to_rest(
    angles: Floats, evidence: Floats, rest: Floats | float, spring: Floats | float, period: float = 2 * np.pi
) -> Floats:
    """Angles drawn towards rest by a spring: the less, the more they move what is seen (both in m²/rad²)."""
    away = angles - rest
    return rest + evidence / (evidence + spring) * (away - period * np.round(away / period))
