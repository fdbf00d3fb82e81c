"""Painting of the mesh per pixel: eyes, brows, lips, beard, nails, and the pattern and neckline of the shirt.

Legend: N pixels; `place` is the position of a pixel on its part (see anatomy): face frame in metres for the face;
dorsal, sideways and along the finger for fingers; across, forward, down for the trunk.
"""

from typing import Any, Final

import numpy as np

from signrep_core.synthetic.arrays import Array, clip, like, namespace, where_true
from signrep_core.synthetic.signer import UPPER_ARM, Signer
from signrep_core.synthetic.surface import PART

_LINE: Final = (0.030, 0.018, 0.014)  # lashes and brows before they take the hair's colour, linear light
_SCLERA: Final = (0.62, 0.59, 0.56)


def paint(signer: Signer, albedo: Array, place: Array, part: Array, frame: Array, expression: Any) -> Array:
    """The painted colours (N, 3), linear light; `frame` (N,) selects each pixel's expression."""
    (face,) = where_true(part == PART["face"])
    albedo[face] = _paint_face(signer, albedo[face], place[face], frame[face], expression)
    (hand,) = where_true(part == PART["nail"])
    albedo[hand] = _paint_nails(signer, albedo[hand], place[hand])
    (top,) = where_true(part == PART["top"])
    albedo[top] = _paint_top(signer, albedo[top], place[top])
    (legs,) = where_true(part == PART["trousers"])
    albedo[legs] = _paint_trousers(signer, albedo[legs], place[legs])
    (hair,) = where_true(part == PART["hair"])
    albedo[hair] = _paint_hair(albedo[hair], place[hair])
    return albedo


def _blend(base: Array, colour: Any, share: Array) -> Array:
    return base + (like(np.asarray(colour, float), base) - base) * share[:, None]


def _edge(distance: Array, softness: float) -> Array:
    """1 inside (distance < 0), 0 outside, a ramp of `softness` between."""
    return clip(0.5 - distance / softness, 0, 1)


def _linear(colour: Any) -> Any:
    return np.power(np.clip(np.asarray(colour, float), 0, 1), 2.2)


def _paint_face(signer: Signer, base: Array, place: Array, frame: Array, expression: Any) -> Array:
    xp, face = namespace(base), signer.face
    k = face.scale
    x, y = abs(place[:, 0]), place[:, 1]
    front = clip((0.070 * k - place[:, 2]) / (0.01 * k), 0, 1)
    lids, mouth, brows = expression.lids[frame], expression.mouth[frame], expression.brows[frame]
    skin = base
    # rosy cheeks and nose, shadowed sockets
    cheek = xp.exp(-(((x - 0.040 * k) / (0.018 * k)) ** 2) - ((y + 0.008 * k) / (0.016 * k)) ** 2)
    colour = skin * (1 - 0.16 * cheek[:, None] * like(np.array([0.1, 1.0, 0.9]), base))
    socket = xp.exp(-(((x - face.eye[0]) / (0.020 * k)) ** 2) - ((y - face.eye[1]) / (0.012 * k)) ** 2)
    colour = colour * (1 - 0.20 * socket[:, None])
    if signer.beard:
        colour = _paint_beard(signer, colour, x, y, place[:, 2])
    colour = _paint_brows(signer, colour, x, y, brows, front)
    colour = _paint_lips(signer, colour, x, y, mouth, front)
    colour = _paint_eyes(signer, colour, x, y, lids, front)
    nostril = ((x - 0.0068 * k * face.nose) / (0.0040 * k)) ** 2 + ((y - 0.0065 * k) / (0.0024 * k)) ** 2
    return colour * (1 - 0.5 * (clip(1.5 - nostril, 0, 1) * front)[:, None])


def _paint_brows(signer: Signer, colour: Array, x: Array, y: Array, raised: Array, front: Array) -> Array:
    face, k = signer.face, signer.face.scale
    along = (x - face.eye[0] - 0.001 * k) / (0.0195 * k)
    middle = face.eye[1] - 0.0185 * k - 0.004 * k * raised - 0.0038 * k * (1 - along**2) - 0.0008 * k * along
    thick = 0.0028 * k * face.brow * (1.15 - 0.45 * along)
    share = _edge(abs(y - middle) - thick, 0.002 * k) * _edge(abs(along) - 1, 0.15) * front
    return _blend(colour, _linear(np.array(signer.hair) * 0.75), share * 0.75)


def _paint_eyes(signer: Signer, colour: Array, x: Array, y: Array, lids: Array, front: Array) -> Array:
    face, k = signer.face, signer.face.scale
    half = face.eye_half_width
    dx, dy = x - face.eye[0], y - face.eye[1]
    along = dx / half
    arch = clip(1 - along**2, 0, 1)
    upper = -(0.0054 * k * arch * lids - 0.0020 * k * (1 - lids)) - 0.0004 * k * along
    lower = 0.0036 * k * arch
    inside = _edge(abs(along) - 0.98, 0.08) * _edge(upper - dy, 0.0012 * k) * _edge(dy - lower, 0.0012 * k)
    open_ = _edge(upper - lower + 0.001 * k, 0.0015 * k) * front
    out = _blend(colour, _SCLERA, inside * open_ * 0.9)
    radius = (dx**2 + (dy + 0.0006 * k) ** 2) ** 0.5
    out = _blend(out, _linear(signer.iris), inside * open_ * _edge(radius - 0.0060 * k, 0.0012 * k))
    out = _blend(out, (0.008, 0.008, 0.008), inside * open_ * _edge(radius - 0.0028 * k, 0.0010 * k))
    shine = ((dx - 0.0018 * k) ** 2 + (dy + 0.0026 * k) ** 2) ** 0.5
    out = _blend(out, (0.95, 0.95, 0.95), inside * open_ * _edge(shine - 0.0011 * k, 0.0010 * k))
    lash = _edge(abs(dy - upper) - 0.0011 * k, 0.0014 * k) * _edge(abs(along) - 1.05, 0.1) * front
    out = _blend(out, _LINE, lash * 0.85)
    crease = _edge(abs(dy - upper + 0.0042 * k) - 0.0004 * k, 0.0016 * k) * _edge(abs(along) - 0.9, 0.3) * front
    return out * (1 - 0.22 * crease[:, None])


def _paint_lips(signer: Signer, colour: Array, x: Array, y: Array, opened: Array, front: Array) -> Array:
    xp, face, k = namespace(colour), signer.face, signer.face.scale
    along = x / face.mouth[0]
    arch = clip(1 - along**2, 0, 1)
    dy = y - face.mouth[1] + 0.0026 * k * (1 - arch)
    gap = 0.0070 * k * opened * arch
    bow = xp.exp(-((x / (0.0035 * k)) ** 2))
    upper = -gap * 0.4 - face.lips * (0.0062 * k * arch**0.7 - 0.0012 * k * bow)
    lower = gap + face.lips * 0.0078 * k * arch**0.8
    inside = _edge(upper - dy, 0.0016 * k) * _edge(dy - lower, 0.0016 * k) * _edge(along - 1, 0.08) * front
    out = _blend(colour, _linear(signer.lip), inside * 0.8)
    hollow = _edge(-gap * 0.4 - dy, 0.001 * k) * _edge(dy - gap, 0.001 * k) * _edge(along - 0.95, 0.1) * front
    out = _blend(out, (0.045, 0.014, 0.012), hollow * clip(opened * 6, 0, 1))
    teeth = hollow * _edge(dy + gap * 0.4 - 0.0022 * k, 0.001 * k) * _edge(along - 0.75, 0.1)
    out = _blend(out, (0.62, 0.58, 0.53), teeth * clip(opened * 3 - 0.6, 0, 1))
    seam = _edge(abs(dy - gap * 0.3) - 0.0006 * k, 0.0014 * k) * _edge(along - 1.02, 0.08) * front
    return out * (1 - 0.62 * (seam * clip(1 - opened * 5, 0, 1))[:, None])


def _paint_beard(signer: Signer, colour: Array, x: Array, y: Array, z: Array) -> Array:
    face, k = signer.face, signer.face.scale
    line = face.mouth[1] - 0.020 * k + 0.035 * k * 0 * x
    jaw = _edge(line + 0.018 * k * clip((0.045 * k - x) / (0.03 * k), 0, 1) - y, 0.010 * k) * _edge(
        z - 0.085 * k, 0.02 * k
    )
    lip = _edge(abs(y - face.mouth[1] + 0.0105 * k) - 0.0045 * k, 0.004 * k) * _edge(x - 0.026 * k, 0.01 * k)
    share = jaw + lip - jaw * lip
    return _blend(
        colour, _linear(np.array(signer.hair) * 0.9), share * (0.25 + 0.5 * signer.beard) * min(signer.beard * 2, 1)
    )


def _paint_nails(signer: Signer, colour: Array, place: Array) -> Array:
    dorsal, sideways, along = place[:, 0], place[:, 1], place[:, 2]
    middle = (along - 3.72) / 0.36
    share = _edge(middle**4 + (sideways / 0.72) ** 4 - 1, 0.5) * clip(dorsal * 4, 0, 1)
    return _blend(colour, _linear(np.array(signer.skin) * 0.55 + np.array([0.95, 0.78, 0.74]) * 0.45), share * 0.7)


def _paint_top(signer: Signer, colour: Array, place: Array) -> Array:
    xp, k = namespace(colour), signer.upper_arm / UPPER_ARM
    x, forward, down = place[:, 0], place[:, 1], place[:, 2]
    arm = 1 - clip((forward + 1 + 1e-3) * 1e6, 0, 1)  # sleeves carry their place in `x`, -1, metres below the shoulder
    if signer.pattern == "stripes":
        wave = xp.sin(2 * np.pi * down / 0.046)
        colour = _blend(colour, _linear(signer.accent), clip(wave * 3, 0, 1))
    elif signer.pattern == "yoke":
        colour = _blend(colour, _linear(signer.accent), (1 - arm) * _edge(down - 0.115 * k - 0.03 * abs(x), 0.004))
    side = arm * _edge(x - {"crew": 0.30, "v": 0.24, "collar": 0.20}[signer.neckline], 0.03)
    colour = _blend(colour, _linear(signer.skin), side)
    front = clip(forward / 0.02, 0, 1) * (1 - arm)
    depth, width = {"crew": (0.030, 0.072), "v": (0.095, 0.062), "collar": (0.052, 0.058)}[signer.neckline]
    if signer.neckline == "crew":
        distance = (x / (width * k)) ** 2 + (clip(down / k + 0.02, 0, None) / (depth + 0.02)) ** 2 - 1
    else:
        distance = abs(x) / (width * k) + (down / k) / depth - 1
    colour = _blend(colour, _linear(signer.skin), front * _edge(distance, 0.10))
    rim = front * _edge(abs(distance - 0.16) - 0.09, 0.06)
    colour = colour * (1 - (0.35 if signer.neckline != "collar" else 0.15) * rim[:, None])
    folds = 0.06 * (1 - arm) * xp.sin(38 * x / k + 9 * xp.sin(7 * down / k)) * clip((down / k - 0.18) / 0.2, 0, 1)
    return colour * (1 + folds)[:, None]


def _paint_trousers(signer: Signer, colour: Array, place: Array) -> Array:
    k = signer.upper_arm / UPPER_ARM
    x, down = place[:, 0] / k, place[:, 2] / k
    between = _edge(abs(x) - 0.003 - 0.06 * clip(down - 0.62, 0, None), 0.006) * _edge(0.555 - down, 0.02)
    fly = 0.3 * _edge(abs(x - 0.004) - 0.0008, 0.002) * _edge(down - 0.555, 0.01)
    return colour * (1 - clip(0.85 * between + fly, 0, 1))[:, None]


def _paint_hair(colour: Array, place: Array) -> Array:
    """Strands that fall from the crown."""
    xp = namespace(colour)
    x, y, z = place[:, 0], place[:, 1], place[:, 2] - 0.095
    turn = xp.arctan2(x, z)
    strand = (
        xp.sin(61 * turn + 4 * xp.sin(5 * turn + 30 * y)) + 0.7 * xp.sin(137 * turn + 50 * y) + 0.5 * xp.sin(23 * turn)
    )
    return colour * (1 + 0.16 * strand)[:, None]
