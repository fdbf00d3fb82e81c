"""Random signers and random rooms: a person's bones, face, hair and clothes, and a video's camera, light and wall.

Everything is a pure function of a seed. The person is a `Signer`; what differs between two videos of one person
(camera, light, wall) is a `Scene`. Bone lengths are true: they are the offsets that forward kinematics takes.

Legend: colours are sRGB in 0..1; lengths in metres; the face frame F is the head frame H rotated so that an upright
face has F = identity (x to the signer's left, y down, z backwards), with the nose tip at its origin.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from signrep_core.body.rotations import rotation_about

Floats = NDArray[np.float64]
Colour = tuple[float, float, float]

UPPER_ARM: Final = 0.275  # metres; shapes are drawn for this build and scale with the upper arm

# Streams of randomness: one number per use, so that adding a draw to one leaves the others alone.
_PERSON, _LOOK, _SCENE = 11, 12, 13

SKINS: Final[tuple[Colour, ...]] = (
    (0.93, 0.79, 0.71), (0.89, 0.73, 0.63), (0.83, 0.64, 0.52), (0.74, 0.54, 0.41),
    (0.62, 0.43, 0.31), (0.50, 0.34, 0.25), (0.40, 0.27, 0.20),
)  # fmt: skip
HAIRS: Final[tuple[Colour, ...]] = (
    (0.09, 0.08, 0.08), (0.15, 0.11, 0.09), (0.26, 0.17, 0.11), (0.40, 0.27, 0.16),
    (0.63, 0.48, 0.29), (0.52, 0.26, 0.13), (0.62, 0.61, 0.60),
)  # fmt: skip
TOPS: Final[tuple[Colour, ...]] = (
    (0.14, 0.15, 0.18), (0.17, 0.23, 0.38), (0.46, 0.15, 0.18), (0.15, 0.33, 0.27), (0.86, 0.85, 0.82),
    (0.47, 0.50, 0.54), (0.72, 0.55, 0.22), (0.34, 0.23, 0.40), (0.30, 0.46, 0.60), (0.62, 0.36, 0.28),
    (0.55, 0.60, 0.48), (0.80, 0.66, 0.64),
)  # fmt: skip
TROUSERS: Final[tuple[Colour, ...]] = ((0.15, 0.16, 0.20), (0.20, 0.26, 0.38), (0.36, 0.32, 0.28), (0.28, 0.29, 0.31))
IRISES: Final[tuple[Colour, ...]] = ((0.20, 0.11, 0.06), (0.30, 0.19, 0.10), (0.27, 0.37, 0.47), (0.25, 0.33, 0.20))
WALLS: Final[tuple[Colour, ...]] = (
    (0.80, 0.79, 0.76), (0.62, 0.68, 0.72), (0.70, 0.66, 0.58), (0.42, 0.47, 0.52), (0.58, 0.63, 0.55),
    (0.33, 0.36, 0.42), (0.74, 0.70, 0.72), (0.50, 0.43, 0.40),
)  # fmt: skip
HAIR_STYLES: Final = ("crop", "parted", "bob", "long", "bun", "curls", "shaved")
NECKLINES: Final = ("crew", "v", "collar")
PATTERNS: Final = ("plain", "plain", "plain", "stripes", "yoke")


@dataclass(frozen=True)
class Face:
    """Landmarks of the upright face relative to the nose tip, in the face frame F, and its proportions."""

    scale: float  # 1 = a head 0.225 m from chin to crown
    eye: Floats  # (3,) centre of the left eye
    eye_half_width: float
    mouth: Floats  # (3,) left mouth corner
    ear: Floats  # (3,) left ear
    width: float  # factors around 1
    jaw: float
    nose: float
    brow: float
    lips: float
    upright: float  # head_x angle (radians) at which F is the identity


@dataclass(frozen=True)
class Signer:
    """One person: true bone lengths, build, face, hair and clothes."""

    seed: int
    body_offsets: Floats  # (16,) as skeleton.BODY_OFFSETS
    hand_offsets: Floats  # (20,) as skeleton.HAND_OFFSETS
    left_handed: bool
    girth: float  # factor on trunk and limb thickness
    breadth: float  # 0 narrow shoulders and a waist, 1 broad shoulders and straight sides
    thickness: float  # factor on finger thickness
    face: Face
    skin: Colour
    hair: Colour
    hair_style: str
    beard: float  # 0 none, about 0.3 stubble, 0.8 full
    iris: Colour
    lip: Colour
    top: Colour
    accent: Colour
    trousers: Colour
    neckline: str
    pattern: str
    sleeve: float  # where it ends: 0 shoulder, 1 elbow, 2 wrist

    @property
    def upper_arm(self) -> float:
        """Upper-arm length in metres, the unit of the body offsets."""
        return float(self.body_offsets[0])


@dataclass(frozen=True)
class Scene:
    """One video's camera, light and wall.

    `view` rotates body axes into camera axes (x right, y down, z away from the camera), in which `neck` is the neck.
    """

    view: Floats  # (3, 3)
    neck: Floats  # (3,)
    focal: float  # in image heights
    key: Floats  # (3,) unit vector towards the main light, camera axes
    fill: Floats
    key_colour: Colour
    exposure: float
    wall: Colour
    clutter: float  # 0 bare wall .. 1 a furnished room, out of focus
    seed: int


def make_signer(seed: int) -> Signer:
    """Make the person of a seed."""
    person, look = np.random.default_rng([seed, _PERSON]), np.random.default_rng([seed, _LOOK])
    breadth = float(person.uniform(0, 1))
    upper_arm = 0.262 + 0.022 * breadth + person.uniform(-0.008, 0.010)
    face = _make_face(person, upper_arm, breadth)
    tone = look.uniform(0, len(SKINS) - 1)
    skin = tuple(np.clip(_ramp(SKINS, tone) * look.uniform(0.97, 1.03) * look.uniform(0.985, 1.015, 3), 0, 1))
    hair = HAIRS[int(look.integers(2 if tone > 3.5 else len(HAIRS)))] if look.random() > 0.08 else HAIRS[-1]
    style = _hair_style(look, breadth, tone)
    top = TOPS[int(look.integers(len(TOPS)))]
    while np.abs(np.subtract(top, skin)).sum() < 0.45:  # clothes that contrast with the skin, as signers choose them
        top = TOPS[int(look.integers(len(TOPS)))]
    return Signer(
        seed=seed,
        body_offsets=_body_offsets(person, upper_arm, breadth, face),
        hand_offsets=_hand_offsets(person, upper_arm),
        left_handed=bool(person.random() < 0.12),
        girth=float(person.uniform(0.92, 1.14)),
        breadth=breadth,
        thickness=float(person.uniform(0.94, 1.08)),
        face=face,
        skin=skin,
        hair=hair,
        hair_style=style,
        beard=float(look.choice([0, 0.25, 0.8])) if breadth > 0.6 else 0.0,
        iris=IRISES[int(look.integers(2 if tone > 3 else len(IRISES)))],
        lip=tuple(np.clip(np.multiply(skin, (0.90, 0.66, 0.66)) * look.uniform(0.92, 1.04), 0, 1)),
        top=top,
        accent=TOPS[int(look.integers(len(TOPS)))],
        trousers=TROUSERS[int(look.integers(len(TROUSERS)))],
        neckline=NECKLINES[int(look.integers(len(NECKLINES)))],
        pattern=PATTERNS[int(look.integers(len(PATTERNS)))],
        sleeve=float(look.choice([0.45, 0.62, 1.35, 1.93])),
    )


def make_scene(seed: int, signer: Signer) -> Scene:
    """Make the camera, light and wall of a video; the signer is framed from above the head to the hips."""
    rng = np.random.default_rng([seed, _SCENE])
    yaw, pitch, roll = np.radians([rng.uniform(-10, 10), rng.uniform(-5, 6), rng.uniform(-1, 1)])
    view = rotation_about("z", roll) @ rotation_about("x", pitch) @ rotation_about("y", yaw)
    distance = rng.uniform(1.7, 2.6)
    height = signer.upper_arm / UPPER_ARM * rng.uniform(1.02, 1.18)  # of the image in metres, at the neck
    neck = np.array([rng.uniform(-0.03, 0.03), height * rng.uniform(-0.145, -0.115), distance])
    side = rng.uniform(-1, 1)
    key = np.array([0.75 * side, rng.uniform(-0.85, -0.45), -0.75])
    fill = np.array([-0.8 * side, -0.15, -0.7])
    warmth = rng.uniform(-0.05, 0.07)
    return Scene(
        view=view,
        neck=neck,
        focal=distance / height,
        key=key / np.linalg.norm(key),
        fill=fill / np.linalg.norm(fill),
        key_colour=(1 + warmth, 1.0, 1 - warmth),
        exposure=float(rng.uniform(0.92, 1.1)),
        wall=tuple(np.clip(np.array(WALLS[int(rng.integers(len(WALLS)))]) * rng.uniform(0.9, 1.08), 0, 1)),
        clutter=float(rng.choice([0.0, 0.0, 0.6, 1.0])),
        seed=seed,
    )


def project(scene: Scene, points: Floats, size: int) -> Floats:
    """Project points relative to the neck (..., 3), camera axes, to pixels (..., 2) of a square image."""
    placed = np.asarray(points) + scene.neck
    return scene.focal * size * placed[..., :2] / placed[..., 2:] + size / 2


def _make_face(rng: np.random.Generator, upper_arm: float, breadth: float) -> Face:
    scale = (upper_arm / UPPER_ARM) ** 0.5 * rng.uniform(0.97, 1.05)
    jitter = rng.uniform(-1, 1, 8)
    width = 1 + 0.04 * jitter[0]
    return Face(
        scale=scale,
        eye=scale * np.array([0.0305 * width, -0.0385 + 0.002 * jitter[1], 0.0270]),
        eye_half_width=scale * 0.0148 * (1 + 0.06 * jitter[2]),
        mouth=scale * np.array([0.0235 * (1 + 0.07 * jitter[3]), 0.0320 + 0.002 * jitter[4], 0.0190]),
        ear=scale * np.array([0.0735 * width, -0.0200, 0.0960]),
        width=width,
        jaw=0.90 + 0.16 * breadth + 0.04 * jitter[5],
        nose=1 + 0.18 * jitter[6],
        brow=0.75 + 0.5 * breadth + 0.15 * jitter[7],
        lips=float(rng.uniform(0.8, 1.25)),
        upright=float(np.radians(35 + rng.uniform(-2, 2))),
    )


def _body_offsets(rng: np.random.Generator, upper_arm: float, breadth: float, face: Face) -> Floats:
    """Body offsets; the face points are rotated from the face frame into the head frame of kinematics."""
    head = rotation_about("x", -face.upright)
    ear, mouth, eye = (head @ point / upper_arm for point in (face.ear, face.mouth, face.eye))
    neck_nose = 0.212 * face.scale * rng.uniform(0.97, 1.03) / upper_arm
    clavicle = 0.565 + 0.07 * breadth + rng.uniform(-0.02, 0.02)
    forearm = 0.905 + rng.uniform(-0.03, 0.03)
    hip = 0.375 + rng.uniform(-0.015, 0.015)
    spine = 0.855 + rng.uniform(-0.03, 0.03)
    return np.array([
        upper_arm, clavicle, forearm, neck_nose, hip, spine, *ear, *mouth,
        face.eye_half_width / upper_arm, eye[0], -eye[1], eye[2],
    ])  # fmt: skip


def _hand_offsets(rng: np.random.Generator, upper_arm: float) -> Floats:
    """Anatomical ratios (to the index metacarpal), each finger a little longer or shorter than the mean."""
    metacarpal = 0.0835 * (upper_arm / UPPER_ARM) * rng.uniform(0.97, 1.05)
    ratios = np.array([
        0.42, 0.40, 0.36, 0.28, 0.495, 0.285, 0.215, 0.960, 0.545, 0.320, 0.225,
        0.905, 0.505, 0.300, 0.220, 0.855, 0.395, 0.225, 0.190,
    ])  # fmt: skip
    finger = np.repeat(rng.uniform(0.96, 1.04, 5), [4, 3, 4, 4, 4])
    return np.concatenate([[metacarpal], ratios * finger])


def _hair_style(rng: np.random.Generator, breadth: float, tone: float) -> str:
    weights = {
        "crop": 0.3 + breadth, "parted": 0.4 + 0.6 * breadth, "bob": 0.9 * (1 - breadth), "long": 1.2 * (1 - breadth),
        "bun": 0.8 * (1 - breadth), "curls": 0.2 + 0.12 * tone, "shaved": 0.25 * breadth,
    }  # fmt: skip
    chances = np.array([weights[style] for style in HAIR_STYLES])
    return HAIR_STYLES[int(rng.choice(len(HAIR_STYLES), p=chances / chances.sum()))]


def _ramp(colours: tuple[Colour, ...], place: float) -> Floats:
    low = min(int(place), len(colours) - 2)
    return np.array(colours[low]) * (low + 1 - place) + np.array(colours[low + 1]) * (place - low)
