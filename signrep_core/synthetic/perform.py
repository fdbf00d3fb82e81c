"""Performance of signs: from glosses to natural, varied trajectories of the skeleton's 104 angles.

The plan of a hand is the path of one of its parts, the palm's orientation and the fingers' angles; rest, strokes and
the transitions between them share one time line. Two-bone inverse kinematics gives the arm, hands are pushed out of
trunk, head and each other, and everything becomes angles. The angles are the truth: joints are their forward
kinematics.

Legend: T frames; root axes are those of forward kinematics (x to the signer's left, y down, z away from the camera).
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from signrep_core.body.forward import (
    forward_kinematics,
    palm_frame,
    root_frame,
    rotate_euler,
    trunk_frames,
    wrist_angles,
)
from signrep_core.body.rotations import rotation_about, rotation_matrices, rotation_vector
from signrep_core.skeleton import (
    ARM_ANGLES,
    HANDS,
    HEAD_ANGLES,
    LOWER_SPINE,
    N_BODY_ANGLES,
    N_HAND_ANGLES,
    N_WRIST_ANGLES,
    NOSE,
    SIDES,
    SPINE_ANGLES,
    Side,
)
from signrep_core.synthetic.anatomy import trunk_section
from signrep_core.synthetic.arrays import unit
from signrep_core.synthetic.signer import UPPER_ARM, Floats, Signer
from signrep_core.synthetic.signs import BY_GLOSS, FINGER_AXIS, MOVES, PLACES, Place, Sign, direction, shape_angles

_STYLE, _TAKE = 14, 15  # streams of randomness
_PARTS: Final = {
    "index": ((8,), 0.007), "middle": ((12,), 0.007), "thumb": ((4,), 0.008), "tips": ((8, 12), 0.006),
    "palm": ((0, 5, 9, 17), 0.016), "pinky": ((0, 17), 0.010),
}  # fmt: skip
FLESH: Final = 0.020  # least distance in metres between joints of two hands
MOST_BEND: Final = np.radians(62.0)  # of the wrist
NO_GLOSS: Final = -1


@dataclass(frozen=True)
class Motion:
    """A performance, frame by frame."""

    fps: float
    body: Floats  # (T, 22) radians
    right: Floats  # (T, 41)
    left: Floats  # (T, 41)
    gloss: NDArray[np.int32]  # (T,) index into the glosses performed, -1 in rest and transitions
    signing: dict[Side, NDArray[np.bool_]]  # (T,) the hand takes part in a stroke
    lids: Floats  # (T,) 0 shut .. 1 open
    mouth: Floats  # (T,) 0 closed .. 1 open
    brows: Floats  # (T,) -1 .. 1

    def __len__(self) -> int:
        return len(self.body)


@dataclass
class _HandPlan:
    """The planned movement of a hand in each frame; NaN where a transition is not filled in yet."""

    target: Floats  # (T, 3) where the part goes, root axes
    part: Floats  # (T, 3) the part's place in the palm frame, metres
    palm: Floats  # (T, 3, 3) palm frame (columns x towards the pinky (right), y out of the palm, z along the index)
    fingers: Floats  # (T, 38)


@dataclass(frozen=True)
class _Style:
    """The style of a person and the variation of a take."""

    pace: float
    size: float
    raise_: float  # metres added to neutral places
    loose: float  # softens hand shapes
    rest: str
    sway: Floats
    rng: np.random.Generator = field(compare=False)


@dataclass(frozen=True)
class _TimeLine:
    """The signs of a performance in time."""

    signs: list[Sign]
    spans: list[tuple[int, int]]  # frames [start, end) of each stroke
    length: int  # frames in all
    fps: float

    def presence(self, ramp: float) -> Floats:
        """(T,) 0 at rest .. 1 while signing, with ramps of so many frames."""
        frames = np.arange(self.length)
        return _ease((frames - self.spans[0][0] + ramp) / ramp) * _ease((self.spans[-1][1] + ramp - frames) / ramp)


def perform(signer: Signer, glosses: tuple[str, ...], seed: int, fps: float = 25.0) -> Motion:
    """Perform `glosses` one after another, starting and ending at rest.

    Raises:
        KeyError: a gloss is not in the inventory.
    """
    style = _make_style(signer, seed)
    time_line = _make_time_line(style, [BY_GLOSS[gloss] for gloss in glosses], fps)
    gloss = np.full(time_line.length, NO_GLOSS, np.int32)
    for i, (start, end) in enumerate(time_line.spans):
        gloss[start:end] = i
    body = _body_angles(signer, style, time_line)
    solver = _Solver(signer, body)
    dominant: Side = "left" if signer.left_handed else "right"
    passive: Side = "right" if signer.left_handed else "left"
    plans: dict[Side, _HandPlan] = {}
    for side in (passive, dominant):
        plans[side] = _plan_hand(solver, style, time_line, side, plans.get(passive))
        solver.settle(side, plans[side])
    right, left = solver.solve(plans)
    lids, mouth, brows = _face(style, time_line)
    signing = {dominant: gloss != NO_GLOSS, passive: np.zeros(time_line.length, bool)}
    for sign, (start, end) in zip(time_line.signs, time_line.spans, strict=True):
        signing[passive][start:end] = sign.hands != "one"
    return Motion(fps, solver.body, right, left, gloss, signing, lids, mouth, brows)


# ---------------------------------------------------------------- style and time
def _make_style(signer: Signer, seed: int) -> _Style:
    person = np.random.default_rng([signer.seed, _STYLE])
    rng = np.random.default_rng([signer.seed, seed, _TAKE])
    return _Style(
        pace=person.uniform(0.88, 1.15) * rng.uniform(0.92, 1.08),
        size=person.uniform(0.88, 1.14) * rng.uniform(0.93, 1.07),
        raise_=person.uniform(-0.02, 0.03) + rng.uniform(-0.01, 0.01),
        loose=person.uniform(0.0, 0.08),
        rest="front" if person.random() < 0.5 else "sides",
        sway=rng.uniform(-1, 1, 12),
        rng=rng,
    )


def _make_time_line(style: _Style, signs: list[Sign], fps: float) -> _TimeLine:
    draw = style.rng.uniform
    at = draw(0.10, 0.22) + 0.34 / style.pace
    spans = []
    for _ in signs:
        stroke = draw(0.52, 0.72) / style.pace
        spans.append((round(at * fps), round((at + stroke) * fps)))
        at += stroke + draw(0.22, 0.32) / style.pace
    end = spans[-1][1] + round((0.38 / style.pace + draw(0.08, 0.20)) * fps)
    return _TimeLine(signs, spans, end, fps)


def _ease(u: Floats) -> Floats:
    u = np.clip(u, 0, 1)
    return u * u * u * (10 - 15 * u + 6 * u * u)


def _face(style: _Style, time_line: _TimeLine) -> tuple[Floats, Floats, Floats]:
    """(T,) each: lids, mouth and brows."""
    length, fps, rng = time_line.length, time_line.fps, style.rng
    frames = np.arange(length)
    lids = np.full(length, 0.95)
    at = rng.uniform(0.2, 1.6)
    while at * fps < length:
        lids *= 1 - np.exp(-(((frames - at * fps) / (0.055 * fps)) ** 2))
        at += rng.uniform(1.6, 4.0)
    mouth = np.zeros(length)
    for start, end in time_line.spans:
        u = (frames - start) / max(end - start, 1)
        syllables = rng.integers(1, 3)
        wave = np.sin(np.pi * np.clip(u, 0, 1)) * np.abs(np.sin(np.pi * syllables * np.clip(u, 0, 1)))
        mouth += rng.uniform(0.0, 0.7) * wave
    brows = 0.25 * rng.uniform(-1, 1) + 0.35 * rng.uniform(-1, 1) * time_line.presence(0.3 * fps)
    return lids, np.clip(mouth, 0, 1), brows


def _body_angles(signer: Signer, style: _Style, time_line: _TimeLine) -> Floats:
    """(T, 22) head and trunk; the arms are still zero."""
    length, fps, spans = time_line.length, time_line.fps, time_line.spans
    t, s, rng = np.arange(length) / fps, style.sway, style.rng
    signing = time_line.presence(0.35 * fps)

    def drift(k: int, period: float) -> Floats:
        return np.sin(2 * np.pi * (t / period + s[k])) * (0.6 + 0.4 * s[k + 1])

    angles = np.zeros((length, N_BODY_ANGLES))
    nod = sum(np.exp(-(((t * fps - (a + b) / 2) / (0.25 * (b - a) + 1)) ** 2)) * rng.uniform(-2, 5) for a, b in spans)
    angles[:, HEAD_ANGLES] = np.stack(
        (
            np.radians(1.5 * drift(0, 3.1) + 1.5 * s[8] * signing),
            signer.face.upright + np.radians(1.2 * drift(1, 2.3) + 2 * s[9] + nod),
            np.radians(2.5 * drift(2, 3.7) + 4 * s[10] * signing),
        ),
        -1,
    )
    angles[:, LOWER_SPINE] = np.radians(-17 + 1.5 * s[11])
    spine = (1.0 * drift(3, 4.1), 11 + 1.0 * drift(4, 3.3) + 1.0 * signing, 1.6 * drift(5, 3.9))
    angles[:, SPINE_ANGLES] = np.radians(np.stack(spine, -1))
    return angles


# ---------------------------------------------------------------- planning the hands
def _plan_hand(
    solver: "_Solver", style: _Style, time_line: _TimeLine, side: Side, passive: _HandPlan | None
) -> _HandPlan:
    """Plan the dominant hand, given the plan of the passive one, or the passive hand first (None)."""
    plan = _rest_plan(solver, style, time_line.length, side)
    known = np.zeros(time_line.length, bool)
    lead = round(0.34 / style.pace * time_line.fps)
    known[: max(time_line.spans[0][0] - lead, 1)] = True
    known[min(time_line.spans[-1][1] + lead, time_line.length - 1) :] = True
    for sign, (start, end) in zip(time_line.signs, time_line.spans, strict=True):
        window = slice(start, end)
        if passive is None and sign.hands == "one":  # the passive hand rests while it is not needed
            known[window] = True
            continue
        if passive is None and sign.hands == "base":
            stroke = _plan_base(solver, style, sign, window, side)
        else:
            stroke = _plan_stroke(solver, style, sign, window, side, passive)
        for name in ("target", "part", "palm", "fingers"):
            getattr(plan, name)[window] = getattr(stroke, name)
        known[window] = True
    _fill(plan, known)
    return plan


def _rest_plan(solver: "_Solver", style: _Style, length: int, side: Side) -> _HandPlan:
    k, mirror = solver.scale, np.array([1 if side == "left" else -1, 1, 1])
    if style.rest == "sides":
        target, fingers, palm = (0.215, -0.475, 0.085), "down+0.35forward", "in+0.45back"
    else:
        target, fingers, palm = (0.115, -0.395, 0.185), "0.7down+0.75in+0.4forward", "back+0.3in+0.2down"
    wobble = style.rng.uniform(-0.012, 0.012, 3)
    place = (np.array(target) * (1, -1, -1) * k + wobble) * mirror
    plan = _HandPlan(
        target=np.broadcast_to(place, (length, 3)).copy(),
        part=np.zeros((length, 3)),
        palm=np.broadcast_to(_palm_frame(direction(fingers), direction(palm), side), (length, 3, 3)).copy(),
        fingers=np.broadcast_to(shape_angles("rest"), (length, 38)).copy(),
    )
    breath = 0.003 * np.sin(2 * np.pi * (np.arange(length) / 90 + style.sway[0]))
    plan.target[:, 1] += breath
    return plan


def _palm_frame(fingers: Floats, palm: Floats, side: Side) -> Floats:
    """(3, 3) palm frame in root axes from the directions (out, up, forward) of the fingers and of the palm."""
    flip = np.array([1.0 if side == "left" else -1.0, -1, -1])
    z, y = fingers * flip, palm * flip
    y = y - z * (y @ z)
    y /= np.linalg.norm(y)
    x = np.cross(y, z)
    axis = FINGER_AXIS if side == "right" else -FINGER_AXIS  # the index metacarpal is not parallel to the fingers
    c, s = np.cos(axis), np.sin(axis)
    return np.stack([c * x + s * z, y, c * z - s * x], -1)


def _plan_base(solver: "_Solver", style: _Style, sign: Sign, window: slice, side: Side) -> _HandPlan:
    shape, fingers, palm = sign.base
    n = window.stop - window.start
    place = Place("neck", (0.055, -0.20, 0.25))
    angles = np.broadcast_to(_jitter(style, shape_angles(shape)), (n, 38))
    part = solver.part_place(side, angles, "palm")
    return _HandPlan(
        target=solver.place(place, side, window, style.raise_),
        part=part,
        palm=np.broadcast_to(_palm_frame(direction(fingers), direction(palm), side), (n, 3, 3)),
        fingers=angles,
    )


def _plan_stroke(
    solver: "_Solver", style: _Style, sign: Sign, window: slice, side: Side, passive: _HandPlan | None
) -> _HandPlan:
    flip = np.array([1.0 if side == "left" else -1.0, -1, -1])
    u = np.arange(window.stop - window.start) / max(window.stop - window.start - 1, 1)
    alternates = passive is None and sign.hands == "alternate"
    shift, turn, mix = MOVES[sign.move]((u + 0.25) % 1.0 if alternates else u)
    first = _jitter(style, shape_angles(sign.shape))
    last = _jitter(style, shape_angles(sign.end_shape or ("fist" if sign.move == "open" else sign.shape)))
    if sign.end_shape and sign.move not in ("open", "flick"):
        mix = _ease((u - 0.25) / 0.6)
    fingers = first + (last - first) * mix[:, None]
    fingers = fingers + style.loose * (shape_angles("rest") - fingers)
    frame = _palm_frame(direction(sign.fingers), direction(sign.palm), side)
    wobble = np.radians(style.rng.normal(0, 4, 3))
    palm = _turned(frame, turn * (0.7 + 0.3 * style.size) + wobble, side)
    place = PLACES[sign.place]
    if place.anchor == "other" and passive is not None:
        anchor = solver.on_other(passive, window, sign.place, side)
    else:
        anchor = solver.place(place, side, window, style.raise_ if place.anchor == "neck" else 0.0)
    jitter = style.rng.normal(0, 0.006 if place.anchor != "neck" else 0.012, 3)
    jitter[2] = abs(jitter[2]) if place.anchor != "neck" else jitter[2]
    together = sign.place == "meet" and sign.hands in ("both", "alternate")
    if together:
        jitter[0] = 0.0
    target = anchor + (shift * style.size * solver.scale + jitter) * flip
    part = solver.part_place(side, fingers, sign.part)
    return _HandPlan(target, part, palm, fingers)


def _jitter(style: _Style, angles: Floats) -> Floats:
    return angles + np.radians(style.rng.normal(0, 2.0, angles.shape)) * (angles != 0)


def _turned(frame: Floats, turn: Floats, side: Side) -> Floats:
    """(T, 3, 3) palm frames rotated by (twist, nod, wag): about the fingers, the width and the normal of the palm."""
    mirror = 1.0 if side == "right" else -1.0
    angles = turn * (mirror, -1, mirror)
    return np.stack(rotate_euler((frame[:, 0], frame[:, 1], frame[:, 2]), "zxy", angles), -1)


def _fill(plan: _HandPlan, known: NDArray[np.bool_]) -> None:
    """Fill the unknown frames with smooth transitions between the known ones."""
    frames = np.arange(len(known))
    for start, end in _gaps(known):
        before, after = start - 1, end
        u = _ease((frames[start:end] - before) / (after - before))
        travel = np.linalg.norm(plan.target[after] - plan.target[before])
        arch = np.sin(np.pi * u)[:, None] * np.array(
            [0, 0, -np.minimum(0.02 + 0.22 * travel, 0.14)]
        )  # hands swing forward
        for name in ("target", "part", "fingers"):
            values = getattr(plan, name)
            values[start:end] = values[before] + (values[after] - values[before]) * u[:, None]
        plan.target[start:end] += arch
        plan.palm[start:end] = _slerp(plan.palm[before], plan.palm[after], u)


def _gaps(known: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edge = np.flatnonzero(np.diff(np.concatenate([[1], known.astype(int), [1]])))
    return list(zip(edge[::2], edge[1::2], strict=True))


def _slerp(first: Floats, last: Floats, u: Floats) -> Floats:
    """(n, 3, 3) rotations from `first` to `last` along the shortest way."""
    vector = rotation_vector(first.T @ last)
    return first @ rotation_matrices(u[:, None] * vector)


# ---------------------------------------------------------------- from plans to angles
class _Solver:
    """The signer's body in every frame: positions of places, and the angles that bring the hands to them."""

    def __init__(self, signer: Signer, body: Floats) -> None:
        self.signer, self.body = signer, body
        self.scale = signer.upper_arm / UPPER_ARM
        zeros = np.zeros((len(body), N_HAND_ANGLES))
        joints = forward_kinematics(body, zeros, zeros, signer.body_offsets, signer.hand_offsets)
        self.nose = joints[:, NOSE]
        head, self.spine, self.lower = (np.stack(frame, -1) for frame in trunk_frames(body))
        self.face = head @ rotation_about("x", -signer.face.upright)

    def place(self, place: Place, side: Side, window: slice, raised: float) -> Floats:
        """(T', 3) the place in root axes."""
        flip = np.array([1.0 if side == "left" else -1.0, -1, -1])
        offset = np.array(place.offset)
        if place.anchor == "face":
            return self.nose[window] + (self.face[window] @ (offset * flip)) * self.signer.face.scale
        if place.anchor == "chest":
            down, out = -offset[1] * self.scale, offset[0] * self.scale
            width, depth, shift = trunk_section(self.signer, down)
            front = shift + depth * np.sqrt(max(1 - (out / width) ** 2, 0.05)) + offset[2] + 0.004
            return self.in_trunk(window, np.array([out * flip[0], down, front]))
        offset = offset + np.array([0, raised, 0])
        return np.broadcast_to(offset * flip * self.scale, (window.stop - window.start, 3))

    def in_trunk(self, window: slice, point: Floats) -> Floats:
        """A point (left, down, forward of the spine) in root axes."""
        half = self.signer.body_offsets[0] * self.signer.body_offsets[5]
        spine, lower = self.spine[window], self.lower[window]
        upper_part = min(point[1], half)
        along = spine[..., 1] * upper_part + lower[..., 1] * (point[1] - upper_part)
        frame = spine if point[1] < half else lower
        return along + frame[..., 0] * point[0] - frame[..., 2] * point[2]

    def part_place(self, side: Side, fingers: Floats, part: str) -> Floats:
        """(T', 3) a part of the hand in the palm frame: on its skin, not at its bone."""
        joints, radius = _PARTS[part]
        hand = self.hand_shape(side, fingers)
        place = hand[:, list(joints)].mean(1)
        if part == "palm":
            place = place + np.array([0, radius, 0])
        elif part == "pinky":
            place = place + np.array([radius if side == "right" else -radius, 0, 0])
        else:
            outward = place - hand[:, [joints[0] - 1]].mean(1)
            place = place + outward / np.linalg.norm(outward, axis=-1, keepdims=True) * radius * 0.5
        return place

    def hand_shape(self, side: Side, fingers: Floats) -> Floats:
        """(T', 21, 3) the hand's joints in its palm frame."""
        hand = np.concatenate([np.zeros((len(fingers), 3)), fingers], 1)
        rest = np.zeros((len(fingers), N_BODY_ANGLES))
        joints = forward_kinematics(rest, hand, hand, self.signer.body_offsets, self.signer.hand_offsets)
        own = joints[:, HANDS[side]]
        return (own - own[:, :1]) @ np.stack(palm_frame(side, np.zeros(N_WRIST_ANGLES)), -1)

    def on_other(self, other: _HandPlan, window: slice, place: str, side: Side) -> Floats:
        """(T', 3) a place on the passive hand."""
        passive: Side = "left" if side == "right" else "right"
        hand = self.hand_shape(passive, other.fingers[window])
        palm, wrist = (
            other.palm[window],
            other.target[window] - np.einsum("tij,tj->ti", other.palm[window], other.part[window]),
        )
        joints, lift = {"palm": ((0, 5, 9, 17), 0.017), "fingers": ((6, 10), 0.008), "wrist": ((0, 0, 9), -0.015)}[
            place
        ]
        spot = hand[:, list(joints)].mean(1) + np.array([0, lift, 0])
        return wrist + np.einsum("tij,tj->ti", palm, spot)

    def settle(self, side: Side, plan: _HandPlan) -> None:
        """Replace a plan by its reachable version, so that the other hand meets this one at its final place."""
        shape, palm, pushed = self.hand_shape(side, plan.fingers), plan.palm, np.zeros_like(plan.target)
        for _ in range(4):
            part = np.einsum("tij,tj->ti", palm, plan.part)
            arm = self._reach(side, plan.target + pushed - part, palm)
            palm = _limit_bend(plan.palm, arm.forearm[..., 1])
            hand = arm.wrist[:, None] + np.einsum("tij,tpj->tpi", palm, shape)
            pushed = pushed + self._push_out(hand, arm)
        plan.palm = palm
        plan.target = arm.wrist + np.einsum("tij,tj->ti", palm, plan.part)

    def solve(self, plans: dict[Side, _HandPlan]) -> tuple[Floats, Floats]:
        """Right and left hand angles (T, 41); the arm angles go into `self.body`."""
        shapes = {side: self.hand_shape(side, plans[side].fingers) for side in SIDES}
        palms = {side: plans[side].palm.copy() for side in SIDES}
        pushed = {side: np.zeros_like(plans[side].target) for side in SIDES}
        arms: dict[Side, _Arm] = {}
        for _ in range(6):
            points = {}
            for side in SIDES:
                plan = plans[side]
                wrist = plan.target + pushed[side] - np.einsum("tij,tj->ti", palms[side], plan.part)
                arms[side] = arm = self._reach(side, wrist, palms[side])
                palms[side] = _limit_bend(plan.palm, arm.forearm[..., 1])
                points[side] = arm.wrist[:, None] + np.einsum("tij,tpj->tpi", palms[side], shapes[side])
            for side in SIDES:
                pushed[side] += self._push_out(points[side], arms[side])
            apart = _push_apart(points["right"], points["left"])
            pushed["right"] += apart
            pushed["left"] -= apart
        angles = []
        for side in SIDES:
            self._store_arm(side, arms[side])
            palms[side] = _limit_bend(plans[side].palm, arms[side].forearm[..., 1])
            angles.append(np.concatenate([wrist_angles(side, palms[side]), plans[side].fingers], 1))
        return angles[0], angles[1]

    def _reach(self, side: Side, wrist: Floats, palm: Floats) -> "_Arm":
        """The arm for a wrist's position, with the elbow out and down depending on the hand's direction."""
        offsets, sign = self.signer.body_offsets, (1.0 if side == "left" else -1.0)
        upper, fore, clavicle = offsets[0], offsets[0] * offsets[2], offsets[0] * offsets[1]
        raised = np.clip((-wrist[:, 1] + 0.05) / 0.35, 0, 1) * np.radians(5)
        ahead = np.clip((-wrist[:, 2] - 0.15) / 0.30, 0, 1) * np.radians(4)
        zeros = np.zeros_like(raised)
        frame = _zxy_frames(np.stack([-sign * raised, zeros, sign * ahead], -1))
        shoulder = frame[..., 0] * sign * clavicle
        reach = wrist - shoulder
        distance = np.linalg.norm(reach, axis=-1, keepdims=True)
        towards = reach / distance
        distance = np.clip(distance, 0.30 * (upper + fore), 0.985 * (upper + fore))
        wrist = shoulder + towards * distance
        along = (upper**2 - fore**2 + distance**2) / (2 * distance)
        height = np.sqrt(np.clip(upper**2 - along**2, 1e-9, None))
        # level fingers that point across the body ask for a raised elbow
        inward = np.clip(-sign * palm[:, 0, 2], 0, 1) * (1 - 0.8 * np.clip(-palm[:, 1, 2], 0, 1))
        pole = np.stack([sign * (0.32 + 0.70 * inward), np.ones_like(inward), 0.30 + 0 * inward], -1)
        pole -= towards * (pole * towards).sum(-1, keepdims=True)
        pole /= np.linalg.norm(pole, axis=-1, keepdims=True)
        elbow = shoulder + towards * along + pole * height
        return _Arm(shoulder, elbow, wrist, frame, np.stack([-sign * raised, sign * ahead], -1))

    def _store_arm(self, side: Side, arm: "_Arm") -> None:
        local = np.einsum("tji,tjk->tik", arm.clavicle, arm.upper)
        cosine = (arm.upper[..., 1] * arm.forearm[..., 1]).sum(-1)
        angles = (
            *arm.clavicle_angles.T,
            np.unwrap(np.arctan2(-local[:, 0, 1], local[:, 1, 1])),
            np.arcsin(np.clip(local[:, 2, 1], -1, 1)),
            np.unwrap(np.arctan2(-local[:, 2, 0], local[:, 2, 2])),
            -np.arccos(np.clip(cosine, -1, 1)),
        )
        self.body[:, ARM_ANGLES[side]] = np.stack(angles, -1)

    def _push_out(self, hand: Floats, arm: "_Arm") -> Floats:
        """(T, 3) the shift that brings hand and forearm out of trunk and head."""
        middle = arm.elbow[:, None] + (arm.wrist - arm.elbow)[:, None] * np.array([0.5, 0.75])[None, :, None]
        trunk = self._out_of_trunk(np.concatenate([hand, middle], 1), np.r_[np.full(21, 0.009), 0.034, 0.03])
        head = self._out_of_head(np.concatenate([hand, middle[:, 1:]], 1), np.r_[np.full(21, 0.007), 0.028])
        both = np.concatenate([trunk, head], 1)
        deepest = np.abs(both).sum(-1).argmax(1)
        return np.take_along_axis(both, deepest[:, None, None], 1)[:, 0]

    def _out_of_trunk(self, points: Floats, radius: Floats) -> Floats:
        frame = self.spine[:, None]
        x, down, back = (
            np.einsum("tpi,tpi->tp", points, np.broadcast_to(frame[..., k], points.shape)) for k in range(3)
        )
        half = self.signer.body_offsets[0] * self.signer.body_offsets[5]
        back = back + np.clip(down - half, 0, None) * np.sin(-self.body[:, LOWER_SPINE, None])
        width, depth, shift = trunk_section(self.signer, down)
        inside = (x / (width + radius)) ** 2 + ((-back - shift) / (depth + radius + 0.004)) ** 2
        inside = np.where((down > -0.02) & (down < 0.62), inside, 9.0)
        outward = np.where(inside < 1, 1 / np.sqrt(np.clip(inside, 0.04, None)) - 1, 0)
        return outward[..., None] * (
            0.35 * x[..., None] * frame[..., 0] - np.abs(back + shift)[..., None] * frame[..., 2]
        )

    def _out_of_head(self, points: Floats, radius: Floats) -> Floats:
        k = self.signer.face.scale
        centre = self.nose + k * (self.face @ np.array([0, -0.040, 0.098]))
        radii = k * np.array([0.074, 0.112, 0.098])
        local = np.einsum("tji,tpj->tpi", self.face, points - centre[:, None])
        size = radii + radius[None, :, None]
        inside = ((local / size) ** 2).sum(-1)
        outward = np.where(inside < 1, 1 / np.sqrt(np.clip(inside, 0.09, None)) - 1, 0)
        return np.einsum("tij,tpj->tpi", self.face, local * outward[..., None])


@dataclass
class _Arm:
    """A posed arm, (T, 3) joints and (T, 3, 3) frames."""

    shoulder: Floats
    elbow: Floats
    wrist: Floats
    clavicle: Floats
    clavicle_angles: Floats  # (T, 2)

    @property
    def upper(self) -> Floats:
        """Frame of the upper arm: y along it, x the elbow's hinge."""
        return self._frames()[0]

    @property
    def forearm(self) -> Floats:
        """Frame of the forearm: y along it, x the elbow's hinge."""
        return self._frames()[1]

    def _frames(self) -> tuple[Floats, Floats]:
        along = unit(self.elbow - self.shoulder)
        fore = unit(self.wrist - self.elbow)
        bend = unit(fore - along * (fore * along).sum(-1, keepdims=True))
        hinge = np.cross(along, -bend)
        return np.stack([hinge, along, -bend], -1), np.stack([hinge, fore, np.cross(hinge, fore)], -1)


def _zxy_frames(angles: Floats) -> Floats:
    """(T, 3, 3) frames Rz Rx Ry of angles (T, 3)."""
    return np.stack(rotate_euler(root_frame(angles), "zxy", angles), -1)


def _limit_bend(palm: Floats, forearm: Floats) -> Floats:
    """Rotate palm frames towards the forearm until the wrist bends no more than MOST_BEND."""
    fingers = palm[..., 2]
    cosine = np.clip((fingers * forearm).sum(-1), -1, 1)
    excess = np.clip(np.arccos(cosine) - MOST_BEND, 0, None)
    axis = unit(np.cross(fingers, forearm))
    return rotation_matrices(axis * excess[:, None]) @ palm


def _push_apart(right: Floats, left: Floats) -> Floats:
    """(T, 3) movement of the right hand (and, negated, of the left) that separates overlapping hands."""
    apart = (right[:, :, None] - left[:, None]).reshape(len(right), -1, 3)
    distance = np.linalg.norm(apart, axis=-1)
    deep = np.clip(FLESH - distance, 0, None)
    way = unit((unit(apart) * deep[..., None]).sum(1))
    return 0.55 * way * deep.max(1)[:, None]
