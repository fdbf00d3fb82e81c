"""Quality of solved angles: joint errors and jumps, accumulated over videos in constant memory.

Legend: T frames, J = 61 joints, A angles.
"""

from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from signrep_core.body.arrays import blocks
from signrep_core.body.inverse import Solution
from signrep_core.skeleton import ARMS, HANDS, HEAD, HIPS, N_WRIST_ANGLES, SIDES

_BIN = 1e-4  # metres
_N_BINS = 5000  # to half a metre; larger errors count in the last bin

GROUPS: Final = MappingProxyType(
    {
        "arms": [joint for side in SIDES for joint in ARMS[side]],
        "face": list(range(HEAD.start, HEAD.stop)),
        "hips": list(HIPS),
    }
)


class Quality:
    """Median joint errors and largest angle jumps of any number of videos.

    Errors are distances of the posed skeleton, with each video's own bones, to the landmarks seen: of `arms`, `face`
    and `hips` from the neck; of `fingers` from the wrist, after scaling the hand to the video's size (see `fit_hand`),
    and as placed by the detector (`fingers_as_placed`).
    """

    def __init__(self) -> None:
        groups = (*GROUPS, "fingers", "fingers_as_placed")
        self._errors = {group: np.zeros(_N_BINS, np.int64) for group in groups}
        self._jumps = dict.fromkeys(("body", "fingers", "wrists"), 0.0)
        self._frames = self._filled = 0

    def add(self, solution: Solution) -> None:
        """Add one video."""
        self._frames += len(solution.landmarks)
        self._filled += int(solution.interpolated.sum())
        for frames in blocks(len(solution.landmarks)):
            posed, seen = solution.joints(frames), solution.landmarks[frames]
            for group, joints in GROUPS.items():
                self._count(group, posed[:, joints] - seen[:, joints])
            for k, side in enumerate(SIDES):
                ours, theirs = (joints[:, HANDS[side]] - joints[:, HANDS[side].start, None] for joints in (posed, seen))
                self._count("fingers_as_placed", (ours - theirs)[:, 1:])
                self._count("fingers", (ours - theirs / solution.hand_scale[frames, k, None, None])[:, 1:])
        self._jump("body", solution.body_angles, solution.body_valid)
        for side in SIDES:
            angles, valid = getattr(solution, f"{side}_angles"), getattr(solution, f"{side}_valid")
            self._jump("wrists", angles[:, :N_WRIST_ANGLES], valid[:, :N_WRIST_ANGLES])
            self._jump("fingers", angles[:, N_WRIST_ANGLES:], valid[:, N_WRIST_ANGLES:])

    def merge(self, other: "Quality") -> "Quality":
        """The sum of both."""
        merged = Quality()
        merged._errors = {group: counts + other._errors[group] for group, counts in self._errors.items()}
        merged._jumps = {part: max(jump, other._jumps[part]) for part, jump in self._jumps.items()}
        merged._frames, merged._filled = self._frames + other._frames, self._filled + other._filled
        return merged

    def figures(self) -> dict[str, float]:
        """Median errors in metres (NaN where nothing was seen), largest jumps in radians, counts of frames."""
        errors = {f"{group}_m": _median(counts) for group, counts in self._errors.items()}
        jumps = {f"{part}_jump": jump for part, jump in self._jumps.items()}
        return {**errors, **jumps, "frames": self._frames, "filled_frames": self._filled}

    def __str__(self) -> str:
        figures = self.figures()
        mm = {group: f"{1000 * figures[f'{group}_m']:.1f} mm" for group in self._errors}
        jumps = ", ".join(f"{part} {np.degrees(jump):.0f}°" for part, jump in self._jumps.items())
        return (
            f"median joint error: arms {mm['arms']}, face {mm['face']}, hips {mm['hips']}, fingers {mm['fingers']} "
            f"({mm['fingers_as_placed']} with the hand's size as placed); largest jump between frames: {jumps}; "
            f"{self._filled} of {self._frames} frames have a filled angle"
        )

    def _count(self, group: str, differences: NDArray[np.float64]) -> None:
        distances = np.sqrt((differences**2).sum(-1))
        bins = np.minimum(distances[np.isfinite(distances)] / _BIN, _N_BINS - 1).astype(np.int64)
        self._errors[group] += np.bincount(bins, minlength=_N_BINS)

    def _jump(self, part: str, angles: NDArray[np.float64], valid: NDArray[np.bool_]) -> None:
        steps = np.diff(angles, axis=0)[valid[1:] & valid[:-1]]
        steps -= 2 * np.pi * np.round(steps / (2 * np.pi))
        self._jumps[part] = max(self._jumps[part], float(np.abs(steps).max(initial=0)))


def _median(counts: NDArray[np.int64]) -> float:
    total = int(counts.sum())
    return float((np.searchsorted(np.cumsum(counts), (total + 1) // 2) + 0.5) * _BIN) if total else float("nan")
