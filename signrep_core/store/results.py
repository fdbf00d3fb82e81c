"""Find a video in a results folder: its shard, its row of the video status table, its timeline."""

from pathlib import Path
from typing import Any

import numpy as np

from signrep_core.errors import TableError
from signrep_core.store.schemas import POSE, VIDEOS
from signrep_core.store.tables import read_groups_of, read_table


def find_video(results: Path, video_id: str) -> tuple[str, dict[str, Any]]:
    """The shard that a video is in and its row of the video status table, with `timeline_of` it.

    Raises:
        TableError: no table of videos of the folder has the video.
    """
    paths = sorted((results / "videos").glob("*.parquet"))
    for path in paths:
        if video_id in (ids := read_table(path, VIDEOS, ["video_id"])["video_id"]):
            videos = read_table(path, VIDEOS)
            row = {name: values[ids.index(video_id)] for name, values in videos.items()}
            if row["status"] != "ok":
                raise TableError(f"{video_id}: {row['status']} as {row['reason']} ({row['detail']}): it has no poses")
            return path.stem, row | timeline_of(results, path.stem, video_id)
    raise TableError(f"{results}: none of its {len(paths)} shards holds a video {video_id!r}; give an id of the sheet")


def timeline_of(results: Path, shard: str, video_id: str) -> dict[str, Any]:
    """The `rate` of a video's timeline by the times of its poses, and whether it is `native`: as uneven as the source.

    Raises:
        TableError: the shard holds no pose of the video.
    """
    path = results / f"pose/{shard}.parquet"
    group = next(read_groups_of(path, POSE, video_id, ["frame", "time_s"]), None)
    if group is None or len(group["frame"]) < 2:
        raise TableError(f"{path}: holds no pose of {video_id!r}; rerun: snakemake --forcerun extract_pose")
    steps = np.diff(group["time_s"])
    return {"rate": float(1 / steps.mean()), "native": bool(np.ptp(steps) > 1e-6)}
