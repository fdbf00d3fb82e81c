"""Errors of every stage on a synthetic corpus: detection, landmarks, bones, angles, keypoints, activity.

Angles are compared in camera axes: the reference is inverse kinematics of the true joints in camera axes, so that
a rotated camera causes no error. Keypoints are compared with those of the reference
angles, both with the signer's true bones. Errors are medians over frames in which the joint was detected.

Legend: T frames of one video, J = 61 joints; 2-D errors in hundredths of the shoulders' width in the image.
"""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from signrep_core.body.kinematics import forward_kinematics, solve_angles
from signrep_core.body.priors import activity
from signrep_core.skeleton import (
    ARMS,
    BODY,
    BODY_ANGLES,
    FINGERTIPS,
    HAND_ANGLES,
    HANDS,
    HEAD,
    HIPS,
    MIN_CONFIDENCE,
    N_BODY_OFFSETS,
    N_JOINTS,
    SHOULDERS,
    SIDES,
    WRISTS,
)
from signrep_core.store.schemas import ACTIVITY, ANGLES, POSE, TRUTH
from signrep_core.store.tables import Columns, read_videos

Bones = tuple[NDArray[np.float64], NDArray[np.float64]]  # body (16,), hand (20,) offsets
JOINT_GROUPS: Final[dict[str, list[int]]] = {
    "arms": [joint for side in SIDES for joint in ARMS[side]],
    "shoulders and elbows": [joint for side in SIDES for joint in ARMS[side][:2]],
    "body wrists": list(WRISTS),
    "hips": list(HIPS),
    "face": list(range(HEAD.start, HEAD.stop)),
    "hands": list(range(BODY.stop, N_JOINTS)),
}
BODY_GROUPS: Final = {
    "shoulder": ("shoulder_z", "shoulder_x", "shoulder_y"), "elbow": ("elbow_x",),
    "head": ("head_z", "head_x", "head_y"), "spine": ("spine_z", "spine_x", "spine_y"),
}  # fmt: skip
HAND_GROUPS: Final = {
    "wrist": ("wrist_x", "wrist_y", "wrist_z"), "thumb": ("thumb_",), "knuckle flexion": ("mcp_x",),
    "knuckle spread": ("mcp_y",), "finger joints": ("pip_x", "dip_x"), "finger flexion": ("mcp_x", "pip_x", "dip_x"),
}  # fmt: skip


class Accuracy:
    """Errors collected video by video; `rows()` gives medians and rates."""

    def __init__(self) -> None:
        self._errors: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
        self._true_bones: list[NDArray[np.float64]] = []

    def add(self, truth: Columns, pose: Columns | None, angles: Columns | None, labels: Columns | None) -> None:
        """Add one video: columns of TRUTH, POSE, ANGLES and ACTIVITY; None where a stage has no rows for it."""
        n = len(truth["frame"])
        self._true_bones.append(np.concatenate([truth["body_offsets"][0], truth["hand_offsets"][0]]))
        if pose is None:
            self._note("detected: body", np.zeros(n))
            for side in SIDES:
                self._note(f"detected: {side} hand, signing", np.zeros(int(truth[f"{side}_signing"].sum())))
            return
        t = np.searchsorted(truth["frame"], pose["frame"])
        truth = {name: values[t] for name, values in truth.items() if name not in ("video_id", "gloss")}
        seen = pose["confidence"] >= MIN_CONFIDENCE
        self._note("detected: body", np.concatenate([pose["present"], np.zeros(n - t.size)]))
        for side in SIDES:
            hand = seen[:, HANDS[side]].all(1)
            self._note(f"detected: {side} hand, signing", hand[truth[f"{side}_signing"]])
        self._add_landmarks(truth, pose, seen)
        if angles is not None:
            self._add_angles(truth, angles, seen)
        if labels is not None:
            self._add_activity(truth, labels)

    def rows(self, bones: Bones | None = None) -> list[tuple[str, str]]:
        """(name, figure with unit) of every error; with the corpus's median bones also theirs."""
        found = []
        for name, values in self._errors.items():
            everything = np.concatenate(values)
            if not len(everything):
                continue
            if name.startswith(("detected", "activity")):
                found.append((name, f"{100 * everything.mean():.1f} % of {len(everything)}"))
            else:
                found.append((name, f"{np.median(everything):.1f} {_UNITS[name.split(':')[0]]}"))
        if bones is not None:
            true = np.median(self._true_bones, 0)
            parts = (("body", bones[0], true[:N_BODY_OFFSETS]), ("hand", bones[1], true[N_BODY_OFFSETS:]))
            for name, ours, theirs in parts:
                absolute = [np.r_[values[0], values[0] * values[1:]] for values in (ours, theirs)]
                error = np.abs(absolute[0] - absolute[1])
                found.append((f"bone lengths: {name}", f"{1000 * np.median(error):.1f} mm median error"))
        return found

    def value(self, name: str) -> float:
        """The mean of a rate or the median of an error."""
        everything = np.concatenate(self._errors[name])
        return float(everything.mean() if name.startswith(("detected", "activity")) else np.median(everything))

    def mean(self, name: str) -> float:
        """The mean of an error."""
        return float(np.concatenate(self._errors[name]).mean())

    def _note(self, name: str, values: Any) -> None:
        self._errors[name].append(np.asarray(values, np.float64).ravel())

    def _add_landmarks(self, truth: Mapping[str, Any], pose: Columns, seen: NDArray[np.bool_]) -> None:
        true_xy = truth["image_xy"]
        right, left = (true_xy[:, joint] for joint in SHOULDERS)
        width = np.linalg.norm(right - left, axis=-1)[:, None]
        flat = 100 * np.linalg.norm(pose["image_xy"] - true_xy, axis=-1) / width
        deep = 1000 * np.linalg.norm(pose["landmarks"] - truth["camera_joints"], axis=-1)
        for group, joints in JOINT_GROUPS.items():
            here = seen[:, joints]
            self._note(f"2-D landmarks: {group}", flat[:, joints][here])
            self._note(f"3-D landmarks: {group}", deep[:, joints][here])

    def _add_angles(self, truth: Mapping[str, Any], angles: Columns, seen: NDArray[np.bool_]) -> None:
        true = solve_angles(truth["camera_joints"], np.ones(truth["camera_joints"].shape[:2]))
        body = np.degrees(_wrapped(angles["body_angles"] - true.body_angles))
        for group, ends in BODY_GROUPS.items():
            columns = [i for i, name in enumerate(BODY_ANGLES) if name.endswith(ends) and "lower" not in name]
            self._note(f"angles: {group}", np.abs(body[:, columns]))
        for side in SIDES:
            hand = seen[:, HANDS[side]].all(1)
            error = np.degrees(_wrapped(angles[f"{side}_angles"] - getattr(true, f"{side}_angles")))[hand]
            for group, parts in HAND_GROUPS.items():
                columns = [
                    i for i, name in enumerate(HAND_ANGLES)
                    if name.startswith(parts) or (name.endswith(parts) and not name.startswith("thumb"))
                ]  # fmt: skip
                self._note(f"angles: {group}", np.abs(error[:, columns]))
        bones = (truth["body_offsets"][0], truth["hand_offsets"][0])
        ours = forward_kinematics(angles["body_angles"], angles["right_angles"], angles["left_angles"], *bones)
        theirs = forward_kinematics(true.body_angles, true.right_angles, true.left_angles, *bones)
        for group, joints in JOINT_GROUPS.items():
            error = 1000 * np.linalg.norm(ours - theirs, axis=-1)[:, joints]
            self._note(f"3-D keypoints: {group}", error[seen[:, joints]])
        for side in SIDES:
            hand = HANDS[side]
            relative = (ours[:, hand] - ours[:, hand][:, :1]) - (theirs[:, hand] - theirs[:, hand][:, :1])
            error = 1000 * np.linalg.norm(relative, axis=-1)[:, 1:]
            self._note("3-D keypoints: hands from their wrist", error[seen[:, hand].all(1)])
            tips = np.array(FINGERTIPS[side]) - hand.start - 1
            self._note("3-D keypoints: fingertips from their wrist", error[seen[:, hand].all(1)][:, tips])

    def _add_activity(self, truth: Mapping[str, Any], labels: Columns) -> None:
        joints = truth["camera_joints"]
        for side, true in zip(SIDES, activity(joints, np.ones(joints.shape[:2])), strict=True):
            ours = labels[f"{side}_active"]
            known = ~(np.ma.getmaskarray(ours) | np.ma.getmaskarray(true))
            self._note(f"activity: {side} hand right", (np.ma.getdata(ours) == np.ma.getdata(true))[known])


_UNITS: Final = {
    "2-D landmarks": "% of the shoulders' width",
    "3-D landmarks": "mm from the neck",
    "3-D keypoints": "mm",
    "angles": "degrees",
}


def measure_shard(
    accuracy: Accuracy, *, truth: str | Path, pose: str | Path, angles: str | Path, activity: str | Path
) -> None:
    """Add a shard's stage outputs, compared with its truth table."""
    ours = [
        read_videos(pose, POSE, ["video_id", "frame", "present", "landmarks", "image_xy", "confidence"]),
        read_videos(angles, ANGLES, ["video_id", "frame", "body_angles", "right_angles", "left_angles"]),
        read_videos(activity, ACTIVITY, ["video_id", "frame", "right_active", "left_active"]),
    ]
    rows = [next(stage, None) for stage in ours]
    for video_id, columns in read_videos(truth, TRUTH):
        here = [row[1] if row is not None and row[0] == video_id else None for row in rows]
        accuracy.add(columns, *here)
        rows = [
            next(stage, None) if found is not None else row for stage, row, found in zip(ours, rows, here, strict=True)
        ]


def _wrapped(angles: NDArray[np.floating]) -> NDArray[np.floating]:
    return (angles + np.pi) % (2 * np.pi) - np.pi
