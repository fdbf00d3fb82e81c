"""Poses to train the lifter on: windows of performances, varied, and rotated as a camera would see them.

The bank holds the angles of many clips as `body.inverse` solves them from their joints, so that ambiguous angles (wrist
and metacarpals, the lower spine) have the values that the closed form gives them. A window is cut from a clip; its
arms, wrists and fingers are varied smoothly in time, or its fingers replaced by random poses within the limits. The
window is then rotated about the neck into camera axes. Kinematics has no root rotation: clavicles, shoulders, head,
spine and wrists absorb it, as they do when `solve_angles` is given joints in camera axes.

Legend: N frames of the bank, B windows, T frames of a window, S = 2 sides; radians, metres.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

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
    N_WRIST_ANGLES,
    SIDES,
    SPINE_ANGLES,
    Side,
)

Floats = NDArray[np.floating]

# (38,) 1 for angles of joints that hardly move, whose random values stay near the middle of their limits.
_STIFF = np.array([float("metacarpal" in name or "thumb_cmc" in name) for name in HAND_ANGLES[N_WRIST_ANGLES:]])


class Clip(NamedTuple):
    """One person's motion as angles, in body axes."""

    body: Floats  # (N, 22) radians
    hands: Floats  # (S, N, 41)
    body_offsets: Floats  # (16,) metres
    hand_offsets: Floats  # (20,)


@dataclass(frozen=True)
class Bank:
    """Concatenated performances, and the bones of many people."""

    body: Floats  # (N, 22) radians, body axes
    hands: Floats  # (S, N, 41)
    palms: Floats  # (S, N, 3, 3) palm frame in the forearm's, columns in the last axis
    starts: NDArray[np.intp]  # first frame of each clip, and N
    body_offsets: Floats  # (P, 16)
    hand_offsets: Floats  # (P, 20)


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
    random_fingers: float = 0.15  # probability that a hand's fingers are random within the limits
    bones: float = 0.035  # standard deviation of the log of each bone
    yaw: float = 9.0
    wide_yaw: float = 40.0  # largest, of a quarter of the windows
    pitch: float = 5.0
    roll: float = 2.0


def join_clips(clips: Sequence[Clip]) -> Bank:
    """Join clips into a bank, in their order."""
    body = np.concatenate([clip.body for clip in clips])
    hands = np.concatenate([clip.hands for clip in clips], 1)
    palms = np.stack([_palm_in_forearm(side, body, hands[k, :, :N_WRIST_ANGLES]) for k, side in enumerate(SIDES)])
    return Bank(
        body=body,
        hands=hands,
        palms=palms,
        starts=np.cumsum([0, *(len(clip.body) for clip in clips)]),
        body_offsets=np.stack([clip.body_offsets for clip in clips]),
        hand_offsets=np.stack([clip.hand_offsets for clip in clips]),
    )


def draw_poses(bank: Bank, windows: int, frames: int, rng: np.random.Generator, variety: Variety) -> Poses:
    """Draw random windows of the bank, varied and rotated."""
    clips = rng.integers(0, len(bank.starts) - 1, windows)
    room = np.maximum(np.diff(bank.starts)[clips] - frames, 0)
    first = bank.starts[clips] + (rng.random(windows) * (room + 1)).astype(np.intp)
    index = np.minimum(first[:, None] + np.arange(frames), bank.starts[clips + 1][:, None] - 1)
    index = np.where(rng.random((windows, 1)) < 0.5, index, index[:, ::-1])  # half of the windows run backwards
    varied = (rng.random((windows, 1, 1)) < variety.varied).astype(np.float64)
    body = _vary_body(bank.body[index], varied, rng, variety)
    palms, hands = [], []
    for k in range(len(SIDES)):
        palms.append(bank.palms[k][index] @ rotation_matrices(varied * _wobble(rng, windows, frames, 3, variety.palms)))
        hands.append(_vary_fingers(bank.hands[k][index][..., N_WRIST_ANGLES:], varied, rng, variety))
    view = _draw_views(rng, windows, variety)
    rotated, wrists = rotate_about_neck(body, np.stack(palms), view)
    hands_all = np.concatenate([wrists, np.stack(hands)], -1)
    body_offsets, hand_offsets = _draw_bones(bank, windows, rng, variety)
    joints = forward_kinematics(rotated, hands_all[0], hands_all[1], body_offsets[:, None], hand_offsets[:, None])
    return Poses(rotated, hands_all, body_offsets, hand_offsets, joints)


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


def _palm_in_forearm(side: Side, body: Floats, wrist: Floats) -> Floats:
    forearm = arm_frames(side, body)[2]
    return np.swapaxes(np.stack(forearm, -1), -1, -2) @ np.stack(palm_frame(side, wrist), -1)


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
    person = rng.integers(0, len(bank.body_offsets), windows)
    share = rng.random((windows, 1)) ** 2 * (rng.random((windows, 1)) < 0.5)
    drawn = []
    for offsets, defaults in ((bank.body_offsets, DEFAULT_BODY_OFFSETS), (bank.hand_offsets, DEFAULT_HAND_OFFSETS)):
        bones = offsets[person] + share * (defaults - offsets[person])
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
