"""Tables with a row per frame side by side: pose, angles, keypoints, distances and activity of a shard.

Memory does not grow with a video: tables are walked in slices of at most a row group.

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
from signrep_core.store.schemas import ACTIVITY, ANGLES, DISTANCES, KEYPOINTS, POSE, Schema
from signrep_core.store.tables import Columns, read_groups

WINDOW: Final = 16
TOLERANCE_M: Final = 1e-4  # of keypoints against forward kinematics: float32 in, float32 out
TABLES: Final[Mapping[str, Schema]] = {
    "pose": POSE, "angles": ANGLES, "keypoints": KEYPOINTS, "distances": DISTANCES, "activity": ACTIVITY,
}  # fmt: skip
KEYS = ("video_id", "frame", "time_s")


@dataclass
class Findings:
    """Problems by file and kind: the first place of each, and how often it occurs."""

    name: Callable[[str], str]  # a table's file
    first: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    count: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, table: str, what: str, expected: str, wrong: Any, slice_: Columns) -> None:
        """Note the rows of a slice that are `wrong`, (n,) bool."""
        rows = np.flatnonzero(wrong)
        if len(rows):
            place = f"frame {slice_['frame'][rows[0]]} of {slice_['video_id'][rows[0]]!r}"
            self.first.setdefault((table, what), (expected, place))
            self.count[table, what] += len(rows)

    def problems(self) -> Iterator[Problem]:
        """One problem per file and kind."""
        for (table, what), (expected, place) in self.first.items():
            found = f"otherwise in {self.count[table, what]} rows, first at {place}"
            yield Problem(self.name(table), what, expected, found, TABLES[table].stage)


def align(tables: Mapping[str, Iterator[Columns]]) -> Iterator[dict[str, Columns]]:
    """Walk tables in step: slices of the same rows of each, however their groups are cut, until one ends."""
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
    paths: Mapping[str, Path], file_name: Callable[[str], str], videos: Sequence[str] | None, bones: Any | None
) -> Iterator[Problem]:
    """Check the tables of a shard that are there, each row against the others.

    Args:
        paths: by name in TABLES; the rows of the first are what the others must have.
        videos: that must have rows, in this order; None = not known.
        bones: body and hand offsets that the keypoints were made with; None = not known.
    """
    findings = Findings(file_name)
    reference = next(iter(paths))
    seen = _Videos()
    for slices in align({name: read_groups(path, TABLES[name]) for name, path in paths.items()}):
        base = slices[reference]
        seen.add(base, findings, reference, slices.get("activity"))
        for name, columns in slices.items():
            same = np.array(columns["video_id"], object) == np.array(base["video_id"], object)
            same &= (columns["frame"] == base["frame"]) & (columns["time_s"] == base["time_s"])
            findings.add(name, "its rows are not those of the other stages", f"the rows of {reference}", ~same, base)
        _check_values(slices, bones, findings)
    seen.finish(findings, "activity" if "activity" in paths else None)
    yield from findings.problems()
    if videos is not None and seen.order != list(videos):
        lost, new = [v for v in videos if v not in seen.order], [v for v in seen.order if v not in set(videos)]
        found = f"without {lost[:3]}, with {new[:3]}" if lost or new else "another order"
        expected = f"the {len(videos)} videos that are still ok, in the video status table's order"
        yield Problem(
            file_name(reference), "its videos are not those of videos/", expected, found, TABLES[reference].stage
        )


class _Videos:
    """The videos gone through, whose frames count from 0 on and whose last windows are unknown."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self._next = 0  # frame to come of the video under way
        self._unknown = 0  # rows without activity at its end so far
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
            reference, "its frames do not count from 0", "frames 0, 1, 2 ... of each video", frames != expected, base
        )
        if activity is not None:
            differs = unknown != np.ma.getmaskarray(activity["left_active"])
            findings.add("activity", "one hand's windows are others", "both hands known or none", differs, base)

    def finish(self, findings: Findings, activity: str | None) -> None:
        """The last video has ended."""
        self._end(activity is not None)
        for video in self._wrong:
            where = {"frame": np.zeros(1, int), "video_id": [video]}
            expected = f"null in the last {WINDOW - 1} frames of a video alone"
            findings.add("activity", "null at other places", expected, np.ones(1, bool), where)

    def _end(self, with_activity: bool) -> None:
        if self.order and with_activity and self._unknown != min(WINDOW - 1, self._next):
            self._wrong.append(self.order[-1])


def _check_values(slices: dict[str, Columns], bones: Any | None, findings: Findings) -> None:
    """What must hold within a row."""
    if pose := slices.get("pose"):
        _check_pose(pose, findings)
    angles, keypoints = slices.get("angles"), slices.get("keypoints")
    if angles is not None:
        wrong = ~np.isfinite(np.concatenate([angles[f"{part}_angles"] for part in ("body", "right", "left")], 1)).all(1)
        findings.add("angles", "angles that are no numbers", "finite angles", wrong, angles)
    if keypoints is not None:
        wrong = ~np.isfinite(keypoints["keypoints"]).all((1, 2))
        findings.add("keypoints", "joints that are no numbers", "finite joints", wrong, keypoints)
        if angles is not None:
            wrong = (keypoints["confidence"] != angles["confidence"]).any(1)
            findings.add("keypoints", "another confidence than the angles'", "the angles'", wrong, keypoints)
        if angles is not None and bones is not None:
            with np.errstate(invalid="ignore"):
                fk = forward_kinematics(*(angles[f"{part}_angles"] for part in ("body", "right", "left")), *bones)
            wrong = ~(np.abs(fk - keypoints["keypoints"]) <= TOLERANCE_M).all((1, 2))
            expected = f"within {TOLERANCE_M * 1000:g} mm of forward kinematics of angles/ with bones.json"
            findings.add("keypoints", "not what angles and bones give", expected, wrong, keypoints)
    if distances := slices.get("distances"):
        parts = [distances[part].reshape(len(distances["frame"]), -1) for part in ("body", "right", "left")]
        wrong = ~np.isfinite(np.concatenate(parts, 1)).all(1)
        findings.add("distances", "distances that are no numbers", "finite distances", wrong, distances)


def _check_pose(pose: Columns, findings: Findings) -> None:
    confidence, box = pose["confidence"], np.isfinite(pose["box"]).all(1)
    wrong = ~((confidence >= 0) & (confidence <= 1)).all(1)
    findings.add("pose", "confidences outside 0..1", "confidences within 0..1", wrong, pose)
    for points in ("landmarks", "image_xy"):
        finite = np.isfinite(pose[points])
        wrong = ((confidence > 0) != finite.all(-1)).any(1) | ((confidence == 0) & finite.any(-1)).any(1)
        findings.add("pose", f"{points} unlike their confidence", "finite where confident, else NaN", wrong, pose)
    findings.add("pose", "a signer in a damaged frame", "none", pose["damaged"] & pose["present"], pose)
    wrong = (pose["present"] != (confidence > 0).any(1)) | (pose["present"] != box)
    findings.add("pose", "presence unlike confidence", "a box and joints where present, else none", wrong, pose)


def _rows(columns: Columns) -> int:
    return len(next(iter(columns.values())))


def _slice(columns: Columns, start: int, stop: int | None) -> Columns:
    return {name: values[start:stop] for name, values in columns.items()}
