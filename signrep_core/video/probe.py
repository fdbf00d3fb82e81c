"""Probe the videos of a shard: the first table of videos says what each holds, or why it cannot be used."""

import logging
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from signrep_core.errors import VideoError
from signrep_core.store.tables import Columns
from signrep_core.store.video_status import FinalStatus, add_notes, finalise, new_video_status, overlong_spans
from signrep_core.video.reader import probe_video
from signrep_core.video.shard_tasks import Result, Task, try_video
from signrep_core.workers import Died, Send, Work, limit_memory, run_tasks

# Columns of the table that a probe fills, under the names that VideoInfo has for them.
PROBED = ("width", "height", "fps", "n_frames", "duration_s", "codec", "rotation", "vfr", "sha256")
NAMED: Final = 5  # videos named in a message
WORKER = ("signrep_core.video.probe:prepare_probe",)
LIMIT_S = 300.0  # seconds for one video, whose digest alone takes minutes on a slow disk

_log = logging.getLogger(__name__)


def probe_shard(rows: Sequence[Any], *, target_fps: float | None = 25.0, threads: int = 4) -> Columns:
    """Probe the videos of a shard, `threads` at a time, in worker processes: a file that breaks one fails alone.

    Args:
        rows: of the sheet (`sources.sheet.Row`).
        target_fps: rate of the common timeline; None = each video's own frames.

    Returns:
        The table of videos in the order of the rows; an unusable video is rejected and the others go on. A span that
        reaches beyond its video is cut at its end, with a note.
    """
    rate = {"target_fps": target_fps}
    tasks = [{"path": row.path, "start": row.start, "end": row.end, "folder_fps": row.fps, **rate} for row in rows]
    videos, rejected, notes = new_video_status(rows), {}, {}
    found = run_tasks(WORKER, tasks, threads=threads, stalled_s=LIMIT_S)
    for place, (row, info) in enumerate(zip(rows, found, strict=True)):
        if isinstance(info, Died):
            info = {"reason": "undecodable", "detail": f"{row.path}: its worker process {info.how}"}
        if "reason" in info:
            rejected[row.video_id] = _reject(row, **info)
        else:
            notes[row.video_id] = info["note"]
            for name in PROBED:
                videos[name][place] = info[name]
    return _note_spans(add_notes(finalise(videos, rejected), notes))


def prepare_probe(send: Send) -> Work:
    """Return the function of a worker process that probes one video: the fields of VideoInfo, or a reason."""
    limit_memory()
    return lambda task: try_video(task["path"], lambda: _probe(task), "undecodable")[0]


def _probe(task: Task) -> Result:
    try:
        return asdict(probe_video(**task))
    except MemoryError as error:
        raise VideoError("too_large", f"{task['path']}: probing it takes too much memory ({error})") from error


def _note_spans(videos: Columns) -> Columns:
    """Note which spans end after their video."""
    overlong = overlong_spans(videos)
    if overlong:
        named = ", ".join(list(overlong)[:NAMED]) + (", ..." if len(overlong) > NAMED else "")
        _log.warning("%d spans end after their video, and are cut at its end: %s", len(overlong), named)
    notes = {video_id: f"the span ends {seconds:.1f} s after the video" for video_id, seconds in overlong.items()}
    return add_notes(videos, notes)


def _reject(row: Any, reason: str, detail: str) -> FinalStatus:
    detail = re.sub(r"\s*[\r\n]\s*", " ", detail)  # one line; names keep their spaces
    _log.info("%s: rejected, %s: %s", row.video_id, reason, detail)
    return FinalStatus("rejected", reason, detail)
