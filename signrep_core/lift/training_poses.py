"""Poses to train the lifter on: windows of motion from several sources, recombined, varied, and seen by a camera.

The bank holds tracks of motion: whole performances of synthetic signers, and bodies, palms and fingers by themselves,
of synthetic signers and of real people. A window is a performance, or it joins the body of one clip with the palms of
another and with the fingers of others (the same for both hands in some windows). It is then played faster or slower,
varied smoothly in time, its fingers replaced by random poses within the limits in some windows. A left hand's track
is that of a mirrored right one.

All angles are as `body.inverse` solves them from joints, so that ambiguous angles (wrist and metacarpals, the lower
spine) have the values that the closed form gives them. The window is then rotated about the neck into camera axes.
Kinematics has no root rotation: clavicles, shoulders, head, spine and wrists absorb it, as they do when `solve_angles`
is given joints in camera axes.

Legend: N frames of a track, C clips, P people, B windows, T frames of a window, S = 2 sides; radians, metres.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from signrep_core.body.forward import (
    Frame,
    arm_frames,
    palm_frame,
    root_frame,
    rotate_euler,
    trunk_frames,
    wrist_angles,
)
from signrep_core.body.kinematics import forward_kinematics
from signrep_core.body.rotations import rotation_matrices, zxy_angles
from signrep_core.skeleton import (
    ARM_ANGLES,
    BODY_LIMITS,
    DEFAULT_BODY_OFFSETS,
    DEFAULT_HAND_OFFSETS,
    HAND_ANGLES,
    HAND_LIMITS,
    HEAD_ANGLES,
    N_BODY_ANGLES,
    N_HAND_ANGLES,
    N_WRIST_ANGLES,
    SIDES,
    SPINE_ANGLES,
    Side,
)

Floats = NDArray[np.floating]

N_FINGERS: Final = N_HAND_ANGLES - N_WRIST_ANGLES

# (38,) 1 for angles of joints that hardly move, whose random values stay near the middle of their limits.
_STIFF = np.array([float("metacarpal" in name or "thumb_cmc" in name) for name in HAND_ANGLES[N_WRIST_ANGLES:]])


class Clip(NamedTuple):
    """One person's motion as angles, in body axes."""

    body: Floats  # (N, 22) radians
    hands: Floats  # (S, N, 41)
    body_offsets: Floats  # (16,) metres
    hand_offsets: Floats  # (20,)


@dataclass(frozen=True)
class Track:
    """Clips of one kind of motion, one after the other."""

    values: Floats  # (N, n)
    starts: NDArray[np.intp]  # (C + 1,) first frame of each clip, and N

    def draw(self, clips: NDArray[np.intp], pace: "Pace") -> Floats:
        """(B, T, n) windows of the clips (B,), interpolated between frames."""
        first, last = self.starts[clips][:, None], self.starts[clips + 1][:, None] - 1
        at = first + np.clip(pace.place * np.maximum(last - first - pace.span, 0) + pace.frames, 0, last - first)
        before = at.astype(np.intp)
        share = (at - before)[..., None]
        return (1 - share) * self.values[before] + share * self.values[np.minimum(before + 1, last)]


class Pace(NamedTuple):
    """Places of windows in their clips, whatever these clips are."""

    place: Floats  # (B, 1) in 0..1: from the earliest to the latest window of a clip
    span: Floats  # (B, 1) frames of the clip that the window covers
    frames: Floats  # (B, T) frames of the clip from the window's first to each of its own


class Bank(NamedTuple):
    """Motion to draw from, and the bones of many people."""

    performed: Track  # (N, 22 + 2 * 9 + 2 * 38) body, palms, fingers of synthetic signers
    bodies: tuple[Track, ...]  # (N, 22) body angles in body axes, of each source
    palms: tuple[Track, ...]  # (N, 9) palm frames in the forearm's, rows first; a left one mirrored
    fingers: tuple[Track, ...]  # (N, 38)
    body_offsets: tuple[Floats, ...]  # (P, 16) of each source
    hand_offsets: tuple[Floats, ...]  # (P, 20)


@dataclass(frozen=True)
class Poses:
    """Windows of poses in camera axes: the lifter's targets."""

    body: Floats  # (B, T, 22) radians, camera axes
    hands: Floats  # (S, B, T, 41)
    body_offsets: Floats  # (B, 16)
    hand_offsets: Floats  # (B, 20)
    joints: Floats  # (B, T, 61, 3) metres, camera axes, neck at the origin


@dataclass(frozen=True)
class Variety:
    """Random variation of the performances: standard deviations in degrees, and probabilities."""

    arms: float = 9.0
    head: float = 6.0
    trunk: float = 3.0
    palms: float = 12.0
    fingers: float = 7.0
    varied: float = 0.6  # probability that a window is varied at all
    performed: float = 0.35  # probability that a window is a whole performance
    symmetric: float = 0.25  # probability that both hands of another window have the same fingers
    loose: float = 0.15  # probability that arms and palms vary three times as much
    slowest: float = 0.6  # speeds of the motion, relative to its own
    fastest: float = 1.5
    random_fingers: float = 0.15  # probability that a hand's fingers are random within the limits
    bones: float = 0.035  # standard deviation of the log of each bone
    yaw: float = 9.0
    wide_yaw: float = 60.0  # largest, of a quarter of the windows
    pitch: float = 5.0
    roll: float = 2.0


def join_clips(clips: Sequence[Clip]) -> Bank:
    """Join clips of one source into a bank, in their order."""
    body = np.concatenate([clip.body for clip in clips])
    hands = np.concatenate([clip.hands for clip in clips], 1)
    starts = np.cumsum([0, *(len(clip.body) for clip in clips)])
    palms = [palms_in_forearms(side, body, hands[k, :, :N_WRIST_ANGLES]) for k, side in enumerate(SIDES)]
    fingers = list(hands[..., N_WRIST_ANGLES:])
    twice = np.concatenate([starts, starts[1:] + starts[-1]])
    return Bank(
        performed=Track(np.concatenate([body, *palms, *fingers], -1), starts),
        bodies=(Track(body, starts),),
        palms=(Track(np.concatenate(palms), twice),),
        fingers=(Track(np.concatenate(fingers), twice),),
        body_offsets=(np.stack([clip.body_offsets for clip in clips]),),
        hand_offsets=(np.stack([clip.hand_offsets for clip in clips]),),
    )


def draw_poses(bank: Bank, windows: int, frames: int, rng: np.random.Generator, variety: Variety) -> Poses:
    """Draw random windows of the bank, varied and rotated."""
    pace = _draw_pace(windows, frames, rng, variety)
    body, palms, fingers = _draw_motion(bank, pace, rng, variety)
    varied = (rng.random((windows, 1, 1)) < variety.varied).astype(np.float64)
    loose = varied * np.where(rng.random((windows, 1, 1)) < variety.loose, 3, 1)
    body = _vary_body(body, loose, rng, variety)
    turns = [rotation_matrices(loose * _wobble(rng, windows, frames, 3, variety.palms)) for _ in SIDES]
    palms = [mirror_palms(palm @ turn, side) for palm, turn, side in zip(palms, turns, SIDES, strict=True)]
    fingers = [_vary_fingers(finger, varied, rng, variety) for finger in fingers]
    rotated, wrists = rotate_about_neck(body, np.stack(palms), _draw_views(rng, windows, variety))
    hands = np.concatenate([wrists, np.stack(fingers)], -1)
    body_offsets, hand_offsets = _draw_bones(bank, windows, rng, variety)
    joints = forward_kinematics(rotated, hands[0], hands[1], body_offsets[:, None], hand_offsets[:, None])
    return Poses(rotated, hands, body_offsets, hand_offsets, joints)


def _draw_pace(windows: int, frames: int, rng: np.random.Generator, variety: Variety) -> Pace:
    slowest, fastest = np.log([variety.slowest, variety.fastest])
    speed = np.exp(rng.uniform(slowest, fastest, (windows, 1)))
    times = speed * np.arange(frames)
    times = np.where(rng.random((windows, 1)) < 0.5, times, times[:, ::-1])  # half of the windows run backwards
    return Pace(rng.random((windows, 1)), speed * (frames - 1), times)


def _draw_motion(
    bank: Bank, pace: Pace, rng: np.random.Generator, variety: Variety
) -> tuple[Floats, list[Floats], list[Floats]]:
    """Body (B, T, 22), palms (B, T, 3, 3) in their forearms and fingers (B, T, 38) of each side."""
    windows = len(pace.place)
    whole = rng.random((windows, 1, 1)) < variety.performed
    clips = rng.integers(0, len(bank.performed.starts) - 1, windows)
    body, *parts = np.split(bank.performed.draw(clips, pace), np.cumsum([N_BODY_ANGLES, 9, 9, N_FINGERS]), -1)
    body = np.where(whole, body, _draw_track(bank.bodies, pace, rng))
    palms = [np.where(whole, palm, _draw_track(bank.palms, pace, rng)) for palm in parts[:2]]
    fingers = [np.where(whole, own, _draw_track(bank.fingers, pace, rng)) for own in parts[2:]]
    same = ~whole & (rng.random((windows, 1, 1)) < variety.symmetric)
    fingers[1] = np.where(same, fingers[0], fingers[1])
    return body, [_rotations(palm) for palm in palms], fingers


def _draw_track(sources: tuple[Track, ...], pace: Pace, rng: np.random.Generator) -> Floats:
    """(B, T, n) windows of clips, each of the sources equally often."""
    windows = len(pace.place)
    source = rng.integers(0, len(sources), windows)[:, None, None]
    drawn = [track.draw(rng.integers(0, len(track.starts) - 1, windows), pace) for track in sources]
    return np.asarray(np.choose(source, drawn))


def _rotations(palms: Floats) -> Floats:
    """(..., 3, 3) rotation matrices near the interpolated ones (..., 9), by Gram-Schmidt."""
    x, y, _ = np.moveaxis(palms.reshape(*palms.shape[:-1], 3, 3), -1, 0)
    x = x / np.linalg.norm(x, axis=-1, keepdims=True)
    y = y - (x * y).sum(-1, keepdims=True) * x
    y = y / np.linalg.norm(y, axis=-1, keepdims=True)
    return np.stack((x, y, np.cross(x, y)), -1)


def rotate_about_neck(body: Floats, palms: Floats, view: Floats) -> tuple[Floats, Floats]:
    """Angles of a signer after a rotation of the whole body about the neck.

    Args:
        body: (B, T, 22) radians.
        palms: (S, B, T, 3, 3) palm frames relative to the forearms.
        view: (B, 3, 3) the rotation.

    Returns:
        (B, T, 22) body angles and (S, B, T, 3) wrist angles.
    """
    rotated = body.copy()
    for columns, frame in zip((HEAD_ANGLES, SPINE_ANGLES), trunk_frames(body)[:2], strict=True):
        rotated[..., columns] = _zxy(_rotated(view, frame))
    wrists = []
    for k, side in enumerate(SIDES):
        clavicle, upper, fore = (_rotated(view, frame) for frame in arm_frames(side, body))
        x = clavicle[0]
        z_angle = np.arctan2(x[..., 1], x[..., 0])
        y_angle = -np.arctan2(x[..., 2], np.hypot(x[..., 0], x[..., 1]))
        new_clavicle = rotate_euler(root_frame(x), "zy", np.stack((z_angle, y_angle), -1))
        shoulder = _zxy([_local(new_clavicle, column) for column in upper])
        arm = rotated[..., ARM_ANGLES[side]]  # a view
        arm[..., :2], arm[..., 2:5] = np.stack((z_angle, y_angle), -1), shoulder
        wrists.append(wrist_angles(side, np.stack(fore, -1) @ palms[k]))
    lowest, highest = BODY_LIMITS.T
    middle = (lowest + highest) / 2
    rotated -= 2 * np.pi * np.round((rotated - middle) / (2 * np.pi))
    return np.clip(rotated, lowest, highest), np.stack(wrists)


def palms_in_forearms(side: Side, body: Floats, wrist: Floats) -> Floats:
    """(N, 9) palm frames relative to the forearms, rows first, from angles (N, 22) and (N, 3)."""
    forearm = np.stack(arm_frames(side, body)[2], -1)
    palm = np.swapaxes(forearm, -1, -2) @ np.stack(palm_frame(side, wrist), -1)
    return mirror_palms(palm, side).reshape(-1, 9)


def mirror_palms(palms: Floats, side: Side) -> Floats:
    """Palm frames (..., 3, 3) of a side in the forearm's, as of a right hand; the inverse of itself."""
    signs = np.array([1.0 if side == "right" else -1.0, 1, 1])
    return np.asarray(palms * np.outer(signs, signs))


def _rotated(view: Floats, frame: Frame) -> Frame:
    """Rotate a frame (columns (B, T, 3)) by (B, 3, 3)."""
    x, y, z = (np.einsum("bij,btj->bti", view, np.broadcast_to(c, np.broadcast_shapes(c.shape, frame[0].shape)))
               for c in frame)  # fmt: skip
    return x, y, z


def _local(frame: Frame, vector: Floats) -> Floats:
    return np.stack([(axis * vector).sum(-1) for axis in frame], -1)


def _zxy(frame: Sequence[Floats]) -> Floats:
    return np.moveaxis(zxy_angles([np.moveaxis(axis, -1, 0) for axis in frame]), 0, -1)


# ---------------------------------------------------------------- variety
def _wobble(rng: np.random.Generator, windows: int, frames: int, n: int, degrees: float) -> Floats:
    """(B, T, n) smooth noise in radians, of standard deviation `degrees`: a constant and two slow waves."""
    t = np.arange(frames)[None, :, None]
    total = rng.normal(0, 1.0, (windows, 1, n))
    for _ in range(2):
        period, phase = rng.uniform(8, 60, (windows, 1, n)), rng.uniform(0, 2 * np.pi, (windows, 1, n))
        total = total + rng.normal(0, 0.7, (windows, 1, n)) * np.sin(2 * np.pi * t / period + phase)
    return np.radians(degrees / np.sqrt(1.5)) * total


def _vary_body(body: Floats, varied: Floats, rng: np.random.Generator, variety: Variety) -> Floats:
    windows, frames, n = body.shape
    size = np.zeros(n)
    for side in SIDES:
        size[ARM_ANGLES[side]] = np.array([0.4, 0.4, 1, 1, 1.4, 1.4]) * variety.arms
    size[HEAD_ANGLES], size[SPINE_ANGLES] = variety.head, variety.trunk
    moved = body + varied * _wobble(rng, windows, frames, n, 1.0) * size
    return np.clip(moved, *BODY_LIMITS.T)


def _vary_fingers(fingers: Floats, varied: Floats, rng: np.random.Generator, variety: Variety) -> Floats:
    """(B, T, 38) performed fingers with variation, or moving between two random poses within their limits."""
    windows, frames, n = fingers.shape
    limits = HAND_LIMITS[N_WRIST_ANGLES:]
    moved = fingers + varied * _wobble(rng, windows, frames, n, variety.fingers) * (1 - 0.7 * _STIFF)
    place = rng.beta(0.8, 0.8, (2, windows, 1, n)) * (1 - _STIFF) + _STIFF * rng.beta(4, 4, (2, windows, 1, n))
    first, last = limits[:, 0] + (limits[:, 1] - limits[:, 0]) * place
    at, width = rng.uniform(0, frames, (windows, 1, 1)), rng.uniform(3, 15, (windows, 1, 1))
    share = 1 / (1 + np.exp(-(np.arange(frames)[None, :, None] - at) / width * 4))
    random = rng.random((windows, 1, 1)) < variety.random_fingers
    return np.clip(np.where(random, first + (last - first) * share, moved), *limits.T)


def _draw_bones(bank: Bank, windows: int, rng: np.random.Generator, variety: Variety) -> tuple[Floats, Floats]:
    """Draw bones of the bank's people, some closer to the defaults, each a little longer or shorter."""
    share = rng.random((windows, 1)) ** 2 * (rng.random((windows, 1)) < 0.5)
    drawn = []
    for sources, defaults in ((bank.body_offsets, DEFAULT_BODY_OFFSETS), (bank.hand_offsets, DEFAULT_HAND_OFFSETS)):
        people = [source[rng.integers(0, len(source), windows)] for source in sources]
        bones = np.asarray(np.choose(rng.integers(0, len(sources), windows)[:, None], people))
        bones = bones + share * (defaults - bones)
        drawn.append(bones * np.exp(rng.normal(0, variety.bones, bones.shape) * (rng.random((windows, 1)) < 0.7)))
    return drawn[0], drawn[1]


def _draw_views(rng: np.random.Generator, windows: int, variety: Variety) -> Floats:
    """(B, 3, 3) random rotations of the body relative to the camera."""
    wide = rng.random(windows) < 0.25
    yaw = np.where(wide, rng.uniform(-1, 1, windows) * variety.wide_yaw, rng.normal(0, variety.yaw, windows))
    tilt = np.where(wide, 2.0, 1.0)
    angles = (rng.normal(0, variety.roll, windows) * tilt, rng.normal(0, variety.pitch, windows) * tilt, yaw)
    eye = np.eye(3)
    rolls, pitches, yaws = (
        rotation_matrices(np.radians(angle)[:, None] * eye[axis]) for angle, axis in zip(angles, (2, 0, 1), strict=True)
    )
    return rolls @ pitches @ yaws
