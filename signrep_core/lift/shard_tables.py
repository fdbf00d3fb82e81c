"""Tables of a shard between its poses and its targets: angles, bone lengths, keypoints, distances and activity.

Each function reads one table and writes the next, with one video or one row group in memory at a time.
"""

import itertools
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from signrep_core.body.bones import BoneHistogram, median_offsets
from signrep_core.body.kinematics import Quality, forward_kinematics
from signrep_core.body.priors import activity, distances
from signrep_core.config import Deviation
from signrep_core.lift.solver import Solve
from signrep_core.store.files import read_json, write_json
from signrep_core.store.schemas import ACTIVITY, ANGLES, DISTANCES, KEYPOINTS, POSE
from signrep_core.store.tables import Columns, TableWriter, read_groups, read_videos

Provenance = Mapping[str, str] | None
KEYS: Final = ("video_id", "frame", "time_s")

log = logging.getLogger(__name__)


def write_angles(
    pose: str | Path, out: str | Path, solve: Solve, measured: Collection[str], provenance: Provenance = None
) -> BoneHistogram:
    """Solve the angles of every frame of a POSE table, and log their quality.

    Args:
        solve: as `open_solver` gives it.
        measured: ids of the videos whose bone lengths count.

    Returns:
        The bone lengths of these videos.
    """
    bones, quality = BoneHistogram(), Quality()
    names = [*KEYS, "part", "shot", "image_xy", "landmarks", "confidence"]
    with TableWriter(out, ANGLES, provenance) as writer:
        for video_id, rows in read_videos(pose, POSE, names):
            for part in _split_parts(rows):
                solution = solve(part)
                writer.write({**_keys(part), **solution.columns()})
                quality.add(solution)
                if video_id in measured:
                    bones.add_lengths(solution.lengths)
    log.info("%s", quality)
    return bones


def write_median_bones(parts: Iterable[str | Path], out: str | Path, provenance: Provenance = None) -> None:
    """Merge the bone lengths of all shards (JSON) and write their medians (JSON)."""
    corpus = BoneHistogram()
    for part in parts:
        corpus = corpus.merge(read_json(part, BoneHistogram.from_dict, "solve_angles"))
    write_json(out, {**corpus.medians(), "provenance": provenance})


def write_keypoints(angles: str | Path, bones: str | Path, out: str | Path, provenance: Provenance = None) -> None:
    """Compute keypoints from angles by forward kinematics with the corpus's median bones."""
    names = [*KEYS, "body_angles", "right_angles", "left_angles", "confidence"]
    offsets = read_json(bones, median_offsets, "median_bones")
    with TableWriter(out, KEYPOINTS, provenance) as writer:
        for rows in read_groups(angles, ANGLES, names):
            keypoints = forward_kinematics(rows["body_angles"], rows["right_angles"], rows["left_angles"], *offsets)
            writer.write({**_keys(rows), "keypoints": keypoints, "confidence": rows["confidence"]})


def write_distances(keypoints: str | Path, out: str | Path, provenance: Provenance = None) -> None:
    """Compute the signed distances of every frame of a KEYPOINTS table."""
    with TableWriter(out, DISTANCES, provenance) as writer:
        for rows in read_groups(keypoints, KEYPOINTS):
            writer.write({**_keys(rows), **distances(rows["keypoints"], rows["confidence"])[0]})


def write_activity(
    keypoints: str | Path, out: str | Path, threshold: float, deviation: Deviation, provenance: Provenance = None
) -> None:
    """Label the activity of each hand in the window that starts at each frame of a KEYPOINTS table.

    Args:
        threshold, deviation: as `body.priors.activity` takes them.
    """
    with TableWriter(out, ACTIVITY, provenance) as writer:
        for _, rows in read_videos(keypoints, KEYPOINTS):
            right, left = activity(rows["keypoints"], rows["confidence"], threshold=threshold, deviation=deviation)
            writer.write({**_keys(rows), "right_active": right, "left_active": left})


def _split_parts(rows: Columns) -> Iterator[Columns]:
    """Split a video's rows at shot cuts and changes of shape: nothing is interpolated or smoothed over that."""
    takes = rows["part"] + rows["shot"]
    borders = [0, *(np.flatnonzero(np.diff(takes)) + 1), len(takes)]
    yield from ({name: values[a:b] for name, values in rows.items()} for a, b in itertools.pairwise(borders))


def _keys(rows: Columns) -> dict[str, Any]:
    return {key: rows[key] for key in KEYS}
