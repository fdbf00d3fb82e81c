"""Export and import of `.pose` files (pose-format library).

An exported file has the components BODY (19 joints), RIGHT_HAND and LEFT_HAND (21 each), in pixels of the source frame
or in millimetres. Files in pixels can be imported into the table `pose`, and so can files that pose-format's own
estimator has made with MediaPipe Holistic.

Legend: T frames, J = 61 joints.
"""

from collections.abc import Iterable
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
from signrep_core.store.layout import shard_table
from signrep_core.store.results import find_video
from signrep_core.store.schemas import KEYPOINTS, POSE
from signrep_core.store.tables import TableWriter, read_groups_of

Points = Literal["image", "keypoints"]
VERSION: Final = 0.2  # of the .pose format
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
    pose = _to_pose(library, values, confidence, float(row["rate"]), size)
    with atomic_path(out) as partial, open(partial, "wb") as file:
        pose.write(file)
    return len(values)


def import_poses(files: Iterable[str | Path], out: str | Path) -> dict[str, int]:
    """Write `.pose` files as one table `pose`; each file is a video with the file's name as its id.

    Files of MediaPipe Holistic have all columns. Files of `export_pose` have no depth, so their landmarks are missing
    and only the lifter can solve them.

    Returns:
        Frames by video_id.

    Raises:
        SignRepError: a file is not a `.pose` file, or is neither from Holistic with world landmarks nor in pixels.
    """
    library, frames = _library(), {}
    with TableWriter(out, POSE, {"source": "pose-format"}) as writer:
        for path in map(Path, files):
            columns = _read_file(library, path)
            n = len(columns["frame"])
            writer.write({"video_id": [path.stem] * n, **columns})
            frames[path.stem] = n
    return frames


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


def _read_file(library: Any, path: Path) -> dict[str, Any]:
    """Read a `.pose` file as the columns of POSE, without video_id."""
    try:
        pose = library.Pose.read(path.read_bytes())
    except Exception as error:  # the parser of the library can raise any error
        raise SignRepError(f"{path}: cannot be read as a .pose file ({type(error).__name__}: {error})") from error
    ours = [component.name for component in pose.header.components] == list(_PARTS)
    found = _read_detections(path, pose) if ours else _read_holistic(path, pose)
    n = len(found["present"])
    return {
        "frame": np.arange(n),
        "time_s": np.arange(n) / float(pose.body.fps),
        "doubtful": np.zeros(n, bool),
        "damaged": np.zeros(n, bool),
        **found,
    }


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
