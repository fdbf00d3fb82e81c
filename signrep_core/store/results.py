"""Find a video in a results folder: its shard, its row of the video status table, its timeline."""

from pathlib import Path
from typing import Any

import numpy as np

from signrep_core.errors import TableError
from signrep_core.store.schemas import POSE, VIDEOS
from signrep_core.store.tables import read_groups_of, read_table


def find_video(results: Path, video_id: str) -> tuple[str, dict[str, Any]]:
    """Find the shard of a video and its row of the final table of videos, with the values of `timeline_of`.

    Raises:
        TableError: the folder does not hold the video, or its status is not ok.
    """
    paths = sorted((results / "videos").glob("*.parquet"))
    if not paths:
        raise TableError(f"{results}: expected tables in videos/, found none; run the workflow to crop_signers first")
    for path in paths:
        if video_id in (ids := read_table(path, VIDEOS, ["video_id"])["video_id"]):
            videos = read_table(path, VIDEOS)
            row = {name: values[ids.index(video_id)] for name, values in videos.items()}
            if row["status"] != "ok":
                raise TableError(f"{video_id}: {row['status']} as {row['reason']} ({row['detail']}): it has no poses")
            return path.stem, row | timeline_of(results, path.stem, video_id)
    raise TableError(f"{results}: none of its {len(paths)} shards holds a video {video_id!r}; give an id of the sheet")


def timeline_of(results: Path, shard: str, video_id: str) -> dict[str, Any]:
    """Measure the `rate` of a video's timeline from its poses, and whether it is `native`: the source's own times.

    Raises:
        TableError: the shard holds no pose of the video.
    """
    path = results / f"pose/{shard}.parquet"
    group = next(read_groups_of(path, POSE, video_id, ["frame", "time_s"]), None)
    if group is None or len(group["frame"]) < 2:
        raise TableError(f"{path}: holds no pose of {video_id!r}; rerun: snakemake --forcerun extract_pose")
    steps = np.diff(group["time_s"])
    return {"rate": float(1 / steps.mean()), "native": bool(np.ptp(steps) > 1e-6)}
