"""The lifter and the closed form on rendered signers, across gaps, and on real clips, detected by the pose stage.

Videos are rendered once into a folder (a quarter of an hour on one core) and kept.

Legend: T frames, J = 61 joints; metres, degrees.
"""

import dataclasses
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from scipy.ndimage import median_filter

from signrep_core.bench.figures import Figure
from signrep_core.body.fit_hand import hand_lengths
from signrep_core.body.forward import forward_kinematics
from signrep_core.body.inverse import Solution
from signrep_core.body.landmarks import SCALE_JOINTS, SCALE_WINDOW
from signrep_core.body.priors import activity
from signrep_core.body.rotations import rotation_about
from signrep_core.config import Config, Pose
from signrep_core.lift.detector_errors import corrupt, load_errors
from signrep_core.lift.fit_detector_errors import image_scale
from signrep_core.lift.solver import Solve
from signrep_core.pose.shard import extract_shard
from signrep_core.skeleton import (
    BODY_LIMITS,
    HAND_LIMITS,
    HANDS,
    MIN_CONFIDENCE,
    RESERVED_ANGLES,
    SHOULDERS,
    SIDES,
)
from signrep_core.sources.sheet import Row
from signrep_core.store.resume import open_resume_cache
from signrep_core.store.schemas import POSE
from signrep_core.store.tables import read_videos
from signrep_core.synthetic.accuracy import Accuracy
from signrep_core.synthetic.corpus import (
    Act,
    Performance,
    make_act,
    plan_corpus,
    render_video,
    sheet_rows,
    true_columns,
    video_path,
    write_truth,
)
from signrep_core.synthetic.perform import perform
from signrep_core.synthetic.signer import Signer
from signrep_core.video.probe import probe_shard

SIZE: Final = 320
GAP_SEED: Final = 303  # of the signers
_SIGNERS: Final = {
    "calibration": (101, 14),
    "unseen": (202, 8),
}  # seed and number; the error model was fitted on the first
STILL: Final = 0.01  # shoulder widths a frame: a hand that moves less is still
FOCAL: Final = 1.9  # of the real clips' cameras, in image heights: not known, the same for every solver

Columns = dict[str, Any]


class Video(NamedTuple):
    """One video: its pose from extract_pose, and the truth if it is rendered."""

    name: str
    path: Path
    pose: Columns
    truth: Columns | None = None


# ---------------------------------------------------------------- the figures
GOALS: Final = {
    "elbow angle": 6.0, "fingertips from the wrist": 10.0, "median bones": 3.5, "reprojection": 3.2,
    "jitter of still hands": 1.6, "speed": 5000.0,
}  # fmt: skip
_MEASURES: Final = {
    "elbow angle": "angles: elbow", "shoulder angles": "angles: shoulder", "wrist angles": "angles: wrist",
    "thumb angles": "angles: thumb", "finger flexion": "angles: finger flexion",
    "arms from the neck": "3-D keypoints: arms",
    "fingertips from the wrist": "3-D keypoints: fingertips from their wrist",
}  # fmt: skip


def measure_truth(videos: list[Video], solve: Solve, goals: Mapping[str, float]) -> Iterator[Figure]:
    """Errors of a solver against the truth, and its speed."""
    accuracy, ours, theirs, seconds, frames = Accuracy(), [], [], 0.0, 0
    for video in videos:
        assert video.truth is not None
        began = time.process_time()
        solution = solve(video.pose)
        seconds, frames = seconds + time.process_time() - began, frames + len(video.pose["frame"])
        bones = (video.truth["body_offsets"][0], video.truth["hand_offsets"][0])
        angles = {f"{part}_angles": getattr(solution, f"{part}_angles") for part in ("body", *SIDES)}
        keypoints = forward_kinematics(solution.body_angles, solution.right_angles, solution.left_angles, *bones)
        labels = dict(zip(("right_active", "left_active"), activity(keypoints, video.pose["confidence"]), strict=True))
        accuracy.add(video.truth, video.pose, angles, labels)
        ours.append(bone_lengths(solution.video_body_offsets, solution.video_hand_offsets))
        theirs.append(bone_lengths(*bones))
    for what, name in _MEASURES.items():
        unit = "mm" if name.startswith("3-D") else "°"
        yield Figure(what, accuracy.value(name), unit, at_most=goals.get(what), note=f"mean {accuracy.mean(name):.3g}")
    off = np.abs(np.median(ours, 0) / np.median(theirs, 0) - 1)
    yield Figure("median bones", 100 * float(off.mean()), "%", at_most=goals.get("median bones"))
    active = np.mean([accuracy.value(f"activity: {side} hand right") for side in SIDES])
    yield Figure("activity right", 100 * float(active), "%")
    yield Figure("speed", frames / seconds, "frames/s a core", at_least=goals.get("speed"))


def measure_clips(videos: list[Video], solve: Solve, goals: Mapping[str, float]) -> Iterator[Figure]:
    """Measures that need no truth: reprojection, jitter of still hands, angles at their limits."""
    off, jitters, at_limits = [], [], []
    for video in videos:
        solution, pose = solve(video.pose), video.pose
        off.append(reprojection(solution.joints(), pose))
        jitters.append(jitter(solution.joints(), pose))
        at_limits.append(share_at_limits(solution))
    places, moves = np.concatenate(off), np.concatenate(jitters)
    for what, value, values, unit in (
        ("reprojection", np.median(places), places, "% of the shoulders' width"),
        ("jitter of still hands", moves.mean(), moves, "mm/frame²"),
    ):
        note = f"median {np.median(values):.3g}, mean {values.mean():.3g}"
        yield Figure(what, float(value), unit, at_most=goals.get(what), note=note)
    yield Figure("angles at their limits", 100 * float(np.mean(at_limits)), "%")


def bone_lengths(body: np.ndarray, hand: np.ndarray) -> np.ndarray:
    """(26,) metres of the rigid bones: the body's six, and the hand's."""
    return np.concatenate([body[:1], body[0] * body[1:6], hand_lengths(hand)])


def reprojection(joints: np.ndarray, pose: Columns) -> np.ndarray:
    """Distances of posed joints (T, 61, 3) to their detections, in % of the shoulders' width in the image.

    The camera has FOCAL length and an unknown pose: in each frame the image is shifted and scaled to fit best.
    """
    height, width = pose.get("height", SIZE), pose.get("width", SIZE)
    seen = (pose["confidence"] >= MIN_CONFIDENCE) & np.isfinite(pose["image_xy"]).all(-1)
    sight = np.where(seen[..., None], (pose["image_xy"] - np.array([width, height]) / 2) / (FOCAL * height), 0)
    weight = np.where(seen, pose["confidence"], 0.0)
    placed = joints + place_neck(joints, sight, weight)[:, None]
    share = (weight / np.maximum(weight.sum(1, keepdims=True), 1e-9))[..., None]
    flat, there = (
        places - (share * places).sum(1, keepdims=True) for places in (placed[..., :2] / placed[..., 2:], sight)
    )
    scale = (share * flat * there).sum((1, 2)) / (share * flat**2).sum((1, 2))
    off = np.linalg.norm(scale[:, None, None] * flat - there, axis=-1)
    right, left = (sight[:, joint] for joint in SHOULDERS)
    shoulders = np.median(np.linalg.norm(right - left, axis=-1)[seen[:, SHOULDERS].all(1)])
    return 100 * (off / shoulders)[seen]


def place_neck(joints: np.ndarray, sight: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(T, 3) the neck's position in camera axes, metres.

    Trunk and head determine its distance, smoothed by a running median over some seconds, and then its direction.

    Args:
        joints: (T, 61, 3) the posed skeleton, neck at the origin.
        sight: (T, 61, 2) x / z and y / z of the lines of sight to the joints.
        weight: (T, 61), 0 where missing.
    """
    trunk = list(SCALE_JOINTS)
    place, lines, w = joints[:, trunk], sight[:, trunk], weight[:, trunk, None]
    w = w / np.maximum(w.sum(1, keepdims=True), 1e-9)
    across = place[..., :2] - lines * place[..., 2:]  # = lines · distance - neck's x, y
    lines_off, across_off = (values - (w * values).sum(1, keepdims=True) for values in (lines, across))
    square = (w * lines_off**2).sum((1, 2))
    good = (weight[:, trunk] > 0).sum(1) >= 3
    distance = np.full(len(joints), np.nan)
    distance[good] = (w * lines_off * across_off).sum((1, 2))[good] / np.maximum(square[good], 1e-12)
    good &= np.isfinite(distance) & (distance > 0.3)
    if not good.any():
        return np.tile([0.0, 0.0, 2.0], (len(joints), 1))
    times, known = np.arange(len(joints)), np.flatnonzero(good)
    smooth = np.interp(times, known, median_filter(distance[good], SCALE_WINDOW, mode="reflect"))
    xy = (w * (lines * smooth[:, None, None] - across)).sum(1)
    xy = np.stack([np.interp(times, known, xy[good, axis]) for axis in range(2)], -1)
    return np.concatenate([xy, smooth[:, None]], 1)


def jitter(joints: np.ndarray, pose: Columns) -> np.ndarray:
    """Acceleration (mm per frame²) of a hand's joints where it hardly moves in the image."""
    found = []
    for side in SIDES:
        own = HANDS[side]
        xy = pose["image_xy"][:, own]
        right, left = (pose["image_xy"][:, joint] for joint in SHOULDERS)
        width = np.nanmedian(np.linalg.norm(right - left, axis=-1))
        step = np.linalg.norm(np.diff(xy, axis=0), axis=-1).mean(-1) / width
        still = (step[1:] < STILL) & (step[:-1] < STILL)
        acceleration = np.linalg.norm(np.diff(joints[:, own], n=2, axis=0), axis=-1).mean(-1)
        found.append(1000 * acceleration[still])
    return np.concatenate(found)


def share_at_limits(solution: Solution) -> float:
    """Share of a video's angles that stand at a limit."""
    body = np.delete(solution.body_angles, RESERVED_ANGLES, 1), np.delete(BODY_LIMITS, RESERVED_ANGLES, 0)
    hands = [(getattr(solution, f"{side}_angles")[:, 3:], HAND_LIMITS[3:]) for side in SIDES]
    near = [np.abs(angles[..., None] - limits).min(-1) < 1e-3 for angles, limits in (body, *hands)]
    return float(np.concatenate(near, 1).mean())


# ---------------------------------------------------------------- the videos
def rendered(name: str, folder: Path) -> Iterator[Video]:
    """The videos of a set; renders and detects missing ones."""
    jobs = list(_jobs(name))
    out = folder / name
    for performance, act in jobs:
        if not video_path(performance, out).exists():
            render_video(performance, video_path(performance, out), act=act)
    plan = [performance for performance, _ in jobs]
    poses = _poses(sheet_rows(plan, out), out / "pose.parquet")
    for performance, act in jobs:
        if performance.video_id in poses:
            truth = {key: np.asarray(values) for key, values in true_columns(performance, act).items()}
            yield Video(performance.video_id, video_path(performance, out), poses[performance.video_id], truth)


def calibration_tables(folder: Path) -> tuple[Path, Path]:
    """Write the truth and the pose of the signers that the error model was fitted on."""
    for _ in rendered("calibration", folder):
        pass
    truth, pose = (folder / "calibration" / f"{table}.parquet" for table in ("truth", "pose"))
    write_truth(_plan(*_SIGNERS["calibration"]), truth)
    return truth, pose


def real_clips(clips: Path, folder: Path) -> Iterator[Video]:
    """The real clips of signers in a folder."""
    paths = {path.stem: path for path in sorted(clips.glob("asl_*.mkv"))}
    sheet = [Row(name, str(path), "clips", "test", name, name[-1]) for name, path in paths.items()]
    videos = probe_shard(sheet, target_fps=25.0, threads=1)
    sizes = dict(zip(videos["video_id"], zip(videos["width"], videos["height"], strict=True), strict=True))
    for name, pose in _poses(sheet, folder / "clips.parquet").items():
        width, height = sizes[name]
        yield Video(name, paths[name], {**pose, "width": int(width), "height": int(height)})


def _poses(sheet: list[Row], path: Path) -> dict[str, Columns]:
    if not path.exists():
        with open_resume_cache(path) as cache:
            extract_shard(probe_shard(sheet, threads=1), path, cache, Config(pose=Pose(min_shoulder_px=24)))
    return dict(read_videos(path, POSE))


def _jobs(name: str) -> Iterator[tuple[Performance, Act | None]]:
    """The performances of a set, with the acts that replace their own."""
    if name in _SIGNERS:
        for performance in _plan(*_SIGNERS[name]):
            yield performance, None
        return
    for i, performance in enumerate(_plan(GAP_SEED, 4)[::3]):
        rng, (signer, scene, motion) = np.random.default_rng([GAP_SEED, 3 * i]), make_act(performance)
        way = 1 if i % 2 else -1
        if name == "wide":  # close to a camera with a wide lens
            near, view = 0.95, _view(rng.uniform(-10, 10), rng.uniform(-6, 6), rng.uniform(-1, 1))
            scene = dataclasses.replace(
                scene, view=view, neck=np.array([*scene.neck[:2], near]), focal=scene.focal * near / scene.neck[2]
            )
        if name == "low":  # or high
            scene = dataclasses.replace(scene, view=_view(rng.uniform(-10, 10), 20 * way, 0))
        if name == "turned":
            roll = rng.uniform(-12, 12)
            scene = dataclasses.replace(scene, view=_view(35 * way, 0, roll))
        if name in ("child", "long"):
            signer = _with_proportions(signer, name)
            motion = perform(signer, performance.glosses, performance.seed, performance.fps)
        yield performance, Act(signer, scene, motion)


def _plan(seed: int, signers: int) -> list[Performance]:
    """Two signs and a sentence of each signer, so that signers share few signs."""
    signs = plan_corpus(signers=signers, glosses=73, takes=1, seed=seed, size=SIZE)
    sentences = plan_corpus(signers=signers, glosses=73, takes=1, seed=seed, size=SIZE, kind="sentences")
    plan = []
    for s in range(signers):
        own = signs[73 * s : 73 * (s + 1)]
        plan += [own[(7 * s + 3) % 73], own[(7 * s + 38) % 73], sentences[s]]
    return plan


def _with_proportions(signer: Signer, name: str) -> Signer:
    body, hand, face = signer.body_offsets.copy(), signer.hand_offsets.copy(), signer.face
    if name == "child":  # three quarters as tall, with a large head
        head = 0.72**0.4
        body[0] *= 0.72
        body[[3, *range(6, 16)]] *= head / 0.72
        hand[0] *= 0.72
        sizes = ("scale", "eye", "eye_half_width", "mouth", "ear")
        face = dataclasses.replace(face, **{size: head * getattr(face, size) for size in sizes})
    else:  # arms an eighth longer on the same trunk and head
        body[0] *= 1.12
        body[2] *= 1.08
        body[[1, 3, *range(6, 16)]] /= 1.12
    return dataclasses.replace(signer, body_offsets=body, hand_offsets=hand, face=face)


def _view(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Body axes to camera axes; degrees."""
    return (
        rotation_about("z", np.radians(roll))
        @ rotation_about("x", np.radians(pitch))
        @ rotation_about("y", np.radians(yaw))
    )


def with_errors(video: Video, amplitude: float) -> Video:
    """Replace a video's detections by simulated ones with `amplitude` times the measured errors, white in time."""
    assert video.truth is not None
    truth, errors = video.truth, load_errors()
    changed = []
    for part in (errors.body, errors.hand):
        fast = np.full_like(part.decay, 3.0)  # white in time, not AR(1)
        changed.append(dataclasses.replace(
            part, decay=fast, jitter=amplitude * part.jitter, offset=amplitude * part.offset,
            pose=amplitude * part.pose, reach=amplitude * part.reach,
        ))  # fmt: skip
    errors = dataclasses.replace(errors, body=changed[0], hand=changed[1])
    places, joints = truth["image_xy"][None], truth["camera_joints"][None]
    scale = np.median(image_scale(truth["image_xy"], truth["camera_joints"]))[None]
    xy, depth, confidence = corrupt(places, joints, scale, np.random.default_rng(0), errors)
    landmarks = np.concatenate([(xy[0] - places[0][:, SHOULDERS].mean(1)[:, None]) / scale, depth[0][..., None]], -1)
    there = np.ones(len(joints[0]), bool)
    pose = {
        "frame": truth["frame"], "present": there, "image_xy": xy[0], "landmarks": landmarks,
        "confidence": confidence[0],
    }  # fmt: skip
    return video._replace(pose=pose)
