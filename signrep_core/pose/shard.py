"""Pose of a shard: its videos in parallel worker processes, their rows in one table in the sheet's order.

A video that fails, or that takes its worker down with it, costs itself and nothing else. Finished videos wait as
tables of their own in the job's resume cache, so memory does not grow with the shard, and a killed job goes on.
"""

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from signrep_core.errors import SignRepError
from signrep_core.extras import missing_package
from signrep_core.progress import Progress
from signrep_core.store.files import file_digest
from signrep_core.store.resume import ResumeCache, open_resume_cache, work_key
from signrep_core.store.schemas import POSE
from signrep_core.store.tables import Columns, TableWriter, read_groups
from signrep_core.store.video_status import FinalStatus
from signrep_core.workers import Died, run_tasks

log = logging.getLogger(__name__)

WORKER: Final = (sys.executable, "-m", "signrep_core.pose.worker")
_WHEEL_MODELS = (
    "pose_detection/pose_detection.tflite",
    "pose_landmark/pose_landmark_full.tflite",
    "holistic_landmark/hand_recrop.tflite",
    "hand_landmark/hand_landmark_full.tflite",
)


@dataclass(frozen=True)
class PoseOutcome:
    """What became of one video: `reason` is a key of errors.REASONS, empty where its rows were written."""

    video_id: str
    reason: str
    detail: str
    frames: int = 0
    present: int = 0
    damaged: int = 0  # frames that the file could not show

    @property
    def note(self) -> str:
        """What the video status table is to say of a video that stays ok; mostly nothing."""
        return f"{self.damaged} of {self.frames} frames are damaged" if self.damaged and not self.reason else ""

    @property
    def final_status(self) -> FinalStatus | None:
        """What the video status table is to say of the video; None while it stays ok."""
        return FinalStatus("rejected", self.reason, self.detail) if self.reason else None


def extract_shard(
    videos: Columns,
    out_path: str | Path,
    *,
    model: str = "mediapipe",
    target_fps: float | None = 25.0,
    min_shoulder_px: float,
    threads: int = 1,
    provenance: Mapping[str, str] | None = None,
    cache: ResumeCache | None = None,
    worker: Sequence[str] = WORKER,
) -> list[PoseOutcome]:
    """Extract the pose of a shard's videos (those with status ok) into one table of schemas.POSE.

    Args:
        videos: columns of schemas.VIDEOS.
        model: `mediapipe`, or the path of a holistic `.task` file.
        target_fps: rate of the common timeline; None for each video's own frames.
        min_shoulder_px: median width of the signer's shoulders in source pixels that is demanded.
        threads: worker processes, each with about one core's work.
        cache: keeps finished videos where a job is killed; None = one that ends with this call.
        worker: command of a worker process.

    Returns:
        An outcome for each video worked on, in the video status table's order; rejected ones have no rows in the table.

    Raises:
        SignRepError: no worker can be started (MediaPipe or the model cannot be used), or the disk is full.
    """
    if cache is None:
        with open_resume_cache(out_path) as cache:
            return extract_shard(
                videos, out_path, model=model, target_fps=target_fps, min_shoulder_px=min_shoulder_px,
                threads=threads, provenance=provenance, cache=cache, worker=worker,
            )  # fmt: skip
    backend = describe_backend(model)
    tasks, expected = _tasks(videos, target_fps, min_shoulder_px, backend, cache)
    outcomes: list[PoseOutcome] = []
    with (
        TableWriter(out_path, POSE, {**backend, **(provenance or {})}) as writer,
        Progress(f"extract_pose {Path(out_path).stem}", sum(expected)) as progress,
    ):
        results = _outcomes(tasks, expected, cache, [*worker, model], threads, progress)
        for task, outcome in zip(tasks, results, strict=True):
            outcomes.append(outcome)
            if not outcome.reason:
                for group in read_groups(cache.file(task["key"], "parquet"), POSE):
                    writer.write(group)
            else:
                log.info("%s: %s: %s", outcome.video_id, outcome.reason, outcome.detail)
            progress.advance(0, note=f"{len(outcomes)}/{len(tasks)} videos")
    return outcomes


def describe_backend(model: str) -> dict[str, str]:
    """Provenance of the pose: MediaPipe's version and a digest of the models, without importing it.

    Raises:
        SignRepError: MediaPipe is not installed, or there is no such `.task` file.
    """
    spec = find_spec("mediapipe")
    if spec is None or spec.origin is None:
        raise missing_package("mediapipe")
    name = f"mediapipe {version('mediapipe')}"
    if model != "mediapipe":
        if not Path(model).is_file():
            raise SignRepError(
                f"pose.model: no file at {model}; give `mediapipe`, or the path of a holistic .task file"
            )
        return {"backend": f"{name} {Path(model).name}", "model_sha256": file_digest(model)}
    models = [Path(spec.origin).parent / "modules" / part for part in _WHEEL_MODELS]
    digests = ",".join(file_digest(path)[:16] for path in models if path.is_file())
    return {"backend": f"{name} holistic", "model_sha256": digests}


# ---------------------------------------------------------------- tasks


def _tasks(
    videos: Columns, target_fps: float | None, min_shoulder_px: float, backend: Mapping[str, str], cache: ResumeCache
) -> tuple[list[dict[str, Any]], list[int]]:
    """A task for each video with status ok, and about how many frames it will have."""
    tasks, expected = [], []
    for i, status in enumerate(videos["status"]):
        if status != "ok":
            continue
        start, end = (_number(videos[name][i]) for name in ("start", "end"))
        task = {
            "video_id": videos["video_id"][i],
            "path": str(videos["path"][i]),
            "start": start,
            "end": end,
            "fps": float(videos["fps"][i]),
            "target_fps": target_fps,
            "min_shoulder_px": min_shoulder_px,
        }
        key = work_key(task["path"], task, videos["sha256"][i], POSE.version, backend)
        tasks.append({**task, "key": key, "cache": str(cache.folder)})
        seconds = float(videos["duration_s"][i])
        frames = int(videos["n_frames"][i]) if target_fps is None else seconds * target_fps
        expected.append(max(round(frames), 1) if np.isfinite(frames) else 1)
    return tasks, expected


def _number(value: Any) -> float | None:
    return None if value is None or value is np.ma.masked else float(value)


def _outcomes(
    tasks: Sequence[dict[str, Any]],
    expected: Sequence[int],
    cache: ResumeCache,
    command: Sequence[str],
    threads: int,
    progress: Progress,
) -> Iterator[PoseOutcome]:
    """Outcomes in the tasks' order: from the resume cache, or of the workers, which enter theirs there."""
    found = {i: entry for i, task in enumerate(tasks) if (entry := cache.find(task["key"])) is not None}
    left = [i for i in range(len(tasks)) if i not in found]
    if found:
        log.info("%d of %d videos were finished before", len(found), len(tasks))
    counted = [0] * len(tasks)

    def on_frames(number: int, frames: int) -> None:
        counted[left[number]] += frames
        progress.advance(frames)

    longest_first = sorted(range(len(left)), key=lambda number: -expected[left[number]])
    results = run_tasks(command, [tasks[i] for i in left], threads=threads, order=longest_first, on_frames=on_frames)
    for i, task in enumerate(tasks):
        done = found[i] if i in found else next(results)
        if isinstance(done, Died):
            done = {"reason": "pose_failed", "detail": f"the pose process {done.how} in this video"}
        outcome = PoseOutcome(task["video_id"], **done)
        progress.advance(max(outcome.frames - counted[i], 0))
        progress.expect(max(outcome.frames, counted[i]) - expected[i])
        yield outcome
