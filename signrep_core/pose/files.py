"""Pose of plain video files, without the workflow."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from signrep_core.config import Config
from signrep_core.errors import SignRepError
from signrep_core.pose.shard import extract_shard, finish_videos
from signrep_core.sources.sheet import Row
from signrep_core.store.resume import open_resume_cache
from signrep_core.store.tables import Columns
from signrep_core.text import compose
from signrep_core.video.probe import probe_shard


def extract_files(
    videos: Sequence[str],
    out: str | Path,
    config: Config,
    *,
    threads: int = 1,
    fps: float | None = None,
    provenance: Mapping[str, str] | None = None,
) -> Columns:
    """Write the pose of video files as one table of schemas.POSE; a video_id is a file's name without its ending.

    A killed run continues with the first unfinished video.

    Args:
        config: its sections `pose` and `timeline` are read.
        threads: worker processes.
        fps: rate of image folders.

    Returns:
        Columns of schemas.VIDEOS: the status of each video, with the reason of those that have no pose.

    Raises:
        SignRepError: two videos have one name, or no worker can be started.
    """
    paths: dict[str, str] = {}
    for video in dict.fromkeys(videos):
        name = compose(Path(video).stem)
        if name in paths:
            raise SignRepError(
                f"{paths[name]} and {video} have one name, which is the video_id {name!r}; rename one of them, or run "
                "signrep pose twice, with two folders"
            )
        paths[name] = video
    rows = [Row(name, video, fps=fps) for name, video in paths.items()]
    probed = probe_shard(rows, target_fps=config.timeline.rate, threads=threads)
    with open_resume_cache(out) as cache:
        return finish_videos(probed, extract_shard(probed, out, cache, config, threads, provenance))
