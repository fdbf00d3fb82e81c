"""Look into the videos of a shard: the video status table that says what each holds, or why it cannot be used."""

import logging
import sys
from collections.abc import Sequence
from typing import Any, Final

from signrep_core.store.tables import Columns
from signrep_core.store.video_status import FinalStatus, add_notes, finalise, new_video_status, overlong_spans
from signrep_core.workers import Died, run_tasks

# Columns of the video status table that a probe fills, under the names that VideoInfo has for them.
PROBED = ("width", "height", "fps", "n_frames", "duration_s", "codec", "rotation", "vfr", "sha256")
NAMED: Final = 5  # videos named in a message
WORKER: Final = (sys.executable, "-m", "signrep_core.video.probe_worker")
LIMIT_S: Final = 300.0  # for one video, whose digest alone takes minutes on a slow disk

_log = logging.getLogger(__name__)


def probe_shard(
    rows: Sequence[Any],
    *,
    target_fps: float | None = 25.0,
    min_frames: int = 16,
    threads: int = 4,
    limit_s: float = LIMIT_S,
    worker: Sequence[str] = WORKER,
) -> Columns:
    """Probe the videos of a shard, `threads` at a time, in worker processes: a file that breaks one costs itself.

    Args:
        rows: of the sheet (`sources.sheet.Row`).
        target_fps: rate of the common timeline; None = each video's own frames.
        min_frames: on the common timeline, for a video to be usable: one window.
        limit_s: seconds that one video may take.
        worker: command of a worker process.

    Returns:
        The table of videos in the order of the rows; an unusable video is rejected and the others go on. A span that
        reaches beyond its video is cut at its end, with a note.
    """
    limits = {"target_fps": target_fps, "min_frames": min_frames}
    tasks = [{"path": row.path, "start": row.start, "end": row.end, "folder_fps": row.fps, **limits} for row in rows]
    videos, outcomes = new_video_status(rows), {}
    found = run_tasks(worker, tasks, threads=threads, stalled_s=limit_s)
    for place, (row, info) in enumerate(zip(rows, found, strict=True)):
        if isinstance(info, Died):
            info = {"reason": "undecodable", "detail": f"{row.path}: the probing process {info.how} in this video"}
        if "reason" in info:
            outcomes[row.video_id] = _reject(row, **info)
        else:
            for name in PROBED:
                videos[name][place] = info[name]
    return _note_spans(finalise(videos, outcomes))


def _note_spans(videos: Columns) -> Columns:
    """Say which spans end after their video."""
    overlong = overlong_spans(videos)
    if overlong:
        named = ", ".join(list(overlong)[:NAMED]) + (", ..." if len(overlong) > NAMED else "")
        _log.warning("%d spans end after their video, and are cut at its end: %s", len(overlong), named)
    notes = {video_id: f"the span ends {seconds:.1f} s after the video" for video_id, seconds in overlong.items()}
    return add_notes(videos, notes)


def _reject(row: Any, reason: str, detail: str) -> FinalStatus:
    detail = " ".join(detail.split())
    _log.info("%s: rejected, %s: %s", row.video_id, reason, detail)
    return FinalStatus("rejected", reason, detail)
