"""Small vector algebra with axes first: local coordinates, and the Euler angles of a frame in closed form.

Legend: n frames (and fingers); a vector is (3, n), a frame is its three columns.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from signrep_core.body.arrays import Array, namespace

Floats = NDArray[np.float64]
Axes = Sequence[Floats]  # the columns of a rotation matrix: x, y, z, each (3, n)


def dot(a: Floats, b: Floats) -> Floats:
    """Inner products, (n,)."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def cross(a: Floats, b: Floats) -> Floats:
    """Vector products, (3, n)."""
    return np.stack((a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]))


def unit(a: Floats) -> Floats:
    """Vectors of length 1; a zero vector stays zero."""
    return a / np.maximum(np.sqrt(dot(a, a)), 1e-12)


def across(a: Floats, normal: Floats) -> Floats:
    """The unit vector along the part of `a` that is perpendicular to the unit vector `normal`."""
    return unit(a - dot(a, normal) * normal)


def local(frame: Axes, a: Floats) -> Floats:
    """A vector's coordinates in a frame."""
    return np.stack([dot(axis, a) for axis in frame])


def turned_back(axis: str, angle: Array, a: Array) -> Array:
    """R_axis(angle)ᵀ · a."""
    xp = namespace(angle)
    c, s = xp.cos(angle), xp.sin(angle)
    x, y, z = a
    if axis == "x":
        return xp.stack((x, c * y + s * z, c * z - s * y))
    if axis == "y":
        return xp.stack((c * x - s * z, y, s * x + c * z))
    return xp.stack((c * x + s * y, c * y - s * x, z))


def xyz_angles(frame: Sequence[Array]) -> Array:
    """(3, n) angles of a frame Rx Ry Rz, y within ±90°; where y is ±90° exactly, x is 0. numpy or torch."""
    x, y, z = frame
    xp = namespace(x)
    a = xp.arctan2(-z[1], z[2])
    b = xp.arctan2(z[0], xp.hypot(z[1], z[2]))
    c = xp.arctan2(turned_back("x", a, x)[1], turned_back("x", a, y)[1])
    return xp.stack((a, b, c))


def zxy_angles(frame: Axes) -> Floats:
    """(3, n) angles of a frame Rz Rx Ry, x within ±90°; where x is ±90° exactly, z is 0."""
    x, y, z = frame
    a = np.arctan2(-y[0], y[1])
    b = np.arctan2(y[2], np.hypot(y[0], y[1]))
    c = np.arctan2(turned_back("z", a, z)[0], turned_back("z", a, x)[0])
    return np.stack((a, b, c))


def aim_z(a: Floats) -> Floats:
    """(2, n) angles of Rx Ry that bring z along a vector."""
    return np.stack((np.arctan2(-a[1], a[2]), np.arctan2(a[0], np.hypot(a[1], a[2]))))


def whole_turns_off(angles: Floats, limits: Floats) -> Floats:
    """Angles (A, ..., n) moved by whole turns to within half a turn of the middle of their limits (A, ..., 2).

    So an angle outside its limits is then brought back to the nearer one.
    """
    return angles - 2 * np.pi * np.round((angles - limits.mean(-1)[..., None]) / (2 * np.pi))


def weighed(
    angles: Floats, seen: Floats, rest: Floats | float, spring: Floats | float, period: float = 2 * np.pi
) -> Floats:
    """Angles drawn towards rest as a spring would: the less so the more they move what is seen (both in m²/rad²)."""
    away = angles - rest
    return rest + seen / (seen + spring) * (away - period * np.round(away / period))
