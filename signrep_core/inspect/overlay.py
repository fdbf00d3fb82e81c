"""A video beside what the pipeline made of it: joints, crop and activity in the picture, the posed skeleton next to it.

Left, the source frame with the detected joints (those of confidence 0.5 and more), the square that is cropped and a
mark on each active hand; right, the keypoints from the front and from the signer's left; below, the hands' activity
over the video. Frame k of every part is frame k of the common timeline.

Legend: T frames, J = 61 joints; pictures (H, W, 3) RGB.
"""

import itertools
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from signrep_core.body.priors import activity
from signrep_core.config import Config, Pose
from signrep_core.errors import TableError, VideoError
from signrep_core.inspect.report.pictures import contact_sheet, to_jpeg
from signrep_core.lift.solver import open_solver
from signrep_core.pose.shard import extract_shard
from signrep_core.progress import Progress
from signrep_core.skeleton import BODY_EDGES, HAND_EDGES, HANDS, MIN_CONFIDENCE, SIDES, Side
from signrep_core.sources.sheet import Row
from signrep_core.store.files import atomic_path
from signrep_core.store.results import find_video, timeline_of
from signrep_core.store.schemas import ACTIVITY, CROPS, KEYPOINTS, POSE, VIDEOS
from signrep_core.store.tables import TableWriter, read_groups_of, read_table, read_videos, write_table
from signrep_core.store.video_status import finalise, video_task
from signrep_core.video.crop import cut_box, plan_crops
from signrep_core.video.probe import probe_shard
from signrep_core.video.reader import read_frames

Picture = NDArray[np.uint8]
Timelines = dict[Side, NDArray[np.bool_]]  # (T,) per hand: the window that starts here is active

HEIGHT: Final = 480  # of the frame and the skeletons, pixels
PANEL: Final = 300  # width of one view of the skeleton
TIMELINE: Final = 44
METRES: Final = 1.15  # that a view shows from top to bottom
_NECK: Final = (0.5, 0.42)  # where the neck stands in a view
_COLOURS: Final = {"body": (90, 200, 150), "right": (86, 180, 233), "left": (240, 160, 30)}
_PAPER, _INK, _GREY, _RIM = (250, 250, 250), (40, 40, 40), (190, 190, 190), (20, 20, 20)


@dataclass(frozen=True)
class FrameRow:
    """What the tables say of one frame."""

    image_xy: NDArray[np.floating]  # (J, 2) pixels of the source frame
    confidence: NDArray[np.floating]  # (J,)
    keypoints: NDArray[np.floating]  # (J, 3) metres
    active: dict[Side, bool]  # by side
    square: tuple[float, float, float] | None  # x0, y0, side of the crop, if the frame is in a sequence


def write_overlay(results: str | Path, video_id: str, out: str | Path, seconds: float | None = None) -> int:
    """Write the overlay of a video of a results folder as MP4.

    Args:
        seconds: only so much of its beginning.

    Returns:
        How many frames were written.

    Raises:
        TableError: the folder does not hold the video, or its stages have not run.
        VideoError: the source cannot be read any more.
    """
    shard, row = find_video(Path(results), video_id)
    tables = Path(results), shard, video_id
    rate = float(row["rate"])
    timelines = _activity(*tables)
    n_frames = len(timelines["right"]) if seconds is None else min(len(timelines["right"]), round(seconds * rate))
    native = None if row["native"] else rate
    frames = read_frames(row["path"], native, _number(row["start"]), _number(row["end"]))
    pictures = (
        draw_frame(frame.rgb, found, timelines, frame.index, f"{video_id}   {frame.time_s:7.2f} s")
        for frame, found in zip(itertools.islice(frames, n_frames), _frame_rows(*tables, timelines), strict=False)
    )
    with Progress(f"overlay {video_id}", n_frames) as progress:
        return _encode(_counted(pictures, progress), Path(out), rate)


def write_overlay_of_file(
    video: str | Path, out: str | Path, seconds: float | None = None, min_shoulder_px: float = 48.0
) -> int:
    """Write the overlay of any video file: it goes through the stages first, posed with its own bones.

    Raises:
        VideoError: the video cannot be used; the reason is that of the workflow.
    """
    with tempfile.TemporaryDirectory() as folder:
        run_stages(video, Path(folder), min_shoulder_px)
        return write_overlay(folder, Path(video).stem, out, seconds)


def run_stages(video: str | Path, results: Path, min_shoulder_px: float, shard: str = "00000") -> None:
    """Make the tables of a results folder that holds one video, in one shard, posed with the video's own bones."""
    row = Row(Path(video).stem, str(video), Path(video).parent.name, "train")
    config = Config(pose=Pose(min_shoulder_px=round(min_shoulder_px)))
    videos = probe_shard([row])
    pose = results / f"pose/{shard}.parquet"
    outcomes = {
        outcome.video_id: outcome.final_status
        for outcome in extract_shard(videos, pose, config)
        if outcome.final_status
    }
    videos = finalise(videos, outcomes)
    if videos["status"][0] != "ok":
        raise VideoError(videos["reason"][0], f"{video}: {videos['detail'][0]}")
    write_table(results / f"videos/{shard}.parquet", VIDEOS, videos)
    write_table(results / f"crops/{shard}.parquet", CROPS, plan_crops(videos, pose, config))
    angles = config.angles
    solve = open_solver(angles.solver, angles.lifter, angles.max_gap)
    with (
        TableWriter(results / f"keypoints/{shard}.parquet", KEYPOINTS) as keypoints,
        TableWriter(results / f"activity/{shard}.parquet", ACTIVITY) as labels,
    ):
        for _, seen in read_videos(pose, POSE):
            keys = {key: seen[key] for key in ("video_id", "frame", "time_s")}
            solution = solve(seen)
            joints = solution.joints()
            keypoints.write(keys | {"keypoints": joints, "confidence": solution.confidence})
            right, left = activity(joints, solution.confidence)
            labels.write(keys | {"right_active": right, "left_active": left})


def write_sheet(results: str | Path, shard: str, out: str | Path, columns: int = 8) -> int:
    """Write a contact sheet of a shard as JPEG: the middle frame of each of its sequences, cropped, with its joints.

    Raises:
        TableError: the folder has no such shard, or it has no sequence.
    """
    results = Path(results)
    crops = read_table(results / f"crops/{shard}.parquet", CROPS)
    videos = read_table(results / f"videos/{shard}.parquet", VIDEOS)
    if not len(crops["video_id"]):
        raise TableError(f"{results}/crops/{shard}.parquet: holds no sequence, so there is nothing to show")
    cells = []
    for k, video_id in enumerate(crops["video_id"]):
        place = videos["video_id"].index(video_id)
        middle = int(crops["start_frame"][k]) + int(crops["n_frames"][k]) // 2
        square = tuple(float(crops[name][k]) for name in ("x0", "y0", "side"))
        cells.append((video_id, _crop_with_joints(results, shard, videos, place, middle, square)))
    with atomic_path(out) as partial:
        partial.write_bytes(to_jpeg(contact_sheet(cells, min(columns, len(cells)))))
    return len(cells)


# ---------------------------------------------------------------- the picture


def draw_frame(rgb: Picture, row: FrameRow, timelines: Timelines, index: int, title: str) -> Picture:
    """One frame of the overlay: (HEIGHT + TIMELINE, W, 3), both sides even."""
    scale = HEIGHT / rgb.shape[0]
    size = round(rgb.shape[1] * scale / 2) * 2, HEIGHT
    left = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    draw_joints(left, row.image_xy * scale, row.confidence)
    if row.square is not None:
        x0, y0, side = (round(value * scale) for value in row.square)
        for colour, width in ((_RIM, 3), ((255, 255, 255), 1)):
            cv2.rectangle(left, (x0, y0), (x0 + side, y0 + side), colour, width, cv2.LINE_AA)
    for side_name, wrist in ((side, HANDS[side].start) for side in SIDES):
        if row.active[side_name] and np.isfinite(row.image_xy[wrist]).all():
            centre = tuple((row.image_xy[wrist] * scale).round().astype(int).tolist())
            cv2.circle(left, centre, 13, _COLOURS[side_name], 2, cv2.LINE_AA)
    _write(left, title, (8, HEIGHT - 10), (255, 255, 255), outline=True)
    views = [draw_skeleton(row.keypoints, row.confidence, axis, name) for axis, name in ((0, "front"), (2, "side"))]
    whole = np.concatenate([left, *views], 1)
    return np.concatenate([whole, _draw_timelines(timelines, index, whole.shape[1])], 0)


def draw_joints(picture: Picture, xy: NDArray[np.floating], confidence: NDArray[np.floating]) -> None:
    """Draw the joints that were detected into a picture; `xy` (J, 2) in its pixels."""
    seen = np.isfinite(xy).all(-1) & (confidence >= MIN_CONFIDENCE)
    lines = [
        (*(xy[joint].round().astype(int).tolist() for joint in (a, b)), colour, width)
        for edges, colour, width in _edge_groups()
        for a, b in edges
        if seen[a] and seen[b]
    ]
    for start, end, _, width in lines:  # dark rims, to be seen on any picture; first, so that none hides a line
        cv2.line(picture, start, end, _RIM, width + 2, cv2.LINE_AA)
    for start, end, colour, width in lines:
        cv2.line(picture, start, end, colour, width, cv2.LINE_AA)


def draw_skeleton(
    keypoints: NDArray[np.floating], confidence: NDArray[np.floating], axis: int, name: str, width: int = PANEL
) -> Picture:
    """Keypoints (J, 3) seen along z (axis 0 across) or from the signer's left (axis 2 across, the camera on the left).

    Joints that were not detected are grey: they are posed by filled angles.
    """
    panel = np.full((HEIGHT, width, 3), _PAPER, np.uint8)
    points = keypoints[:, [axis, 1]] * HEIGHT / METRES + np.array([_NECK[0] * width, _NECK[1] * HEIGHT])
    points = points.round().astype(int)
    for edges, colour, thickness in _edge_groups():
        for a, b in edges:
            here = confidence[a] >= MIN_CONFIDENCE and confidence[b] >= MIN_CONFIDENCE
            start, end = points[a].tolist(), points[b].tolist()
            cv2.line(panel, start, end, colour if here else _GREY, thickness + 1, cv2.LINE_AA)
    _write(panel, name if axis == 0 else f"{name} (camera on the left)", (8, 18), _INK)
    return panel


def _draw_timelines(timelines: Timelines, index: int, width: int) -> Picture:
    """A bar per hand over the whole video, coloured where the hand is active, with the moment marked."""
    strip = np.full((TIMELINE, width, 3), _PAPER, np.uint8)
    begin, end = 110, width - 10
    for k, side in enumerate(SIDES):
        active = timelines[side]
        top = 6 + 19 * k
        columns = active[np.linspace(0, len(active) - 1, end - begin).round().astype(int)]
        strip[top : top + 13, begin:end] = np.where(columns[None, :, None], _COLOURS[side], (225, 225, 225))
        _write(strip, f"{side} active", (8, top + 11), _INK)
    x = begin + round(index / max(len(timelines["right"]) - 1, 1) * (end - begin - 1))
    cv2.line(strip, (x, 2), (x, TIMELINE - 3), _INK, 2)
    return strip


def _edge_groups() -> Iterator[tuple[Sequence[tuple[int, int]], tuple[int, int, int], int]]:
    yield BODY_EDGES, _COLOURS["body"], 2
    for side in SIDES:
        yield HAND_EDGES[side], _COLOURS[side], 1


def _write(
    picture: Picture, text: str, place: tuple[int, int], colour: tuple[int, int, int], outline: bool = False
) -> None:
    plain = text.encode("ascii", "replace").decode()  # OpenCV's fonts hold nothing else
    if outline:
        cv2.putText(picture, plain, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(picture, plain, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)


# ---------------------------------------------------------------- tables and files


def _frame_rows(results: Path, shard: str, video_id: str, timelines: Timelines) -> Iterator[FrameRow]:
    """The video's frames in order, a row group of its tables in memory at a time."""
    crops = read_table(results / f"crops/{shard}.parquet", CROPS)
    mine = [k for k, name in enumerate(crops["video_id"]) if name == video_id]
    poses = read_groups_of(results / f"pose/{shard}.parquet", POSE, video_id, ["frame", "image_xy", "confidence"])
    posed = read_groups_of(results / f"keypoints/{shard}.parquet", KEYPOINTS, video_id, ["keypoints", "confidence"])
    for pose, solved in zip(poses, posed, strict=True):
        for k, frame in enumerate(pose["frame"].tolist()):
            squares = [
                tuple(float(crops[name][c]) for name in ("x0", "y0", "side")) for c in mine
                if 0 <= frame - crops["start_frame"][c] < crops["n_frames"][c]
            ]  # fmt: skip
            active = {side: bool(timelines[side][frame]) for side in SIDES}
            square: Any = squares[0] if squares else None
            yield FrameRow(pose["image_xy"][k], pose["confidence"][k], solved["keypoints"][k], active, square)


def _activity(results: Path, shard: str, video_id: str) -> Timelines:
    """Per side (T,): is the window that starts here active; the last frames, where none starts, go on as before."""
    path = results / f"activity/{shard}.parquet"
    groups = list(read_groups_of(path, ACTIVITY, video_id, ["right_active", "left_active"]))
    if not groups:
        raise TableError(f"{path}: holds no frame of {video_id!r}; rerun: snakemake --forcerun activity_labels")
    found: Timelines = {}
    for side in SIDES:
        labels = np.ma.concatenate([group[f"{side}_active"] for group in groups])
        known = np.flatnonzero(~np.ma.getmaskarray(labels))
        last = bool(labels[known[-1]]) if known.size else False
        found[side] = labels.filled(last)
    return found


def _crop_with_joints(
    results: Path, shard: str, videos: dict[str, Any], place: int, frame: int, square: Any, size: int = 256
) -> Picture:
    """A frame of a video cut to its square, with its joints; grey where the source cannot be read any more."""
    x0, y0, side = square
    video = video_task(videos, place)
    video_id = video.video_id
    info = timeline_of(results, shard, video_id)
    rate = None if info["native"] else info["rate"]
    frames = read_frames(video.path, rate, video.start, video.end, folder_fps=video.fps)
    picture = next((found.rgb for found in frames if found.index == frame), None)
    if picture is None:
        return np.full((size, size, 3), 128, np.uint8)
    crop = cut_box(picture, x0, y0, side, size).copy()
    for pose in read_groups_of(results / f"pose/{shard}.parquet", POSE, video_id, ["frame", "image_xy", "confidence"]):
        for k in np.flatnonzero(pose["frame"] == frame):
            draw_joints(crop, (pose["image_xy"][k] - [x0, y0]) * size / side, pose["confidence"][k])
    return crop


def _encode(pictures: Iterator[Picture], out: Path, rate: float) -> int:
    """Write pictures as an MP4 that every player shows; gives their number."""
    first = next(pictures, None)
    if first is None:
        raise TableError(f"{out}: no frame to show")
    n_frames = 0
    options = {"movflags": "faststart"}
    with atomic_path(out) as partial, av.open(str(partial), "w", format="mp4", options=options) as mp4:
        stream: Any = mp4.add_stream("libx264", Fraction(rate).limit_denominator(1001), options={"crf": "20"})
        stream.height, stream.width, stream.pix_fmt = *first.shape[:2], "yuv420p"
        for picture in itertools.chain([first], pictures):
            mp4.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture))))
            n_frames += 1
        mp4.mux(stream.encode(None))
    return n_frames


def _counted(pictures: Iterable[Picture], progress: Progress) -> Iterator[Picture]:
    for picture in pictures:
        progress.advance(1)
        yield picture


def _number(value: Any) -> float | None:
    return None if value is None or np.ma.is_masked(value) else float(value)
