"""What a pose detector makes of a true pose: its errors, measured on rendered signers, and drawn again in numpy.

Pictures need not be rendered and searched to teach a network what detections look like: `fit_errors` measures the
detector's errors where the truth is known, and `corrupt` draws others of the same kind, some 50,000 frames a second.

A part (the body's 19 joints, or a hand's 21; a left hand is taken as a mirrored right one) errs in x, y and z by the
sum of three terms, in units of the part's size so that they fit any picture and any person:
- a linear function of the true pose: bias, and what a detector that leans towards the mean pose takes off or adds;
- an offset that stays for the video, drawn from its principal components;
- jitter: principal components, each AR(1) in time, swelling in bursts (a log-normal amplitude, AR(1) as well). The
  more a pose moves from frame to frame, the less their jitter has in common: a still hand is seen off in the same way.
Principal components keep what joints have in common: a hand that is shifted as a whole, a face that is turned.

The jitter of a hand, and whether it is found at all, depend on the `CONDITIONS` it is seen under. Now and then the
detector takes one hand for the other. Confidence falls with the error, as far as the detector's does.

Legend: B sequences, T frames, N = frames of all videos one after the other, J joints, D = 3 J errors, F features of
the pose, C conditions, K components.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import polygamma

from signrep_core.errors import SignRepError
from signrep_core.skeleton import (
    ARMS,
    BODY,
    HAND_WRIST,
    HANDS,
    KNUCKLES,
    NOSE,
    SHOULDERS,
    SIDES,
    SKELETON_VERSION,
    TIPS,
    Side,
)
from signrep_core.store.files import write_text
from signrep_core.store.schemas import POSE, TRUTH
from signrep_core.store.tables import read_videos

Floats = NDArray[np.floating]

CONDITIONS: Final = ("always", "edge_on", "speed", "near_other", "near_face", "closed")  # of a hand, see `_conditions`
_RIDGE: Final = 0.02  # of the linear function of the pose, per frame and unit of variance
_KEPT: Final = 0.97  # of the variance, by the principal components
_REACH: Final = (1, 99)  # percentiles of what the linear function gave: it is held there for poses far from those seen
_NEAR_M: Final = 0.12  # metres in the picture: hands, or a hand and the face, are in each other's way
_OTHERS: Final = 1.5  # hand lengths off and nearer to the other hand: it was taken for the other
_INDEX, _MIDDLE, _, _PINKY = KNUCKLES
_MIRROR: Final = {side: np.array([1 if side == "right" else -1, 1, 1], np.float32) for side in SIDES}


class Pairs(NamedTuple):
    """Detections and the truth about them, N frames; those of a video stand together, in order."""

    xy: Floats  # (N, 61, 2) detected, pixels; NaN where missing
    depth: Floats  # (N, 61) metres, z of the landmarks; NaN where missing
    confidence: Floats  # (N, 61)
    true_xy: Floats  # (N, 61, 2) pixels
    joints: Floats  # (N, 61, 3) true, metres, camera axes, neck at the origin
    scale: Floats  # (N,) pixels per metre at the neck
    size: Floats  # (N, 2) width and height of the picture
    video: NDArray[np.integer]  # (N,)


@dataclass(frozen=True)
class PartErrors:
    """How the joints of a part err; D values x, y, z of joint after joint, in units of the part's size."""

    pose: Floats  # (F, D) error per feature of the true pose, the last feature being 1
    reach: Floats  # (2, D) least and greatest error that the pose explains
    offset: Floats  # (K, D) principal components of a video's offset, as standard deviations
    jitter: Floats  # (K, D) those in time
    decay: (
        Floats  # (2, K) of the jitter's correlation, exp(-decay), from frame to frame: at rest, and per decimetre moved
    )
    amplitude: Floats  # (C,) log amplitude of the jitter under each condition; of the body (1,), always the same
    burst: Floats  # (2,) standard deviation of the rest of the log amplitude, and its correlation


@dataclass(frozen=True)
class ErrorModel:
    """The parameters of a detector's errors."""

    body: PartErrors
    hand: PartErrors
    missing: Floats  # (C + 1,) log odds that a hand is not found: by condition, and if it was not found before
    other: Floats  # (2,) probability that a found hand is from now on taken for the other, and that it goes on
    confidence: Floats  # (20, 5) of each body joint and of a hand: log odds at an error of 1, their change with the
    # error's logarithm, spread from video to video, spread in time, correlation in time
    other_confidence: Floats  # (2,) log odds where one hand is taken for the other: mean and spread

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The model that `to_dict` gave.

        Raises:
            SignRepError: it is of another skeleton, or parameters are missing.
        """
        if values.get("skeleton_version") != SKELETON_VERSION:
            raise SignRepError(
                f"detector errors: expected skeleton_version {SKELETON_VERSION}, "
                f"found {values.get('skeleton_version')}; "
                "fit them anew: signrep train detector"
            )
        try:
            body, hand = (
                PartErrors(**{key: _floats(value) for key, value in values[part].items()}) for part in ("body", "hand")
            )
            rest = {field.name: _floats(values[field.name]) for field in fields(cls)[2:]}
            return cls(body, hand, **rest)
        except (KeyError, TypeError) as error:
            raise SignRepError(
                f"detector errors: expected the parameters of {cls.__name__}, {error} is wrong; "
                "fit them anew: signrep train detector"
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """The parameters as JSON values, to four digits."""

        def plain(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: plain(part) for key, part in value.items()}
            return [plain(part) for part in value] if np.ndim(value) else float(f"{value:.4g}")

        return {"skeleton_version": SKELETON_VERSION, **plain(asdict(self))}


def load_errors(path: str | Path | None = None) -> ErrorModel:
    """A fitted model from its file, by default MediaPipe's as measured on rendered signers.

    Raises:
        SignRepError: no such file, or not of this skeleton.
    """
    source = files(__package__) / "detector_errors.json" if path is None else Path(path)
    try:
        return ErrorModel.from_dict(json.loads(source.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise SignRepError(f"detector errors: {source} cannot be read ({error})") from error


def save_errors(errors: ErrorModel, path: str | Path) -> None:
    """Write a model as JSON, atomically."""
    write_text(path, json.dumps(errors.to_dict(), separators=(",", ":")) + "\n")


# ---------------------------------------------------------------- drawing errors
def corrupt(
    image_xy: Floats, joints: Floats, scale: Floats, rng: np.random.Generator, errors: ErrorModel
) -> tuple[Floats, Floats, Floats]:
    """What the detector might make of true poses; sequences of 25 frames a second.

    Args:
        image_xy: (B, T, 61, 2) true places in the picture, any unit.
        joints: (B, T, 61, 3) metres, camera axes, neck at the origin.
        scale: (B,) units of the picture per metre, at the neck.
        rng: all randomness.

    Returns:
        Places (B, T, 61, 2) in the same unit, depths (B, T, 61) in metres from the neck and confidences (B, T, 61),
        as the columns image_xy, landmarks (z) and confidence of schemas.POSE: NaN and 0 where a hand was not found.
    """
    true_xy, joints = (np.asarray(values, np.float32) for values in (image_xy, joints))
    scale = np.asarray(scale, np.float32)
    xy, depth = np.empty_like(true_xy), np.empty(true_xy.shape[:3], np.float32)
    confidence = np.empty(true_xy.shape[:3], np.float32)
    lead = true_xy.shape[:2]

    steps = _steps(joints)  # (B, T, 2)
    always = np.ones((*lead, 1), np.float32)
    error = _draw(errors.body, _body_features(joints), always, steps.mean(-1), rng).reshape(*lead, -1, 3)
    size = _body_size(joints)
    xy[..., BODY, :] = true_xy[..., BODY, :] + error[..., :2] * (size * scale[:, None])[..., None, None]
    depth[..., BODY] = joints[..., BODY, 2] + error[..., 2] * size[..., None]
    confidence[..., BODY] = _draw_confidence(errors.confidence[:-1], _off(error), rng)

    conditions = _conditions(joints, steps)  # (B, T, 2, C)
    found, others = _draw_events(conditions, errors, rng)
    for k, side in enumerate(SIDES):
        own, other = HANDS[side], HANDS[SIDES[1 - k]]
        error = _draw(errors.hand, _hand_features(joints, side), conditions[..., k, :], steps[..., k], rng)
        error = error.reshape(*lead, -1, 3)
        size = _hand_size(joints[..., own, :])
        taken = others[..., k, None, None]
        place = np.where(taken, true_xy[..., other, :], true_xy[..., own, :])
        xy[..., own, :] = place + error[..., :2] * _MIRROR[side][:2] * (size * scale[:, None])[..., None, None]
        shape = joints[..., own, 2] - joints[..., own, 2][..., :1]
        depth[..., own] = depth[..., ARMS[side][2], None] + shape + error[..., 2] * size[..., None]
        usual = _draw_confidence(errors.confidence[-1:], _off(error).mean(-1, keepdims=True), rng)
        mean, spread = errors.other_confidence
        odd = _logistic(mean + spread * _normal(rng, (*lead, 1)))
        confidence[..., own] = np.where(others[..., k, None], odd, usual)
        lost = ~found[..., k]
        xy[..., own, :][lost], depth[..., own][lost], confidence[..., own][lost] = np.nan, np.nan, 0
    return xy, depth, confidence


def _draw(part: PartErrors, features: Floats, conditions: Floats, steps: Floats, rng: np.random.Generator) -> Floats:
    """(B, T, D) errors of a part in its size; features (B, T, F), conditions (B, T, C), steps (B, T) moved."""
    lead = features.shape[:2]
    error = np.clip(features @ part.pose, part.reach[0], part.reach[1])
    error += (_normal(rng, (lead[0], len(part.offset))) @ part.offset)[:, None]
    correlation = np.exp(-part.decay[0] - part.decay[1] * steps[..., None])
    jitter = _autoregressive(_normal(rng, (*lead, len(part.jitter))), correlation)
    swelling = part.burst[0] * _autoregressive(_normal(rng, (*lead, 1)), np.full((*lead, 1), part.burst[1]))
    swelling += (conditions @ part.amplitude)[..., None]
    jitter *= np.exp(swelling)
    error += jitter @ part.jitter
    return error


def _draw_confidence(parameters: Floats, off: Floats, rng: np.random.Generator) -> Floats:
    """(B, T, J) confidences, for errors off (B, T, J) in sizes; parameters (J, 5)."""
    level, slope, between, within, correlation = parameters.T
    noise = within * _autoregressive(_normal(rng, off.shape), np.broadcast_to(correlation, off.shape))
    noise += between * _normal(rng, (len(off), 1, off.shape[-1]))
    return _logistic(level + slope * np.log(off) + noise)


def _draw_events(
    conditions: Floats, errors: ErrorModel, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where each hand is found, and where it is taken for the other: (B, T, 2) each."""
    odds = conditions @ errors.missing[:-1]  # (B, T, 2)
    lost = _switches(_logistic(odds), _logistic(odds + errors.missing[-1]), rng)
    begins, goes_on = (np.full_like(odds, chance) for chance in errors.other)
    return ~lost, _switches(begins, goes_on, rng)


def _switches(begins: Floats, goes_on: Floats, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A state that is entered and kept with the given probabilities (B, T, 2); at first as in the long run."""
    luck = rng.random(begins.shape, np.float32)
    states = np.empty(begins.shape, bool)
    state = luck[:, 0] < begins[:, 0] / (begins[:, 0] + 1 - goes_on[:, 0])
    for t in range(begins.shape[1]):
        state = states[:, t] = luck[:, t] < np.where(state, goes_on[:, t], begins[:, t]) if t else state
    return states


def _autoregressive(noise: Floats, correlation: Floats) -> Floats:
    """AR(1) series of unit variance along axis 1 from unit noise, which is overwritten; both (B, T, K).

    `correlation` is that with the frame before.
    """
    fresh = np.sqrt(1 - correlation**2)
    for t in range(1, noise.shape[1]):
        noise[:, t] *= fresh[:, t]
        noise[:, t] += correlation[:, t] * noise[:, t - 1]
    return noise


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return rng.standard_normal(shape, np.float32)


def _logistic(odds: Floats) -> Floats:
    with np.errstate(over="ignore"):  # of odds so small that the quotient is 0
        return 1 / (1 + np.exp(-odds))


def _off(error: Floats) -> Floats:
    """(..., J) distance in the picture of errors (..., J, 3), at least a thousandth, as its logarithm is taken."""
    return np.maximum(np.hypot(error[..., 0], error[..., 1]), 1e-3)


# ---------------------------------------------------------------- what a pose looks like to a detector
def _body_size(joints: Floats) -> Floats:
    """(...) metres between the shoulders."""
    right, left = (joints[..., joint, :] for joint in SHOULDERS)
    return np.linalg.norm(left - right, axis=-1)


def _hand_size(hand: Floats) -> Floats:
    """(...) metres from wrist to middle knuckle."""
    return np.linalg.norm(hand[..., _MIDDLE, :] - hand[..., HAND_WRIST, :], axis=-1)


def _body_features(joints: Floats) -> Floats:
    """(..., 58): the body's joints in its size, and 1."""
    body = joints[..., BODY, :] / _body_size(joints)[..., None, None]
    return _with_one(body.reshape(*joints.shape[:-2], -1))


def _hand_features(joints: Floats, side: Side) -> Floats:
    """(..., 67): the hand's joints from the wrist in its size, the forearm's direction, and 1; of a right hand."""
    hand = joints[..., HANDS[side], :] * _MIRROR[side]
    relative = (hand - hand[..., :1, :]) / _hand_size(hand)[..., None, None]
    _, elbow, wrist = ARMS[side]
    forearm = (joints[..., wrist, :] - joints[..., elbow, :]) * _MIRROR[side]
    forearm = forearm / np.linalg.norm(forearm, axis=-1, keepdims=True)
    return _with_one(np.concatenate([relative.reshape(*joints.shape[:-2], -1), forearm], -1))


def _with_one(features: Floats) -> Floats:
    return np.concatenate([features, np.ones((*features.shape[:-1], 1), features.dtype)], -1)


def _steps(joints: Floats) -> Floats:
    """(..., T, 2) decimetres that each hand moved in the picture since the frame before: its joints' mean."""
    moved = np.diff(joints[..., :2], axis=-3, prepend=joints[..., :1, :, :2])
    distance = 10 * np.hypot(moved[..., 0], moved[..., 1])
    return np.stack([distance[..., HANDS[side]].mean(-1) for side in SIDES], -1)


def _conditions(joints: Floats, steps: Floats) -> Floats:
    """(..., T, 2, C) of each hand: 1; its palm is seen edge-on (0..1); decimetres it moved since the frame before;
    nearness of the other hand and of the face (0..1); how closed it is (0 flat, about 1 a fist).
    """
    rows = []
    middles = [joints[..., HANDS[side].start + _MIDDLE, :2] for side in SIDES]
    apart = np.linalg.norm(middles[0] - middles[1], axis=-1)
    for k, (side, middle) in enumerate(zip(SIDES, middles, strict=True)):
        hand = joints[..., HANDS[side], :]
        wrist = hand[..., HAND_WRIST, :]
        normal = np.cross(hand[..., _INDEX, :] - wrist, hand[..., _PINKY, :] - wrist)
        edge_on = 1 - np.abs(normal[..., 2]) / np.linalg.norm(normal, axis=-1)
        to_face = np.linalg.norm(middle - joints[..., NOSE, :2], axis=-1)
        reach = np.linalg.norm(hand[..., TIPS[1:], :] - wrist[..., None, :], axis=-1).mean(-1) / _hand_size(hand)
        rows.append([
            np.ones_like(apart), edge_on, steps[..., k],
            np.exp(-((apart / _NEAR_M) ** 2)), np.exp(-((to_face / _NEAR_M) ** 2)), 2 - reach,
        ])  # fmt: skip
    return np.stack([np.stack(row, -1) for row in rows], -2).astype(np.float32)


# ---------------------------------------------------------------- fitting
def read_pairs(truth_path: str | Path, pose_path: str | Path, size: tuple[int, int]) -> Pairs:
    """The frames of a rendered corpus in which its signers were found, from tables of schemas.TRUTH and POSE.

    size: width and height of the pictures.

    Raises:
        SignRepError: the tables have no video in common.
    """
    columns = ["video_id", "frame", "present", "landmarks", "image_xy", "confidence"]
    detected = dict(read_videos(pose_path, POSE, columns))
    parts = []
    for number, (video_id, true) in enumerate(read_videos(truth_path, TRUTH)):
        if video_id not in detected:
            continue
        pose = detected[video_id]
        seen = {name: pose[name][pose["present"]] for name in ("frame", "landmarks", "image_xy", "confidence")}
        rows = np.searchsorted(true["frame"], seen["frame"])
        joints, places = true["camera_joints"][rows], true["image_xy"][rows]
        frames = len(rows)
        parts.append((
            seen["image_xy"], seen["landmarks"][..., 2], seen["confidence"], places, joints,
            picture_scale(places, joints), np.tile(_floats(size), (frames, 1)), np.full(frames, number),
        ))  # fmt: skip
    if not parts:
        raise SignRepError(
            f"detector errors: {pose_path} has no video of {truth_path}; "
            "give the pose that extract_pose found in that very corpus"
        )
    return Pairs(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def picture_scale(image_xy: Floats, joints: Floats) -> Floats:
    """(N,) pixels per metre at the neck, from places (N, 61, 2) of joints (N, 61, 3) in a perspective picture.

    x (1 + z / d) = s X + t + c z is linear in the scale s, 1 / d, t and c (d the neck's distance).
    """
    x, y = image_xy[..., 0].astype(np.float64), image_xy[..., 1].astype(np.float64)
    zero, one, z = np.zeros_like(x), np.ones_like(x), joints[..., 2]
    across = np.stack([joints[..., 0], -z * x, one, z, zero, zero], -1)
    down = np.stack([joints[..., 1], -z * y, zero, zero, one, z], -1)
    rows, places = np.concatenate([across, down], 1), np.concatenate([x, y], 1)
    return _floats((np.linalg.pinv(rows) @ places[..., None])[:, 0, 0])


def fit_errors(pairs: Pairs) -> ErrorModel:
    """The error model of a detector from what it made of known poses; `corrupt` then errs as it did."""
    following = np.r_[False, pairs.video[1:] == pairs.video[:-1]]  # this row's frame follows that of the row before
    size = _body_size(pairs.joints)
    error = _errors_in_sizes(pairs, BODY, size, pairs.depth[:, BODY] - pairs.joints[:, BODY, 2])
    there = np.isfinite(error).all(1)
    always = np.ones((len(error), 1))
    steps = _by_video(_steps, following, pairs.joints)
    body = _fit_part(_body_features(pairs.joints), error, always, steps.mean(1), pairs.video, there, following)
    off = _off(error.reshape(len(error), -1, 3))
    inside = _inside(pairs)
    sure = [
        _fit_confidence(pairs.confidence[:, joint], off[:, joint], pairs.video, there & inside[:, joint], following)
        for joint in range(BODY.stop)
    ]

    hands = _Hands.of(pairs, steps, following)
    hand = _fit_part(
        hands.features, hands.error, hands.conditions, hands.steps, hands.video, hands.usual, hands.following
    )
    off = _off(hands.error.reshape(len(hands.error), -1, 3)).mean(-1)
    sure.append(_fit_confidence(hands.confidence, off, hands.video, hands.usual, hands.following))
    odd = _log_odds(hands.confidence[hands.others])
    return ErrorModel(
        body, hand, _fit_missing(hands), _fit_others(hands), _floats(sure),
        _floats((odd.mean(), odd.std()) if odd.size else (0, 0)),
    )  # fmt: skip


class _Hands(NamedTuple):
    """All right hands, then all left ones as right ones: M = 2 N rows."""

    features: Floats  # (M, F)
    error: Floats  # (M, D) in sizes
    conditions: Floats  # (M, C)
    steps: Floats  # (M,)
    confidence: Floats  # (M,)
    video: NDArray[np.integer]  # (M,), another one for the left hand
    following: NDArray[np.bool_]  # (M,) the row before is of the frame before
    in_view: NDArray[np.bool_]  # (M,) truly in the picture
    found: NDArray[np.bool_]  # (M,)
    others: NDArray[np.bool_]  # (M,) found, but at the other hand's place

    @classmethod
    def of(cls, pairs: Pairs, steps: Floats, following: NDArray[np.bool_]) -> Self:
        """The hands of pairs; steps (N, 2)."""
        conditions = _conditions(pairs.joints, steps)
        inside = _inside(pairs)
        sides = []
        for k, side in enumerate(SIDES):
            own, other = HANDS[side], HANDS[SIDES[1 - k]]
            size = _hand_size(pairs.joints[:, own])
            shapes = [z - z[:, :1] for z in (pairs.depth[:, own], pairs.joints[:, own, 2])]
            error = _errors_in_sizes(pairs, own, size, shapes[0] - shapes[1], side)
            found = np.isfinite(error).all(1)
            to_own, to_other = (
                np.linalg.norm(pairs.xy[:, own] - pairs.true_xy[:, joints], axis=-1).mean(-1) / (size * pairs.scale)
                for joints in (own, other)
            )
            others = found & (to_own > _OTHERS) & (to_other < to_own)
            sides.append((
                _hand_features(pairs.joints, side), error, conditions[:, k], steps[:, k],
                pairs.confidence[:, own].max(1), 2 * pairs.video + k, following, inside[:, own].all(1), found, others,
            ))  # fmt: skip
        return cls(*(np.concatenate(columns) for columns in zip(*sides, strict=True)))

    @property
    def usual(self) -> NDArray[np.bool_]:
        """(M,) found where it is."""
        return self.in_view & self.found & ~self.others


def _errors_in_sizes(pairs: Pairs, joints: slice, size: Floats, deep: Floats, side: Side = "right") -> Floats:
    """(N, D) errors of joints in sizes (N,): in the picture, and `deep` (N, J) metres."""
    flat = (pairs.xy[:, joints] - pairs.true_xy[:, joints]) / (size * pairs.scale)[:, None, None]
    errors = np.concatenate([flat, (deep / size[:, None])[..., None]], -1) * _MIRROR[side]
    return errors.reshape(len(errors), -1)


def _inside(pairs: Pairs) -> NDArray[np.bool_]:
    """(N, 61) the joint is truly in the picture."""
    return ((pairs.true_xy >= 0) & (pairs.true_xy < pairs.size[:, None])).all(-1)


def _by_video(function: Callable[[Floats], Floats], following: NDArray[np.bool_], joints: Floats) -> Floats:
    """A function of sequences (T, 61, 3) applied to each video of all frames (N, 61, 3)."""
    return np.concatenate([function(part) for part in np.split(joints, np.flatnonzero(~following)[1:])])


def _fit_part(
    features: Floats, error: Floats, conditions: Floats, steps: Floats, video: NDArray[np.integer],
    use: NDArray[np.bool_], following: NDArray[np.bool_],
) -> PartErrors:  # fmt: skip
    """The parameters of a part from the frames to `use`."""
    pose = _fit_linear(features[use], error[use])
    reach = np.percentile(features[use] @ pose, _REACH, axis=0)
    rest = error - np.clip(features @ pose, *reach)
    offsets = np.zeros_like(rest)
    numbers = np.unique(video[use])
    for number in numbers:
        offsets[video == number] = rest[use & (video == number)].mean(0)
    jitter = _principal((rest - offsets)[use])
    scores = (rest - offsets) @ np.linalg.pinv(jitter)  # (N, K) of unit variance
    pairs = use & following & np.roll(use, 1)
    seen = _lag_one(scores, pairs)
    amplitude, burst, swelling = _fit_amplitude(scores, (jitter**2).sum(1), seen, conditions, use, pairs)
    share = _share_of_means(np.clip(seen, 0, 0.99), use.sum() / len(numbers))
    decay = _fit_decay(scores / swelling[:, None], steps, pairs, share)
    offset = _principal(offsets[use], jitter * np.sqrt(share / (1 - share))[:, None])
    jitter /= np.sqrt(1 - share)[:, None]
    return PartErrors(*map(_floats, (pose, reach, offset, jitter, decay, amplitude, burst)))


def _share_of_means(correlation: Floats, frames: float) -> Floats:
    """(K,) how much of a jitter's variance its mean over a video of so many frames takes.

    Offsets are means over videos, and so hold a share of the jitter; what is left of it looks less correlated.
    """
    true = correlation
    for _ in range(5):
        share = np.minimum((1 + true) / (1 - true) / frames, 0.5)
        true = np.clip(correlation * (1 - share) + share, 0, 0.99)
    return share


def _fit_decay(scores: Floats, steps: Floats, pairs: NDArray[np.bool_], share: Floats) -> Floats:
    """(2, K) decay of the correlation of scores (N, K) at rest and per step (N,), from their changes.

    Half the mean square change is 1 - correlation; of scores without their means, a share more of what is left.
    """
    changes = (scores - np.roll(scores, 1, axis=0))[pairs] ** 2 / 2
    changes = changes / (scores[pairs] ** 2).mean(0) * (1 - share)
    order = np.argsort(steps[pairs])
    still, moving = order[: len(order) // 2], order[len(order) // 2 :]
    gone = [np.clip(changes[half].mean(0), 0.005, 0.98) for half in (still, moving)]
    rate = [-np.log(1 - part) for part in gone]
    mean = [steps[pairs][half].mean() for half in (still, moving)]
    slope = np.maximum((rate[1] - rate[0]) / max(mean[1] - mean[0], 1e-6), 0)
    rest = np.maximum((rate[0] + rate[1]) / 2 - slope * (mean[0] + mean[1]) / 2, 0.002)
    return np.stack([rest, slope])


def _fit_linear(features: Floats, error: Floats) -> Floats:
    """(F, D) ridge regression; the last feature, 1, is free."""
    features, error = np.asarray(features, np.float64), np.asarray(error, np.float64)
    mean, level = features[:, :-1].mean(0), error.mean(0)
    centred = features[:, :-1] - mean
    normal = centred.T @ centred + _RIDGE * len(centred) * np.mean(centred.var(0)) * np.eye(len(mean))
    slopes = np.linalg.solve(normal, centred.T @ (error - level))
    return np.concatenate([slopes, (level - mean @ slopes)[None]])


def _principal(values: Floats, known: Floats | None = None) -> Floats:
    """(K, D) principal components of values (N, D) about 0, beyond known ones, each of its standard deviation."""
    covariance = values.T @ values / len(values)
    if known is not None:
        covariance -= known.T @ known
    variances, directions = np.linalg.eigh(covariance)
    variances, directions = np.maximum(variances[::-1], 0), directions[:, ::-1]
    kept = int(np.searchsorted(np.cumsum(variances), _KEPT * variances.sum())) + 1
    return (directions[:, :kept] * np.sqrt(variances[:kept])).T


def _fit_amplitude(
    scores: Floats, power: Floats, correlation: Floats, conditions: Floats, use: NDArray[np.bool_],
    pairs: NDArray[np.bool_],
) -> tuple[Floats, Floats, Floats]:  # fmt: skip
    """Log amplitude by condition (C,), spread and correlation (2,) of what they do not tell, and the amplitude (N,).

    The power of K unit normals has a known mean, variance and (from that of the scores (N, K)) correlation of its
    logarithm; what is beyond is the amplitude's. Unequal powers (K,) count as fewer equal ones.
    """
    power = power / power.sum()
    half = 1 / (power**2).sum() / 2
    chance = polygamma(1, half) / 4
    swelling = np.log(np.maximum(scores**2 @ power, 1e-9)) / 2 - (polygamma(0, half) - np.log(half)) / 2
    weights = np.linalg.lstsq(conditions[use], swelling[use], rcond=None)[0]
    rest = swelling - conditions @ weights
    variance = max(float(rest[use].var() - chance), 0.0)
    common = chance * float(power @ correlation**2)
    shared = float((rest[pairs] * np.roll(rest, 1)[pairs]).mean()) - common
    weights[0] -= np.log(np.exp(2 * (conditions[use] @ weights) + 2 * variance).mean()) / 2  # mean square 1
    burst = np.array([np.sqrt(variance), np.clip(shared / max(variance, 1e-4), 0, 0.99)])
    return weights, burst, np.exp(conditions @ weights)


def _lag_one(values: Floats, pairs: NDArray[np.bool_]) -> Floats:
    """Correlation of values (N, ...) with those of the row before, over the rows `pairs`."""
    now, before = values[pairs], np.roll(values, 1, axis=0)[pairs]
    return 2 * (now * before).sum(0) / np.maximum((now**2 + before**2).sum(0), 1e-12)


def _fit_confidence(
    confidence: Floats, off: Floats, video: NDArray[np.integer], use: NDArray[np.bool_], following: NDArray[np.bool_]
) -> Floats:
    """(5,) of one joint or hand: level, slope, spread between and within videos, correlation in time."""
    odds, logarithm = _log_odds(confidence), np.log(off)
    centred = logarithm[use] - logarithm[use].mean()
    slope = min(float((centred * odds[use]).sum() / max((centred**2).sum(), 1e-9)), 0.0)
    rest = odds - slope * logarithm
    level = rest[use].mean()
    rest = rest - level
    offsets = np.zeros_like(rest)
    for number in np.unique(video[use]):
        offsets[video == number] = rest[use & (video == number)].mean()
    within = rest - offsets
    correlation = np.clip(_lag_one(within, use & following & np.roll(use, 1)), 0, 0.99)
    return np.array([level, slope, offsets[use].std(), within[use].std(), correlation])


def _fit_missing(hands: _Hands) -> Floats:
    """(C + 1,) log odds that a hand in view is not found: logistic regression by Newton's method."""
    use = hands.following & hands.in_view & np.roll(hands.in_view, 1)
    before = np.roll(~hands.found, 1)
    inputs = np.concatenate([hands.conditions, before[:, None]], 1)[use].astype(np.float64)
    missing = ~hands.found[use]
    weights = np.zeros(inputs.shape[1])
    for _ in range(30):
        chance = _logistic(inputs @ weights)
        gradient = inputs.T @ (missing - chance) - weights
        hessian = (inputs * (chance * (1 - chance))[:, None]).T @ inputs + np.eye(len(weights))
        weights += np.linalg.solve(hessian, gradient)
    return _floats(weights)


def _fit_others(hands: _Hands) -> Floats:
    """(2,) probability that a found hand is taken for the other: of a frame after a usual one, and after such a one."""
    use = hands.following & hands.found & np.roll(hands.found, 1)
    before = np.roll(hands.others, 1)
    return _floats(
        [hands.others[use & (before == was)].mean() if (use & (before == was)).any() else 0.0 for was in (False, True)]
    )


def _floats(values: Any) -> Floats:
    return np.asarray(values, np.float32)


def _log_odds(confidence: Floats) -> Floats:
    bounded = np.clip(confidence, 1e-3, 1 - 1e-3)
    return np.log(bounded / (1 - bounded))
