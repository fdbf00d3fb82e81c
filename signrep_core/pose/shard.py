"""Pose of a shard: its videos in parallel worker processes, their rows in one table in the sheet's order.

A video that fails, or that kills its worker, fails alone. Finished videos wait as tables of their own in the job's
resume cache, so memory does not grow with the shard, and a killed job continues.
"""

import logging
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from signrep_core.config import Config, Pose, PoseEngine, PoseTracking
from signrep_core.pose.backend import Backend, open_backend
from signrep_core.pose.extract import extract_video
from signrep_core.pose.held import HeldFrames
from signrep_core.pose.models import NETWORKS, WHEEL, check_task_file, wheel_folder
from signrep_core.pose.networks import Networks
from signrep_core.pose.people import FaceDetector, open_face_detector
from signrep_core.pose.serving import find_networks, place_networks
from signrep_core.store.files import file_digest
from signrep_core.store.resume import ResumeCache
from signrep_core.store.schemas import POSE
from signrep_core.store.tables import Columns, TableWriter, read_groups
from signrep_core.store.video_status import FinalStatus, add_notes, finalise, ok_videos
from signrep_core.video.reader import Frame
from signrep_core.video.row import VideoRow, read_row
from signrep_core.video.shard_tasks import Result, Stage, Task, do_video_task, make_task, run_video_tasks, task_files
from signrep_core.workers import Reporter, Send, Work, limit_memory

log = logging.getLogger(__name__)

WORKER = ("signrep_core.pose.shard:prepare_pose",)  # and engine, tracking, model, and place of the networks
FAILED: Final = "pose_failed"  # reason of a video that breaks its worker


@dataclass(frozen=True)
class PoseResult:
    """Result for one video: `reason` is a key of errors.REASONS, empty where its rows were written."""

    video_id: str
    reason: str
    detail: str
    frames: int = 0
    present: int = 0
    damaged: int = 0  # frames that cannot be decoded
    parts: int = 1  # one more than the picture changes its shape or rotation
    cuts: int = 0  # shot cuts
    deinterlaced: bool = False  # some frames, or all

    @property
    def note(self) -> str:
        """Detail of a video that stays ok; mostly empty."""
        if self.reason:
            return ""
        damaged = f"{self.damaged} of {self.frames} frames are damaged" if self.damaged else ""
        changes = f"the picture changes its shape or rotation ({self.parts} parts)" if self.parts > 1 else ""
        cuts = f"{self.cuts} shot cut{'s' if self.cuts > 1 else ''}" if self.cuts else ""
        return "; ".join(filter(None, (damaged, changes, cuts, "deinterlaced" if self.deinterlaced else "")))

    @property
    def final_status(self) -> FinalStatus | None:
        """Final status of the video; None while it stays ok."""
        return FinalStatus("rejected", self.reason, self.detail) if self.reason else None


def extract_shard(
    videos: Columns,
    out_path: str | Path,
    cache: ResumeCache,
    config: Config | None = None,
    threads: int = 1,
    provenance: Mapping[str, str] | None = None,
) -> list[PoseResult]:
    """Extract the pose of a shard's ok videos into one table of schemas.POSE.

    Args:
        videos: columns of schemas.VIDEOS.
        cache: keeps the finished videos until the job is done.
        config: its sections `pose` and `timeline` are read; default: the defaults.
        threads: worker processes, each with about one core's work.

    Returns:
        A result for each ok video, in the table's order; rejected ones have no rows in the table.

    Raises:
        SignRepError: no worker can be started (MediaPipe or the model cannot be used), or the disk is full.
    """
    config = config or Config()
    backend = describe_backend(config.pose)
    settings = {"target_fps": config.timeline.rate, "min_shoulder_px": config.pose.min_shoulder_px}
    found = ok_videos(videos)
    frames = [video.frames_at(config.timeline.rate) for video in found]
    outcomes: list[PoseResult] = []
    tasks = [make_task(video, settings, cache, ["parquet"], [POSE.version, backend]) for video in found]
    with (
        TableWriter(out_path, POSE, {**backend, **(provenance or {})}) as writer,
        place_networks(config.pose) as place,
        closing(run_video_tasks(stage_at(place, config.pose), tasks, frames, threads, Path(out_path).stem)) as results,
    ):
        for task, result in zip(tasks, results, strict=True):
            outcomes.append(PoseResult(task["video_id"], **result))
            if result["reason"]:
                log.info("%s: %s: %s", task["video_id"], result["reason"], result["detail"])
                continue
            (rows,) = task_files(task)
            for group in read_groups(rows, POSE):
                writer.write(group)
    return outcomes


def stage_at(place: str, pose: Pose) -> Stage:
    """The stage, whose workers find the networks at a place."""
    return Stage("extract_pose", (*WORKER, pose.engine, pose.tracking, pose.model, place), FAILED)


def finish_videos(videos: Columns, results: Iterable[PoseResult]) -> Columns:
    """Copy a table of videos with the results of extraction: rejected ones final, notes added to the others."""
    results = list(results)
    noted = add_notes(videos, {result.video_id: result.note for result in results})
    return finalise(noted, {result.video_id: result.final_status for result in results if result.final_status})


def describe_backend(pose: Pose) -> dict[str, str]:
    """Provenance of the pose: the engine, MediaPipe's version and a digest of the networks, without importing it.

    Raises:
        SignRepError: MediaPipe is not installed, or there is no such `.task` file.
    """
    modules = wheel_folder() / "modules"
    name = f"mediapipe {version('mediapipe')}"
    if pose.engine == "own":
        name = f"signrep engine, {pose.tracking}, on {pose.device}, {name}"
    if pose.model != WHEEL:
        check_task_file(pose.model)
        return {"backend": f"{name} {Path(pose.model).name}", "model_sha256": file_digest(pose.model)}
    models = [modules / network.file for network in NETWORKS.values()]
    digests = ",".join(file_digest(path)[:16] for path in models if path.is_file())
    return {"backend": f"{name} holistic", "model_sha256": digests}


# ---------------------------------------------------------------- the worker


def prepare_pose(send: Send, engine: PoseEngine, tracking: PoseTracking, model: str, place: str) -> Work:
    """Return the function of a worker process that extracts one video's pose.

    The networks or the backend are opened again after an unexpected error.
    """
    limit_memory()
    source, find_faces = open_source(engine, tracking, model, place), open_face_detector()

    def work(task: Task) -> Result:
        nonlocal source, find_faces
        result, usable = do_video_task(task, lambda task: write_video(task, source, find_faces, send), FAILED)
        if not usable:
            source, find_faces = open_source(engine, tracking, model, place), open_face_detector()
        return result

    return work


def open_source(engine: PoseEngine, tracking: PoseTracking, model: str, place: str) -> Networks | Backend:
    """Open what `extract_video` follows a signer with; arguments and errors as `open_backend`."""
    offline = engine == "own" and tracking == "offline"
    return find_networks(model, place) if offline else open_backend(engine, model, place)


def write_video(task: Task, source: Networks | Backend, find_faces: FaceDetector, send: Send) -> Result:
    """Extract the pose of one video into a table of its own."""
    deinterlaced = False

    def open_frames(fps: float | None) -> Iterable[Frame]:
        """The task's span at a rate, or on its own timeline."""
        nonlocal deinterlaced
        for frame in read_row(VideoRow.of(task), task["target_fps"] if fps is None else fps):
            deinterlaced |= frame.deinterlaced
            yield frame

    frames = present = damaged = last_part = last_shot = 0
    (rows,) = task_files(task)
    with TableWriter(rows, POSE) as writer:
        for columns in extract_video(
            HeldFrames(open_frames),
            source,
            find_faces,
            min_shoulder_px=task["min_shoulder_px"],
            on_frame=Reporter(send),
        ):
            frames += len(columns["frame"])
            present += int(columns["present"].sum())
            damaged += int(columns["damaged"].sum())
            last_part, last_shot = int(columns["part"][-1]), int(columns["shot"][-1])
            writer.write({"video_id": [task["video_id"]] * len(columns["frame"]), **columns})
    counts = {"frames": frames, "present": present, "damaged": damaged, "parts": last_part + 1, "cuts": last_shot}
    return {"reason": "", "detail": "", **counts, "deinterlaced": deinterlaced}
