"""Real motion as angles: the arms and hands of real people that the lifter trains on and is measured with.

The shipped file was made by `signrep lift bank` from two sets of trackers' recordings, fitted by `retarget`:
- arms: 30 Indian signs, 7 signers, from a Kinect ("Position and Rotation Invariant Sign Language Recognition from 3D
  Kinect Data", arXiv 2010.12669; MIT, copyright 2019 Prasun Roy);
- hands: 42 Thai signs, 6 groups of recordings, right hands from a Leap Motion ("Mike-and-Joe, Thai Sign Language
  Recognition with Leap Motion"; BSD-3-Clause, copyright 2017 Pakpoom Thaweesitthichat).
The licences lie beside the file. Angles are stored to a thousandth of a radian.

Legend: N frames, R recordings, K people; metres, radians.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from signrep_core.body.forward import forward_kinematics
from signrep_core.body.inverse import solve_angles
from signrep_core.body.rotations import rotation_matrices
from signrep_core.errors import SignRepError
from signrep_core.lift.retarget import Motion, fit_motion
from signrep_core.lift.training_poses import Bank, Track
from signrep_core.skeleton import (
    DEFAULT_HAND_OFFSETS,
    HAND_JOINTS,
    N_WRIST_ANGLES,
)
from signrep_core.store.files import atomic_path

Floats = NDArray[np.floating]

REAL_MOTION: Final = Path(__file__).parent / "motion" / "real_motion.npz"
# People whom no training sees: the last is for the final figures only, the other for choices made on the way.
DEVELOPMENT: Final = {"arms": 5, "hands": 4}
HELD_OUT: Final = {"arms": 6, "hands": 5}
QUANTUM: Final = 1e-3  # radians

# Points of the Kinect's skeleton; its neck is no joint of ours, its spine and hands are too inaccurate.
_KINECT: Final = {
    "head": 0, "left_shoulder": 2, "right_shoulder": 3, "left_elbow": 4, "right_elbow": 5, "left_wrist": 6,
    "right_wrist": 7, "left_hip": 12, "right_hip": 13,
}  # fmt: skip
_TAKES: Final = 3  # one in so many is used: nine takes of a sign by the same person differ little
_WRIST_BEHIND: Final = 1 / 0.78  # from the knuckles to the wrist, relative to the Leap's metacarpals


@dataclass(frozen=True)
class RealMotion:
    """One part's recordings, one after the other."""

    angles: Floats  # (N, 22) body angles, the signer facing the camera, or (N, 38) of a right hand's fingers
    lengths: NDArray[np.integer]  # (R,) frames
    people: NDArray[np.integer]  # (R,)
    offsets: Floats  # (K, 16) or (K, 20) bones

    def of(self, people: set[int]) -> "RealMotion":
        """Only the recordings of some people, with all bones."""
        kept = np.isin(self.people, list(people))
        return RealMotion(
            self.angles[np.repeat(kept, self.lengths)], self.lengths[kept], self.people[kept], self.offsets
        )

    @property
    def track(self) -> Track:
        """The recordings as a track to draw windows from."""
        return Track(self.angles.astype(np.float64), np.cumsum([0, *self.lengths]))


def load_real_motion(path: str | Path | None = None) -> dict[str, RealMotion]:
    """Read the arms and hands of a file, by default of the shipped one.

    Raises:
        SignRepError: the file cannot be read.
    """
    path = REAL_MOTION if path is None else path
    found = {}
    try:
        with np.load(path) as file:
            for part in ("arms", "hands"):
                steps, lengths = file[f"{part}_steps"], file[f"{part}_lengths"]
                angles = np.cumsum(steps.astype(np.int32), 0).astype(np.float32) * QUANTUM
                found[part] = RealMotion(angles, lengths, file[f"{part}_people"], file[f"{part}_offsets"])
    except (OSError, ValueError, KeyError) as error:
        raise SignRepError(f"real motion: {path} cannot be read ({error}); make it again: signrep lift bank") from error
    return found


def save_real_motion(path: str | Path, motion: dict[str, RealMotion]) -> None:
    """Write arms and hands: differences of the rounded angles, which compress well."""
    arrays: dict[str, Any] = {}
    for part, own in motion.items():
        rounded = np.round(own.angles / QUANTUM).astype(np.int32)
        arrays[f"{part}_steps"] = np.diff(rounded, axis=0, prepend=0).astype(np.int16)
        arrays |= {f"{part}_lengths": own.lengths.astype(np.int32), f"{part}_people": own.people.astype(np.int16)}
        arrays[f"{part}_offsets"] = own.offsets.astype(np.float32)
    with atomic_path(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)


def add_real_motion(bank: Bank, motion: dict[str, RealMotion], people: dict[str, set[int]]) -> Bank:
    """A bank with the arms and hands of these people as sources of their own."""
    arms, hands = (motion[part].of(people[part]) for part in ("arms", "hands"))
    bones = [own.offsets[sorted(people[part])].astype(np.float64) for part, own in (("arms", arms), ("hands", hands))]
    return Bank(
        performed=bank.performed,
        bodies=(*bank.bodies, arms.track),
        palms=bank.palms,
        fingers=(*bank.fingers, hands.track),
        body_offsets=(*bank.body_offsets, bones[0]),
        hand_offsets=(*bank.hand_offsets, bones[1]),
    )


def training_people(motion: dict[str, RealMotion]) -> dict[str, set[int]]:
    """The people of each part whom training may see."""
    return {part: set(own.people.tolist()) - {DEVELOPMENT[part], HELD_OUT[part]} for part, own in motion.items()}


# ---------------------------------------------------------------- from the trackers' recordings
def fit_real_motion(arms: str | Path, hands: str | Path) -> dict[str, RealMotion]:
    """Fit the recordings of `arms_kinect.npz` and `hands_leap.npz`."""
    body, fingers = read_kinect(arms), read_leap(hands)
    fitted = fit_motion(body)
    solved = _solve(
        fitted.body, np.repeat(np.unique(body.people, return_inverse=True)[1], body.lengths), fitted.body_offsets
    )
    found = {"arms": RealMotion(solved, body.lengths, body.people, fitted.body_offsets)}
    fitted = fit_motion(fingers)
    own = fitted.hands[0, :, N_WRIST_ANGLES:]
    return found | {"hands": RealMotion(own, fingers.lengths, fingers.people, fitted.hand_offsets)}


def read_kinect(path: str | Path) -> Motion:
    """Upper bodies in metres and in the skeleton's axes, each recording turned to face the camera; every third take."""
    with np.load(path) as file:
        taken = np.arange(len(file["lengths"])) % _TAKES == 0
        joints = file["joints_mm"][np.repeat(taken, file["lengths"])]
        lengths, people = file["lengths"][taken], file["signer"][taken]
    joints = joints[:, list(_KINECT.values())] / 1000 * [-1, -1, 1]
    names = tuple(_KINECT)
    across = joints[:, names.index("left_shoulder")] - joints[:, names.index("right_shoulder")]
    ends = np.cumsum(lengths)
    facing = np.array([np.median(part, 0) for part in np.split(across, ends[:-1])])
    yaw = np.arctan2(facing[:, 2], facing[:, 0])  # brings the shoulders along x
    turns = np.repeat(rotation_matrices(yaw[:, None] * np.array([0.0, 1, 0])), lengths, 0)
    return Motion(np.einsum("nij,npj->npi", turns, joints), names, lengths, people)


def read_leap(path: str | Path) -> Motion:
    """Right hands of one size in metres, from a wrist that is extrapolated from the metacarpals."""
    with np.load(path) as file:
        fingers = file["joints_tenth_mm"] / 1e4 * [1, -1, -1]
        lengths, people = file["lengths"], file["signer"]
    bases, knuckles = (fingers[:, 1:, joint].mean(1, keepdims=True) for joint in (0, 1))
    wrist = knuckles + _WRIST_BEHIND * (bases - knuckles)
    joints = np.concatenate([wrist, fingers[:, 0, 1:], fingers[:, 1:, 1:].reshape(len(fingers), -1, 3)], 1) - wrist
    bones = np.linalg.norm(np.diff(fingers[:, 1:], axis=2), axis=-1).sum((1, 2))
    sizes = np.array([np.median(part) for part in np.split(bones, np.cumsum(lengths)[:-1])])
    joints *= np.repeat(np.median(sizes) / sizes, lengths)[:, None, None]
    return Motion(joints, tuple(f"right_hand_{joint}" for joint in HAND_JOINTS), lengths, people)


def _solve(body: Floats, person: NDArray[np.intp], offsets: Floats) -> Floats:
    """(N, 22) the angles that the closed form gives for the joints of fitted ones."""
    solved = np.empty_like(body)
    rest = np.zeros((1, 41))
    for k, bones in enumerate(offsets):
        own = person == k
        joints = forward_kinematics(body[own], rest, rest, bones, DEFAULT_HAND_OFFSETS)
        solved[own] = solve_angles(joints, np.ones(joints.shape[:2]), 0, bones, DEFAULT_HAND_OFFSETS).body_angles
    return solved
