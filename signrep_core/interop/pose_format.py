"""Export and import of `.pose` files (pose-format library).

An exported file has the components BODY (19 joints), RIGHT_HAND and LEFT_HAND (21 each), in pixels of the source frame
or in millimetres. Files in pixels can be imported into the table `pose`, and so can files that pose-format's own
estimator has made with MediaPipe Holistic.

Legend: T frames, J = 61 joints.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from signrep_core.body.landmarks import Detections, assemble_landmarks
from signrep_core.errors import SignRepError, TableError
from signrep_core.extras import optional_packages
from signrep_core.skeleton import (
    BODY_EDGES,
    BODY_JOINTS,
    HAND_EDGES,
    HAND_JOINTS,
    HANDS,
    MEDIAPIPE_POSE,
    MIN_CONFIDENCE,
    SIDES,
)
from signrep_core.store.files import atomic_path
from signrep_core.store.layout import find_results, shard_table
from signrep_core.store.results import find_video
from signrep_core.store.schemas import KEYPOINTS, MISSING, POSE, SEEN
from signrep_core.store.tables import Columns, TableWriter, read_groups_of, read_videos
from signrep_core.text import compose
from signrep_core.video.source import FASTEST_FPS

Points = Literal["image", "keypoints"]
VERSION: Final = 0.2  # of the .pose format
COMMON_FPS: Final = 25.0  # of the common timeline, where no results folder tells another
SLOWEST_FPS: Final = 1  # of a file
SLIVER: Final = 0.05  # of a frame: less is no frame of its own, as in video.timeline
LONGER_FRAMES: Final = 2  # a pose may be longer or shorter than its video by this many of the longer frames
_PARTS: Final = ("BODY", "RIGHT_HAND", "LEFT_HAND")
_MILLIMETRES: Final = 1000.0  # per metre; the dimensions in a .pose header are integers, so metres are too coarse
_COLOURS: Final = {"BODY": (0, 158, 115), "RIGHT_HAND": (0, 114, 178), "LEFT_HAND": (213, 94, 0)}


def export_pose(results: str | Path, video_id: str, out: str | Path, points: Points = "image") -> int:
    """Write a video of a results folder as a `.pose` file; returns the number of frames.

    Args:
        points: `image` for the detections in pixels of the source frame (x, y), or `keypoints` for the joints in
            millimetres from the neck (x, y, z), with the median bones of the corpus.

    Raises:
        TableError: the folder does not contain the video.
        SignRepError: pose-format is not installed.
    """
    library = _library()
    shard, row = find_video(Path(results), video_id)
    schema, column = (POSE, "image_xy") if points == "image" else (KEYPOINTS, "keypoints")
    path = Path(results) / shard_table(schema, shard)
    groups = list(read_groups_of(path, schema, video_id, [column, "confidence"]))
    if not groups:
        raise TableError(f"{path}: holds no frame of {video_id!r}; rerun: snakemake --forcerun {schema.stage}")
    values = np.concatenate([group[column] for group in groups]).astype(np.float32)
    confidence = np.concatenate([group["confidence"] for group in groups]).astype(np.float32)
    if points == "keypoints":
        values = values * np.float32(_MILLIMETRES)
    size = (int(row["width"]), int(row["height"]), 0) if points == "image" else (2000, 2000, 2000)
    _write(out, _to_pose(library, values, confidence, float(row["rate"]), size))
    return len(values)


def export_table(table: str | Path, videos: Columns, folder: Path) -> int:
    """Write each video of a pose table as a `.pose` file in pixels, named by its id; returns the number of files.

    Args:
        videos: columns of schemas.VIDEOS for the table's videos.

    Raises:
        SignRepError: pose-format is not installed.
    """
    library, written = _library(), 0
    places = {video_id: place for place, video_id in enumerate(videos["video_id"])}
    for video_id, columns in read_videos(table, POSE, ["time_s", "image_xy", "confidence"]):
        times = columns["time_s"]
        rate = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else COMMON_FPS
        size = int(videos["width"][places[video_id]]), int(videos["height"][places[video_id]]), 0
        pose = _to_pose(library, columns["image_xy"], columns["confidence"], float(rate), size)
        _write(folder / f"{video_id}.pose", pose)
        written += 1
    return written


def _write(out: str | Path, pose: Any) -> None:
    with atomic_path(out) as partial, open(partial, "wb") as file:
        pose.write(file)


def import_poses(
    files: Sequence[str | Path],
    out: str | Path,
    target_fps: float = COMMON_FPS,
    provenance: Mapping[str, str] | None = None,
) -> dict[str, int]:
    """Write `.pose` files as one table `pose`; each file is a video with the file's name as its id.

    Poses are resampled to the common timeline by time. Where `out` is a pose table of a results folder, whose frames
    are those of the videos, the poses take these frames' times, damage and parts, and videos without a file keep
    their rows.

    Files of MediaPipe Holistic have all columns. Files of `export_pose` have no depth, so their landmarks are missing
    and only the lifter can solve them.

    Args:
        target_fps: rate of the common timeline, where `out` does not exist yet.

    Returns:
        Frames by video_id, of the files.

    Raises:
        SignRepError: two files have one name; a file is missing, is not a `.pose` file of one person with a rate and
            at least two frames, is neither from Holistic with world landmarks nor in pixels, is no video of the table,
            or does not last as long as the video.
    """
    library, named = _library(), _by_name(files)
    there = _frames_there(Path(out))
    if there is not None and (strange := sorted(set(named) - set(there))):
        raise SignRepError(
            f"{named[strange[0]]}: {out} holds no video {strange[0]!r}; its {len(there)} videos are "
            f"{', '.join(sorted(there)[:3])} ...: name each file by a video_id of this shard"
        )
    counts = {}
    with TableWriter(out, POSE, {"backend": "pose-format", **(provenance or {})}) as writer:
        for video_id, frames in (dict.fromkeys(named) if there is None else there).items():
            if video_id in named:
                pose = _read_file(library, named[video_id])
                rows = _on_frames(named[video_id], pose, _new_frames(pose, target_fps) if frames is None else frames)
                counts[video_id] = len(rows["frame"])
                writer.write({"video_id": [video_id] * counts[video_id], **rows})
            else:
                for group in read_groups_of(out, POSE, video_id):
                    writer.write(group)
    return counts


def _by_name(files: Iterable[str | Path]) -> dict[str, Path]:
    """Files by the video_id that their name is."""
    found: dict[str, Path] = {}
    for path in map(Path, files):
        name = compose(path.stem)
        if not path.is_file():
            raise SignRepError(f"{path}: no such file; correct its path")
        if name in found:
            raise SignRepError(
                f"{found[name]} and {path} have one name, which is the video_id {name!r}; rename one of them, or "
                "import them into two tables"
            )
        found[name] = path
    if not found:
        raise SignRepError("expected .pose files, found none; give at least one")
    return found


def _frames_there(out: Path) -> dict[str, dict[str, Any]] | None:
    """Time, damage and part of each frame of a results folder's pose table, by video; None for a table elsewhere."""
    results = find_results(out)
    if results is None:
        return None
    if not out.is_file():
        raise SignRepError(
            f"{out}: expected a pose table to take the frames' times from, found none; run the workflow until "
            "extract_pose first, or import to a file outside of the results"
        )
    return dict(read_videos(out, POSE, ["frame", "time_s", "damaged", "part", "shot"]))


@dataclass(frozen=True)
class _Pose:
    """Rows of a `.pose` file, as columns of POSE without time, and their rate."""

    fps: float
    rows: dict[str, Any]

    @property
    def seconds(self) -> float:
        return len(self.rows["present"]) / self.fps


def _new_frames(pose: _Pose, target_fps: float) -> dict[str, Any]:
    """Frames of the common timeline for a pose whose video is unknown; the last one lasts as long as the others."""
    n = max(ceil(pose.seconds * target_fps - SLIVER), 1)
    return {
        "frame": np.arange(n),
        "time_s": np.arange(n) / target_fps,
        "damaged": np.zeros(n, bool),
        "part": np.zeros(n, np.int32),
        "shot": np.zeros(n, np.int32),
    }


def _on_frames(path: Path, pose: _Pose, frames: Mapping[str, Any]) -> dict[str, Any]:
    """Resample a pose to frames by time: between two frames linearly where both show a joint, else the nearer one."""
    times, n = frames["time_s"], len(pose.rows["present"])
    step = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 1 / pose.fps
    if abs(times[-1] + step - pose.seconds) > LONGER_FRAMES * max(step, 1 / pose.fps):
        raise SignRepError(
            f"{path}: its {n} frames at {pose.fps:g} per second last {pose.seconds:.2f} s, the video has {len(times)} "
            f"frames at {1 / step:g} per second, {times[-1] + step:.2f} s; "
            f"give the pose of the whole video, at its rate"
        )
    place = np.clip(times * pose.fps, 0, n - 1)
    before = np.floor(place + 1e-6).astype(int)
    after, share = np.minimum(before + 1, n - 1), np.clip(place - before, 0, 1).astype(np.float32)
    nearest = np.where(share > 0.5, after, before)
    seen = {name: pose.rows[of] > 0 for name, of in (("image_xy", "confidence"), ("box", "present"))}
    seen |= dict.fromkeys(("landmarks", "confidence"), seen["image_xy"])
    shown = {"present": pose.rows["present"][nearest]}
    for name, both in seen.items():
        values = pose.rows[name]
        mixed = (both[before] & both[after]).reshape(*both[before].shape, *[1] * (values.ndim - both.ndim))
        weight = share.reshape(-1, *[1] * (values.ndim - 1))
        shown[name] = np.where(mixed, (1 - weight) * values[before] + weight * values[after], values[nearest])
    hidden = frames["damaged"]
    shown["present"] = shown["present"] & ~hidden
    shown["confidence"][hidden] = 0
    for name in ("landmarks", "image_xy", "box"):
        shown[name][hidden] = np.nan
    return {
        "frame": frames["frame"],
        "time_s": times,
        "damaged": hidden,
        "doubtful": np.zeros(len(times), bool),
        "part": frames["part"],
        "shot": frames["shot"],
        **{f"{side}_hand": _hand_states(shown["confidence"][:, HANDS[side].start]) for side in SIDES},
        **shown,
    }


def _hand_states(confidence: NDArray[np.floating]) -> list[str]:
    """State of a hand in each frame by its wrist's confidence (T,); only its detection is known."""
    return [SEEN if score > 0 else MISSING for score in confidence]


def _to_pose(
    library: Any, values: NDArray[np.float32], confidence: NDArray[np.float32], fps: float, size: tuple[int, int, int]
) -> Any:
    """Convert (T, J, 2 or 3) and (T, J) to a pose of one person; joints below MIN_CONFIDENCE are masked."""
    missing = ~np.isfinite(values).all(-1) | (confidence < MIN_CONFIDENCE)
    axes = "XYZ"[: values.shape[-1]] + "C"
    hand_limbs = [(a - HANDS["right"].start, b - HANDS["right"].start) for a, b in HAND_EDGES["right"]]
    components = [
        library.PoseHeaderComponent(name, list(joints), limbs, [_COLOURS[name]], axes)
        for name, joints, limbs in zip(
            _PARTS,
            (BODY_JOINTS, HAND_JOINTS, HAND_JOINTS),
            (list(BODY_EDGES), hand_limbs, hand_limbs),
            strict=True,
        )
    ]
    header = library.PoseHeader(VERSION, library.PoseHeaderDimensions(*size), components)
    data: Any = np.ma.masked_array(
        np.nan_to_num(values)[:, None], np.repeat(missing[:, None, :, None], values.shape[-1], -1)
    )
    body = library.NumPyPoseBody(fps, data, np.where(missing, 0, confidence)[:, None])
    return library.Pose(header, body)


def _read_file(library: Any, path: Path) -> _Pose:
    """Read a `.pose` file of one person."""
    try:
        pose = library.Pose.read(path.read_bytes())
    except Exception as error:  # the parser of the library can raise any error
        raise SignRepError(f"{path}: cannot be read as a .pose file ({type(error).__name__}: {error})") from error
    fps, n = float(pose.body.fps), len(pose.body.data)
    if not SLOWEST_FPS <= fps <= FASTEST_FPS:
        raise SignRepError(
            f"{path}: its rate is {fps:g} frames per second, expected {SLOWEST_FPS} to {FASTEST_FPS}; write it with "
            "the rate of its video"
        )
    if n < 2:
        raise SignRepError(f"{path}: has {n} frames, expected a video's; export it again")
    people = np.flatnonzero((np.ma.getdata(pose.body.confidence) > 0).any((0, 2)))
    if len(people) != 1:
        raise SignRepError(f"{path}: shows {len(people)} people, expected one signer; leave the others out")
    pose.body.data, pose.body.confidence = pose.body.data[:, people], pose.body.confidence[:, people]
    ours = [component.name for component in pose.header.components] == list(_PARTS)
    return _Pose(fps, _read_detections(path, pose) if ours else _read_holistic(path, pose))


def _read_detections(path: Path, pose: Any) -> dict[str, Any]:
    """Columns of POSE from a file of `export_pose` in pixels."""
    values = np.asarray(np.ma.getdata(pose.body.data)[:, 0], np.float32)
    if values.shape[-1] != 2:
        raise SignRepError(
            f"{path}: expected detections in pixels (x, y), found joints in millimetres; export with --points image"
        )
    confidence = np.asarray(pose.body.confidence[:, 0], np.float32)
    seen = confidence > 0
    xy = np.where(seen[..., None], values, np.nan)
    low, high = (np.where(seen[..., None], values, outside) for outside in (np.inf, -np.inf))
    box = np.concatenate([low.min(1), high.max(1)], 1)
    return {
        "present": seen.any(1),
        "landmarks": np.full((*seen.shape, 3), np.nan, np.float32),
        "image_xy": xy,
        "confidence": confidence,
        "box": np.where(np.isfinite(box), box, np.nan),
    }


def _read_holistic(path: Path, pose: Any) -> dict[str, Any]:
    """Columns of POSE from a file of MediaPipe Holistic."""
    width, height = pose.header.dimensions.width, pose.header.dimensions.height
    body, visibility = _component(path, pose, "POSE_LANDMARKS")
    world, _ = _component(path, pose, "POSE_WORLD_LANDMARKS")
    hands = [_component(path, pose, f"{side.upper()}_HAND_LANDMARKS") for side in SIDES]
    presence = np.stack([confidence.max(1) for _, confidence in hands], 1)
    points = np.stack([xyz for xyz, _ in hands], 1) * (1, 1, width)  # depth in the scale of x
    picked = list(MEDIAPIPE_POSE)
    seen = Detections(
        body_xy=body[:, picked, :2],
        body_world=world[:, picked] / (width, height, 1),  # the file has metres times the frame's size
        visibility=visibility[:, picked],
        hand_xyz=np.where(presence[..., None, None] > 0, points, np.nan),
        hand_presence=presence,
        handedness=presence,
    )
    found = assemble_landmarks(seen, (height, width))
    return {
        "present": visibility.max(1) > 0,
        "landmarks": found.xyz,
        "image_xy": found.image_xy,
        "confidence": found.confidence,
        "box": found.box,
    }


def _component(path: Path, pose: Any, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Points (T, P, 3) and confidence (T, P) of a component of the first person; NaN where nothing was detected."""
    first = 0
    for component in pose.header.components:
        if component.name == name:
            part = slice(first, first + len(component.points))
            confidence = np.asarray(pose.body.confidence[:, 0, part], np.float32)
            values = np.asarray(np.ma.getdata(pose.body.data)[:, 0, part], np.float32)
            return np.where(confidence[..., None] > 0, values, np.nan), confidence
        first += len(component.points)
    names = ", ".join(component.name for component in pose.header.components)
    raise SignRepError(f"{path}: expected the component {name} of MediaPipe Holistic, found {names}")


def _library() -> Any:
    """Import the classes of pose-format, which is an optional dependency."""
    with optional_packages():
        import pose_format
        from pose_format.numpy import NumPyPoseBody
        from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions
    from types import SimpleNamespace

    return SimpleNamespace(
        Pose=pose_format.Pose,
        NumPyPoseBody=NumPyPoseBody,
        PoseHeader=PoseHeader,
        PoseHeaderComponent=PoseHeaderComponent,
        PoseHeaderDimensions=PoseHeaderDimensions,
    )
