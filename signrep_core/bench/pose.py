"""The pose engine against MediaPipe: landmarks, hands found, error on rendered signers, speed and what bounds it.

Distances are in % of the video's median shoulder width. MediaPipe's decisions whether to follow a hand are chaotic, so
each distance stands beside that of MediaPipe from itself on pictures changed by at most one grey level.

Legend: T frames, J joints, S sides.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from signrep_core.bench.figures import Figure
from signrep_core.bench.workload import Workload
from signrep_core.body.landmarks import Detections
from signrep_core.pose.backend import (
    Backend,
    Detection,
    EngineBackend,
    HolisticSolution,
    import_mediapipe,
    quiet_stderr,
)
from signrep_core.pose.extract import extract_video, stack_detections
from signrep_core.pose.held import HeldFrames
from signrep_core.pose.networks import HAND_SIDE, POSE_SIDE, RECROP_SIDE, Networks, computes_bfloat16, open_networks
from signrep_core.pose.people import open_face_detector
from signrep_core.skeleton import BODY_JOINTS, HAND_JOINTS, HANDS, SHOULDERS, SIDES
from signrep_core.synthetic.corpus import plan_corpus, render_video, true_columns
from signrep_core.video.reader import Frame
from signrep_core.video.row import VideoRow, read_row

Array = NDArray[np.floating]

NEAR: Final = 1.0  # % of the shoulder width
BODY_GOAL: Final = 99.9  # % of the points within NEAR
SPEED_GOAL: Final = {False: 1.5, True: 1.8}  # × MediaPipe, by whether the processor computes in bfloat16
RENDER_SIZE: Final = 480
SEED: Final = 18
FPS: Final = 25.0
GPU_FRAMES: Final = 128  # at a time
GPU_GOAL: Final = 5000.0  # frames a second
_CROPS: Final = {"pose": (POSE_SIDE, 1), "recrop": (RECROP_SIDE, 2), "hand": (HAND_SIDE, 2)}  # side, crops of a frame


@dataclass(frozen=True)
class PoseWork:
    """Inputs of the benchmark."""

    out: Path
    videos: Sequence[Path]
    frames: int  # of each video, at most
    signers: int = 2  # rendered, one sentence each

    def parts(self) -> Mapping[str, Callable[[], Iterable[Figure]]]:
        """Name → function that yields the figures of a part."""
        networks = open_networks()
        ways = _Ways(EngineBackend(networks), HolisticSolution())
        return {
            "videos": partial(_measure_videos, self, ways),
            "extraction": partial(_measure_extraction, self, networks, ways),
            "rendered": partial(_measure_rendered, self, ways),
            "networks": partial(_measure_networks, networks),
        }


@dataclass
class _Seen:
    """Detections of one video's frames by one backend, and the processor time that they took."""

    found: list[Detection | None] = field(default_factory=list)
    core_s: float = 0.0

    def look(self, backend: Backend, rgb: NDArray[np.uint8], time_s: float) -> None:
        began = time.process_time()
        self.found.append(backend(rgb, time_s))
        self.core_s += time.process_time() - began

    def stacked(self) -> Detections:
        return stack_detections(self.found)


class _Published:
    """MediaPipe's own class, face mesh and segmentation mask included; only its time counts."""

    name = "MediaPipe as published"

    def __init__(self) -> None:
        with quiet_stderr():
            self._holistic = import_mediapipe("mediapipe.python.solutions.holistic").Holistic()

    def reset(self) -> None:
        with quiet_stderr():
            self._holistic.reset()

    def __call__(self, rgb: NDArray[np.uint8], time_s: float) -> None:
        self._holistic.process(rgb)


@dataclass(frozen=True)
class _Ways:
    """The backends. They see each frame in turn, so that all meet the same load of the machine."""

    own: Backend
    reference: Backend
    published: Backend = field(default_factory=_Published)

    def watch(self, frames: Sequence[NDArray[np.uint8]]) -> tuple[_Seen, ...]:
        """Detections of one video by each."""
        ways = {way: _Seen() for way in (self.own, self.reference, self.published)}
        for way in ways:
            way.reset()
        for i, rgb in enumerate(frames):
            for way, seen in ways.items():
                seen.look(way, rgb, i / FPS)
        return tuple(ways.values())

    def watch_changed(self, frames: Sequence[NDArray[np.uint8]]) -> _Seen:
        """Detections by the reference where each value is changed by -1, 0 or 1."""
        rng, seen = np.random.default_rng(SEED), _Seen()
        self.reference.reset()
        for i, rgb in enumerate(frames):
            changed = rgb.astype(np.int16) + rng.integers(-1, 2, rgb.shape, np.int16)
            seen.look(self.reference, changed.clip(0, 255).astype(np.uint8), i / FPS)
        return seen


@dataclass
class _Distances:
    """Distances between two backends' landmarks over all videos, % of the shoulder width."""

    body: list[Array] = field(default_factory=list)  # (T, J)
    hands: list[Array] = field(default_factory=list)  # (T, S, J)
    agree: list[NDArray[np.bool_]] = field(default_factory=list)  # (T, S) both see the hand, or neither

    def add(self, seen: Detections, reference: Detections, unit: float) -> None:
        """Take in one video; `unit` is its shoulder width in pixels."""
        self.body.append(_gap(seen.body_xy, reference.body_xy) / unit * 100)
        self.hands.append(_gap(seen.hand_xyz[..., :2], reference.hand_xyz[..., :2]) / unit * 100)
        self.agree.append((seen.hand_presence > 0) == (reference.hand_presence > 0))

    def pooled(self, kind: str) -> Array:
        """All known distances of `body` (N, J) or `hands` (N, J)."""
        values: Array = np.concatenate(getattr(self, kind))
        values = values.reshape(-1, values.shape[-1])
        return values[~np.isnan(values).any(-1)]


def _measure_videos(work: PoseWork, ways: _Ways) -> Iterator[Figure]:
    """Landmarks and speed on real videos."""
    ours, itself = _Distances(), _Distances()
    hands: dict[str, list[NDArray[np.bool_]]] = {"engine": [], "MediaPipe": []}
    core_s, frames = np.zeros(3), 0
    for path in work.videos:
        pictures = [frame.rgb for frame in _open_frames(path, work.frames)]
        seen = ways.watch(pictures)
        own, reference = (way.stacked() for way in seen[:2])
        if np.isnan(reference.body_xy).all():
            continue
        unit = _shoulder_width(reference.body_xy)
        ours.add(own, reference, unit)
        itself.add(ways.watch_changed(pictures).stacked(), reference, unit)
        hands["engine"].append(own.hand_presence > 0)
        hands["MediaPipe"].append(reference.hand_presence > 0)
        core_s += [way.core_s for way in seen]
        frames += len(pictures)
    yield Figure("frames with a person", len(ours.pooled("body")))
    yield from _distance_figures(ours, itself)
    for name, present in hands.items():
        for side, share in zip(SIDES, np.concatenate(present).mean(0), strict=True):
            yield Figure(f"{side} hands found, {name}", 100 * float(share), "% of frames")
    yield from _speed_figures(frames, core_s)


def _distance_figures(ours: _Distances, itself: _Distances) -> Iterator[Figure]:
    for kind, names in (("body", BODY_JOINTS), ("hands", HAND_JOINTS)):
        near, floor = ours.pooled(kind), itself.pooled(kind)
        for what, of in (("median", np.median), ("99th percentile", partial(np.percentile, q=99))):
            limit = float(of(floor)) if kind == "hands" and what == "median" else None
            yield Figure(f"{kind}: {what}", float(of(near)), "% sw", at_most=limit, note=_beside(float(of(floor))))
        within, around = (100 * float((values <= NEAR).mean()) for values in (near, floor))
        goal = BODY_GOAL if kind == "body" else None
        yield Figure(f"{kind}: points within {NEAR:g} % sw", within, "%", at_least=goal, note=_beside(around))
        for joint, values, others in zip(names, near.T, floor.T, strict=True):
            note = _beside(float(np.percentile(others, 99)))
            yield Figure(f"{kind}: {joint}, 99th percentile", float(np.percentile(values, 99)), "% sw", note=note)
    agree, floor_agree = (100 * float(np.concatenate(way.agree).mean()) for way in (ours, itself))
    yield Figure("hands: presence agrees", agree, "%", note=_beside(floor_agree))


def _speed_figures(frames: int, core_s: Array) -> Iterator[Figure]:
    own, reference, published = (frames / float(taken) for taken in core_s)
    yield Figure("engine", own, "frames/core-s")
    yield Figure("MediaPipe without face mesh and mask", reference, "frames/core-s")
    yield Figure("MediaPipe as published", published, "frames/core-s")
    yield Figure("engine against MediaPipe without face mesh and mask", own / reference, "x")
    goal = SPEED_GOAL[computes_bfloat16()]
    yield Figure("engine against MediaPipe as published", own / published, "x", at_least=goal)


def _measure_extraction(work: PoseWork, networks: Networks, ways: _Ways) -> Iterator[Figure]:
    """Whole extraction of real videos: decoding, faces, the signer followed, landmarks smoothed."""
    sources: dict[str, Networks | Backend] = {
        "offline engine": networks,
        "engine frame by frame": ways.own,
        "MediaPipe": ways.reference,
    }
    find_faces, core_s = open_face_detector(), dict.fromkeys(sources, 0.0)
    hands: dict[str, list[NDArray[np.bool_]]] = {name: [] for name in sources}
    for path in work.videos:
        for name, source in sources.items():
            began = time.process_time()
            open_frames = HeldFrames(partial(_open_frames, path, work.frames))
            for columns in extract_video(open_frames, source, find_faces, min_shoulder_px=1):
                hands[name].append(columns["confidence"][:, [HANDS[side].start for side in SIDES]] > 0)
            core_s[name] += time.process_time() - began
    for name, seconds in core_s.items():
        found = np.concatenate(hands[name])
        yield Figure(f"{name}: speed", len(found) / seconds, "frames/core-s")
        for side, share in zip(SIDES, found.mean(0), strict=True):
            yield Figure(f"{name}: {side} hands found", 100 * float(share), "% of frames")


def _open_frames(path: Path, count: int, fps: float | None = None) -> Iterator[Frame]:
    return islice(read_row(VideoRow(str(path)), FPS if fps is None else fps), count)


def _measure_rendered(work: PoseWork, ways: _Ways) -> Iterator[Figure]:
    """Error on rendered signers, whose joints are known."""
    plan = plan_corpus(signers=work.signers, glosses=30, takes=1, seed=SEED, size=RENDER_SIZE, kind="sentences")
    errors: dict[str, list[tuple[Array, Array]]] = {"engine": [], "MediaPipe": []}
    for performance in plan:
        path = work.out / f"{performance.video_id}.mp4"
        render_video(performance, path)
        pictures = [frame.rgb for frame in _open_frames(path, work.frames)]
        truth = true_columns(performance)["image_xy"][: len(pictures)]
        unit = _shoulder_width(truth)
        body, hands = truth[:, : len(BODY_JOINTS)], truth[:, len(BODY_JOINTS) :].reshape(len(truth), len(SIDES), -1, 2)
        for name, seen in zip(errors, ways.watch(pictures)[:2], strict=True):
            found = seen.stacked()
            gaps = _gap(found.body_xy, body) / unit * 100, _gap(found.hand_xyz[..., :2], hands) / unit * 100
            errors[name].append(gaps)
    for name, videos in errors.items():
        body, hands = (np.concatenate([video[k] for video in videos]) for k in range(2))
        for side in SIDES:
            wrist = body[:, BODY_JOINTS.index(f"{side}_wrist")]
            yield Figure(f"{side} wrist of the body: mean error, {name}", float(np.nanmean(wrist)), "% sw")
        yield Figure(f"hands: median error, {name}", float(np.nanmedian(hands)), "% sw")
        yield Figure(f"hands found, {name}", 100 * float((~np.isnan(hands[..., 0])).mean()), "%")


def _measure_networks(networks: Networks, repeats: int = 20) -> Iterator[Figure]:
    """Core-milliseconds of a frame with both hands, by what takes them."""
    costs = _time_networks(networks, 1, repeats, time.process_time)
    for (name, (_, count)), cost in zip(_CROPS.items(), costs, strict=True):
        yield Figure(f"{name} network, {count} a frame", 1000 * cost, "core-ms")
    total = sum(costs)
    yield Figure("all networks of a frame", 1000 * total, "core-ms", note=f"at most {1 / total:.0f} frames/core-s")


def measure_served_pose(work: Workload) -> Iterator[Figure]:
    """Frames a second of the networks on a GPU, crops in the host's memory, decoding and cropping apart."""
    on_gpu = work.device == "cuda"
    frames = GPU_FRAMES if on_gpu else 1
    networks = open_networks(device=work.device)
    seconds = sum(_time_networks(networks, frames, work.repeats, time.perf_counter))
    goal = GPU_GOAL if on_gpu else None
    yield Figure(f"pose networks, {frames} frames at a time", frames / seconds, "frames/s", at_least=goal)


def _time_networks(networks: Networks, frames: int, repeats: int, clock: Callable[[], float]) -> list[float]:
    """Seconds that each network takes for some frames at a time, with both hands of each."""
    seconds = []
    for name, (side, count) in _CROPS.items():
        crops = np.random.default_rng(SEED).integers(0, 256, (count * frames, side, side, 3), np.uint8)
        run = getattr(networks, name)
        run(crops)
        began = clock()
        for _ in range(repeats):
            run(crops)
        seconds.append((clock() - began) / repeats)
    return seconds


def _gap(a: Array, b: Array) -> Array:
    return np.linalg.norm(a - b, axis=-1)


def _shoulder_width(xy: Array) -> float:
    """Median width of the shoulders in (T, J, 2) points."""
    right, left = (xy[:, joint] for joint in SHOULDERS)
    return float(np.nanmedian(_gap(right, left)))


def _beside(value: float) -> str:
    return f"MediaPipe from itself ±1 grey level: {value:.3g}"
