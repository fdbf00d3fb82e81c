"""Rasterises and shades the signer's mesh, a batch of frames at a time, alike in numpy and in torch (on a GPU).

Triangles are cut into rows and rows into pixels (so that no pixel is visited in vain), the nearest wins, and each
covered pixel is shaded once: key, fill and sky light, a soft shadow of near things (ambient occlusion), and a painted
face. Pictures are rendered at SUPERSAMPLE times their size and averaged, in linear light.

Legend: B frames, V vertices, F faces, H × W pixels of the supersampled picture, N covered pixels.
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
BEHIND: Final = 0.25  # metres from the neck to where the surroundings are taken to be
SAME_DEPTH: Final = 0.010  # metres within a pixel that count as one surface


@dataclass(frozen=True)
class Expression:
    """What the face does, per frame: eyelids 0 shut .. 1 open, mouth 0 closed .. 1 open, brows -1 .. 1 raised."""

    lids: Array  # (B,)
    mouth: Array
    brows: Array


def rasterise(corners: Array, height: int, width: int) -> tuple[Array, Array, Array]:
    """The triangle seen at each covered pixel.

    Args:
        corners: (B, F, 3, 3) x, y in pixels and 1/depth of each triangle's corners.

    Returns:
        pixel (N,) index into B·H·W, face (N,) index into B·F, weights (N, 3) of its corners (true in perspective),
        sorted by pixel.
    """
    xp = namespace(corners)
    frames, faces = corners.shape[:2]
    flat = corners.reshape(frames * faces, 3, 3)
    x, y = flat[..., 0], flat[..., 1]
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    low, high = _min3(y), _max3(y)
    seen = (area < -1e-6) & (high > 0) & (low < height) & (_max3(x) > 0) & (_min3(x) < width)
    (face,) = where_true(seen)
    top = clip(xp.ceil(low[face] - 0.5), 0, height)
    rows = integer(clip(xp.ceil(high[face] - 0.5), 0, height) - top)
    item = repeat(positions(len(face), face), rows)  # one item per triangle and row
    row = integer(top)[item] + steps_within(rows, item)
    left, right = _row_span(flat[face], item, real(row, corners) + 0.5)
    start = integer(clip(xp.ceil(left - 0.5), 0, width))
    count = clip(integer(clip(xp.ceil(right - 0.5), 0, width)) - start, 0, None)
    run = repeat(positions(len(count), count), count)  # one item per pixel
    column = start[run] + steps_within(count, run)
    owner = item[run]
    pixel = (face[owner] // faces * height + row[run]) * width + column
    x, y = real(column, corners) + 0.5, real(row[run], corners) + 0.5
    gradients = _gradients(flat[face], area[face])
    nearness = _nearness(gradients[:, 4:9], owner, x, y)
    buffer = corners.reshape(-1)[:1].repeat(frames * height * width) * 0
    scatter_max(buffer, pixel, nearness)
    (front,) = where_true(nearness == buffer[pixel])
    winner = positions(frames * height * width, pixel) * 0 - 1
    winner[pixel[front]] = front
    (pixel,) = where_true(winner >= 0)
    kept = winner[pixel]
    return pixel, face[owner[kept]], _weights(gradients, owner[kept], x[kept], y[kept])


def _min3(values: Array) -> Array:
    xp = namespace(values)
    return xp.minimum(xp.minimum(values[..., 0], values[..., 1]), values[..., 2])


def _max3(values: Array) -> Array:
    xp = namespace(values)
    return xp.maximum(xp.maximum(values[..., 0], values[..., 1]), values[..., 2])


def _row_span(corners: Array, item: Array, middle: Array) -> tuple[Array, Array]:
    """Where each row's middle line enters and leaves its triangle; each edge is taken from its upper end."""
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


def _gradients(corners: Array, area: Array) -> Array:
    """(F, 12) per triangle: slopes of the screen weights of corners 1 and 2, corner 0, slopes of 1/depth, 1/depths."""
    xp = namespace(corners)
    inverse = 1 / area
    x, y, q = corners[..., 0] - corners[:, :1, 0], corners[..., 1] - corners[:, :1, 1], corners[..., 2]
    w1x, w1y = y[:, 2] * inverse, -x[:, 2] * inverse
    w2x, w2y = -y[:, 1] * inverse, x[:, 1] * inverse
    d1, d2 = q[:, 1] - q[:, 0], q[:, 2] - q[:, 0]
    origin = corners[:, 0]
    return xp.stack(
        (w1x, w1y, w2x, w2y, origin[:, 0], origin[:, 1], q[:, 0], w1x * d1 + w2x * d2, w1y * d1 + w2y * d2,
         q[:, 0], q[:, 1], q[:, 2]), -1
    )  # fmt: skip


def _nearness(gradients: Array, owner: Array, x: Array, y: Array) -> Array:
    """(N,) 1/depth at pixel middles."""
    g = gradients[owner]
    return g[:, 2] + g[:, 3] * (x - g[:, 0]) + g[:, 4] * (y - g[:, 1])


def _weights(gradients: Array, owner: Array, x: Array, y: Array) -> Array:
    """(N, 3) corner weights at pixel middles, true in perspective."""
    xp = namespace(gradients)
    g = gradients[owner]
    dx, dy = x - g[:, 4], y - g[:, 5]
    w1 = g[:, 0] * dx + g[:, 1] * dy
    w2 = g[:, 2] * dx + g[:, 3] * dy
    q0, q1, q2 = (1 - w1 - w2) * g[:, 9], w1 * g[:, 10], w2 * g[:, 11]
    return xp.stack((q0, q1, q2), -1) / (q0 + q1 + q2)[:, None]


def render(surface: Surface, pose: Pose, expression: Expression, scene: Scene, backdrop: Array, size: int) -> Array:
    """Pictures of a posed signer.

    Args:
        surface, pose: the mesh and what it hangs on; B frames, body axes.
        expression: the face.
        scene: camera and light.
        backdrop: (S, S, 3) linear light, S = SUPERSAMPLE · size, or broadcastable (B, S, S, 3).
        size: side of the square pictures in pixels.

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
    pixel, face, weights = rasterise(screen[:, faces], side, side)
    frame, face = face // len(surface.faces), face % len(surface.faces)
    part = like(surface.part, placed)[face]
    depth = 1 / _mix(nearness.reshape(-1, 1), faces[face] + (frame * placed.shape[1])[:, None], weights)[:, 0]
    shade = _occlusion(pixel, depth, float(scene.neck[2]) + BEHIND, len(placed), side)
    kept, merged = _thin_out(pixel, depth, part, len(placed), side)
    face, frame, weights, part = face[kept], frame[kept], weights[kept], part[kept]
    normal = unit(_mix(normals.reshape(-1, 3), faces[face] + (frame * placed.shape[1])[:, None], weights))
    fixed = xp.concatenate((like(surface.albedo, placed), like(surface.paint, placed)), -1)
    colours = _mix(fixed, faces[face], weights)
    albedo = paint(surface.signer, colours[:, :3], colours[:, 3:], part, frame, expression)
    light = _light(scene, _sight(scene, pixel[kept], side, normal), normal, albedo, part, shade[kept])
    picture = (backdrop + (placed[:, :1, :1, None] * 0)).reshape(-1, 3)
    picture[pixel[kept]] = light
    for step in (1, side, side + 1):
        picture[pixel[kept][merged] + step] = light[merged]
    picture = picture.reshape(len(placed), side, side, 3)
    total = picture[:, ::2, ::2] + picture[:, 1::2, ::2] + picture[:, ::2, 1::2] + picture[:, 1::2, 1::2]
    return clip(total * 0.25, 0, 1) ** (1 / GAMMA)


def _mix(values: Array, corner: Array, weights: Array) -> Array:
    return (
        values[corner[:, 0]] * weights[:, :1]
        + values[corner[:, 1]] * weights[:, 1:2]
        + values[corner[:, 2]] * weights[:, 2:]
    )


def _thin_out(pixel: Array, depth: Array, part: Array, frames: int, side: int) -> tuple[Array, Array]:
    """Which samples to shade, and which of them stand for the whole pixel.

    Where the four samples of a pixel lie on one smooth part at about one depth, the first is shaded for all four.
    """
    xp = namespace(depth)
    field = xp.stack((real(part, depth), depth), -1)
    grid = depth[:1].repeat(frames * side * side * 2).reshape(-1, 2) * 0 - 1
    grid[pixel] = field
    quads = grid.reshape(frames, side // 2, 2, side // 2, 2, 2)
    first = quads[:, :, :1, :, :1]
    alike = (quads[..., 0] == first[..., 0]) & (abs(quads[..., 1] - first[..., 1]) < SAME_DEPTH)
    alike = alike[:, :, 0, :, 0] & alike[:, :, 0, :, 1] & alike[:, :, 1, :, 0] & alike[:, :, 1, :, 1]
    name = first[:, :, 0, :, 0, 0]
    smooth = (name == PART["skin"]) | (name == PART["hand"]) | (name == PART["hair"])
    whole = (alike & (smooth | (name == PART["top"]) | (name == PART["trousers"]))).reshape(-1)
    half = side // 2
    row, column = pixel % (side * side) // side, pixel % side
    member = whole[(pixel // (side * side) * half + row // 2) * half + column // 2]
    leader = (row % 2 == 0) & (column % 2 == 0)
    (kept,) = where_true(~member | leader)
    (merged,) = where_true(member[kept])
    return kept, merged


def _sight(scene: Scene, pixel: Array, side: int, like_: Array) -> Array:
    """(N, 3) unit vectors from the camera to each sample."""
    xp = namespace(like_)
    scale = 1 / (scene.focal * side)
    x = (real(pixel % side, like_) + 0.5 - side / 2) * scale
    y = (real(pixel % (side * side) // side, like_) + 0.5 - side / 2) * scale
    return unit(xp.stack((x, y, x * 0 + 1), -1))


def _occlusion(pixel: Array, depth: Array, far: float, frames: int, side: int) -> Array:
    """(N,) 1 in the open .. less where something near stands before the surroundings."""
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
    # light creeps around the edge of skin, red the farthest
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
    """Muted rectangles as of pictures, a shelf, a door, out of focus."""
    base = wall[0, 0].copy()
    for _ in range(int(2 + 5 * clutter)):
        x0, y0 = rng.integers(-40, 230, 2)
        w, h = rng.integers(25, 90, 2)
        tone = base * rng.uniform(0.35, 1.35) * rng.uniform(0.8, 1.2, 3)
        wall[max(y0, 0) : max(y0 + h, 0), max(x0, 0) : max(x0 + w, 0)] = np.clip(tone, 0.02, 0.9)
    return np.moveaxis(blur(np.moveaxis(wall, -1, 0), 256 * rng.uniform(0.010, 0.022)), 0, -1)


def _resize(image: Floats, side: int) -> Floats:
    """Bilinear resampling of a square picture."""
    place = np.clip((np.arange(side) + 0.5) * len(image) / side - 0.5, 0, len(image) - 1)
    low = np.minimum(place.astype(int), len(image) - 2)
    share = (place - low)[:, None]
    rows = image[low] * (1 - share[..., None]) + image[low + 1] * share[..., None]
    return rows[:, low] * (1 - share) + rows[:, low + 1] * share
