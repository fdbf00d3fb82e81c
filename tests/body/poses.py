"""Random poses and their mirror images, for the tests of this package."""

import numpy as np

from signrep_core import skeleton
from signrep_core.body.kinematics import forward_kinematics

Angles = tuple[np.ndarray, np.ndarray, np.ndarray]
BONES = (skeleton.DEFAULT_BODY_OFFSETS, skeleton.DEFAULT_HAND_OFFSETS)


# Mirroring x negates turns about y and z; the two arms, and the two hands, change places.
def _other_side(name: str) -> str:
    return name.replace("right", "?").replace("left", "right").replace("?", "left")


BODY_SWAP = [skeleton.BODY_ANGLES.index(_other_side(name)) for name in skeleton.BODY_ANGLES]
BODY_SIGN = np.array([1.0 if name.endswith("x") else -1.0 for name in skeleton.BODY_ANGLES])
JOINT_SWAP = [skeleton.JOINTS.index(_other_side(name)) for name in skeleton.JOINTS]


def random_angles(rng: np.random.Generator, n_poses: int, body: np.ndarray, hand: np.ndarray) -> Angles:
    """Body, right and left angles drawn evenly from ranges (A, 2)."""
    angles = [rng.uniform(*ranges.T, (n_poses, len(ranges))) for ranges in (body, hand, hand)]
    angles[0][:, skeleton.RESERVED_ANGLES] = 0
    return angles[0], angles[1], angles[2]


def observed_angles(rng: np.random.Generator, n_poses: int) -> Angles:
    """Poses as real signers take them."""
    return random_angles(rng, n_poses, skeleton.OBSERVED_BODY_RANGES, skeleton.OBSERVED_HAND_RANGES)


def pose(angles: Angles) -> np.ndarray:
    """Joints with the default bones."""
    return forward_kinematics(*angles, *BONES)


def mirror_angles(angles: Angles) -> Angles:
    """The angles of the mirror image."""
    body, right, left = angles
    return (body * BODY_SIGN)[..., BODY_SWAP], left, right


def mirror_joints(joints: np.ndarray) -> np.ndarray:
    """The mirror image of joints (..., 61, 3): x negated, sides exchanged."""
    return (joints * (-1, 1, 1))[..., JOINT_SWAP, :]


def smooth_angles(n_frames: int, rng: np.random.Generator) -> Angles:
    """A slow motion within the observed ranges, 25 frames a second."""
    seconds = np.arange(n_frames)[:, None] / 25
    parts = []
    for ranges in (skeleton.OBSERVED_BODY_RANGES, skeleton.OBSERVED_HAND_RANGES, skeleton.OBSERVED_HAND_RANGES):
        speed, start = rng.uniform(0.5, 2, len(ranges)), rng.uniform(0, 6, len(ranges))
        parts.append(ranges.mean(1) + 0.3 * np.diff(ranges)[:, 0] * np.sin(speed * seconds + start))
    return parts[0], parts[1], parts[2]
