"""Pose of a shard: its videos in parallel worker processes, their rows in one table in the sheet's order.

A video that fails, or that takes its worker down with it, costs itself and nothing else. Finished videos wait as
tables of their own beside the output, so memory does not grow with the shard.
"""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue
from threading import Timer
from typing import Any, Final

import numpy as np

from signrep_core.errors import SignRepError
from signrep_core.progress import Progress
from signrep_core.store.accounts import Outcome
from signrep_core.store.files import file_digest
from signrep_core.store.schemas import POSE
from signrep_core.store.tables import Columns, TableWriter, read_groups

log = logging.getLogger(__name__)

STALLED_S: Final = 600.0  # a worker that says nothing for so long is ended
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
        """What the account is to say of a video that stays ok; mostly nothing."""
        return f"{self.damaged} of {self.frames} frames are damaged" if self.damaged and not self.reason else ""

    @property
    def settled(self) -> Outcome | None:
        """What the account is to say of the video; None while it stays ok."""
        return Outcome("rejected", self.reason, self.detail) if self.reason else None


def extract_shard(
    account: Columns,
    out_path: str | Path,
    *,
    model: str = "mediapipe",
    target_fps: float | None = 25.0,
    min_shoulder_px: float,
    threads: int = 1,
    provenance: Mapping[str, str] | None = None,
    worker: Sequence[str] = WORKER,
) -> list[PoseOutcome]:
    """Extract the pose of a shard's videos (those with status ok) into one table of schemas.POSE.

    Args:
        account: columns of schemas.VIDEOS.
        model: `mediapipe`, or the path of a holistic `.task` file.
        target_fps: rate of the common timeline; None for each video's own frames.
        min_shoulder_px: median width of the signer's shoulders in source pixels that is demanded.
        threads: worker processes, each with about one core's work.
        worker: command of a worker process.

    Returns:
        An outcome for each video worked on, in the account's order; rejected ones have no rows in the table.

    Raises:
        SignRepError: no worker can be started (MediaPipe or the model cannot be used).
    """
    out_path = Path(out_path)
    tasks, expected = _tasks(account, target_fps, min_shoulder_px)
    out_path.parent.mkdir(parents=True, exist_ok=True)
    for left_by_a_kill in out_path.parent.glob(f".{out_path.stem}.parts.*"):
        shutil.rmtree(left_by_a_kill, ignore_errors=True)
    outcomes: list[PoseOutcome] = []
    with (
        tempfile.TemporaryDirectory(prefix=f".{out_path.stem}.parts.", dir=out_path.parent) as parts,
        TableWriter(out_path, POSE, {**describe_backend(model), **(provenance or {})}) as writer,
        Progress(f"extract_pose {out_path.stem}", sum(expected)) as progress,
    ):
        for i, outcome in enumerate(_run_tasks(tasks, expected, Path(parts), [*worker, model], threads, progress)):
            outcomes.append(outcome)
            part = _part(Path(parts), i)
            if not outcome.reason:
                for group in read_groups(part, POSE):
                    writer.write(group)
            else:
                log.info("%s: %s: %s", outcome.video_id, outcome.reason, outcome.detail)
            part.unlink(missing_ok=True)
            progress.advance(0, note=f"{i + 1}/{len(tasks)} videos")
    return outcomes


def describe_backend(model: str) -> dict[str, str]:
    """Provenance of the pose: MediaPipe's version and a digest of the models, without importing it.

    Raises:
        SignRepError: MediaPipe is not installed, or there is no such `.task` file.
    """
    spec = find_spec("mediapipe")
    if spec is None or spec.origin is None:
        raise SignRepError("extract_pose needs mediapipe, which is not installed; pip install mediapipe==0.10.21")
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
    account: Columns, target_fps: float | None, min_shoulder_px: float
) -> tuple[list[dict[str, Any]], list[int]]:
    """A task for each video with status ok, and about how many frames it will have."""
    tasks, expected = [], []
    for i, status in enumerate(account["status"]):
        if status != "ok":
            continue
        start, end = (_number(account[name][i]) for name in ("start", "end"))
        tasks.append(
            {
                "video_id": account["video_id"][i],
                "path": str(account["path"][i]),
                "start": start,
                "end": end,
                "fps": float(account["fps"][i]),
                "target_fps": target_fps,
                "min_shoulder_px": min_shoulder_px,
            }
        )
        seconds = float(account["duration_s"][i])
        frames = int(account["n_frames"][i]) if target_fps is None else seconds * target_fps
        expected.append(max(round(frames), 1) if np.isfinite(frames) else 1)
    return tasks, expected


def _number(value: Any) -> float | None:
    return None if value is None or value is np.ma.masked else float(value)


def _part(parts: Path, number: int) -> Path:
    return parts / f"{number:05d}.parquet"


def _run_tasks(
    tasks: Sequence[dict[str, Any]],
    expected: Sequence[int],
    parts: Path,
    command: Sequence[str],
    threads: int,
    progress: Progress,
) -> Iterator[PoseOutcome]:
    """Outcomes in the tasks' order; the longest videos are begun first, so that none is left over at the end."""
    count = max(min(threads, len(tasks)), 1)
    workers = [_Worker(command) for _ in range(count)]
    idle: SimpleQueue[_Worker] = SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def run(number: int) -> PoseOutcome:
        worker, counted = idle.get(), 0

        def on_frames(frames: int) -> None:
            nonlocal counted
            counted += frames
            progress.advance(frames)

        try:
            outcome = worker.run({**tasks[number], "out": str(_part(parts, number))}, on_frames)
            progress.advance(max(outcome.frames - counted, 0))
            progress.expect(max(outcome.frames, counted) - expected[number])
            return outcome
        finally:
            idle.put(worker)

    pool = ThreadPoolExecutor(count)
    try:
        longest_first = sorted(range(len(tasks)), key=lambda i: -expected[i])
        futures: dict[int, Future[PoseOutcome]] = {i: pool.submit(run, i) for i in longest_first}
        for i in range(len(tasks)):
            yield futures.pop(i).result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.end()
        pool.shutdown()


class _Worker:
    """A worker process, started when it is needed and again after it died."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[str] | None = None
        self._ended = False

    def run(self, task: dict[str, Any], on_frames: Callable[[int], None]) -> PoseOutcome:
        """Do a task; a worker that dies of it makes it a `pose_failed`."""
        if self._ended:
            raise SignRepError("extract_pose was ended")
        if self._process is None:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(task) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the messages end at once
        for message in self._messages():
            on_frames(message.get("frames", 0))
            if "done" in message:
                return PoseOutcome(task["video_id"], **message["done"])
        return PoseOutcome(task["video_id"], "pose_failed", f"the pose process {self._bury()} in this video")

    def end(self) -> None:
        """End the process, whatever it is doing."""
        self._ended = True
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _start(self) -> None:
        package_root = str(Path(__file__).parents[2])
        path = os.pathsep.join([package_root, *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "GLOG_minloglevel": "2"}
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=environment
        )
        for message in self._messages():
            if "ready" in message:
                return
        raise SignRepError(
            f"extract_pose: a pose process {self._bury()} before its first video; its messages are above"
        )

    def _messages(self) -> Iterator[dict[str, Any]]:
        """Messages until the process ends; log records go to the log, a process that stalls is ended."""
        process = self._process
        assert process is not None
        assert process.stdout is not None
        while True:
            watchdog = Timer(STALLED_S, process.kill)
            watchdog.daemon = True
            watchdog.start()
            line = process.stdout.readline()
            watchdog.cancel()
            if not line:
                return
            message = json.loads(line)
            if "fatal" in message:
                raise SignRepError(message["fatal"])
            if "log" in message:
                level, name, text = message["log"]
                logging.getLogger(name).log(level, "%s", text)
            yield message

    def _bury(self) -> str:
        """Forget the dead process; says how it died."""
        assert self._process is not None
        self._process.kill()
        code = self._process.wait()
        self._process = None
        return f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
