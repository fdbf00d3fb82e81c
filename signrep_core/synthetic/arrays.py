"""Array functions that numpy and torch name differently, for a renderer that runs on both."""

from typing import Any

import numpy as np

from signrep_core.body.arrays import Array, namespace


def like(values: Any, array: Array) -> Array:
    """A constant table as an array of the same kind (and device) as `array`; floats take its dtype."""
    if namespace(array) is np:
        table = np.asarray(values)
        return table.astype(array.dtype) if table.dtype.kind == "f" else table
    torch = namespace(array)
    table = torch.as_tensor(np.ascontiguousarray(values), device=array.device)
    return table.to(array.dtype) if table.is_floating_point() else table


def unit(vectors: Array) -> Array:
    """Vectors (..., 3) scaled to length 1."""
    return vectors / (dot(vectors, vectors)[..., None] + 1e-20) ** 0.5


def dot(a: Array, b: Array) -> Array:
    """Scalar product over the last axis of length 3; written out, which is several times faster than a sum over it."""
    return a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2]


def cross(a: Array, b: Array) -> Array:
    """Cross product over the last axis, with broadcasting."""
    xp = namespace(a)
    x = a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1]
    y = a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2]
    z = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return xp.stack((x, y, z), -1)


def repeat(values: Array, counts: Array) -> Array:
    """Repeat each value by its count."""
    xp = namespace(values)
    return np.repeat(values, counts) if xp is np else xp.repeat_interleave(values, counts)


def steps_within(counts: Array, owner: Array) -> Array:
    """Index of each expanded item within its run: 0, 1, ..; `owner` is the run of each item."""
    starts = counts.cumsum(0) - counts
    xp = namespace(counts)
    total = np.arange(len(owner)) if xp is np else xp.arange(len(owner), device=counts.device)
    return total - starts[owner]


def positions(n: int, array: Array) -> Array:
    """0 .. n-1 of the same kind as `array`."""
    xp = namespace(array)
    return np.arange(n) if xp is np else xp.arange(n, device=array.device)


def where_true(mask: Array) -> tuple[Array, ...]:
    """The indices of the true entries, one array per axis."""
    xp = namespace(mask)
    return np.nonzero(mask) if xp is np else xp.nonzero(mask, as_tuple=True)


def scatter_max(target: Array, index: Array, values: Array) -> None:
    """target[index] = max(target[index], values), in place; an index may repeat."""
    if namespace(target) is np:
        np.maximum.at(target, index, values)
    else:
        target.scatter_reduce_(0, index, values, "amax")


def clip(array: Array, low: float | None, high: float | None) -> Array:
    """Values limited to [low, high]; either end may be open."""
    return np.clip(array, low, high) if namespace(array) is np else array.clamp(low, high)


def integer(array: Array) -> Array:
    """The values as 64-bit integers, cut towards zero."""
    return array.astype(np.int64) if namespace(array) is np else array.long()


def real(array: Array, as_type: Array) -> Array:
    """The values in the floating dtype of `as_type`."""
    return array.astype(as_type.dtype) if namespace(array) is np else array.to(as_type.dtype)


def blur(images: Array, sigma: float) -> Array:
    """Gaussian blur of (B, H, W) images, edges repeated."""
    xp = namespace(images)
    radius = max(1, round(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    if xp is np:
        import cv2

        return np.stack(
            [cv2.sepFilter2D(image, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE) for image in images]
        )
    functional = xp.nn.functional
    weights = like(kernel, images)
    padded = functional.pad(images[:, None], (radius, radius, radius, radius), mode="replicate")
    rows = functional.conv2d(padded, weights[None, None, None])
    return functional.conv2d(rows, weights[None, None, :, None])[:, 0]
