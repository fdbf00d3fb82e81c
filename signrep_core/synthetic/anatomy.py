"""The shape of a signer: rings along limbs and trunk, the head and its features, hair and clothes, as a `Surface`.

Measures are in metres for an upper arm of UPPER_ARM and scale with the signer's; face and hair in units of the face's
scale, in the face frame (x to the signer's left, y down, z backwards, nose tip at the origin).
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from signrep_core.skeleton import FINGERS, HANDS, SIDES, Side
from signrep_core.synthetic.signer import UPPER_ARM, Colour, Floats, Signer
from signrep_core.synthetic.surface import BONES, JOINTS_EXTRA, PALM_JOINTS, PART, TWISTS, Surface

Bone = int | Callable[[float], int]  # a row of BONES, or a function from a share 0..1 of the bone to the row


def linear(colour: Colour | Floats) -> Floats:
    """sRGB to linear light (gamma 2.2)."""
    return np.power(np.clip(np.asarray(colour, float), 0, 1), 2.2)


class _Builder:
    """Collects patches (rings × segments grids) into one mesh."""

    def __init__(self) -> None:
        self.faces: list[NDArray[np.int64]] = []
        self.parts: list[NDArray[np.int64]] = []
        self.albedo: list[Floats] = []
        self.paint: list[Floats] = []
        self.count = 0

    def patch(self, part: Sequence[str] | str, albedo: Floats, paint: Floats) -> None:
        """A closed grid of (R, S) vertices; `part` of each ring, colours (R, S, 3) or broadcast."""
        rings, segments = paint.shape[:2]
        r, s = np.meshgrid(np.arange(rings - 1), np.arange(segments), indexing="ij")
        here, right = r * segments + s, r * segments + (s + 1) % segments
        quads = np.stack([here, right, right + segments, here, right + segments, here + segments], -1)
        self.faces.append(quads.reshape(-1, 3) + self.count)
        names = [part] * rings if isinstance(part, str) else list(part)
        self.parts.append(np.repeat([PART[name] for name in names[1:]], 2 * segments))
        self.albedo.append(np.broadcast_to(albedo, paint.shape).reshape(-1, 3))
        self.paint.append(paint.reshape(-1, 3))
        self.count += rings * segments


class _Look(NamedTuple):
    """Part of each ring (or of all), colours and paint of a patch, as `_Builder.patch` takes them."""

    part: Sequence[str] | str
    albedo: Floats
    paint: Floats


class _Sweeps(_Builder):
    """Rings along bones; the tables are those of Surface."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int, int, int, int, int, float, float]] = []
        self.ring_of: list[NDArray[np.int64]] = []
        self.local: list[Floats] = []

    def tube(
        self,
        joints: Sequence[int],
        bones: Sequence[Bone],
        places: Floats,
        profiles: Floats,
        look: _Look,
        blend: float = 0.2,
    ) -> None:
        """A tube through `joints`; ring k lies at `places[k]` bones from the first joint, shaped profiles[k] (S, 2).

        Within `blend` bones of an inner joint a ring takes part in both bones' directions.
        """
        first_ring = len(self.rows)
        for place in places:
            self.rows.append(_ring_row(joints, bones, float(place), blend))
        rings, segments = profiles.shape[:2]
        self.ring_of.append(np.repeat(first_ring + np.arange(rings), segments))
        self.local.append(profiles.reshape(-1, 2))
        self.patch(*look)


def _ring_row(
    joints: Sequence[int], bones: Sequence[Bone], place: float, blend: float
) -> tuple[int, int, int, int, int, float, float]:
    """(joint, bone before, bone after, start and end joint of the measuring bone, offset, weight of the one after)."""
    last = len(bones) - 1
    own = int(np.clip(np.floor(place), 0, last))

    def frame(bone: int, at: float) -> int:
        chosen = bones[bone]
        return chosen(float(np.clip(at, 0, 1))) if callable(chosen) else chosen

    nearest = int(np.clip(round(place), 0, last + 1))
    offset = place - nearest
    measure = (joints[own], joints[own + 1])
    if 0 < nearest <= last and abs(offset) < blend:
        share = (offset + blend) / (2 * blend)
        weight = share * share * (3 - 2 * share)
        return joints[nearest], frame(nearest - 1, 1 + offset), frame(nearest, offset), *measure, offset, weight
    bone = frame(own, place - own)
    if nearest == last + 1 and place > nearest:
        measure = (joints[last], joints[last + 1])
    return joints[nearest], bone, bone, *measure, offset, 0.0


def ellipse(
    u: float | Floats, v: float | Floats, segments: int, offset: float | Floats = 0.0, square: float = 2.0
) -> Floats:
    """(R, S, 2) rings with half-axes u and v, shifted by `offset` along v; square > 2 makes them boxy."""
    turn = 2 * np.pi * np.arange(segments) / segments
    u, v, offset = (np.atleast_1d(np.asarray(x, float))[:, None] for x in (u, v, offset))
    c, s = np.cos(turn)[None], np.sin(turn)[None]
    power = 2 / square
    return np.stack(
        np.broadcast_arrays(u * np.sign(c) * np.abs(c) ** power, v * np.sign(s) * np.abs(s) ** power + offset), -1
    )


def build_surface(signer: Signer) -> Surface:
    """The signer's mesh."""
    sweeps = _Sweeps()
    _add_trunk(sweeps, signer)
    for side in SIDES:
        _add_arm(sweeps, signer, side)
        for finger in FINGERS:
            _add_finger(sweeps, signer, side, finger)
    rest = _Builder()
    rest.count = sweeps.count
    palms = {side: _add_palm(rest, signer, side) for side in SIDES}
    head = _add_head(rest, signer)
    names = ("joint", "first", "second", "start", "end", "offset", "weight")
    rows = dict(zip(names, (np.array(column) for column in zip(*sweeps.rows, strict=True)), strict=True))
    return Surface(
        signer=signer,
        faces=np.concatenate(sweeps.faces + rest.faces),
        part=np.concatenate(sweeps.parts + rest.parts),
        albedo=np.concatenate(sweeps.albedo + rest.albedo),
        paint=np.concatenate(sweeps.paint + rest.paint),
        rings=rows,
        ring_of=np.concatenate(sweeps.ring_of),
        local=np.concatenate(sweeps.local),
        palms=palms,
        head=head,
    )


# ---------------------------------------------------------------- trunk, neck
# down from the neck joint, half width, half depth, forward shift of the middle
_TRUNK: Final = np.array([
    (-0.052, 0.044, 0.046, 0.012), (-0.034, 0.062, 0.054, 0.014), (-0.012, 0.100, 0.068, 0.016),
    (0.015, 0.128, 0.082, 0.022), (0.050, 0.146, 0.096, 0.028), (0.100, 0.153, 0.107, 0.034),
    (0.150, 0.151, 0.113, 0.038), (0.200, 0.143, 0.107, 0.036), (0.250, 0.136, 0.099, 0.033),
    (0.300, 0.134, 0.096, 0.030), (0.350, 0.139, 0.098, 0.028), (0.400, 0.148, 0.104, 0.026),
    (0.450, 0.158, 0.110, 0.024), (0.485, 0.163, 0.112, 0.022),
])  # fmt: skip
_HIPS: Final = np.array([
    (0.485, 0.155, 0.106, 0.022), (0.540, 0.158, 0.108, 0.022), (0.600, 0.161, 0.108, 0.022),
    (0.680, 0.158, 0.104, 0.022), (0.780, 0.150, 0.096, 0.022), (0.960, 0.138, 0.086, 0.022),
])  # fmt: skip
_TRUNK_SEGMENTS: Final = 36


def trunk_section(signer: Signer, down: Floats) -> tuple[Floats, Floats, Floats]:
    """Half width, half depth and forward shift (metres) of the trunk `down` metres below the neck."""
    k = signer.upper_arm / UPPER_ARM
    shape = np.concatenate([_TRUNK, _HIPS[1:]])
    width, depth, shift = (k * np.interp(np.asarray(down) / k, shape[:, 0], shape[:, i]) for i in (1, 2, 3))
    low, b = np.asarray(down) / k, signer.breadth
    waist = np.exp(-(((low - 0.29) / 0.09) ** 2))
    chest = np.exp(-(((low - 0.14) / 0.06) ** 2))
    hip = np.exp(-(((low - 0.50) / 0.10) ** 2))
    width = width * (1 - 0.09 * (1 - b) * waist + 0.05 * b * waist + 0.03 * (b - 0.5) * chest - 0.06 * b * hip)
    depth = depth * (1 + 0.13 * (1 - b) * chest - 0.04 * (1 - b) * waist + 0.06 * (signer.girth - 1) * waist)
    girth = 1 + (signer.girth - 1) * np.clip((low + 0.02) / 0.1, 0, 1)
    return width * girth, depth * girth, shift


def _add_trunk(sweeps: _Sweeps, signer: Signer) -> None:
    k = signer.upper_arm / UPPER_ARM
    half = signer.body_offsets[0] * signer.body_offsets[5]
    down = k * np.concatenate([_TRUNK[:, 0], _HIPS[:, 0]])
    width, depth, shift = trunk_section(signer, down)
    n = len(_TRUNK)
    width[:n] += 0.004
    depth[:n] += 0.004
    width[n] -= 0.006
    profiles = ellipse(width, depth, _TRUNK_SEGMENTS, shift, square=2.35)
    joints = [JOINTS_EXTRA[name] for name in ("neck", "mid_spine", "mid_hip")]
    paint = np.concatenate([profiles, np.broadcast_to(down[:, None, None], (*profiles.shape[:2], 1))], -1)
    albedo = np.where((np.arange(len(down)) < n)[:, None, None], linear(signer.top), linear(signer.trousers))
    parts = ["top"] * n + ["trousers"] * len(_HIPS)
    bones = [BONES["spine"], BONES["lower_spine"]]
    sweeps.tube(joints, bones, down / half, profiles, _Look(parts, albedo, paint), blend=0.5)
    _add_neck(sweeps, signer)


def _add_neck(sweeps: _Sweeps, signer: Signer) -> None:
    k = signer.face.scale * (0.84 + 0.20 * signer.breadth)
    places = np.array([-0.30, -0.1, 0.15, 0.4, 0.65, 0.9, 1.1])
    width = k * np.array([0.074, 0.066, 0.0585, 0.0555, 0.0545, 0.055, 0.055])
    depth = k * np.array([0.060, 0.058, 0.0560, 0.0545, 0.054, 0.054, 0.054])
    profiles = ellipse(width, depth, 24)
    joints = [JOINTS_EXTRA["nape"], JOINTS_EXTRA["skull"]]
    shade = np.interp(places, [0.1, 0.6, 0.9], [0.97, 0.80, 0.68])  # below the chin
    paint = np.zeros((*profiles.shape[:2], 3))
    albedo = shade[:, None, None] * linear(signer.skin)
    sweeps.tube(joints, [BONES["neck"]], places, profiles, _Look("skin", albedo, paint))


# ---------------------------------------------------------------- arms and hands
# place along the arm (0 neck, 1 shoulder, 2 elbow, 3 wrist), half width across u, half width across v
_ARM: Final = np.array([
    (0.00, 0.026, 0.034), (0.30, 0.033, 0.044), (0.60, 0.039, 0.051), (0.80, 0.0415, 0.053), (0.92, 0.0425, 0.054),
    (1.00, 0.0435, 0.054), (1.08, 0.0450, 0.053), (1.18, 0.0460, 0.052), (1.32, 0.0450, 0.049), (1.50, 0.0425, 0.0455),
    (1.70, 0.0395, 0.041), (1.84, 0.0375, 0.038), (1.93, 0.0365, 0.037), (2.00, 0.0360, 0.0365), (2.07, 0.0370, 0.037),
    (2.18, 0.0385, 0.038), (2.32, 0.0375, 0.036), (2.50, 0.0340, 0.031), (2.70, 0.0300, 0.0255), (2.85, 0.0275, 0.0215),
    (2.95, 0.0268, 0.0198), (3.06, 0.0255, 0.0170), (3.14, 0.0180, 0.0100), (3.20, 0.0060, 0.0040),
])  # fmt: skip
_ARM_SEGMENTS: Final = 20
_CLOTH: Final = 0.0065  # how far a sleeve stands off the arm


def arm_radius(signer: Signer, place: Floats) -> tuple[Floats, Floats]:
    """Half widths (metres) of the bare arm at places 0 neck, 1 shoulder, 2 elbow, 3 wrist."""
    k = signer.upper_arm / UPPER_ARM
    stout = 1 + (signer.girth - 1) * 0.8 + 0.10 * (signer.breadth - 0.5) * np.clip(3 - np.asarray(place), 0, 1)
    hand = signer.hand_offsets[0] / 0.0835 * signer.thickness
    near_wrist = np.clip((np.asarray(place) - 2.4) / 0.5, 0, 1)
    factor = k * stout * (1 - near_wrist) + hand * near_wrist
    u, v = (np.interp(place, _ARM[:, 0], _ARM[:, i]) * factor for i in (1, 2))
    return u, v


def _add_arm(sweeps: _Sweeps, signer: Signer, side: Side) -> None:
    hem = 1 + signer.sleeve
    edge = [hem - 0.03, hem, hem + 1e-3, hem + 2e-3]  # the last two: the sleeve's end turned in, and the bare arm
    places = np.sort(np.concatenate([_ARM[:, 0], edge]))
    covered = places <= edge[2]
    u, v = arm_radius(signer, places)
    loose = _CLOTH * (1 + 0.5 * np.clip((places - 1) / max(hem - 1, 0.2), 0, 1)) * (places <= edge[1])
    profiles = ellipse(u + loose, v + loose, _ARM_SEGMENTS)
    shoulder, elbow, wrist = (0, 1, 2) if side == "right" else (3, 4, 5)
    middle = HANDS[side].start + 9

    def forearm(at: float) -> int:
        return BONES[f"{side}_fore{round(at * (TWISTS - 1))}"]

    bones: list[Bone] = [BONES[f"{side}_clavicle"], BONES[f"{side}_upper"], forearm, BONES[f"{side}_palm"]]
    albedo = np.where(covered[:, None, None], linear(signer.top), linear(signer.skin))
    albedo = albedo * np.where(places == edge[2], 0.4, 1.0)[:, None, None]
    paint = np.zeros((*profiles.shape[:2], 3))
    paint[..., 0], paint[..., 1], paint[..., 2] = places[:, None], -1.0, (places[:, None] - 1) * signer.upper_arm
    parts = ["top" if c else "skin" for c in covered]
    joints = [JOINTS_EXTRA[f"{side}_root"], shoulder, elbow, wrist, middle]
    sweeps.tube(joints, bones, places, profiles, _Look(parts, albedo, paint), blend=0.28)


# places along the finger (1 knuckle, 2, 3 joints, 4 tip) and radii in metres for an index metacarpal of 0.0835
_FINGER_PLACES: Final = np.array([0.62, 0.80, 0.90, 1.00, 1.12, 1.35, 1.70, 1.85, 2.00, 2.15, 2.45, 2.80, 3.00, 3.20,
                                  3.50, 3.80, 4.00, 4.14, 4.23, 4.26])  # fmt: skip
_FINGER_RADII: Final = np.array([0.0070, 0.0095, 0.0105, 0.0106, 0.0102, 0.0096, 0.0090, 0.0090, 0.0091, 0.0088, 0.0083,
                                 0.0080, 0.0080, 0.0078, 0.0075, 0.0069, 0.0060, 0.0046, 0.0026, 0.0002])  # fmt: skip
_THUMB_PLACES: Final = np.array([0.35, 0.60, 0.85, 1.00, 1.15, 1.45, 1.75, 1.90, 2.00, 2.12, 2.45, 2.85, 3.00, 3.20,
                                 3.50, 3.80, 4.00, 4.12, 4.19, 4.22])  # fmt: skip
_THUMB_RADII: Final = np.array([0.0125, 0.0140, 0.0150, 0.0155, 0.0155, 0.0145, 0.0128, 0.0122, 0.0120, 0.0116, 0.0105,
                                0.0102, 0.0104, 0.0106, 0.0102, 0.0090, 0.0074, 0.0052, 0.0030, 0.0002])  # fmt: skip
_GIRTH: Final = {"thumb": 1.0, "index": 1.0, "middle": 1.02, "ring": 0.96, "pinky": 0.85}
_FINGER_SEGMENTS: Final = 12


def finger_radius(signer: Signer, finger: str, place: Floats) -> Floats:
    """Half width (metres) of a finger at places 1 knuckle .. 4 tip."""
    places, radii = (_THUMB_PLACES, _THUMB_RADII) if finger == "thumb" else (_FINGER_PLACES, _FINGER_RADII)
    return np.interp(place, places, radii) * signer.hand_offsets[0] / 0.0835 * signer.thickness * _GIRTH[finger]


def _add_finger(sweeps: _Sweeps, signer: Signer, side: Side, finger: str) -> None:
    places = _THUMB_PLACES if finger == "thumb" else _FINGER_PLACES
    radius = finger_radius(signer, finger, places)
    end = np.clip((places - 3.3) / 0.5, 0, 1)
    profiles = ellipse(radius, radius * (1 - 0.14 * end), _FINGER_SEGMENTS)
    start = HANDS[side].start + 1 + 4 * FINGERS.index(finger)
    joints = [HANDS[side].start, *range(start, start + 4)]
    bones = [BONES[f"{side}_{finger}{k}"] for k in range(4)]
    turn = 2 * np.pi * np.arange(_FINGER_SEGMENTS) / _FINGER_SEGMENTS
    palmar = np.sin(turn)
    paint = np.zeros((*profiles.shape[:2], 3))
    paint[..., 0], paint[..., 1], paint[..., 2] = -palmar, np.cos(turn), places[:, None]
    albedo = _hand_albedo(signer, np.broadcast_to(palmar, paint.shape[:2]))
    knuckle = 0.10 * np.exp(-(((places - 2.05) / 0.10) ** 2)) + 0.07 * np.exp(-(((places - 3.05) / 0.10) ** 2))
    albedo = albedo * (1 - knuckle[:, None, None] * np.array([0.6, 1.0, 1.0]))
    sweeps.tube(joints, bones, places, profiles, _Look("nail", albedo, paint), blend=0.22)


def _hand_albedo(signer: Signer, palmar: Floats) -> Floats:
    """Palms are paler and rosier than backs, the more so on dark skin; `palmar` from -1 back to 1 palm."""
    skin = linear(signer.skin)
    pale = linear(np.array(signer.skin) * 0.55 + np.array([0.92, 0.70, 0.61]) * 0.45)
    share: Floats = 0.8 * np.clip((palmar + 0.25) / 0.9, 0, 1)[..., None]
    return np.asarray(skin * (1 - share) + pale * share)


# rows from the wrist (0) over the knuckles (1) into the webs between the fingers (2 = the fingers' first joints)
_PALM_ROWS: Final = np.array([-0.06, 0.0, 0.10, 0.25, 0.42, 0.60, 0.76, 0.88, 1.00, 1.18, 1.34, 1.46, 1.52])
_PALM_WIDTH: Final = np.array(
    [0.0255, 0.0265, 0.0275, 0.0255, 0.0190, 0.0130, 0.0100, 0.0095, 0.0090, 0.0078, 0.0060, 0.0035, 0.0005]
)
_PALM_FRONT: Final = np.array(
    [0.0175, 0.0185, 0.0205, 0.0215, 0.0195, 0.0165, 0.0145, 0.0130, 0.0115, 0.0095, 0.0075, 0.0045, 0.0005]
)
_PALM_BACK: Final = np.array(
    [0.0175, 0.0170, 0.0160, 0.0145, 0.0130, 0.0115, 0.0105, 0.0098, 0.0085, 0.0060, 0.0040, 0.0020, 0.0005]
)
_PALM_SEGMENTS: Final = 28
_WEB_ROWS: Final = np.array([0.0, 0.18, 0.36, 0.54, 0.70, 0.83, 0.92, 0.96])
_WEB_THICK: Final = np.array([0.0100, 0.0125, 0.0135, 0.0120, 0.0085, 0.0050, 0.0020, 0.0003])
_WEB_SEGMENTS: Final = 12


def _add_palm(rest: _Builder, signer: Signer, side: Side) -> dict[str, Floats]:
    """The palm's vertices as weights on PALM_JOINTS (relative to the wrist) plus a shift in the palm frame."""
    k = signer.hand_offsets[0] / 0.0835 * signer.thickness
    turn = 2 * np.pi * np.arange(_PALM_SEGMENTS) / _PALM_SEGMENTS
    c, s = np.cos(turn), np.sin(turn)
    across = np.sign(c) * np.abs(c) ** 0.8  # along the palm's x: towards the pinky on the right hand
    place = (across if side == "right" else -across) / 0.86
    # weights of index, middle, ring, pinky: a hat function over the palm's width
    stops = np.array([-1.0, -0.33, 0.33, 1.0])
    hats = np.stack([np.interp(np.clip(place, -1, 1), stops, row) for row in np.eye(4)], -1)  # (S, 4)
    rows = _PALM_ROWS[:, None]
    between = 1 - hats.max(-1)  # the web hangs back between two fingers
    beyond_knuckle = np.clip(rows - 1, 0, None) * (1 - 0.8 * between)
    weights = np.zeros((*np.broadcast_shapes(rows.shape, place.shape), len(PALM_JOINTS)))
    weights[..., 1:5] = (np.clip(rows, 0, 1) - beyond_knuckle)[..., None] * hats
    weights[..., 5:9] = beyond_knuckle[..., None] * hats
    edge = np.sign(across) * np.clip(np.abs(place) - 1, 0, None) / (1 / 0.86 - 1)
    narrow = np.clip(rows / 0.6, 0, 1)
    x = k * _PALM_WIDTH[:, None] * (across * (1 - narrow) + edge * narrow + across * 0.15 * narrow)
    thick = np.where(s > 0, _PALM_FRONT[:, None], _PALM_BACK[:, None])
    # the hollow of the palm between the balls of thumb and little finger
    hollow = 0.004 * np.exp(-((across / 0.35) ** 2)) * np.exp(-(((rows - 0.5) / 0.25) ** 2)) * (s > 0)
    y = k * (thick * np.sign(s) * np.abs(s) ** 0.75 - hollow)
    z = np.where(rows < 0, rows * 0.08, 0) + 0 * x
    rest.patch("hand", _hand_albedo(signer, np.broadcast_to(s, x.shape)), np.zeros((*x.shape, 3)))
    web_weights, web_local = _add_thumb_web(rest, signer, side)
    local = np.stack([x, y, z], -1).reshape(-1, 3)
    return {
        "weights": np.concatenate([weights.reshape(-1, len(PALM_JOINTS)), web_weights]),
        "local": np.concatenate([local, web_local]),
    }


def _add_thumb_web(rest: _Builder, signer: Signer, side: Side) -> tuple[Floats, Floats]:
    """The ball of the thumb and the fold between thumb and index, spanned by their knuckles."""
    k = signer.hand_offsets[0] / 0.0835 * signer.thickness
    turn = 2 * np.pi * np.arange(_WEB_SEGMENTS) / _WEB_SEGMENTS
    c, s = np.cos(turn), np.sin(turn)
    thumb = 0.5 - 0.5 * (c if side == "right" else -c)  # 1 at the thumb, 0 at the index
    rows = _WEB_ROWS[:, None]
    fold = 1 - 0.36 * rows**2 * (4 * thumb * (1 - thumb))  # hollow between the two
    weights = np.zeros((len(_WEB_ROWS), _WEB_SEGMENTS, len(PALM_JOINTS)))
    weights[..., 0] = rows * thumb * fold * 0.98
    weights[..., 1] = rows * (1 - thumb) * fold * 0.80
    y = k * _WEB_THICK[:, None] * np.sign(s) * np.abs(s) ** 0.8 + 0.003 * k * (s > 0)
    local = np.stack([0 * y, y, 0 * y], -1)
    rest.patch("hand", _hand_albedo(signer, np.broadcast_to(s, y.shape)), np.zeros((*y.shape, 3)))
    return weights.reshape(-1, len(PALM_JOINTS)), local.reshape(-1, 3)


# ---------------------------------------------------------------- head and hair, in units of the face's scale
_HEAD_CENTRE: Final = np.array([0.0, -0.045, 0.095])
_HEAD_ROWS: Final = np.concatenate([[0.02, 0.12, 0.25], np.linspace(0.38, 2.5, 44), [2.62, 2.78, 2.95, 3.12]])
_HEAD_COLUMNS: Final = np.concatenate([
    np.linspace(0.0, 0.55, 6, endpoint=False), np.linspace(0.55, np.pi - 0.55, 34, endpoint=False),
    np.linspace(np.pi - 0.55, 2 * np.pi, 22, endpoint=False),
])  # fmt: skip
_EAR_ROWS: Final = 7


def _add_head(rest: _Builder, signer: Signer) -> Floats:
    """Add head, ears and hair; returns their vertices in the face frame."""
    face, skin = signer.face, linear(signer.skin)
    skull = _skull(signer)
    vertices = [skull]
    rest.patch("face", skin, skull * face.scale)
    for sign in (1, -1):
        ear = _ear(signer, sign)
        vertices.append(ear)
        rest.patch("skin", skin * np.array([1.0, 0.93, 0.92]), ear * 0)
    hair = _hair_shell(signer, skull)
    vertices.append(hair)
    rest.patch("hair", linear(signer.hair), hair)
    curtain = _hair_curtain(signer)
    vertices.append(curtain)
    rest.patch("hair", linear(signer.hair) * 0.92, curtain)
    return face.scale * np.concatenate([part.reshape(-1, 3) for part in vertices])


def _directions() -> Floats:
    row, column = _HEAD_ROWS[:, None], _HEAD_COLUMNS[None]
    return np.stack(np.broadcast_arrays(np.sin(row) * np.cos(column), -np.cos(row), -np.sin(row) * np.sin(column)), -1)


def _skull(signer: Signer) -> Floats:
    """(R, S, 3) the head without hair."""
    face, directions = signer.face, _directions()
    w, jaw = face.width, face.jaw
    blobs = (
        ((0, -0.066, 0.106), (0.0745 * w, 0.088, 0.094)),  # cranium
        ((0, -0.020, 0.078), (0.0645 * w, 0.080, 0.063)),  # face
        ((0, 0.022, 0.070), (0.0540 * jaw, 0.044, 0.054)),  # jaw
        ((0, 0.040, 0.047), (0.0350 * jaw, 0.028, 0.031)),  # chin
    )
    reach = np.stack([_ellipsoid_reach(directions, np.array(c), np.array(r)) for c, r in blobs])
    radius = (reach**26).sum(0) ** (1 / 26)
    points = _HEAD_CENTRE + directions * radius[..., None]
    points[..., 2] -= _relief(signer, points) * np.clip((0.075 - points[..., 2]) / 0.03, 0, 1)
    return points


def _ellipsoid_reach(directions: Floats, centre: Floats, radii: Floats) -> Floats:
    """Extent of an ellipsoid from the head's centre in each direction; 0 where the ray misses it."""
    d, o = directions / radii, (_HEAD_CENTRE - centre) / radii
    a, b, c = (d * d).sum(-1), (d * o).sum(-1), (o * o).sum() - 1
    root = b * b - a * c
    return np.where(root > 0, np.clip((-b + np.sqrt(np.clip(root, 0, None))) / a, 1e-4, None), 1e-4)


def _relief(signer: Signer, points: Floats) -> Floats:
    """Height of the features above the face, towards the front."""
    face = signer.face
    x, y = np.abs(points[..., 0]), points[..., 1]
    eye, mouth = face.eye / face.scale, face.mouth / face.scale

    def bump(height: float, at: tuple[float, float], size: tuple[float, float]) -> Floats:
        return height * np.exp(-(((x - at[0]) / size[0]) ** 2) - ((y - at[1]) / size[1]) ** 2)

    ridge = np.interp(y, [-0.070, -0.050, -0.036, -0.004, 0.004, 0.012], [0.0, 0.0015, 0.004, 0.0155, 0.0145, 0.0])
    width = np.interp(y, [-0.045, -0.010, 0.004], [0.0065, 0.0085, 0.0095]) * face.nose
    nose = ridge * np.exp(-((x / width) ** 2))
    return (
        nose
        + bump(0.006, (0.0125 * face.nose, 0.002), (0.006, 0.006))  # wings of the nose
        + bump(0.0035 * face.brow, (0.028, -0.055), (0.024, 0.009))
        - bump(0.0065, (eye[0] - 0.003, eye[1]), (0.016, 0.011))
        + bump(0.0035, (eye[0], eye[1] + 0.001), (0.011, 0.007))  # eyeball under the lids
        + bump(0.0040, (0.0, mouth[1] - 0.0045), (0.020, 0.0050)) * face.lips
        + bump(0.0045, (0.0, mouth[1] + 0.0060), (0.017, 0.0060)) * face.lips
        - bump(0.0020, (0.0, mouth[1]), (0.022, 0.0022))
        - bump(0.0020, (0.0, mouth[1] + 0.0165), (0.018, 0.0050))
        + bump(0.0030, (0.042, -0.010), (0.016, 0.016))  # cheeks
    )


def _ear(signer: Signer, sign: int) -> Floats:
    centre = signer.face.ear / signer.face.scale * np.array([sign, 1, 1]) + np.array([sign * 0.002, -0.006, 0.006])
    polar = np.linspace(0.05, np.pi - 0.05, _EAR_ROWS)[:, None]
    turn = (2 * np.pi * np.arange(12) / 12)[None]
    x, y, z = np.broadcast_arrays(np.sin(polar) * np.cos(turn), -np.cos(polar), -np.sin(polar) * np.sin(turn))
    x, y, z = 0.007 * x, 0.029 * y, 0.016 * z * (1 - 0.25 * y / 0.029 * 0.03)
    tilt = sign * 0.45
    return centre + np.stack([x * np.cos(tilt) + z * np.sin(tilt), y, -x * np.sin(tilt) + z * np.cos(tilt)], -1)


# ends of the curtain of hair below the head, and thickness at sides and top
_HAIR: Final = {
    "crop": (0.0, 0.006, 0.011), "parted": (0.0, 0.009, 0.020), "bob": (0.075, 0.015, 0.015),
    "long": (0.27, 0.014, 0.014), "bun": (0.0, 0.008, 0.010), "curls": (0.02, 0.026, 0.034),
    "shaved": (0.0, 0.0018, 0.0018),
}  # fmt: skip


def _hair_shell(signer: Signer, skull: Floats) -> Floats:
    """(R, S, 3) the skull raised by the hair's thickness, and sunk below the skin where there is none."""
    _, sides, top = _HAIR[signer.hair_style]
    x, y, z = np.moveaxis(skull, -1, 0)
    out = skull - _HEAD_CENTRE
    out = out / np.linalg.norm(out, axis=-1, keepdims=True)
    side_swept = signer.hair_style in ("parted", "bob", "long")
    line = -0.110 + (0.012 * np.clip(x / 0.04, -1, 1) if side_swept else 0.010 * (np.abs(x) / 0.045) ** 2 * 0.5)
    front = -0.543 * (y - line) + 0.840 * (z - 0.022) * np.clip((np.abs(x) - 0.015) / 0.04, 0.35, 1)
    hairy = np.minimum(front, 0.040 - y)
    hairy = np.minimum(hairy, 0.060 * (z - 0.070) / 0.03 - 0.6 * (y + 0.030) + 0.02)
    above = np.clip((-0.06 - y) / 0.07, 0, 1)
    thick = sides + (top - sides) * above
    if signer.hair_style == "curls":
        thick = thick * (1 + 0.16 * np.sin(90 * x) * np.sin(85 * y + 1) * np.sin(80 * z))
    if signer.hair_style == "parted":
        thick = thick * (1 + 0.35 * np.clip((x + 0.01) / 0.05, -1, 1) * above)
    if signer.hair_style == "bun":
        knot = np.array([0, -0.80, 0.60])
        thick = thick + 0.050 * np.clip((out @ knot - 0.88) / 0.12, 0, 1) ** 0.5
    share = np.clip(hairy / 0.010, -1, 1)
    share = np.where(share > 0, share * (2 - share), share)
    return skull + out * np.where(share > 0, share * thick, 0.012 * share)[..., None]


def _hair_curtain(signer: Signer) -> Floats:
    """(R, S, 3) hair at the sides of and behind the neck; hidden in the skull for short hair."""
    end = _HAIR[signer.hair_style][0]
    place = np.linspace(0, 1, 12)[:, None]
    turn = (2 * np.pi * np.arange(28) / 28)[None]
    if end == 0:
        return _HEAD_CENTRE + np.zeros((12, 28, 3)) + place[..., None] * np.array([0, 0.01, 0])
    y = -0.09 + (end + 0.09) * place
    width = np.interp(y, [-0.09, -0.03, 0.05, 0.12, 0.27], [0.070, 0.090, 0.092, 0.094, 0.100]) * (1 - 0.5 * place**12)
    back = np.interp(y, [-0.09, 0.0, 0.06, 0.27], [0.090, 0.098, 0.090, 0.085])
    c, s = np.cos(turn), np.sin(turn)
    depth = np.where(s > 0, 0.036 - 0.02 * np.clip(y / 0.1, 0, 1), back)
    wave = 1 + 0.02 * np.sin(9 * turn + 14 * y)
    x = width * np.sign(c) * np.abs(c) ** 0.7 * wave
    return np.stack(np.broadcast_arrays(x, y, 0.108 - depth * s * wave), -1)
