"""Consistency of a shard's tables with a row per frame: pose, angles, keypoints, distances and activity.

Tables are read in slices of at most one row group, so memory does not grow with the length of a video.

Legend: n rows of a slice.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from signrep_core.body.kinematics import forward_kinematics
from signrep_core.inspect.verify.problems import Problem
from signrep_core.store.pack import TIME_TOLERANCE_S
from signrep_core.store.schemas import ACTIVITY, ANGLES, DISTANCES, KEYPOINTS, POSE, Schema
from signrep_core.store.tables import Columns, read_groups
from signrep_core.window import WINDOW

TOLERANCE_M: Final = 1e-4  # between keypoints and forward kinematics, both in float32
TABLES: Final[Mapping[str, Schema]] = {
    "pose": POSE, "angles": ANGLES, "keypoints": KEYPOINTS, "distances": DISTANCES, "activity": ACTIVITY,
}  # fmt: skip


@dataclass
class Findings:
    """Problems by file and kind: the first occurrence of each, and their number."""

    name: Callable[[str], str]  # file of a table
    first: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    count: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, table: str, what: str, expected: str, wrong: Any, slice_: Columns) -> None:
        """Add the rows of a slice that are `wrong`, (n,) bool."""
        rows = np.flatnonzero(wrong)
        if len(rows):
            place = f"frame {slice_['frame'][rows[0]]} of {slice_['video_id'][rows[0]]!r}"
            self.first.setdefault((table, what), (expected, place))
            self.count[table, what] += len(rows)

    def problems(self) -> Iterator[Problem]:
        """One problem per file and kind."""
        for (table, what), (expected, place) in self.first.items():
            found = f"{self.count[table, what]} wrong rows, the first at {place}"
            yield Problem(self.name(table), what, expected, found, TABLES[table].stage)


def align(tables: Mapping[str, Iterator[Columns]]) -> Iterator[dict[str, Columns]]:
    """Read tables in parallel: slices with the same rows of each, whatever their row groups, until one table ends."""
    rest: dict[str, Columns] = {}
    while True:
        for name, table in tables.items():
            while name not in rest or not _rows(rest[name]):
                piece = next(table, None)
                if piece is None:
                    return
                rest[name] = piece
        n = min(map(_rows, rest.values()))
        yield {name: _slice(columns, 0, n) for name, columns in rest.items()}
        rest = {name: _slice(columns, n, None) for name, columns in rest.items()}


def check_frames(
    paths: Mapping[str, Path],
    file_name: Callable[[str], str],
    videos: Sequence[str] | None,
    bones: Any | None,
    target_fps: float | None = None,
) -> Iterator[Problem]:
    """Check the existing tables of a shard against each other, row by row.

    Args:
        paths: by name in TABLES; the other tables must have the rows of the first.
        videos: videos that must have rows, in this order; None = unknown.
        bones: body and hand offsets of the keypoints; None = unknown.
        target_fps: of the common timeline; None = unknown, or the videos' own frames.
    """
    findings = Findings(file_name)
    reference = next(iter(paths))
    seen = _Videos()
    for slices in align({name: read_groups(path, TABLES[name]) for name, path in paths.items()}):
        base = slices[reference]
        seen.add(base, findings, reference, slices.get("activity"))
        if target_fps is not None:
            wrong = np.abs(base["time_s"] - base["frame"] / target_fps) > TIME_TOLERANCE_S
            findings.add(reference, "times are not the frames'", f"{target_fps:g} frames a second", wrong, base)
        for name, columns in slices.items():
            same = np.array(columns["video_id"], object) == np.array(base["video_id"], object)
            same &= (columns["frame"] == base["frame"]) & (columns["time_s"] == base["time_s"])
            findings.add(name, "rows differ from the other stages", f"the rows of {reference}", ~same, base)
        _check_values(slices, bones, findings)
    seen.finish(findings, "activity" if "activity" in paths else None)
    yield from findings.problems()
    if videos is not None and seen.order != list(videos):
        lost, new = [v for v in videos if v not in seen.order], [v for v in seen.order if v not in set(videos)]
        found = f"{lost[:3]} missing, {new[:3]} added" if lost or new else "another order"
        expected = f"the {len(videos)} videos with status ok, in the order of the video status table"
        yield Problem(
            file_name(reference), "videos differ from the video status table", expected, found, TABLES[reference].stage
        )


class _Videos:
    """Check frame numbers and the frames without activity at the end of each video."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self._next = 0  # next frame number of the current video
        self._unknown = 0  # number of its last rows without activity
        self._wrong: list[str] = []

    def add(self, base: Columns, findings: Findings, reference: str, activity: Columns | None) -> None:
        ids, frames = base["video_id"], base["frame"]
        expected = np.empty(len(frames), np.int64)
        unknown = None if activity is None else np.ma.getmaskarray(activity["right_active"])
        for k, video in enumerate(ids):
            if not self.order or video != self.order[-1]:
                self._end(activity is not None)
                self.order.append(video)
                self._next = self._unknown = 0
            expected[k] = self._next
            self._next += 1
            if unknown is not None:
                self._unknown = self._unknown + 1 if unknown[k] else 0
        findings.add(
            reference, "frames not numbered from 0", "frames 0, 1, 2 ... of each video", frames != expected, base
        )
        if activity is not None:
            differs = unknown != np.ma.getmaskarray(activity["left_active"])
            findings.add(
                "activity", "windows differ between the hands", "known for both hands or for neither", differs, base
            )

    def finish(self, findings: Findings, activity: str | None) -> None:
        """Finish the last video and report the wrong ones."""
        self._end(activity is not None)
        for video in self._wrong:
            where = {"frame": np.zeros(1, int), "video_id": [video]}
            expected = f"null in the last {WINDOW - 1} frames of a video and nowhere else"
            findings.add("activity", "null activity in the wrong place", expected, np.ones(1, bool), where)

    def _end(self, with_activity: bool) -> None:
        if self.order and with_activity and self._unknown != min(WINDOW - 1, self._next):
            self._wrong.append(self.order[-1])


def _check_values(slices: dict[str, Columns], bones: Any | None, findings: Findings) -> None:
    """Check the values within each row."""
    if pose := slices.get("pose"):
        _check_pose(pose, findings)
    angles, keypoints = slices.get("angles"), slices.get("keypoints")
    if angles is not None:
        wrong = ~np.isfinite(np.concatenate([angles[f"{part}_angles"] for part in ("body", "right", "left")], 1)).all(1)
        findings.add("angles", "angles that are not finite", "finite angles", wrong, angles)
    if keypoints is not None:
        wrong = ~np.isfinite(keypoints["keypoints"]).all((1, 2))
        findings.add("keypoints", "joints that are not finite", "finite joints", wrong, keypoints)
        if angles is not None:
            wrong = (keypoints["confidence"] != angles["confidence"]).any(1)
            findings.add("keypoints", "confidence differs from angles/", "equal values", wrong, keypoints)
        if angles is not None and bones is not None:
            with np.errstate(invalid="ignore"):
                fk = forward_kinematics(*(angles[f"{part}_angles"] for part in ("body", "right", "left")), *bones)
            wrong = ~(np.abs(fk - keypoints["keypoints"]) <= TOLERANCE_M).all((1, 2))
            expected = f"within {TOLERANCE_M * 1000:g} mm of forward kinematics of angles/ with bones.json"
            findings.add("keypoints", "differs from forward kinematics of angles and bones", expected, wrong, keypoints)
    if distances := slices.get("distances"):
        parts = [distances[part].reshape(len(distances["frame"]), -1) for part in ("body", "right", "left")]
        wrong = ~np.isfinite(np.concatenate(parts, 1)).all(1)
        findings.add("distances", "distances that are not finite", "finite distances", wrong, distances)


def _check_pose(pose: Columns, findings: Findings) -> None:
    confidence, box = pose["confidence"], np.isfinite(pose["box"]).all(1)
    wrong = ~((confidence >= 0) & (confidence <= 1)).all(1)
    findings.add("pose", "confidences outside 0..1", "confidences within 0..1", wrong, pose)
    for points in ("landmarks", "image_xy"):
        finite = np.isfinite(pose[points])
        known = points == "image_xy" or finite.any()  # poses that were imported in pixels have no landmarks
        wrong = (((confidence > 0) & known)[..., None] != finite).any((1, 2))
        findings.add(
            "pose",
            f"{points} contradict their confidence",
            "finite where the confidence is above 0, else NaN",
            wrong,
            pose,
        )
    findings.add("pose", "a signer in a damaged frame", "none", pose["damaged"] & pose["present"], pose)
    wrong = (pose["present"] != (confidence > 0).any(1)) | (pose["present"] != box)
    findings.add(
        "pose", "presence contradicts confidence", "a box and joints in frames with a signer only", wrong, pose
    )


def _rows(columns: Columns) -> int:
    return len(next(iter(columns.values())))


def _slice(columns: Columns, start: int, stop: int | None) -> Columns:
    return {name: values[start:stop] for name, values in columns.items()}
