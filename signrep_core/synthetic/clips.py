"""Clips of synthetic signers as joint angles: the motion on which the shipped lifter was trained."""

from typing import Final

import numpy as np

from signrep_core.body.kinematics import forward_kinematics, solve_angles
from signrep_core.lift.training_poses import Bank, Clip, join_clips
from signrep_core.synthetic.perform import perform
from signrep_core.synthetic.signer import make_signer
from signrep_core.synthetic.signs import ORDER

SIGNS_PER_CLIP: Final = 8


def make_bank(clips: int, seed: int) -> Bank:
    """Perform `clips` random gloss sequences by as many signers (about 300 frames each)."""
    rng = np.random.default_rng([seed, 41])
    return join_clips([_perform_clip(rng, clip) for clip in range(clips)])


def _perform_clip(rng: np.random.Generator, number: int) -> Clip:
    signer = make_signer(int(rng.integers(1 << 31)))
    glosses = tuple(ORDER[k] for k in rng.integers(0, len(ORDER), SIGNS_PER_CLIP))
    motion = perform(signer, glosses, number)
    joints = forward_kinematics(motion.body, motion.right, motion.left, signer.body_offsets, signer.hand_offsets)
    solved = solve_angles(joints, np.ones(joints.shape[:2]))
    hands = np.stack([solved.right_angles, solved.left_angles])
    return Clip(solved.body_angles, hands, signer.body_offsets, signer.hand_offsets)
