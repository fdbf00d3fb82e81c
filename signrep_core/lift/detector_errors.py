"""Error model of the pose detector: its parameters, and simulated detections of true poses, in numpy.

A network can learn what detections look like without rendered images: `fit_detector_errors` measures the detector's
errors where the truth is known, and `corrupt` draws errors of the same distribution, some 50,000 frames a second.

The errors of a part (the body's 19 joints, or a hand's 21; a left hand is mirrored to a right one) in x, y and z are
the sum of three terms, in units of the part's size so that they fit any image and any person:
- a linear function of the true pose: the bias, including a detector's pull towards the mean pose;
- an offset per video, drawn from its principal components;
- jitter: principal components, each AR(1) in time, with bursts (a log-normal amplitude, AR(1) as well). Its correlation
  from frame to frame falls with the movement: a still hand has the same error for many frames.
The principal components model errors that joints share: a hand that is shifted as a whole, a face that is rotated.

The jitter of a hand, and whether it is found, depend on the `CONDITIONS` it is seen under. Now and then the detector
takes one hand for the other. Confidence falls with the error as the detector's does.

Legend: B sequences, T frames, J joints, D = 3 J errors, F features of the pose, C conditions, K components.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

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

Floats = NDArray[np.floating]

# Conditions of a hand, see `hand_conditions`.
CONDITIONS: Final = ("always", "edge_on", "speed", "near_other", "near_face", "closed")
_NEAR_M: Final = 0.12  # metres in the image: two hands, or a hand and the face, occlude each other
_INDEX, _MIDDLE, _, _PINKY = KNUCKLES
MIRROR: Final = {side: np.array([1 if side == "right" else -1, 1, 1], np.float32) for side in SIDES}


@dataclass(frozen=True)
class PartErrors:
    """Error parameters of a part; D values x, y, z of joint after joint, in units of the part's size."""

    pose: Floats  # (F, D) error per feature of the true pose, the last feature being 1
    reach: Floats  # (2, D) least and greatest error that the pose explains
    offset: Floats  # (K, D) principal components of a video's offset, as standard deviations
    jitter: Floats  # (K, D) those in time
    decay: Floats  # (2, K) the jitter's correlation between frames is exp(-decay): at rest, and per decimetre moved
    amplitude: Floats  # (C,) log amplitude of the jitter under each condition; of the body (1,), always the same
    burst: Floats  # (2,) standard deviation of the rest of the log amplitude, and its correlation


@dataclass(frozen=True)
class ErrorModel:
    """The parameters of a detector's errors."""

    body: PartErrors
    hand: PartErrors
    missing: Floats  # (C + 1,) log odds that a hand is not found: per condition, and after a frame without it
    other: Floats  # (2,) probability per frame that a found hand begins, and continues, to be taken for the other
    # (20, 5) of each body joint and of a hand: log odds at an error of 1, their change with the error's logarithm,
    # standard deviations between videos and in time, correlation in time
    confidence: Floats
    other_confidence: Floats  # (2,) log odds where one hand is taken for the other: mean and standard deviation

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build a model from what `to_dict` gave.

        Raises:
            SignRepError: another version of the skeleton, or missing parameters.
        """
        if values.get("skeleton_version") != SKELETON_VERSION:
            raise SignRepError(
                f"detector errors: expected skeleton_version {SKELETON_VERSION}, "
                f"found {values.get('skeleton_version')}; "
                "fit them again: signrep train detector"
            )
        try:
            body, hand = (
                PartErrors(**{key: as_floats(value) for key, value in values[part].items()})
                for part in ("body", "hand")
            )
            rest = {field.name: as_floats(values[field.name]) for field in fields(cls)[2:]}
            return cls(body, hand, **rest)
        except (KeyError, TypeError) as error:
            raise SignRepError(
                f"detector errors: expected the parameters of {cls.__name__}, {error} is wrong; "
                "fit them again: signrep train detector"
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """The parameters as JSON values, to four digits."""

        def rounded(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: rounded(part) for key, part in value.items()}
            return [rounded(part) for part in value] if np.ndim(value) else float(f"{value:.4g}")

        return {"skeleton_version": SKELETON_VERSION, **rounded(asdict(self))}


def load_errors(path: str | Path | None = None) -> ErrorModel:
    """Read a fitted model, by default that of MediaPipe, measured on rendered signers.

    Raises:
        SignRepError: the file cannot be read, or is of another version of the skeleton.
    """
    source = files(__package__) / "detector_errors.json" if path is None else Path(path)
    try:
        return ErrorModel.from_dict(json.loads(source.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise SignRepError(f"detector errors: {source} cannot be read ({error})") from error


def save_errors(errors: ErrorModel, path: str | Path) -> None:
    """Write a model as JSON, atomically."""
    write_text(path, json.dumps(errors.to_dict(), separators=(",", ":")) + "\n")


# ---------------------------------------------------------------- simulated detections
def corrupt(
    image_xy: Floats, joints: Floats, scale: Floats, rng: np.random.Generator, errors: ErrorModel
) -> tuple[Floats, Floats, Floats]:
    """Simulate the detector on true poses; sequences of 25 frames a second.

    Args:
        image_xy: (B, T, 61, 2) true places in the image, any unit.
        joints: (B, T, 61, 3) metres, camera axes, neck at the origin.
        scale: (B,) units of the image per metre, at the neck.
        rng: source of randomness.
        errors: the detector's.

    Returns:
        Places (B, T, 61, 2) in the same unit, depths (B, T, 61) in metres from the neck and confidences (B, T, 61),
        as the columns image_xy, landmarks (z) and confidence of schemas.POSE: NaN and 0 where a hand was not found.
    """
    true_xy, joints = (np.asarray(values, np.float32) for values in (image_xy, joints))
    scale = np.asarray(scale, np.float32)
    xy, depth = np.empty_like(true_xy), np.empty(true_xy.shape[:3], np.float32)
    confidence = np.empty(true_xy.shape[:3], np.float32)
    lead = true_xy.shape[:2]

    steps = hand_steps(joints)  # (B, T, 2)
    always = np.ones((*lead, 1), np.float32)
    error = _draw(errors.body, body_features(joints), always, steps.mean(-1), rng).reshape(*lead, -1, 3)
    size = body_size(joints)
    xy[..., BODY, :] = true_xy[..., BODY, :] + error[..., :2] * (size * scale[:, None])[..., None, None]
    depth[..., BODY] = joints[..., BODY, 2] + error[..., 2] * size[..., None]
    confidence[..., BODY] = _draw_confidence(errors.confidence[:-1], image_distance(error), rng)

    conditions = hand_conditions(joints, steps)  # (B, T, 2, C)
    found, others = _draw_events(conditions, errors, rng)
    for k, side in enumerate(SIDES):
        own, other = HANDS[side], HANDS[SIDES[1 - k]]
        error = _draw(errors.hand, hand_features(joints, side), conditions[..., k, :], steps[..., k], rng)
        error = error.reshape(*lead, -1, 3)
        size = hand_size(joints[..., own, :])
        taken = others[..., k, None, None]
        place = np.where(taken, true_xy[..., other, :], true_xy[..., own, :])
        xy[..., own, :] = place + error[..., :2] * MIRROR[side][:2] * (size * scale[:, None])[..., None, None]
        shape = joints[..., own, 2] - joints[..., own, 2][..., :1]
        depth[..., own] = depth[..., ARMS[side][2], None] + shape + error[..., 2] * size[..., None]
        usual = _draw_confidence(errors.confidence[-1:], image_distance(error).mean(-1, keepdims=True), rng)
        mean, deviation = errors.other_confidence
        swapped = logistic(mean + deviation * _normal(rng, (*lead, 1)))
        confidence[..., own] = np.where(others[..., k, None], swapped, usual)
        lost = ~found[..., k]
        xy[..., own, :][lost], depth[..., own][lost], confidence[..., own][lost] = np.nan, np.nan, 0
    return xy, depth, confidence


def _draw(part: PartErrors, features: Floats, conditions: Floats, steps: Floats, rng: np.random.Generator) -> Floats:
    """(B, T, D) errors of a part in its size; features (B, T, F), conditions (B, T, C), movement steps (B, T)."""
    lead = features.shape[:2]
    error = np.clip(features @ part.pose, part.reach[0], part.reach[1])
    error += (_normal(rng, (lead[0], len(part.offset))) @ part.offset)[:, None]
    correlation = np.exp(-part.decay[0] - part.decay[1] * steps[..., None])
    jitter = _autoregressive(_normal(rng, (*lead, len(part.jitter))), correlation)
    amplitude = part.burst[0] * _autoregressive(_normal(rng, (*lead, 1)), np.full((*lead, 1), part.burst[1]))
    amplitude += (conditions @ part.amplitude)[..., None]
    jitter *= np.exp(amplitude)
    error += jitter @ part.jitter
    return error


def _draw_confidence(parameters: Floats, error: Floats, rng: np.random.Generator) -> Floats:
    """(B, T, J) confidences for errors (B, T, J) in sizes; parameters (J, 5)."""
    level, slope, between, within, correlation = parameters.T
    noise = within * _autoregressive(_normal(rng, error.shape), np.broadcast_to(correlation, error.shape))
    noise += between * _normal(rng, (len(error), 1, error.shape[-1]))
    return logistic(level + slope * np.log(error) + noise)


def _draw_events(
    conditions: Floats, errors: ErrorModel, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Frames in which each hand is found, and in which it is taken for the other: (B, T, 2) each."""
    odds = conditions @ errors.missing[:-1]  # (B, T, 2)
    lost = _switches(logistic(odds), logistic(odds + errors.missing[-1]), rng)
    begins, continues = (np.full_like(odds, chance) for chance in errors.other)
    return ~lost, _switches(begins, continues, rng)


def _switches(begins: Floats, continues: Floats, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(B, T, 2) states of Markov chains with probabilities to begin and continue, started from equilibrium."""
    drawn = rng.random(begins.shape, np.float32)
    states = np.empty(begins.shape, bool)
    states[:, 0] = drawn[:, 0] < begins[:, 0] / (begins[:, 0] + 1 - continues[:, 0])
    for t in range(1, begins.shape[1]):
        states[:, t] = drawn[:, t] < np.where(states[:, t - 1], continues[:, t], begins[:, t])
    return states


def _autoregressive(noise: Floats, correlation: Floats) -> Floats:
    """AR(1) series of unit variance along axis 1; overwrites the unit noise (B, T, K) they are made of.

    correlation: (B, T, K) with the frame before.
    """
    fresh = np.sqrt(1 - correlation**2)
    for t in range(1, noise.shape[1]):
        noise[:, t] *= fresh[:, t]
        noise[:, t] += correlation[:, t] * noise[:, t - 1]
    return noise


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return rng.standard_normal(shape, np.float32)


def logistic(odds: Floats) -> Floats:
    """Probabilities of log odds."""
    with np.errstate(over="ignore"):  # odds so small that the quotient is 0
        return 1 / (1 + np.exp(-odds))


def image_distance(error: Floats) -> Floats:
    """(..., J) lengths in the image of errors (..., J, 3), at least 0.001 so that their logarithm is finite."""
    return np.maximum(np.hypot(error[..., 0], error[..., 1]), 1e-3)


# ---------------------------------------------------------------- features of a pose
def body_size(joints: Floats) -> Floats:
    """(...) metres between the shoulders."""
    right, left = (joints[..., joint, :] for joint in SHOULDERS)
    return np.linalg.norm(left - right, axis=-1)


def hand_size(hand: Floats) -> Floats:
    """(...) metres from wrist to middle knuckle."""
    return np.linalg.norm(hand[..., _MIDDLE, :] - hand[..., HAND_WRIST, :], axis=-1)


def body_features(joints: Floats) -> Floats:
    """(..., 58) the body's joints in units of its size, and 1."""
    body = joints[..., BODY, :] / body_size(joints)[..., None, None]
    return _with_one(body.reshape(*joints.shape[:-2], -1))


def hand_features(joints: Floats, side: Side) -> Floats:
    """(..., 67) the hand's joints from the wrist in units of its size, the forearm's direction, and 1.

    A left hand is mirrored to a right one.
    """
    hand = joints[..., HANDS[side], :] * MIRROR[side]
    relative = (hand - hand[..., :1, :]) / hand_size(hand)[..., None, None]
    _, elbow, wrist = ARMS[side]
    forearm = (joints[..., wrist, :] - joints[..., elbow, :]) * MIRROR[side]
    forearm = forearm / np.linalg.norm(forearm, axis=-1, keepdims=True)
    return _with_one(np.concatenate([relative.reshape(*joints.shape[:-2], -1), forearm], -1))


def _with_one(features: Floats) -> Floats:
    return np.concatenate([features, np.ones((*features.shape[:-1], 1), features.dtype)], -1)


def hand_steps(joints: Floats) -> Floats:
    """(..., T, 2) decimetres that each hand moved in the image since the frame before, the mean of its joints."""
    moved = np.diff(joints[..., :2], axis=-3, prepend=joints[..., :1, :, :2])
    distance = 10 * np.hypot(moved[..., 0], moved[..., 1])
    return np.stack([distance[..., HANDS[side]].mean(-1) for side in SIDES], -1)


def hand_conditions(joints: Floats, steps: Floats) -> Floats:
    """(..., T, 2, C) conditions of each hand.

    In order: 1; palm seen edge-on (0..1); decimetres moved since the frame before; nearness of the other hand and of
    the face (0..1); closed (0 flat, about 1 a fist).
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
        reach = np.linalg.norm(hand[..., TIPS[1:], :] - wrist[..., None, :], axis=-1).mean(-1) / hand_size(hand)
        rows.append([
            np.ones_like(apart), edge_on, steps[..., k],
            np.exp(-((apart / _NEAR_M) ** 2)), np.exp(-((to_face / _NEAR_M) ** 2)), 2 - reach,
        ])  # fmt: skip
    return np.stack([np.stack(row, -1) for row in rows], -2).astype(np.float32)


def as_floats(values: Any) -> Floats:
    """The values as float32."""
    return np.asarray(values, np.float32)
