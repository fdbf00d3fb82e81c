"""Calibration of the lifter: its expected errors, corrected by its errors on real detections of known poses.

The lifter learns its expected errors from simulated detections. Its errors on a detector's real output differ, so each
expectation is shifted by one constant: the maximum-likelihood scale of the Weibull distribution with the learnt shape.
A joint shares the constant with its mirror image, as the lifter is symmetric; the points of the face except the nose
share one.

Legend: N frames of all videos, J = 61 joints.
"""

from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from signrep_core.body.forward import forward_kinematics
from signrep_core.errors import SignRepError
from signrep_core.lift import LIFTER_WEIGHTS
from signrep_core.lift.lift_video import LiftedVideo, lift
from signrep_core.lift.lifter import ADVICE, MIRROR_JOINTS, Lifter, load_lifter, save_lifter
from signrep_core.lift.train import LEAST_ERROR
from signrep_core.model.weights import read_weights
from signrep_core.skeleton import BODY, HANDS, N_JOINTS, NOSE, SIDES
from signrep_core.store.files import file_digest
from signrep_core.store.schemas import POSE, TRUTH
from signrep_core.store.tables import read_videos

Floats = NDArray[np.floating]

_FACE = list(range(NOSE + 1, BODY.stop))
_WRISTS = [HANDS[side].start for side in SIDES]  # their errors from themselves are 0
GROUPS: Final[list[list[int]]] = [
    sorted({joint, MIRROR_JOINTS[joint]})
    for joint in range(N_JOINTS)
    if joint <= MIRROR_JOINTS[joint] and joint not in (*_FACE, *_WRISTS)
] + [_FACE]


def calibrate_weights(out: Path, truth: Path, pose: Path, weights: Path | None = None) -> None:
    """Calibrate weights (None: those that ship) on rendered signers; write `out` with the tables' digests.

    Raises:
        CheckpointError: the weights cannot be read, or are not a lifter's.
        SignRepError: the tables have no video in common.
    """
    weights = LIFTER_WEIGHTS if weights is None else weights
    lifter = load_lifter(weights)
    calibrate(lifter, truth, pose)
    notes = read_weights(weights, ADVICE)[1].get("training", {})
    save_lifter(out, lifter, {**notes, "calibration": {"truth": file_digest(truth), "pose": file_digest(pose)}})


def calibrate(lifter: Lifter, truth_path: str | Path, pose_path: str | Path) -> None:
    """Set the lifter's calibration from rendered signers: tables of schemas.TRUTH and schemas.POSE.

    Raises:
        SignRepError: the tables have no video in common.
    """
    detected = dict(read_videos(pose_path, POSE, ["video_id", "frame", "image_xy", "confidence"]))
    lifter.calibration.zero_()
    parts = []
    for video_id, truth in read_videos(truth_path, TRUTH):
        if video_id in detected:
            pose = detected[video_id]
            video = lift(lifter, pose["image_xy"], pose["confidence"])
            true = truth["camera_joints"][np.searchsorted(truth["frame"], pose["frame"])]
            parts.append((joint_errors(posed(video), true), video.log_scale, pose["confidence"] > 0))
    if not parts:
        raise SignRepError(
            f"calibration: {pose_path} has no video of {truth_path}; "
            "give the pose that extract_pose found in that very corpus"
        )
    shape = lifter.shape.detach().double().exp().numpy()
    errors, log_scale, seen = (np.concatenate(values) for values in zip(*parts, strict=True))
    lifter.calibration.copy_(torch.from_numpy(fit_shift(errors, log_scale, seen, shape)))


def fit_shift(errors: Floats, log_scale: Floats, seen: NDArray[np.bool_], shape: Floats) -> Floats:
    """(J,) correction of log scales (N, J) by errors (N, J) metres of the joints seen; shape (J,)."""
    powers = np.where(seen, (np.maximum(errors, LEAST_ERROR) / np.exp(log_scale)) ** shape, 0).sum(0)
    count = seen.sum(0)
    shift = np.zeros(N_JOINTS)
    for group in GROUPS:
        if count[group].any():
            shift[group] = np.log(powers[group].sum() / count[group].sum()) / shape[group].mean()
    return shift


def posed(video: LiftedVideo) -> Floats:
    """Joints (T, 61, 3) of a lifted video."""
    return forward_kinematics(
        video.body_angles, video.right_angles, video.left_angles, video.body_offsets, video.hand_offsets
    )


def joint_errors(joints: Floats, truth: Floats) -> Floats:
    """Errors (..., 61) in metres: of the body relative to the neck, of a hand's joints relative to its wrist."""
    difference = joints - truth
    for side in SIDES:
        own = difference[..., HANDS[side], :]
        difference[..., HANDS[side], :] = own - own[..., :1, :].copy()
    return np.linalg.norm(difference, axis=-1)
