"""A process that extracts the pose of one video after another: `python -m signrep_core.pose.worker MODEL`."""

import logging
import sys
import traceback
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from signrep_core.errors import SignRepError, VideoError
from signrep_core.pose.backend import Backend, open_backend
from signrep_core.pose.extract import extract_video
from signrep_core.pose.people import FaceDetector, open_face_detector
from signrep_core.store.resume import ResumeCache
from signrep_core.store.schemas import POSE
from signrep_core.store.tables import TableWriter
from signrep_core.video.reader import Frame, read_frames
from signrep_core.workers import Reporter, Send, Work, serve


def prepare(model: str, send: Send) -> Work:
    """A function that does one task, with a backend that is made anew after it failed."""
    backend, find_faces = open_backend(model), open_face_detector()

    def work(task: dict[str, Any]) -> dict[str, Any]:
        nonlocal backend, find_faces
        outcome, usable = run_task(task, backend, find_faces, send)
        if not usable:
            backend, find_faces = open_backend(model), open_face_detector()
        return outcome

    return work


def run_task(
    task: dict[str, Any], backend: Backend, find_faces: FaceDetector, send: Send
) -> tuple[dict[str, Any], bool]:
    """Enter one video in the resume cache; gives the outcome, and whether the backend may be used again."""
    cache = ResumeCache(Path(task["cache"]))
    rows = cache.file(task["key"], "parquet")
    try:
        outcome = write_video(task, rows, backend, find_faces, send)
        cache.record(task["key"], outcome, [rows])
        return outcome, True
    except VideoError as error:
        outcome = {"reason": error.reason, "detail": error.detail}
        cache.record(task["key"], outcome)
        return outcome, True
    except SignRepError:
        raise  # a full disk says nothing about this video
    except Exception as error:  # whatever one video brings about, the others go on
        logging.getLogger(__name__).error("%s: %s", task["path"], traceback.format_exc())
        return {"reason": "pose_failed", "detail": f"{type(error).__name__}: {error}"}, False


def write_video(
    task: dict[str, Any], rows: Path, backend: Backend, find_faces: FaceDetector, send: Send
) -> dict[str, Any]:
    """Extract one video's pose into a table of its own."""
    frames = present = damaged = 0
    with TableWriter(rows, POSE) as writer:
        pieces = extract_video(
            partial(_open_frames, task),
            backend,
            find_faces,
            min_shoulder_px=task["min_shoulder_px"],
            on_frame=Reporter(send),
        )
        for columns in pieces:
            frames += len(columns["frame"])
            present += int(columns["present"].sum())
            damaged += int(columns["damaged"].sum())
            writer.write({"video_id": [task["video_id"]] * len(columns["frame"]), **columns})
    return {"reason": "", "detail": "", "frames": frames, "present": present, "damaged": damaged}


def _open_frames(task: dict[str, Any], fps: float | None) -> Iterable[Frame]:
    """The task's span at a rate, or on its own timeline."""
    rate = task["target_fps"] if fps is None else fps
    return read_frames(task["path"], rate, task["start"], task["end"], threads=1, folder_fps=task["fps"])


if __name__ == "__main__":
    serve(partial(prepare, sys.argv[1]))
