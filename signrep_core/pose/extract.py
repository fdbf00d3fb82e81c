"""Pose of one video: its signer chosen, followed through all frames, and written down as rows of schemas.POSE."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from queue import Full, Queue
from threading import Event, Thread
from typing import Any, Final, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from signrep_core.body.landmarks import Detections, assemble_landmarks
from signrep_core.errors import VideoError
from signrep_core.pose.backend import Backend, Detection
from signrep_core.pose.finish import Finished, finish
from signrep_core.pose.follow import Sighting, follow_signer, same_take
from signrep_core.pose.networks import Networks
from signrep_core.pose.people import SCAN_FPS, FaceDetector, People, find_people
from signrep_core.pose.tracker import Observation, Tracker
from signrep_core.skeleton import BODY, N_HAND_JOINTS, SHOULDERS, SIDES
from signrep_core.store.schemas import MISSING, SEEN
from signrep_core.video.reader import Frame
from signrep_core.video.shots import count_shots

Columns = dict[str, Any]  # of schemas.POSE, without video_id
OpenFrames = Callable[[float | None], Iterable[Frame]]  # a rate, or None for the common timeline -> the frames

MIN_RUN: Final = 8  # fewer frames in a row are a mistake of the detector, unless a face was seen there
MIN_RUN_FACELESS: Final = 16  # ... and in a video without any face, where only the pose speaks for a person
CHUNK: Final = 1500  # frames in a row group: one minute at 25 fps
CONTEXT: Final = 250  # frames around it that its smoothing looks at: their weight has fallen below 1 in 100 there
AHEAD: Final = 16  # frames decoded ahead of inference
NOBODY: Final = Observation(None, doubtful=False, on_face=False)

T = TypeVar("T")


class Seen(Protocol):
    """Result of tracking in one frame."""

    @property
    def frame(self) -> Frame:
        """The frame, without its picture."""


S = TypeVar("S", bound=Seen)


@dataclass(frozen=True)
class Tracked:
    """The signer in one frame, as a backend sees it."""

    frame: Frame  # without its picture
    size: tuple[int, int]  # height, width of the picture
    observation: Observation

    @property
    def on_face(self) -> bool:
        """Whether the nose lies on the signer's known face."""
        return self.observation.on_face

    @property
    def doubtful(self) -> bool:
        """Whether someone else may have been meant."""
        return self.observation.doubtful


@dataclass(frozen=True)
class Stretch(Generic[S]):
    """Successive frames of one take; those outside the core are there for what depends on the frames around."""

    frames: Sequence[S]
    core: slice
    open_ends: tuple[bool, bool]  # more frames of the take lie before the first one, after the last one


def extract_video(
    open_frames: OpenFrames,
    source: Networks | Backend,
    find_faces: FaceDetector,
    *,
    min_shoulder_px: float,
    on_frame: Callable[[bool], None] = lambda done: None,
) -> Iterator[Columns]:
    """Choose a video's signer from a sparse pass over its frames, then follow it through all of them.

    Args:
        open_frames: gives the video's frames at a rate, or with None on the common timeline; called twice.
        source: networks, by which hands are looked for in the whole recording, or a backend that goes frame by frame.
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
        source,
        people,
        min_shoulder_px=min_shoulder_px,
        on_frame=on_frame,
    )


def extract_pose(
    frames: Iterable[Frame],
    source: Networks | Backend,
    people: People,
    *,
    min_shoulder_px: float,
    on_frame: Callable[[bool], None] = lambda done: None,
) -> Iterator[Columns]:
    """Follow the signer of `people` through the frames of a video; arguments, results and errors as `extract_video`."""

    def counted() -> Iterator[Frame]:
        for frame in count_shots(frames):
            yield frame
            on_frame(True)

    tally, min_run = _Tally(), MIN_RUN if people.signer else MIN_RUN_FACELESS
    if isinstance(source, Networks):
        for followed in stretches(follow_signer(counted(), source, people)):
            finished = finish(followed.frames)
            yield tally.count(_columns(followed, finished, min_run, judged=True))
    else:
        for tracked in stretches(track_signer(counted(), source, people)):
            finished = _finish_tracked(tracked.frames)
            yield tally.count(_columns(tracked, finished, min_run, judged=False))
    tally.check(min_shoulder_px)


def track_signer(frames: Iterable[Frame], backend: Backend, people: People) -> Iterator[Tracked]:
    """Track the signer frame by frame with a backend; a damaged frame shows nobody."""
    tracker = Tracker(backend, people)
    before: Frame | None = None
    for frame in frames:
        if before is not None and not same_take(before, frame):
            tracker.begin_part(frame.part)
        observation = NOBODY if frame.damaged else tracker(frame.rgb, frame.time_s)
        before = replace(frame, rgb=frame.rgb[:0])
        yield Tracked(before, (frame.rgb.shape[0], frame.rgb.shape[1]), observation)


def stretches(sightings: Iterable[S]) -> Iterator[Stretch[S]]:
    """Cut successive frames into stretches of CHUNK frames, with up to CONTEXT frames of the same take around each."""
    frames: list[S] = []
    core, before = 0, False  # where the core begins, and whether frames of the take came before the first of `frames`
    for sighting in sightings:
        if frames and not same_take(frames[-1].frame, sighting.frame):
            yield from _last_stretches(frames, core, before)
            frames, core, before = [], 0, False
        elif len(frames) == core + CHUNK + CONTEXT:
            yield Stretch(frames, slice(core, core + CHUNK), (before, True))
            dropped = max(core + CHUNK - CONTEXT, 0)
            frames, core, before = frames[dropped:], core + CHUNK - dropped, before or dropped > 0
        frames.append(sighting)
    yield from _last_stretches(frames, core, before)


def _last_stretches(frames: list[S], core: int, before: bool) -> Iterator[Stretch[S]]:
    """The stretches at the end of a take."""
    for start in range(core, len(frames), CHUNK):
        yield Stretch(frames, slice(start, min(start + CHUNK, len(frames))), (before, False))


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


def _columns(
    stretch: Stretch[Sighting] | Stretch[Tracked], finished: Finished, min_run: int, *, judged: bool
) -> Columns:
    """The core of a stretch as columns of schemas.POSE."""
    frames, core = stretch.frames, stretch.core
    on_face = np.array([sighting.on_face for sighting in frames])
    here = keep_runs(finished.present, on_face, min_run, open_ends=stretch.open_ends)
    seen = Detections(*(_only(values, here) for values in vars(finished.detections).values()))
    landmarks = assemble_landmarks(seen, frames[0].size, judged=judged)
    states = np.where(here[:, None], finished.hand_states, MISSING)
    return {
        "frame": np.array([sighting.frame.index for sighting in frames[core]], np.int32),
        "time_s": np.array([sighting.frame.time_s for sighting in frames[core]], np.float64),
        "present": here[core],
        "damaged": np.array([sighting.frame.damaged for sighting in frames[core]]),
        "part": np.array([sighting.frame.part for sighting in frames[core]], np.int32),
        "shot": np.array([sighting.frame.shot for sighting in frames[core]], np.int32),
        "doubtful": np.array([sighting.doubtful for sighting in frames[core]]) & here[core],
        "landmarks": landmarks.xyz[core],
        "image_xy": landmarks.image_xy[core],
        "confidence": landmarks.confidence[core],
        "box": landmarks.box[core],
        **{f"{side}_hand": states[core, hand].tolist() for hand, side in enumerate(SIDES)},
    }


def _only(values: NDArray[np.floating], here: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Values (T, ...) of the frames that are `here`; scores (T, n) are 0 in the others, coordinates NaN."""
    missing = 0 if values.ndim == 2 else np.nan
    return np.where(here.reshape(-1, *[1] * (values.ndim - 1)), values, missing).astype(np.float32)


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


def _finish_tracked(frames: Sequence[Tracked]) -> Finished:
    """Give the landmarks of a backend that smooths them by itself."""
    seen = stack_detections([tracked.observation.detection for tracked in frames])
    present = np.array([tracked.observation.detection is not None for tracked in frames])
    return Finished(present, seen, np.where(seen.hand_presence > 0, SEEN, MISSING))


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
