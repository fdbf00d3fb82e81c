"""Fitting of the detector's error model: from detections of rendered signers, whose true joints are known.

Legend: N = frames of all videos one after the other, M = 2 N hands, J joints, D = 3 J errors, F features of the pose,
C conditions, K components.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import polygamma

from signrep_core.errors import SignRepError
from signrep_core.lift.detector_errors import (
    MIRROR,
    ErrorModel,
    Floats,
    PartErrors,
    as_floats,
    body_features,
    body_size,
    hand_conditions,
    hand_features,
    hand_size,
    hand_steps,
    image_distance,
    logistic,
)
from signrep_core.skeleton import BODY, HANDS, SIDES, Side
from signrep_core.store.schemas import POSE, TRUTH
from signrep_core.store.tables import read_videos

_RIDGE: Final = 0.02  # of the linear function of the pose, per frame and unit of variance
_KEPT: Final = 0.97  # of the variance, by the principal components
_REACH: Final = (1, 99)  # percentiles of what the linear function gave: it is held there for poses far from those seen
_OTHERS: Final = 1.5  # hand lengths distance and nearer to the other hand: it was taken for the other


class Pairs(NamedTuple):
    """Detections with their true poses, N frames; those of a video are consecutive and in order."""

    xy: Floats  # (N, 61, 2) detected, pixels; NaN where missing
    depth: Floats  # (N, 61) metres, z of the landmarks; NaN where missing
    confidence: Floats  # (N, 61)
    true_xy: Floats  # (N, 61, 2) pixels
    joints: Floats  # (N, 61, 3) true, metres, camera axes, neck at the origin
    scale: Floats  # (N,) pixels per metre at the neck
    size: Floats  # (N, 2) width and height of the image
    video: NDArray[np.integer]  # (N,)


def read_pairs(truth_path: str | Path, pose_path: str | Path, size: tuple[int, int]) -> Pairs:
    """Read the frames of a rendered corpus in which its signers were detected, from tables of schemas.TRUTH and POSE.

    size: width and height of the videos in pixels.

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
            image_scale(places, joints), np.tile(as_floats(size), (frames, 1)), np.full(frames, number),
        ))  # fmt: skip
    if not parts:
        raise SignRepError(
            f"detector errors: {pose_path} has no video of {truth_path}; "
            "give the pose that extract_pose found in that very corpus"
        )
    return Pairs(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def image_scale(image_xy: Floats, joints: Floats) -> Floats:
    """(N,) pixels per metre at the neck, from places (N, 61, 2) of joints (N, 61, 3) in a perspective image.

    x (1 + z / d) = s X + t + c z is linear in the scale s, 1 / d, t and c (d the neck's distance).
    """
    x, y = image_xy[..., 0].astype(np.float64), image_xy[..., 1].astype(np.float64)
    zero, one, z = np.zeros_like(x), np.ones_like(x), joints[..., 2]
    across = np.stack([joints[..., 0], -z * x, one, z, zero, zero], -1)
    down = np.stack([joints[..., 1], -z * y, zero, zero, one, z], -1)
    rows, places = np.concatenate([across, down], 1), np.concatenate([x, y], 1)
    return as_floats((np.linalg.pinv(rows) @ places[..., None])[:, 0, 0])


def fit_errors(pairs: Pairs) -> ErrorModel:
    """Fit the error model of a detector to its detections of known poses."""
    following = np.r_[False, pairs.video[1:] == pairs.video[:-1]]  # this row's frame follows that of the row before
    size = body_size(pairs.joints)
    error = _errors_in_sizes(pairs, BODY, size, pairs.depth[:, BODY] - pairs.joints[:, BODY, 2])
    there = np.isfinite(error).all(1)
    always = np.ones((len(error), 1))
    steps = _by_video(hand_steps, following, pairs.joints)
    rows = _Rows(pairs.video, there, following)
    body = _fit_part(body_features(pairs.joints), error, always, steps.mean(1), rows)
    distance = image_distance(error.reshape(len(error), -1, 3))
    inside = _inside(pairs)
    confidence = [
        _fit_confidence(pairs.confidence[:, joint], distance[:, joint], rows._replace(use=there & inside[:, joint]))
        for joint in range(BODY.stop)
    ]

    hands = _Hands.of(pairs, steps, following)
    rows = _Rows(hands.video, hands.usual, hands.following)
    hand = _fit_part(hands.features, hands.error, hands.conditions, hands.steps, rows)
    distance = image_distance(hands.error.reshape(len(hands.error), -1, 3)).mean(-1)
    confidence.append(_fit_confidence(hands.confidence, distance, rows))
    swapped = _log_odds(hands.confidence[hands.others])
    return ErrorModel(
        body, hand, _fit_missing(hands), _fit_others(hands), as_floats(confidence),
        as_floats((swapped.mean(), swapped.std()) if swapped.size else (0, 0)),
    )  # fmt: skip


class _Rows(NamedTuple):
    """Rows of frames: their video, whether to use them, whether a row's frame follows that of the row before; (N,)."""

    video: NDArray[np.integer]
    use: NDArray[np.bool_]
    following: NDArray[np.bool_]

    @property
    def pairs(self) -> NDArray[np.bool_]:
        """(N,) rows to use whose row before is to be used and of the frame before."""
        return self.use & self.following & np.roll(self.use, 1)


class _Hands(NamedTuple):
    """All right hands, then all left ones mirrored to right ones: M = 2 N rows."""

    features: Floats  # (M, F)
    error: Floats  # (M, D) in sizes
    conditions: Floats  # (M, C)
    steps: Floats  # (M,)
    confidence: Floats  # (M,)
    video: NDArray[np.integer]  # (M,) different for right and left hands
    following: NDArray[np.bool_]  # (M,) the row before is of the frame before
    in_view: NDArray[np.bool_]  # (M,) its true joints are all in the image
    found: NDArray[np.bool_]  # (M,)
    others: NDArray[np.bool_]  # (M,) found at the other hand's place

    @classmethod
    def of(cls, pairs: Pairs, steps: Floats, following: NDArray[np.bool_]) -> Self:
        """Collect the hands of pairs; steps (N, 2)."""
        conditions = hand_conditions(pairs.joints, steps)
        inside = _inside(pairs)
        sides = []
        for k, side in enumerate(SIDES):
            own, other = HANDS[side], HANDS[SIDES[1 - k]]
            size = hand_size(pairs.joints[:, own])
            shapes = [z - z[:, :1] for z in (pairs.depth[:, own], pairs.joints[:, own, 2])]
            error = _errors_in_sizes(pairs, own, size, shapes[0] - shapes[1], side)
            found = np.isfinite(error).all(1)
            to_own, to_other = (
                np.linalg.norm(pairs.xy[:, own] - pairs.true_xy[:, joints], axis=-1).mean(-1) / (size * pairs.scale)
                for joints in (own, other)
            )
            others = found & (to_own > _OTHERS) & (to_other < to_own)
            sides.append((
                hand_features(pairs.joints, side), error, conditions[:, k], steps[:, k],
                pairs.confidence[:, own].max(1), 2 * pairs.video + k, following, inside[:, own].all(1), found, others,
            ))  # fmt: skip
        return cls(*(np.concatenate(columns) for columns in zip(*sides, strict=True)))

    @property
    def usual(self) -> NDArray[np.bool_]:
        """(M,) found at its own place."""
        return self.in_view & self.found & ~self.others


def _errors_in_sizes(pairs: Pairs, joints: slice, size: Floats, deep: Floats, side: Side = "right") -> Floats:
    """(N, D) errors of joints in units of sizes (N,): in the image, and in depth `deep` (N, J) metres."""
    flat = (pairs.xy[:, joints] - pairs.true_xy[:, joints]) / (size * pairs.scale)[:, None, None]
    errors = np.concatenate([flat, (deep / size[:, None])[..., None]], -1) * MIRROR[side]
    return errors.reshape(len(errors), -1)


def _inside(pairs: Pairs) -> NDArray[np.bool_]:
    """(N, 61) the true joint is in the image."""
    return ((pairs.true_xy >= 0) & (pairs.true_xy < pairs.size[:, None])).all(-1)


def _by_video(function: Callable[[Floats], Floats], following: NDArray[np.bool_], joints: Floats) -> Floats:
    """Apply a function of sequences (T, 61, 3) to each video of all frames (N, 61, 3)."""
    return np.concatenate([function(part) for part in np.split(joints, np.flatnonzero(~following)[1:])])


def _fit_part(features: Floats, error: Floats, conditions: Floats, steps: Floats, rows: _Rows) -> PartErrors:
    """The parameters of a part from the rows to use."""
    video, use, pairs = rows.video, rows.use, rows.pairs
    pose = _fit_linear(features[use], error[use])
    reach = np.percentile(features[use] @ pose, _REACH, axis=0)
    rest = error - np.clip(features @ pose, *reach)
    offsets = np.zeros_like(rest)
    numbers = np.unique(video[use])
    for number in numbers:
        offsets[video == number] = rest[use & (video == number)].mean(0)
    jitter = _principal((rest - offsets)[use])
    scores = (rest - offsets) @ np.linalg.pinv(jitter)  # (N, K) of unit variance
    seen = _lag_one(scores, pairs)
    amplitude, burst, swelling = _fit_amplitude(scores, (jitter**2).sum(1), seen, conditions, use, pairs)
    share = _share_of_means(np.clip(seen, 0, 0.99), use.sum() / len(numbers))
    decay = _fit_decay(scores / swelling[:, None], steps, pairs, share)
    offset = _principal(offsets[use], jitter * np.sqrt(share / (1 - share))[:, None])
    jitter /= np.sqrt(1 - share)[:, None]
    return PartErrors(*map(as_floats, (pose, reach, offset, jitter, decay, amplitude, burst)))


def _share_of_means(correlation: Floats, frames: float) -> Floats:
    """(K,) share of a jitter's variance that its mean over a video of `frames` frames takes.

    Offsets are means over videos and so contain a share of the jitter; the rest of it looks less correlated.
    """
    true = correlation
    for _ in range(5):
        share = np.minimum((1 + true) / (1 - true) / frames, 0.5)
        true = np.clip(correlation * (1 - share) + share, 0, 0.99)
    return share


def _fit_decay(scores: Floats, steps: Floats, pairs: NDArray[np.bool_], share: Floats) -> Floats:
    """(2, K) decay of the correlation of scores (N, K) at rest and per step (N,), from their changes.

    Half the mean square change is 1 - correlation; scores without their means change by a `share` more.
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
    """(F, D) ridge regression; the last feature, 1, is not penalised."""
    features, error = np.asarray(features, np.float64), np.asarray(error, np.float64)
    mean, level = features[:, :-1].mean(0), error.mean(0)
    centred = features[:, :-1] - mean
    normal = centred.T @ centred + _RIDGE * len(centred) * np.mean(centred.var(0)) * np.eye(len(mean))
    slopes = np.linalg.solve(normal, centred.T @ (error - level))
    return np.concatenate([slopes, (level - mean @ slopes)[None]])


def _principal(values: Floats, known: Floats | None = None) -> Floats:
    """(K, D) principal components of values (N, D) about 0, less known ones, scaled by their standard deviations."""
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
    """Log amplitude per condition (C,), deviation and correlation (2,) of its residual, and the amplitude (N,).

    The log power of K unit normals has a known mean, variance and (from the correlation of the scores (N, K))
    correlation; any excess belongs to the amplitude. Unequal powers (K,) count as fewer equal ones.
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


def _fit_confidence(confidence: Floats, distance: Floats, rows: _Rows) -> Floats:
    """(5,) of one joint or hand: level, slope, deviations between and within videos, correlation in time."""
    odds, logarithm, use = _log_odds(confidence), np.log(distance), rows.use
    centred = logarithm[use] - logarithm[use].mean()
    slope = min(float((centred * odds[use]).sum() / max((centred**2).sum(), 1e-9)), 0.0)
    rest = odds - slope * logarithm
    level = rest[use].mean()
    rest = rest - level
    offsets = np.zeros_like(rest)
    for number in np.unique(rows.video[use]):
        offsets[rows.video == number] = rest[use & (rows.video == number)].mean()
    within = rest - offsets
    correlation = np.clip(_lag_one(within, rows.pairs), 0, 0.99)
    return np.array([level, slope, offsets[use].std(), within[use].std(), correlation])


def _fit_missing(hands: _Hands) -> Floats:
    """(C + 1,) log odds that a hand in view is not found: logistic regression by Newton's method."""
    use = hands.following & hands.in_view & np.roll(hands.in_view, 1)
    before = np.roll(~hands.found, 1)
    inputs = np.concatenate([hands.conditions, before[:, None]], 1)[use].astype(np.float64)
    missing = ~hands.found[use]
    weights = np.zeros(inputs.shape[1])
    for _ in range(30):
        chance = logistic(inputs @ weights)
        gradient = inputs.T @ (missing - chance) - weights
        hessian = (inputs * (chance * (1 - chance))[:, None]).T @ inputs + np.eye(len(weights))
        weights += np.linalg.solve(hessian, gradient)
    return as_floats(weights)


def _fit_others(hands: _Hands) -> Floats:
    """(2,) probability that a found hand is taken for the other: after a frame in which it was not, and was."""
    use = hands.following & hands.found & np.roll(hands.found, 1)
    before = np.roll(hands.others, 1)
    return as_floats(
        [hands.others[use & (before == was)].mean() if (use & (before == was)).any() else 0.0 for was in (False, True)]
    )


def _log_odds(confidence: Floats) -> Floats:
    bounded = np.clip(confidence, 1e-3, 1 - 1e-3)
    return np.log(bounded / (1 - bounded))
