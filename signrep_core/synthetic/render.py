"""Rendering of the signer's mesh, a batch of frames at a time, with numpy or torch (on a GPU).

Triangles are cut into rows and rows into pixels (so that only covered pixels are visited), the nearest wins, and each
covered pixel is shaded once: key, fill and sky light, ambient occlusion, and a painted
face. Pictures are rendered at SUPERSAMPLE times their size and averaged, in linear light.

Legend: B frames, V vertices, F faces, H × W pixels of the supersampled image, N covered pixels.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from signrep_core.synthetic.arrays import (
    Array,
    blur,
    clip,
    dot,
    integer,
    like,
    namespace,
    positions,
    real,
    repeat,
    scatter_max,
    steps_within,
    unit,
    where_true,
)  # fmt: skip
from signrep_core.synthetic.paint import paint
from signrep_core.synthetic.signer import Floats, Scene
from signrep_core.synthetic.surface import PART, Pose, Surface

SUPERSAMPLE: Final = 2
GAMMA: Final = 2.2
BEHIND: Final = 0.25  # assumed distance of the surroundings from the neck, metres
SAME_DEPTH: Final = 0.010  # metres within a pixel that count as one surface


@dataclass(frozen=True)
class Expression:
    """Facial expression per frame: eyelids 0 shut .. 1 open, mouth 0 closed .. 1 open, brows -1 .. 1 raised."""

    lids: Array  # (B,)
    mouth: Array
    brows: Array


def rasterise(corners: Array, height: int, width: int) -> tuple[Array, Array, Array]:
    """The triangle seen at each covered pixel.

    Args:
        corners: (B, F, 3, 3) x, y in pixels and 1/depth of each triangle's corners.

    Returns:
        pixel (N,) index into B·H·W in ascending order, face (N,) index into B·F, nearness (N,) 1/depth.
    """
    xp = namespace(corners)
    frames, faces = corners.shape[:2]
    flat = corners.reshape(frames * faces, 3, 3)
    face, area = _facing(flat, height, width)
    flat = flat[face]
    top = clip(xp.ceil(_min3(flat[..., 1]) - 0.5), 0, height)
    rows = integer(clip(xp.ceil(_max3(flat[..., 1]) - 0.5), 0, height) - top)
    item = repeat(positions(len(face), face), rows)  # one item per triangle and row
    row = integer(top)[item] + steps_within(rows, item)
    left, right = _row_span(flat, item, real(row, corners) + 0.5)
    start = integer(clip(xp.ceil(left - 0.5), 0, width))
    count = clip(integer(clip(xp.ceil(right - 0.5), 0, width)) - start, 0, None)
    run = repeat(positions(len(count), count), count)  # one item per pixel
    column = start[run] + steps_within(count, run)
    base, slope = _nearness_along_rows(flat, area, item, row)
    nearness = base[run] + slope[run] * real(column, corners)
    pixel = ((face // faces * height)[item] + row)[run] * width + column
    buffer = corners.reshape(-1)[:1].repeat(frames * height * width) * 0
    scatter_max(buffer, pixel, nearness)
    (front,) = where_true(nearness == buffer[pixel])
    winner = positions(frames * height * width, pixel) * 0 - 1
    winner[pixel[front]] = front
    (pixel,) = where_true(winner >= 0)
    return pixel, face[item[run[winner[pixel]]]], buffer[pixel]


def corner_weights(corners: Array, x: Array, y: Array) -> Array:
    """(N, 3) weights of a triangle's corners (N, 3, 3) at pixels' middles, true in perspective."""
    xp = namespace(corners)
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    x, y = x + 0.5, y + 0.5
    w0 = (b[:, 0] - x) * (c[:, 1] - y) - (c[:, 0] - x) * (b[:, 1] - y)
    w1 = (c[:, 0] - x) * (a[:, 1] - y) - (a[:, 0] - x) * (c[:, 1] - y)
    w2 = (a[:, 0] - x) * (b[:, 1] - y) - (b[:, 0] - x) * (a[:, 1] - y)
    q0, q1, q2 = w0 * a[:, 2], w1 * b[:, 2], w2 * c[:, 2]
    return xp.stack((q0, q1, q2), -1) / (q0 + q1 + q2)[:, None]


def _facing(flat: Array, height: int, width: int) -> tuple[Array, Array]:
    """The triangles that face the camera and touch the image, and twice their (negative) areas."""
    x, y = flat[..., 0], flat[..., 1]
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    inside = (_max3(y) > 0) & (_min3(y) < height) & (_max3(x) > 0) & (_min3(x) < width)
    (face,) = where_true((area < -1e-6) & inside)
    return face, area[face]


def _min3(values: Array) -> Array:
    xp = namespace(values)
    return xp.minimum(xp.minimum(values[..., 0], values[..., 1]), values[..., 2])


def _max3(values: Array) -> Array:
    xp = namespace(values)
    return xp.maximum(xp.maximum(values[..., 0], values[..., 1]), values[..., 2])


def _row_span(corners: Array, item: Array, middle: Array) -> tuple[Array, Array]:
    """Columns where each row's middle line enters and leaves its triangle; edges start at their upper end."""
    xp = namespace(corners)
    left, right = middle * 0 + 1e9, middle * 0 - 1e9
    for a, b in ((0, 1), (1, 2), (2, 0)):
        swap = corners[:, a, 1] > corners[:, b, 1]
        upper = xp.where(swap[:, None], corners[:, b, :2], corners[:, a, :2])
        lower = xp.where(swap[:, None], corners[:, a, :2], corners[:, b, :2])
        slope = (lower[:, 0] - upper[:, 0]) / clip(lower[:, 1] - upper[:, 1], 1e-9, None)
        upper_y = upper[:, 1][item]
        crossed = (upper_y <= middle) & (lower[:, 1][item] > middle)
        x = upper[:, 0][item] + (middle - upper_y) * slope[item]
        left = xp.where(crossed & (x < left), x, left)
        right = xp.where(crossed & (x > right), x, right)
    return left, right


def _nearness_along_rows(corners: Array, area: Array, item: Array, row: Array) -> tuple[Array, Array]:
    """1/depth at the middle of column 0 of each row, and its step from column to column; linear on the screen."""
    x, y, q = corners[..., 0], corners[..., 1], corners[..., 2]
    d1, d2 = (q[:, 1] - q[:, 0]) / area, (q[:, 2] - q[:, 0]) / area
    slope_x = (y[:, 2] - y[:, 0]) * d1 - (y[:, 1] - y[:, 0]) * d2
    slope_y = (x[:, 1] - x[:, 0]) * d2 - (x[:, 2] - x[:, 0]) * d1
    base = q[:, 0] + slope_x * (0.5 - x[:, 0]) + slope_y * (0.5 - y[:, 0])
    return base[item] + slope_y[item] * real(row, corners), slope_x[item]


def render(surface: Surface, pose: Pose, expression: Expression, scene: Scene, backdrop: Array, size: int) -> Array:
    """Render a posed signer.

    Args:
        surface, pose: the mesh and what it hangs on; B frames, body axes.
        expression: the face.
        scene: camera and light.
        backdrop: (S, S, 3) linear light, S = SUPERSAMPLE · size, or broadcastable (B, S, S, 3).
        size: side of the square images in pixels.

    Returns:
        (B, size, size, 3) sRGB in 0..1, in the floating type of the pose.
    """
    xp = namespace(pose.joints)
    view = like(scene.view, pose.joints)
    vertices = surface.vertices(pose)
    normals = xp.einsum("bvi,ji->bvj", surface.normals(vertices), view)
    placed = xp.einsum("bvi,ji->bvj", vertices, view) + like(scene.neck, pose.joints)
    side = size * SUPERSAMPLE
    nearness = 1 / placed[..., 2]
    screen = xp.stack(
        (scene.focal * side * placed[..., 0] * nearness + side / 2,
         scene.focal * side * placed[..., 1] * nearness + side / 2, nearness), -1
    )  # fmt: skip
    faces = like(surface.faces, pose.joints)
    corners = screen[:, faces]
    pixel, triangle, near = rasterise(corners, side, side)
    depth = 1 / near
    part = like(surface.part, placed)[triangle % len(surface.faces)]
    shade = _occlusion(pixel, depth, float(scene.neck[2]) + BEHIND, len(placed), side)
    kept, merged = _thin_out(pixel, depth, part, len(placed), side)
    pixel, triangle, part = pixel[kept], triangle[kept], part[kept]
    frame, face = triangle // len(surface.faces), triangle % len(surface.faces)
    column, row = real(pixel % side, placed), real(pixel % (side * side) // side, placed)
    weights = corner_weights(corners.reshape(-1, 3, 3)[triangle], column, row)
    normal = unit(_mix(normals.reshape(-1, 3), faces[face] + (frame * placed.shape[1])[:, None], weights))
    fixed = xp.concatenate((like(surface.albedo, placed), like(surface.paint, placed)), -1)
    colours = _mix(fixed, faces[face], weights)
    albedo = paint(surface.signer, colours[:, :3], colours[:, 3:], part, frame, expression)
    light = _light(scene, _sight(scene, column, row, side), normal, albedo, part, shade[kept])
    image = (backdrop + (placed[:, :1, :1, None] * 0)).reshape(-1, 3)
    image[pixel] = light
    for step in (1, side, side + 1):
        image[pixel[merged] + step] = light[merged]
    image = image.reshape(len(placed), side, side, 3)
    total = image[:, ::2, ::2] + image[:, 1::2, ::2] + image[:, ::2, 1::2] + image[:, 1::2, 1::2]
    return clip(total * 0.25, 0, 1) ** (1 / GAMMA)


def _mix(values: Array, corner: Array, weights: Array) -> Array:
    return (
        values[corner[:, 0]] * weights[:, :1]
        + values[corner[:, 1]] * weights[:, 1:2]
        + values[corner[:, 2]] * weights[:, 2:]
    )


def _thin_out(pixel: Array, depth: Array, part: Array, frames: int, side: int) -> tuple[Array, Array]:
    """Samples to shade, and which of them represent a whole pixel.

    Where the four samples of a pixel lie on one smooth part at about one depth, the first is shaded for all four.
    """
    grid = depth[:1].repeat(frames * side * side) * 0 - 1e3
    grid[pixel] = depth + 100 * real(part, depth)  # parts stand a hundred metres apart
    quads = grid.reshape(frames, side // 2, 2, side // 2, 2)
    first = quads[:, :, 0, :, 0]
    alike = first > 0
    for i, j in ((0, 1), (1, 0), (1, 1)):
        alike = alike & (abs(quads[:, :, i, :, j] - first) < SAME_DEPTH)
    part_of = integer(first) // 100
    whole = (alike & (part_of != PART["face"]) & (part_of != PART["nail"])).reshape(-1)
    half = side // 2
    row, column = pixel % (side * side) // side, pixel % side
    member = whole[(pixel // (side * side) * half + row // 2) * half + column // 2]
    leader = (row % 2 == 0) & (column % 2 == 0)
    (kept,) = where_true(~member | leader)
    (merged,) = where_true(member[kept])
    return kept, merged


def _sight(scene: Scene, column: Array, row: Array, side: int) -> Array:
    """(N, 3) unit vectors from the camera to each sample."""
    xp = namespace(column)
    scale = 1 / (scene.focal * side)
    x, y = (column + 0.5 - side / 2) * scale, (row + 0.5 - side / 2) * scale
    return unit(xp.stack((x, y, x * 0 + 1), -1))


def _occlusion(pixel: Array, depth: Array, far: float, frames: int, side: int) -> Array:
    """(N,) ambient light: 1 in the open, less near the edge of a closer surface."""
    xp = namespace(depth)
    field = depth[:1].repeat(frames * side * side) * 0 + far
    field[pixel] = depth
    field = field.reshape(frames, side, side)
    small = 0.25 * (field[:, ::2, ::2] + field[:, 1::2, ::2] + field[:, ::2, 1::2] + field[:, 1::2, 1::2])
    half = side // 2
    index = pixel // (side * side) * (half * half) + pixel % (side * side) // side // 2 * half + pixel % side // 2
    dark = depth * 0
    for share, strength in ((0.010, 6.0), (0.030, 4.0)):
        nearer = depth - blur(small, share * half).reshape(-1)[index]
        dark = dark + clip(nearer, 0, 0.07) * strength
    return xp.exp(-dark)


def _light(scene: Scene, sight: Array, normal: Array, albedo: Array, part: Array, open_: Array) -> Array:
    """(N, 3) linear light that leaves each pixel's surface towards the camera."""
    skin = real(part <= PART["nail"], normal)[:, None]
    hair = real(part == PART["hair"], normal)[:, None]
    # subsurface scattering: light wraps around the edge of skin, red the farthest
    wrap = skin * like(np.array([0.38, 0.24, 0.17]), normal) + (1 - skin) * 0.12
    key, fill = like(scene.key, normal), like(scene.fill, normal)
    main = clip(((normal @ key)[:, None] + wrap) / (1 + wrap), 0, None)
    second = clip(((normal @ fill)[:, None] + wrap) / (1 + wrap), 0, None)
    sky = 0.75 - 0.25 * normal[:, 1:2]
    open_ = open_[:, None]
    diffuse = 0.74 * main * like(np.array(scene.key_colour), normal) * open_**0.6 + (0.16 * second + 0.30 * sky) * open_
    half = unit(key - sight)
    gloss = clip(dot(normal, half), 0, None)[:, None]
    shine = skin * 0.050 * gloss**14 + hair * 0.09 * gloss**22 + (1 - skin - hair) * 0.012 * gloss**8
    return scene.exposure * (albedo * diffuse + shine * open_)


def backdrop(scene: Scene, size: int) -> Floats:
    """(S, S, 3) the wall behind the signer in linear light, S = SUPERSAMPLE · size."""
    rng = np.random.default_rng([scene.seed, 21])
    grid = (np.arange(256) + 0.5) / 256 - 0.5
    x, y = np.meshgrid(grid, grid)
    wall = np.ones((256, 256, 3)) * np.power(scene.wall, GAMMA)
    if scene.clutter:
        wall = _furnish(rng, wall, scene.clutter)
    spot = scene.key[0] * 0.35
    glow = 0.80 + 0.30 * np.exp(-(((x - spot) / 0.75) ** 2) - ((y + 0.30) / 0.7) ** 2)
    shadow = 1 - 0.16 * np.exp(-(((x + scene.key[0] * 0.16) / 0.24) ** 2) - ((y - 0.22) / 0.42) ** 2)
    wall = wall * (glow * shadow * scene.exposure * 0.92)[..., None]
    return _resize(wall, size * SUPERSAMPLE)


def _furnish(rng: np.random.Generator, wall: Floats, clutter: float) -> Floats:
    """Add muted rectangles, like pictures, a shelf or a door out of focus."""
    base = wall[0, 0].copy()
    for _ in range(int(2 + 5 * clutter)):
        x0, y0 = rng.integers(-40, 230, 2)
        w, h = rng.integers(25, 90, 2)
        tone = base * rng.uniform(0.35, 1.35) * rng.uniform(0.8, 1.2, 3)
        wall[max(y0, 0) : max(y0 + h, 0), max(x0, 0) : max(x0 + w, 0)] = np.clip(tone, 0.02, 0.9)
    return np.moveaxis(blur(np.moveaxis(wall, -1, 0), 256 * rng.uniform(0.010, 0.022)), 0, -1)


def _resize(image: Floats, side: int) -> Floats:
    """Bilinear resampling of a square image."""
    place = np.clip((np.arange(side) + 0.5) * len(image) / side - 0.5, 0, len(image) - 1)
    low = np.minimum(place.astype(int), len(image) - 2)
    share = (place - low)[:, None]
    rows = image[low] * (1 - share[..., None]) + image[low + 1] * share[..., None]
    return rows[:, low] * (1 - share) + rows[:, low + 1] * share
