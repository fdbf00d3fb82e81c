"""Speed of `verify` on a shard's tables of frames, and the resulting time for 300 million frames.

The tables are those of a shard of a large corpus with synthetic values: noise, which hardly compresses, and keypoints
by forward kinematics, so that every comparison of rows is made and none fails. The MP4s, which are hashed, are left
out. Times are of the processor, hence of one core; hashing is timed alone on the same files.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from signrep_core.body.kinematics import forward_kinematics
from signrep_core.body.priors import activity
from signrep_core.inspect.verify.problems import open_results
from signrep_core.inspect.verify.shard import check_shard
from signrep_core.skeleton import DEFAULT_BODY_OFFSETS, DEFAULT_HAND_OFFSETS, N_BODY_ANGLES, N_HAND_ANGLES, N_JOINTS
from signrep_core.store.files import file_digest
from signrep_core.store.job import open_job
from signrep_core.store.schemas import ACTIVITY, ANGLES, KEYPOINTS, POSE
from signrep_core.store.tables import TableWriter

VIDEOS, FRAMES = 20, 1500  # a minute each
CORPUS_FRAMES = 300_000_000
BONES = (np.float32(DEFAULT_BODY_OFFSETS), np.float32(DEFAULT_HAND_OFFSETS))
TABLES = (POSE, ANGLES, KEYPOINTS, ACTIVITY)


def rows() -> list[tuple[str, str]]:
    """Rows and bytes per second of one core."""
    with tempfile.TemporaryDirectory() as folder:
        names = _write_shard(Path(folder))
        size = sum(Path(folder, name).stat().st_size for name in names)
        began = time.process_time()
        checked = check_shard(open_results(Path(folder)), "00000", names, BONES)
        seconds = time.process_time() - began
        began = time.process_time()
        for name in names:
            file_digest(Path(folder, name))
        hashing = time.process_time() - began
    if checked.problems:
        raise RuntimeError(f"the tables are not what they should be: {checked.problems[:3]}")
    n = VIDEOS * FRAMES
    return [
        ("tables of a shard", f"{n:,} frames × {len(names)} tables, {size / 1e6:.0f} MB"),
        ("verify", f"{n / seconds:,.0f} frames/s, {size / seconds / 1e6:.0f} MB/s per core"),
        ("  of which hashing", f"{hashing / seconds:.0%} ({size / hashing / 1e6:,.0f} MB/s)"),
        (f"tables of {CORPUS_FRAMES:,} frames", f"{CORPUS_FRAMES / n * seconds / 3600:.0f} core-hours"),
    ]


def _write_shard(folder: Path) -> list[str]:
    """Write the tables with their records; returns their names."""
    names = [f"{schema.name}/00000.parquet" for schema in TABLES]
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(open_job([folder / name], {}))
        writers = [
            stack.enter_context(TableWriter(folder / name, schema)) for schema, name in zip(TABLES, names, strict=True)
        ]
        for video in _videos():
            for schema, writer in zip(TABLES, writers, strict=True):
                writer.write({column.name: video[column.name] for column in schema.columns})
    return names


def _videos() -> Iterator[dict[str, Any]]:
    """Columns of all tables, one video at a time."""
    rng = np.random.default_rng(0)
    for k in range(VIDEOS):
        body, right, left = (np.float32(rng.normal(0, 0.3, (FRAMES, n)))
                             for n in (N_BODY_ANGLES, N_HAND_ANGLES, N_HAND_ANGLES))  # fmt: skip
        joints = forward_kinematics(body, right, left, *BONES)
        confidence = np.float32(rng.uniform(0.1, 1, (FRAMES, N_JOINTS)))
        xy = np.float32(rng.uniform(0, 500, (FRAMES, N_JOINTS, 2)))
        active = activity(joints, confidence)
        yield {
            "video_id": [f"video{k:05d}"] * FRAMES, "frame": np.arange(FRAMES), "time_s": np.arange(FRAMES) / 25,
            "present": np.ones(FRAMES, bool), "damaged": np.zeros(FRAMES, bool), "doubtful": np.zeros(FRAMES, bool),
            "part": np.zeros(FRAMES, np.int32), "shot": np.zeros(FRAMES, np.int32),
            "right_hand": ["seen"] * FRAMES, "left_hand": ["seen"] * FRAMES,
            "landmarks": joints, "image_xy": xy, "confidence": confidence,
            "box": np.concatenate([xy.min(1), xy.max(1)], 1),
            "body_angles": body, "right_angles": right, "left_angles": left, "keypoints": joints,
            "body_offsets": np.tile(BONES[0], (FRAMES, 1)), "hand_offsets": np.tile(BONES[1], (FRAMES, 1)),
            "residual_m": np.zeros(FRAMES), "interpolated": np.zeros(FRAMES, bool), "flag": [""] * FRAMES,
            "right_active": active[0], "left_active": active[1],
        }  # fmt: skip
