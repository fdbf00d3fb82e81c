"""A process that extracts the pose of one video after another: `python -m signrep_core.pose.worker MODEL`.

A plain child process and not `multiprocessing`: spawning would run the caller's main script (a Snakemake script) anew
in every child, and forking is unsafe beside MediaPipe's threads. One JSON value a line: tasks come on standard input;
`ready`, `frames`, `log`, and `done` or `fatal` go to standard output. The process ends when its input does.
"""

import json
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from signrep_core.errors import SignRepError, VideoError
from signrep_core.pose.backend import Backend, open_backend
from signrep_core.pose.extract import extract_video
from signrep_core.pose.people import FaceDetector, open_face_detector
from signrep_core.store.schemas import POSE
from signrep_core.store.tables import TableWriter
from signrep_core.store.video import Frame, read_frames

REPORT_S: Final = 0.5  # between two messages on progress

Send = Callable[[dict[str, Any]], None]


def main(model: str) -> None:
    """Serve tasks until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its workers
    send = _take_stdout()
    logging.basicConfig(level=logging.INFO, handlers=[_LogToParent(send)], force=True)
    try:
        backend, find_faces = open_backend(model), open_face_detector()
        send({"ready": backend.name})
        for line in sys.stdin:
            outcome, usable = run_task(json.loads(line), backend, find_faces, send)
            if not usable:
                backend, find_faces = open_backend(model), open_face_detector()
            send({"done": outcome})
    except SignRepError as error:
        send({"fatal": str(error)})


def run_task(
    task: dict[str, Any], backend: Backend, find_faces: FaceDetector, send: Send
) -> tuple[dict[str, Any], bool]:
    """Write one video's rows to `task["out"]`; gives the outcome, and whether the backend may be used again."""
    try:
        return write_video(task, backend, find_faces, send), True
    except VideoError as error:
        return {"reason": error.reason, "detail": error.detail}, True
    except Exception as error:  # whatever one video brings about, the others go on
        logging.getLogger(__name__).error("%s: %s", task["path"], traceback.format_exc())
        return {"reason": "pose_failed", "detail": f"{type(error).__name__}: {error}"}, False


def write_video(task: dict[str, Any], backend: Backend, find_faces: FaceDetector, send: Send) -> dict[str, Any]:
    """Extract one video's pose into its own table."""
    frames = present = damaged = 0
    with TableWriter(task["out"], POSE) as writer:
        pieces = extract_video(
            partial(_open_frames, task),
            backend,
            find_faces,
            min_shoulder_px=task["min_shoulder_px"],
            on_frame=_Reporter(send),
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


class _Reporter:
    """Counts frames and sends the count now and then; a merely scanned frame only shows that there is life."""

    def __init__(self, send: Send) -> None:
        self._send, self._frames, self._said = send, 0, time.monotonic()

    def __call__(self, done: bool) -> None:
        self._frames += done
        if time.monotonic() - self._said >= REPORT_S:
            self._send({"frames": self._frames})
            self._frames, self._said = 0, time.monotonic()


class _LogToParent(logging.Handler):
    """Hands log records to the parent, which knows where they belong."""

    def __init__(self, send: Send) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        self._send({"log": [record.levelno, record.name, record.getMessage()]})


def _take_stdout() -> Send:
    """Keep standard output for messages: whatever else prints there goes to standard error."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def send(message: dict[str, Any]) -> None:
        try:
            pipe.write(json.dumps(message) + "\n")
            pipe.flush()
        except BrokenPipeError:  # the parent was killed: nobody waits for the rest
            os._exit(1)

    return send


if __name__ == "__main__":
    main(sys.argv[1])
