"""Joint angles of a video by the lifter: from 2-D joints to a `Solution`, as the closed form gives it.

The network runs over blocks of frames with enough frames around each that the result does not depend on the cuts;
memory does not grow with the video's length.

Legend: T frames, J = 61 joints; pixels, metres, radians.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from signrep_core.body.arrays import BLOCK
from signrep_core.body.bones import shared_lengths
from signrep_core.body.fit_body import BODY_REST
from signrep_core.body.fit_hand import HAND_REST
from signrep_core.body.forward import forward_kinematics
from signrep_core.body.inverse import PERIODIC, Solution, fill_gaps, flag_frames
from signrep_core.body.priors import angle_validity
from signrep_core.errors import SignRepError
from signrep_core.lift.lifter import MIN_DEPTH, Lifted, Lifter
from signrep_core.lift.normalise import video_frame
from signrep_core.skeleton import BODY, HANDS, MIN_CONFIDENCE, N_BODY_OFFSETS, N_JOINTS, SHOULDERS, SIDES, WRISTS

Floats = NDArray[np.floating]

# Largest error of a good joint: of the body relative to the neck, of a hand relative to its wrist.
WITHIN_M: Final[NDArray[np.float64]] = np.where(np.arange(N_JOINTS) < BODY.stop, 0.05, 0.015)
JUMP: Final = np.radians(45.0)  # from frame to frame: no movement, but wrist angles that pass y = ±90°
RATE: Final = 25.0  # frames per second of the lifter's training
RATE_SLACK: Final = 1.5  # up to this ratio a video's own frames are taken
_WRISTS: Final = dict(zip((HANDS[side].start for side in SIDES), WRISTS, strict=True))  # hand wrist to body wrist


@dataclass(frozen=True)
class LiftedVideo:
    """The lifter's output on a video, before gaps are filled."""

    neck: Floats  # (T, 2) pixels
    width: Floats  # (T,) pixels of a shoulder width
    body_angles: Floats  # (T, 22)
    right_angles: Floats  # (T, 41)
    left_angles: Floats  # (T, 41)
    body_offsets: Floats  # (T, 16)
    hand_offsets: Floats  # (T, 20)
    camera: Floats  # (T, 6) see `lifter.project`, shoulder widths
    log_scale: Floats  # (T, 61) log of the error to expect, metres
    confidence: Floats  # (T, 61) probability that a joint's error is within WITHIN_M
    causal: bool = field(default=False, kw_only=True)  # no frame follows from a later one


def lift(lifter: Lifter, image_xy: Floats, confidence: Floats) -> LiftedVideo:
    """Lift a video: (T, 61, 2) pixels and (T, 61); NaN or 0 where missing."""
    missing = ~((confidence > 0) & np.isfinite(image_xy).all(-1))
    image_xy = np.where(missing[..., None], np.nan, image_xy)
    frame = video_frame(image_xy, lifter.config.causal)
    xy = np.nan_to_num(frame.apply(image_xy))
    inputs = [_tensor(values) for values in (xy, np.where(missing, 0, confidence))]
    parts = [_lift_block(lifter, inputs, start) for start in range(0, len(xy), BLOCK)]
    found = (np.concatenate(values) for values in zip(*parts, strict=True))
    return LiftedVideo(frame.neck, frame.width, *found, causal=lifter.config.causal)


def _lift_block(lifter: Lifter, inputs: list[torch.Tensor], start: int) -> tuple[Floats, ...]:
    """The outputs of BLOCK frames, computed with the frames around them that influence them."""
    reach = lifter.config.reach
    before = min(start, reach)
    window = slice(start - before, start + BLOCK + reach)
    own = slice(before, before + BLOCK)
    with torch.inference_mode():
        lifted: Lifted = lifter(*(values[None, window] for values in inputs))
        right, left = lifted.hand_angles()
        good = lifter.confidence(lifted.log_scale, _tensor(WITHIN_M))
    parts = (lifted.body_angles, right, left, lifted.body_offsets, lifted.hand_offsets, lifted.camera, lifted.log_scale)
    return tuple(values[0, own].double().numpy() for values in (*parts, good))


def _tensor(values: Floats) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))


def solve_by_lifter(lifter: Lifter, image_xy: Floats, confidence: Floats, max_gap: int = 5) -> Solution:
    """Solve the joint angles of a video from its 2-D joints: `lift`, then `solve_lifted`."""
    return solve_lifted(lift(lifter, image_xy, confidence), image_xy, confidence, max_gap)


def solve_at_rate(lifter: Lifter, image_xy: Floats, confidence: Floats, fps: float) -> Solution:
    """Solve a video of any frame rate: at a rate far from RATE its joints are resampled, and its angles back.

    Raises:
        SignRepError: other shapes than (T, 61, 2) and (T, 61), or `fps` is not positive.
    """
    image_xy, confidence = np.asarray(image_xy, np.float64), np.asarray(confidence, np.float64)
    if image_xy.shape != (len(image_xy), N_JOINTS, 2) or confidence.shape != image_xy.shape[:2] or not fps > 0:
        raise SignRepError(
            f"solve_angles: expected image_xy (T, {N_JOINTS}, 2), confidence (T, {N_JOINTS}) and a positive fps, "
            f"found {image_xy.shape}, {confidence.shape} and {fps}"
        )
    n = len(image_xy)
    if n < 2 or RATE / RATE_SLACK <= fps <= RATE * RATE_SLACK:
        return solve_by_lifter(lifter, image_xy, confidence)
    at = np.linspace(0, n - 1, max(round((n - 1) * RATE / fps), 1) + 1)  # places of the resampled frames
    confidence = np.where(np.isfinite(image_xy).all(-1), confidence, 0)
    sampled = _between(image_xy, at), np.where(np.isfinite(_between(image_xy, at)).all(-1), _between(confidence, at), 0)
    back = np.linspace(0, len(at) - 1, n)
    return _resample(solve_by_lifter(lifter, *sampled), back)


def _resample(solution: Solution, at: Floats) -> Solution:
    """A solution at places between its frames; what is not a number of the frame is the nearest frame's."""
    nearest = np.round(at).astype(np.intp)
    taken: dict[str, Any] = {}
    for name in ("body_angles", "right_angles", "left_angles", "landmarks", "confidence"):
        taken[name] = _between(getattr(solution, name), at)
    for name in ("body_valid", "right_valid", "left_valid", "lengths", "hand_scale", "flag"):
        taken[name] = getattr(solution, name)[nearest]
    return replace(solution, **taken)


def _between(values: Floats, at: Floats) -> Floats:
    """Values (T, ...) at places (n,) between frames, by linear interpolation; NaN where a neighbour is."""
    before = np.minimum(at.astype(np.intp), max(len(values) - 2, 0))
    share = (at - before).reshape(-1, *(1,) * (values.ndim - 1))
    first, last = values[before], values[np.minimum(before + 1, len(values) - 1)]
    return np.where(share == 0, first, np.where(share == 1, last, (1 - share) * first + share * last))


def solve_lifted(video: LiftedVideo, image_xy: Floats, confidence: Floats, max_gap: int = 5) -> Solution:
    """Fill, smooth and check the lifter's angles of a video.

    Body angles are the lifter's where a body was detected, a hand's angles where a joint of the hand was detected; the
    others are filled in time. Angles are smoothed unless the lifter is causal. The confidence is the calibrated one, 0
    where nothing was detected or the signer is turned away.

    Args:
        video: as `lift` gives it.
        image_xy: (T, 61, 2) pixels, NaN where missing.
        confidence: (T, 61) the detector's.
        max_gap: longest gap in frames over which missing angles are interpolated in time.
    """
    seen = (confidence > 0) & np.isfinite(image_xy).all(-1)
    body_here = seen[:, SHOULDERS].all(1)
    hands_here = [body_here & seen[:, HANDS[side]].any(1) for side in SIDES]
    body = fill_gaps(video.body_angles, _every(body_here, video.body_angles), max_gap, BODY_REST)
    right, left = (
        fill_gaps(angles, _every(here, angles), max_gap, HAND_REST, PERIODIC)
        for angles, here in zip((video.right_angles, video.left_angles), hands_here, strict=True)
    )
    if not video.causal:
        body, right, left = map(smooth, (body, right, left), (body_here, *hands_here))
    some_hand = hands_here[0] | hands_here[1]
    bones = _median(video.body_offsets, body_here), _median(video.hand_offsets, some_hand)
    lengths = shared_lengths(video.body_offsets, video.hand_offsets)
    lengths[~body_here, :N_BODY_OFFSETS] = lengths[~some_hand, N_BODY_OFFSETS:] = np.nan
    flag = flag_frames(confidence, np.subtract(*(image_xy[:, joint, 0] for joint in reversed(SHOULDERS))))
    body_valid, right_valid, left_valid = angle_validity(np.where(seen, confidence, 0))
    return Solution(
        body_angles=body,
        right_angles=right,
        left_angles=left,
        body_valid=body_valid,
        right_valid=right_valid,
        left_valid=left_valid,
        lengths=lengths,
        video_body_offsets=bones[0],
        video_hand_offsets=bones[1],
        hand_scale=np.where(np.stack(hands_here, -1), 1.0, np.nan),
        landmarks=joints_on_rays(video, forward_kinematics(body, right, left, *bones), image_xy, confidence),
        confidence=_trusted(video.confidence, seen, flag),
        flag=flag,
    )


def smooth(angles: Floats, here: NDArray[np.bool_]) -> Floats:
    """Smooth angles (T, A) in time: half of each frame's own value, a quarter of each neighbour's.

    A frame stays unchanged where it or a neighbour was not detected (`here`, (T,)), an angle where it jumps.
    """
    step = np.diff(angles, axis=0)
    calm = (np.abs(step) < JUMP) & (here[1:] & here[:-1])[:, None]
    smoothed = angles.copy()
    smoothed[1:-1] += np.where(calm[1:] & calm[:-1], np.diff(step, axis=0), 0) / 4
    return smoothed


def joints_on_rays(video: LiftedVideo, joints: Floats, image_xy: Floats, confidence: Floats) -> Floats:
    """Joints (T, 61, 3) moved at constant depth onto the rays of their detections; NaN where not detected.

    The lifter's camera is shifted and scaled in each frame to fit best. The distance between a joint and its moved
    place is therefore its reprojection error in metres.
    """
    nearness, off = video.camera[:, 1, None, None], video.camera[:, None, 4:]
    z = joints[..., 2:]
    deep = np.maximum(1 + nearness * z, MIN_DEPTH)
    flat = (joints[..., :2] - off * z) / deep
    seen = (confidence >= MIN_CONFIDENCE) & np.isfinite(image_xy).all(-1)
    weight = np.where(seen, confidence, 0)[..., None]
    weight = weight / np.maximum(weight.sum(1, keepdims=True), 1e-9)
    xy = np.where(seen[..., None], image_xy, 0)
    centre, place = (weight * flat).sum(1, keepdims=True), (weight * xy).sum(1, keepdims=True)
    variance = (weight * (flat - centre) ** 2).sum((1, 2), keepdims=True)
    scale = (weight * (flat - centre) * (xy - place)).sum((1, 2), keepdims=True) / np.maximum(variance, 1e-12)
    there = (xy - place) / np.where(scale > 0, scale, np.nan) + centre
    return np.where(seen[..., None], np.concatenate((there * deep + off * z, z), -1), np.nan)


def _trusted(confidence: Floats, seen: NDArray[np.bool_], flag: NDArray[np.str_]) -> Floats:
    """(T, 61) confidence, 0 where nothing was detected or the signer does not face the camera."""
    facing = ~np.isin(flag, ("absent", "turned_away"))
    trusted = np.where(seen & facing[:, None], confidence, 0)
    for hand_wrist, wrist in _WRISTS.items():  # the same point, with the arm's confidence
        trusted[:, hand_wrist] = np.where(seen[:, hand_wrist], trusted[:, wrist], 0)
    return trusted


def _every(frames: NDArray[np.bool_], angles: Floats) -> NDArray[np.bool_]:
    return np.broadcast_to(frames[:, None], angles.shape)


def _median(offsets: Floats, here: NDArray[np.bool_]) -> Floats:
    """Bones of a video: medians over the frames in which they were seen, or over all frames."""
    return np.asarray(np.median(offsets[here] if here.any() else offsets, 0))
