"""Pose of one video: its signer chosen, followed through all frames, and written down as rows of schemas.POSE."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from queue import Full, Queue
from threading import Event, Thread
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from signrep_core.body.landmarks import Detections, assemble_landmarks
from signrep_core.errors import VideoError
from signrep_core.pose.backend import Backend, Detection
from signrep_core.pose.people import SCAN_FPS, FaceDetector, People, find_people
from signrep_core.pose.tracker import Observation, Tracker
from signrep_core.skeleton import BODY, N_HAND_JOINTS, SHOULDERS, SIDES
from signrep_core.video.reader import Frame

Columns = dict[str, Any]  # of schemas.POSE, without video_id
OpenFrames = Callable[[float | None], Iterable[Frame]]  # a rate, or None for the common timeline -> the frames

MIN_RUN: Final = 8  # fewer frames in a row are a mistake of the detector, unless a face was seen there
MIN_RUN_FACELESS: Final = 16  # ... and in a video without any face, where only the pose speaks for a person
CHUNK: Final = 1500  # frames in memory at a time: one minute at 25 fps
AHEAD: Final = 16  # frames decoded ahead of inference
NOBODY: Final = Observation(None, doubtful=False, on_face=False)

T = TypeVar("T")


def extract_video(
    open_frames: OpenFrames,
    backend: Backend,
    find_faces: FaceDetector,
    *,
    min_shoulder_px: float,
    on_frame: Callable[[bool], None] = lambda done: None,
) -> Iterator[Columns]:
    """Choose a video's signer from a sparse pass over its frames, then follow it through all of them.

    Args:
        open_frames: gives the video's frames at a rate, or with None on the common timeline; called twice.
        min_shoulder_px: median width of the signer's shoulders in pixels that is demanded.
        on_frame: called after each frame, with False in the sparse pass and True when its pose is done, for progress.

    Yields:
        Columns of schemas.POSE without `video_id`, for at most CHUNK frames at a time, in order.

    Raises:
        VideoError: at the end, when the rows are not to be used: no_signer, signer_too_small.
    """
    people = find_people(ahead(open_frames(SCAN_FPS)), find_faces, lambda: on_frame(False))
    yield from extract_pose(
        ahead(open_frames(None)),
        backend,
        people,
        min_shoulder_px=min_shoulder_px,
        on_frame=on_frame,
    )


def extract_pose(
    frames: Iterable[Frame],
    backend: Backend,
    people: People,
    *,
    min_shoulder_px: float,
    on_frame: Callable[[bool], None] = lambda done: None,
) -> Iterator[Columns]:
    """Track the signer of `people` through the frames of a video; arguments, results and errors as `extract_video`."""
    tracker, tally = Tracker(backend, people), _Tally()
    chunk = _Chunk(MIN_RUN if people.signer else MIN_RUN_FACELESS)
    for frame in frames:
        changes = chunk.observations and frame.part != chunk.part
        if changes or len(chunk.observations) == CHUNK:
            yield tally.count(chunk.columns(goes_on=not changes))
            chunk = _Chunk(chunk.min_run, begins=bool(changes))
        if changes:
            tracker.begin_part(frame.part)
        chunk.add(frame, NOBODY if frame.damaged else tracker(frame.rgb, frame.time_s))
        on_frame(True)
    if chunk.observations:
        yield tally.count(chunk.columns(goes_on=False))
    tally.check(min_shoulder_px)


@dataclass
class _Tally:
    """Counts that decide at a video's end whether its rows can be used."""

    frames: int = 0
    present: int = 0
    shoulder_px: list[NDArray[np.float64]] = field(default_factory=list)

    def count(self, columns: Columns) -> Columns:
        """Note a chunk and hand it on."""
        present = columns["present"]
        right, left = (columns["image_xy"][present, joint] for joint in SHOULDERS)
        self.frames += len(present)
        self.present += int(present.sum())
        self.shoulder_px.append(np.linalg.norm(right - left, axis=-1))
        return columns

    def check(self, min_shoulder_px: float) -> None:
        """Raise VideoError where the video holds no usable signer."""
        if not self.present:
            raise VideoError("no_signer", f"no person was found in any of {self.frames} frames")
        width = float(np.median(np.concatenate(self.shoulder_px)))
        if width < min_shoulder_px:
            raise VideoError(
                "signer_too_small", f"shoulders {width:.0f} px apart (median), at least {min_shoulder_px:g} are needed"
            )


class _Chunk:
    """SimulatedDetections of successive frames, until they become columns."""

    def __init__(self, min_run: int, begins: bool = True) -> None:
        self.min_run, self._begins = min_run, begins
        self._size = (0, 0)
        self.part = 0  # a chunk holds frames of one part
        self.frames: list[int] = []
        self.times: list[float] = []
        self.damaged: list[bool] = []
        self.observations: list[Observation] = []

    def add(self, frame: Frame, observation: Observation) -> None:
        self._size, self.part = (frame.rgb.shape[0], frame.rgb.shape[1]), frame.part
        self.frames.append(frame.index)
        self.times.append(frame.time_s)
        self.damaged.append(frame.damaged)
        self.observations.append(observation)

    def columns(self, goes_on: bool) -> Columns:
        """The chunk as columns of schemas.POSE; `goes_on`: more frames of the video follow."""
        present = keep_runs(
            np.array([s.detection is not None for s in self.observations]),
            np.array([s.on_face for s in self.observations]),
            self.min_run,
            open_ends=(not self._begins, goes_on),
        )
        seen = [s.detection if here else None for s, here in zip(self.observations, present, strict=True)]
        landmarks = assemble_landmarks(stack_detections(seen), self._size)
        return {
            "frame": np.array(self.frames, np.int32),
            "time_s": np.array(self.times, np.float64),
            "present": present,
            "damaged": np.array(self.damaged),
            "part": np.full(len(self.frames), self.part, np.int32),
            "doubtful": np.array([s.doubtful for s in self.observations]) & present,
            "landmarks": landmarks.xyz,
            "image_xy": landmarks.image_xy,
            "confidence": landmarks.confidence,
            "box": landmarks.box,
        }


def keep_runs(
    present: NDArray[np.bool_], on_face: NDArray[np.bool_], min_run: int, open_ends: tuple[bool, bool] = (False, False)
) -> NDArray[np.bool_]:
    """(T,) presence without runs of fewer than `min_run` frames that are never on a known face.

    A run that touches an open end (beginning, end) may go on beyond it and stays; so does one that fills a short video.
    """
    kept = present.copy()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], present, [False]]).astype(np.int8)))
    for start, end in edges.reshape(-1, 2):
        goes_on = (open_ends[0] and start == 0) or (open_ends[1] and end == len(present))
        whole = end - start == len(present)
        if end - start < min_run and not (goes_on or whole or on_face[start:end].any()):
            kept[start:end] = False
    return kept


def stack_detections(seen: Sequence[Detection | None]) -> Detections:
    """Stack detections frame by frame, NaN and score 0 where there is none."""
    frames, hands, joints = len(seen), len(SIDES), BODY.stop
    stacked = Detections(
        np.full((frames, joints, 2), np.nan, np.float32),
        np.full((frames, joints, 3), np.nan, np.float32),
        np.zeros((frames, joints), np.float32),
        np.full((frames, hands, N_HAND_JOINTS, 3), np.nan, np.float32),
        np.zeros((frames, hands), np.float32),
        np.zeros((frames, hands), np.float32),
    )
    for t, detection in enumerate(seen):
        if detection is not None:
            for name, values in vars(stacked).items():
                values[t] = getattr(detection, name)
    return stacked


def ahead(items: Iterable[T], size: int = AHEAD) -> Iterator[T]:
    """The same items, produced by a thread up to `size` items ahead; its error is raised here, in its place."""
    queue: Queue[tuple[str, Any]] = Queue(size)
    stop = Event()

    def put(message: tuple[str, Any]) -> None:
        while not stop.is_set():
            try:
                return queue.put(message, timeout=0.1)
            except Full:
                continue

    def produce() -> None:
        try:
            for item in items:
                put(("item", item))
                if stop.is_set():
                    return
            put(("end", None))
        except BaseException as error:
            put(("error", error))

    thread = Thread(target=produce, daemon=True)
    thread.start()
    try:
        while True:
            kind, value = queue.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        stop.set()
        thread.join()
