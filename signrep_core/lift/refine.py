"""The lifter's solution of a video, refined: brought to where the joints were seen, less what the detector errs by.

Legend: T frames, J = 61 joints; pixels, metres, radians.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from signrep_core.body.forward import forward_kinematics
from signrep_core.body.inverse import Solution
from signrep_core.body.refine import angle_spread, refine_angles
from signrep_core.lift.lift_video import LiftedVideo, sighted

Floats = NDArray[np.floating]
Expected = Callable[[Floats, Floats], Floats]  # joints (T, 61, 3) and pixels per metre (T,) -> errors (T, 61, 2)

# How much of the error that the lifter expects of a joint is taken as an angle's spread. Measured on rendered signers:
# with more of it, what detections are off by bends the angles; with less, nothing moves.
SPREAD: Final = 0.25
MIN_NEARNESS: Final = 0.1  # 1 / m: no camera is taken to be farther than 10 m


def refine_solution(
    video: LiftedVideo, solution: Solution, image_xy: Floats, confidence: Floats, expected: Expected | None = None
) -> Solution:
    """A solution with refined angles; bones, confidence and flags stay.

    Args:
        video, solution: the lifter's, of the same video.
        image_xy: (T, 61, 2) pixels; confidence: (T, 61) the detector's.
        expected: how far off the detector is expected to see a pose (`lift.detector_errors.expected_error`); None: not.
    """
    prior = (solution.body_angles, solution.right_angles, solution.left_angles)
    bones = (solution.video_body_offsets, solution.video_hand_offsets)
    centre, focal, scale = camera_of(video)
    seen_at = image_xy if expected is None else image_xy - expected(forward_kinematics(*prior, *bones), scale)
    spread = angle_spread(SPREAD * np.exp(video.spread), *bones)
    refined = refine_angles(seen_at, confidence, centre, focal, prior, spread, *bones)
    landmarks = sighted(video, forward_kinematics(*refined.angles, *bones), image_xy, confidence)
    body, right, left = refined.angles
    return replace(solution, body_angles=body, right_angles=right, left_angles=left, landmarks=landmarks)


def camera_of(video: LiftedVideo) -> tuple[Floats, float, Floats]:
    """Principal point (2,) and focal length in pixels, the video's medians, and pixels per metre (T,) at the neck."""
    scale, nearness, place, off = np.split(video.camera, (1, 2, 4), axis=1)
    scale = scale[:, 0] * video.width
    seen = np.isfinite(scale) & np.isfinite(video.neck).all(-1)
    if not seen.any():
        return np.zeros(2), 1.0, np.zeros(len(scale))
    focal = float(np.median(scale[seen]) / max(float(np.median(nearness[seen])), MIN_NEARNESS))
    centre = np.median((video.neck + place * video.width[:, None] - off * focal)[seen], axis=0)
    return centre, focal, np.where(seen, scale, 0)
