"""Bone lengths: measured in every frame, gathered in a mergeable histogram, and turned into offsets (supplement A1).

A length is measured in metres; `offsets` are the input of forward kinematics: the upper arm (index metacarpal) in
metres and the other bones as ratios to it. Medians are taken in metres and divided afterwards: a ratio of two noisy
lengths of one frame has a skewed distribution, and needs both bones in view.

The face points are not bones but coordinates in the head's frame, signed: x outward from the middle, y down, z away
from the camera, from the nose. That frame is known from the landmarks alone: its y axis runs from the nose to the neck
(the nose lies at -y by definition), its x axis from the right to the left of the face.

The mid-spine is not a joint, so only the distance neck to mid-hip is seen: |mid-hip| = 2 b cos(x/2), with the lower
spine bent by x. `spine_half` is b for the resting bend.

Legend: T frames, N = 16 + 20 bones (body, then hand), S = 2 sides (right, left), J = 61 joints.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from signrep_core.body.arrays import blocks
from signrep_core.errors import TableError
from signrep_core.skeleton import (
    ARMS,
    BODY_ANGLES,
    BODY_OFFSETS,
    DEFAULT_BODY_OFFSETS,
    DEFAULT_HAND_OFFSETS,
    EARS,
    HAND_OFFSETS,
    HANDS,
    HIPS,
    JOINTS,
    MIN_CONFIDENCE,
    N_BODY_OFFSETS,
    N_HAND_OFFSETS,
    NOSE,
    OBSERVED_BODY_RANGES,
    SIDES,
    SKELETON_VERSION,
)

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]

BONES: Final = BODY_OFFSETS + HAND_OFFSETS
N_BONES: Final = len(BONES)
_RESTING_BEND = OBSERVED_BODY_RANGES[BODY_ANGLES.index("lower_spine_x")].mean()

# The hand joints (wrist first) that each hand bone ends at and starts from, in the order of HAND_OFFSETS.
_HAND_ENDS = (5, 1, 2, 3, 4, 6, 7, 8, *range(9, 21))
_HAND_STARTS = (0, 0, 1, 2, 3, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19)
_EYES = {side: [JOINTS.index(f"{side}_eye{part}") for part in ("_inner", "", "_outer")] for side in SIDES}
_EARS = dict(zip(SIDES, EARS, strict=True))
_MOUTH = {side: JOINTS.index(f"mouth_{side}") for side in SIDES}


# ---------------------------------------------------------------- measuring
def measure_bones(landmarks: NDArray[np.floating], confidence: NDArray[np.floating]) -> Floats:
    """Length in metres (of a face point: signed coordinate) of every bone in every frame.

    Args:
        landmarks: (T, 61, 3) metres, neck at the origin.
        confidence: (T, 61); joints below 0.5 do not count (A8).

    Returns:
        (T, 36, 2) right and left; NaN where a joint is missing, and for the second side of a central bone.
    """
    joints = seen_joints(landmarks, confidence)
    lengths = np.full((len(joints), N_BONES, len(SIDES)), np.nan)
    x, y, z = head_frame(joints)
    centred = joints[:, : HANDS["right"].start] - joints[:, NOSE, None]
    face = np.stack([np.einsum("tji,ti->tj", centred, axis) for axis in (x, y, z)], -1)
    for k, (side, mirror) in enumerate(zip(SIDES, (-1.0, 1.0), strict=True)):
        shoulder, elbow, wrist = (joints[:, joint] for joint in ARMS[side])
        lengths[:, 0, k] = _norm(elbow - shoulder)
        lengths[:, 1, k] = _norm(shoulder)
        lengths[:, 2, k] = _norm(wrist - elbow)
        lengths[:, 6:9, k] = face[:, _EARS[side]] * (mirror, 1, 1)
        lengths[:, 9:12, k] = face[:, _MOUTH[side]] * (mirror, 1, 1)
        inner, centre, outer = (face[:, joint] for joint in _EYES[side])
        lengths[:, 12, k] = mirror * (outer - inner)[:, 0] / 2
        lengths[:, 13:16, k] = (inner + centre + outer) / 3 * (mirror, -1, 1)
        hand = joints[:, HANDS[side]]
        lengths[:, N_BODY_OFFSETS:, k] = _norm(hand[:, _HAND_ENDS] - hand[:, _HAND_STARTS])
    right_hip, left_hip = (joints[:, hip] for hip in HIPS)
    lengths[:, 3, 0] = _norm(joints[:, NOSE])
    lengths[:, 4, 0] = _norm(left_hip - right_hip) / 2
    lengths[:, 5, 0] = _norm(left_hip + right_hip) / 2 / (2 * np.cos(_RESTING_BEND / 2))
    return lengths


def seen_joints(landmarks: NDArray[np.floating], confidence: NDArray[np.floating]) -> Floats:
    """The landmarks in float64, NaN where the confidence is below 0.5 (A8): (T, 61, 3)."""
    seen = (np.asarray(confidence) >= MIN_CONFIDENCE)[..., None] & np.isfinite(landmarks).all(-1, keepdims=True)
    return np.where(seen, landmarks, np.nan).astype(np.float64, copy=False)


def head_frame(joints: Floats) -> tuple[Floats, Floats, Floats]:
    """The head's axes (columns of H), each (T, 3), from joints (T, 61, 3) with NaN where missing.

    y runs from the nose to the neck; x is the mean right-to-left direction of the eyes, ears and mouth corners in view,
    made perpendicular to y.
    """
    y = -joints[:, NOSE] / _norm(joints[:, NOSE])[:, None]
    pairs = [*zip(_EYES["right"], _EYES["left"], strict=True)]
    pairs += [(points["right"], points["left"]) for points in (_EARS, _MOUTH)]
    across = np.stack([joints[:, left] - joints[:, right] for right, left in pairs])
    x = np.where(np.isnan(across).all(0), np.nan, np.nansum(across, 0))
    x = x - (x * y).sum(-1, keepdims=True) * y
    x = x / _norm(x)[:, None]
    return x, y, np.cross(x, y)


def scatter(lengths: Floats) -> float:
    """Noise of bone lengths: a robust standard deviation from the median distance to each bone's median.

    lengths: (T, N) metres, NaN where missing; 0 when nothing is seen.
    """
    deviations = [
        np.abs(seen - np.median(seen)) for seen in (bone[np.isfinite(bone)] for bone in lengths.T) if seen.size
    ]
    return 1.4826 * float(np.median(np.concatenate(deviations))) if deviations else 0.0


# ---------------------------------------------------------------- lengths to offsets
def frame_offsets(lengths: Floats) -> tuple[Floats, Floats]:
    """Offsets of every frame, both sides averaged: (T, 36, 2) to (T, 16) and (T, 20); NaN where a joint is missing."""
    count = np.isfinite(lengths).sum(-1)
    pooled = np.where(count > 0, np.nansum(lengths, -1) / np.maximum(count, 1), np.nan)
    body, hand = pooled[:, :N_BODY_OFFSETS], pooled[:, N_BODY_OFFSETS:]
    return _to_ratios(body), _to_ratios(hand)


def shared_lengths(body_offsets: Floats, hand_offsets: Floats) -> Floats:
    """Lengths (T, 36, 2) in metres from offsets (T, 16) and (T, 20) that both sides share; NaN for the second side."""
    lengths = np.concatenate([_to_lengths(body_offsets), _to_lengths(hand_offsets)], -1)
    return np.stack((lengths, np.full_like(lengths, np.nan)), -1)


def video_offsets(lengths: Floats) -> tuple[Floats, Floats]:
    """Offsets (16,) and (20,) of one video: the median over its frames and both sides of each bone (T, 36, 2).

    A bone never seen takes the default, scaled to the bones that are seen.
    """
    rows = lengths.transpose(1, 0, 2).reshape(N_BONES, -1)
    medians = np.array([np.median(row) if row.size else np.nan for row in (r[np.isfinite(r)] for r in rows)])
    return offsets_from_lengths(medians)


def offsets_from_lengths(lengths: Floats) -> tuple[Floats, Floats]:
    """Offsets (16,) and (20,) from 36 lengths in metres; NaN becomes the default, scaled to the other bones."""
    defaults = np.concatenate([_to_lengths(DEFAULT_BODY_OFFSETS), _to_lengths(DEFAULT_HAND_OFFSETS)])
    filled = lengths.copy()
    scales = [_proportion(lengths[part], defaults[part]) for part in _PARTS]
    for part, own, other in zip(_PARTS, scales, reversed(scales), strict=True):
        scale = own if np.isfinite(own) else other if np.isfinite(other) else 1.0
        filled[part] = np.where(np.isfinite(lengths[part]), lengths[part], scale * defaults[part])
    body, hand = (_to_ratios(filled[part]) for part in _PARTS)
    return body, hand


_PARTS = (slice(0, N_BODY_OFFSETS), slice(N_BODY_OFFSETS, N_BODY_OFFSETS + N_HAND_OFFSETS))


def _proportion(lengths: Floats, defaults: Floats) -> float:
    """Median ratio of the seen bones, except very short ones, to the default ones; NaN when none is seen."""
    seen = np.isfinite(lengths) & (defaults > 0.01)
    return float(np.median(lengths[seen] / defaults[seen])) if seen.any() else np.nan


def _to_ratios(lengths: Floats) -> Floats:
    return np.concatenate([lengths[..., :1], lengths[..., 1:] / lengths[..., :1]], -1)


def _to_lengths(offsets: Floats) -> Floats:
    return np.concatenate([offsets[..., :1], offsets[..., 1:] * offsets[..., :1]], -1)


def _norm(vectors: Floats) -> Floats:
    return np.sqrt(np.einsum("...i,...i->...", vectors, vectors))


# ---------------------------------------------------------------- the corpus
class BoneHistogram:
    """Histogram of every bone's lengths in bins of 0.1 mm: of constant size, and mergeable.

    The median of any number of frames is exact to half a bin, needs no second pass, and does not depend on the order.
    """

    BIN = 1e-4  # metres
    LOWEST, HIGHEST = -0.5, 1.5  # metres; lengths outside count in the first or last bin

    def __init__(self) -> None:
        self._counts = np.zeros((N_BONES, round((self.HIGHEST - self.LOWEST) / self.BIN)), np.int64)

    def add(self, landmarks: NDArray[np.floating], confidence: NDArray[np.floating]) -> None:
        """Count every frame's bones, left and right pooled: landmarks (T, 61, 3) metres, confidence (T, 61)."""
        for frames in blocks(len(landmarks)):
            self.add_lengths(measure_bones(landmarks[frames], confidence[frames]))

    def add_lengths(self, lengths: Floats) -> None:
        """Count measured lengths (T, 36, 2) in metres; NaN does not count."""
        n_bins = self._counts.shape[1]
        _, bone, _ = seen = np.nonzero(np.isfinite(lengths))
        bins = np.clip(np.floor((lengths[seen] - self.LOWEST) / self.BIN), 0, n_bins - 1).astype(np.int64)
        self._counts += np.bincount(bone * n_bins + bins, minlength=self._counts.size).reshape(self._counts.shape)

    def merge(self, other: "BoneHistogram") -> "BoneHistogram":
        """The sum of both histograms."""
        merged = BoneHistogram()
        merged._counts = self._counts + other._counts
        return merged

    @property
    def counts(self) -> NDArray[np.int64]:
        """(36,) number of counted lengths of each bone."""
        return self._counts.sum(1)

    def median_lengths(self) -> Floats:
        """The median of every bone in metres, (36,); NaN for a bone never seen."""
        medians = np.full(N_BONES, np.nan)
        for bone, total in enumerate(self.counts):
            if total:
                ranks = ((total - 1) // 2, total // 2)  # the middle one, or the middle two
                bins = np.searchsorted(np.cumsum(self._counts[bone]), ranks, side="right")
                medians[bone] = self.LOWEST + (bins.mean() + 0.5) * self.BIN
        return medians

    def middle(self, bone: str, n_bins: int, share: float = 0.99) -> tuple[NDArray[np.int64], Floats]:
        """The middle `share` of a bone's lengths: counts (n_bins,), edges (n_bins + 1,) in metres; empty if unseen."""
        counts = self._counts[BONES.index(bone)]
        total = np.cumsum(counts)
        if not total[-1]:
            return np.empty(0, np.int64), np.empty(0)
        ranks = total[-1] * np.array([(1 - share) / 2, (1 + share) / 2])
        first, last = np.searchsorted(total, ranks, side="right").clip(0, len(counts) - 1)
        per_bin = -(-(last - first + 1) // n_bins)
        padded = np.zeros(n_bins * per_bin, np.int64)
        part = counts[first : first + len(padded)]
        padded[: len(part)] = part
        edges = self.LOWEST + self.BIN * (first + per_bin * np.arange(n_bins + 1))
        return padded.reshape(n_bins, per_bin).sum(1), edges

    def medians(self) -> dict[str, Any]:
        """The standard skeleton, as `bones.json` holds it: offsets, counts and the bones that were never seen.

        A bone never seen takes the default, scaled to the others, with a warning in the log.
        """
        lengths, counts = self.median_lengths(), self.counts
        body, hand = offsets_from_lengths(lengths)
        unseen = [bone for bone, total in zip(BONES, counts, strict=True) if not total]
        if unseen:
            logger.warning(
                "median bones: never seen with a confidence of %.1f: %s; defaults are used instead",
                MIN_CONFIDENCE, ", ".join(unseen),
            )  # fmt: skip
        return {
            "skeleton_version": SKELETON_VERSION,
            "body_offsets": body.round(6).tolist(),
            "hand_offsets": hand.round(6).tolist(),
            "counts": dict(zip(BONES, counts.tolist(), strict=True)),
            "defaults": unseen,
        }

    def to_dict(self) -> dict[str, Any]:
        """The histogram as JSON values: for each bone seen its first used bin and the counts from there."""
        bones = {}
        for bone, counts in zip(BONES, self._counts, strict=True):
            bins = np.flatnonzero(counts)
            if bins.size:
                bones[bone] = {"first": int(bins[0]), "counts": counts[bins[0] : bins[-1] + 1].tolist()}
        return {"skeleton_version": SKELETON_VERSION, "lowest_m": self.LOWEST, "bin_m": self.BIN, "bones": bones}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build a histogram from what `to_dict` gave.

        Raises:
            TableError: another skeleton or other bins, or invalid counts.
        """
        expected = {"skeleton_version": SKELETON_VERSION, "lowest_m": cls.LOWEST, "bin_m": cls.BIN}
        found = {key: values.get(key) for key in expected}
        if found != expected:
            raise TableError(f"bone histogram: expected {expected}, found {found}")
        histogram = cls()
        for bone, part in values["bones"].items():
            first, counts = part["first"], np.asarray(part["counts"])
            if first < 0 or counts.dtype.kind != "i" or counts.min() < 0:
                raise TableError(f"bone histogram: expected the counts of {bone}'s lengths, found {part}")
            histogram._counts[BONES.index(bone), first : first + len(counts)] = counts
        return histogram


def median_offsets(values: Mapping[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Body (16,) and hand offsets (20,) of the standard skeleton, from what `BoneHistogram.medians` gave.

    Raises:
        TableError: another skeleton, or a wrong number of offsets or not finite ones.
    """
    if values["skeleton_version"] != SKELETON_VERSION:
        found = values["skeleton_version"]
        raise TableError(f"median bones: expected skeleton_version {SKELETON_VERSION}, found {found}")
    body, hand = (np.asarray(values[name], np.float32) for name in ("body_offsets", "hand_offsets"))
    for name, part, size in (("body_offsets", body, N_BODY_OFFSETS), ("hand_offsets", hand, N_HAND_OFFSETS)):
        if part.shape != (size,) or not np.isfinite(part).all():
            raise TableError(f"median bones: expected {size} finite {name}, found {values[name]}")
    return body, hand
