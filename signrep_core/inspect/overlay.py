"""Overlay of a video: joints, crop box and activity drawn on its frames, next to the skeleton.

Left: the source frame with the detected joints (confidence of at least 0.5), the crop box and a circle around each
active hand. Right: the keypoints from the front and from the signer's left. Below: the activity of both hands over the
video. All parts show the same frame of the common timeline.

Legend: T frames, J = 61 joints; images (H, W, 3) RGB.
"""

import itertools
import logging
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

from signrep_core.config import Config
from signrep_core.errors import TableError, VideoError
from signrep_core.inspect.report.pictures import contact_sheet, to_jpeg
from signrep_core.lift.shard_tables import write_activity, write_angles, write_keypoints, write_median_bones
from signrep_core.lift.solver import open_solver
from signrep_core.pose.shard import extract_shard
from signrep_core.progress import Progress
from signrep_core.skeleton import BODY_EDGES, HAND_EDGES, HANDS, MIN_CONFIDENCE, SIDES, Side
from signrep_core.sources.sheet import Row
from signrep_core.store.files import atomic_path, write_json
from signrep_core.store.layout import shard_table
from signrep_core.store.results import find_video, timeline_of
from signrep_core.store.resume import open_resume_cache
from signrep_core.store.schemas import ACTIVITY, ANGLES, CROPS, KEYPOINTS, POSE, VIDEOS
from signrep_core.store.tables import read_groups_of, read_table, write_table
from signrep_core.store.video_status import finalise
from signrep_core.video.crop import cut_box, plan_crops
from signrep_core.video.probe import probe_shard
from signrep_core.video.row import VideoRow, read_row

Picture = NDArray[np.uint8]
Timelines = dict[Side, NDArray[np.bool_]]  # (T,) per hand: the window that starts here is active

log = logging.getLogger(__name__)

HEIGHT: Final = 480  # pixels, of the frame and the skeletons
PANEL: Final = 300  # width of one view of the skeleton
TIMELINE: Final = 44
CELL: Final = 256  # side of an image on a contact sheet
VIEW_M: Final = 1.15  # height of a view of the skeleton, metres
_NECK: Final = (0.5, 0.42)  # position of the neck in a view
_COLOURS: Final = {"body": (90, 200, 150), "right": (86, 180, 233), "left": (240, 160, 30)}
_PAPER, _INK, _GREY, _RIM = (250, 250, 250), (40, 40, 40), (190, 190, 190), (20, 20, 20)


@dataclass(frozen=True)
class FrameRow:
    """Values of the tables for one frame."""

    image_xy: NDArray[np.floating]  # (J, 2) pixels of the source frame
    confidence: NDArray[np.floating]  # (J,)
    keypoints: NDArray[np.floating]  # (J, 3) metres
    active: dict[Side, bool]  # by side
    box: tuple[float, float, float] | None  # x0, y0, side of the crop box; None outside sequences


def write_overlay(results: str | Path, video_id: str, out: str | Path, seconds: float | None = None) -> int:
    """Write the overlay of a video of a results folder as MP4.

    Args:
        seconds: length of the overlay; None = the whole video.

    Returns:
        Number of frames.

    Raises:
        TableError: the folder does not contain the video, or its stages have not run.
        VideoError: the source can no longer be read.
    """
    shard, row = find_video(Path(results), video_id)
    tables = Path(results), shard, video_id
    rate = float(row["rate"])
    timelines = _activity(*tables)
    n_frames = len(timelines["right"]) if seconds is None else min(len(timelines["right"]), round(seconds * rate))
    native = None if row["native"] else rate
    frames = read_row(VideoRow.of(row), native)
    pictures = (
        draw_frame(frame.rgb, found, timelines, frame.index, f"{video_id}   {frame.time_s:7.2f} s")
        for frame, found in zip(itertools.islice(frames, n_frames), _frame_rows(*tables, timelines), strict=False)
    )
    with Progress(f"overlay {video_id}", n_frames) as progress:
        return _encode(_counted(pictures, progress), Path(out), rate)


def write_overlay_of_file(
    video: str | Path, out: str | Path, seconds: float | None = None, fps: float | None = None
) -> int:
    """Write the overlay of any video: run the stages on it first, with bone lengths from this video alone.

    Args:
        video: a video file, or an image folder with its rate `fps`.

    Raises:
        VideoError: the video cannot be used, for the reason that the workflow would give.
    """
    with tempfile.TemporaryDirectory() as folder:
        return write_overlay(folder, run_stages(video, Path(folder), fps), out, seconds)


def run_stages(video: str | Path, results: Path, fps: float | None = None) -> str:
    """Make a results folder with one video: the tables from `pose` to `activity`, with the default settings.

    Returns:
        The video's id: its name without suffix.

    Raises:
        VideoError: as write_overlay_of_file.
    """
    whole = Path(video).absolute()
    config, row = Config(), Row(whole.stem, str(video), whole.parent.name, "test", fps=fps)
    tables = (POSE, VIDEOS, CROPS, ANGLES, KEYPOINTS, ACTIVITY)
    pose, status, crops, angles, keypoints, labels = (results / shard_table(schema, "00000") for schema in tables)
    videos = probe_shard([row])
    with open_resume_cache(pose) as cache:
        found = extract_shard(videos, pose, cache, config)
    videos = finalise(videos, {result.video_id: result.final_status for result in found if result.final_status})
    if videos["status"][0] != "ok":
        raise VideoError(videos["reason"][0], f"{video}: {videos['detail'][0]}")
    write_table(status, VIDEOS, videos)
    write_table(crops, CROPS, plan_crops(videos, pose, config))
    solve = open_solver(config.angles.solver, config.angles.lifter, config.angles.max_gap)
    lengths, bones = results / "bones/00000.json", results / "bones.json"
    write_json(lengths, write_angles(pose, angles, solve, {row.video_id}).to_dict())
    write_median_bones([lengths], bones)
    write_keypoints(angles, bones, keypoints)
    write_activity(keypoints, labels, config.priors.activity_std, config.priors.activity_deviation)
    return row.video_id


def write_sheet(results: str | Path, shard: str, out: str | Path, columns: int = 8) -> int:
    """Write a contact sheet of a shard as JPEG: the cropped middle frame of each sequence with its joints.

    Raises:
        TableError: the folder does not have the shard, or the shard has no sequence.
    """
    results = Path(results)
    crops = read_table(results / shard_table(CROPS, shard), CROPS)
    videos = read_table(results / shard_table(VIDEOS, shard), VIDEOS)
    if not len(crops["video_id"]):
        raise TableError(f"{results}/crops/{shard}.parquet: holds no sequence, so there is nothing to show")
    cells = []
    places = {video_id: place for place, video_id in enumerate(videos["video_id"])}
    for k, video_id in enumerate(crops["video_id"]):
        row = {name: values[places[video_id]] for name, values in videos.items()}
        middle = int(crops["start_frame"][k]) + int(crops["n_frames"][k]) // 2
        box = tuple(float(crops[name][k]) for name in ("x0", "y0", "side"))
        cells.append((video_id, _crop_with_joints(results, shard, row, middle, box)))
    with atomic_path(out) as partial:
        partial.write_bytes(to_jpeg(contact_sheet(cells, min(columns, len(cells)))))
    return len(cells)


# ---------------------------------------------------------------- drawing


def draw_frame(rgb: Picture, row: FrameRow, timelines: Timelines, index: int, title: str) -> Picture:
    """One frame of the overlay: (HEIGHT + TIMELINE, W, 3), both sides even."""
    scale = HEIGHT / rgb.shape[0]
    size = round(rgb.shape[1] * scale / 2) * 2, HEIGHT
    left = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    draw_joints(left, row.image_xy * scale, row.confidence)
    if row.box is not None:
        x0, y0, side = (round(value * scale) for value in row.box)
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
    """Draw the detected joints into an image; `xy` (J, 2) in its pixels."""
    seen = np.isfinite(xy).all(-1) & (confidence >= MIN_CONFIDENCE)
    lines = [
        (*(xy[joint].round().astype(int).tolist() for joint in (a, b)), colour, width)
        for edges, colour, width in _edge_groups()
        for a, b in edges
        if seen[a] and seen[b]
    ]
    for start, end, _, width in lines:  # dark outlines, visible on any image; drawn first, so that none covers a line
        cv2.line(picture, start, end, _RIM, width + 2, cv2.LINE_AA)
    for start, end, colour, width in lines:
        cv2.line(picture, start, end, colour, width, cv2.LINE_AA)


def draw_skeleton(
    keypoints: NDArray[np.floating], confidence: NDArray[np.floating], axis: int, name: str, width: int = PANEL
) -> Picture:
    """Draw keypoints (J, 3) from the front (axis 0 horizontal) or from the signer's left (axis 2, camera on the left).

    Bones of joints that were not detected are grey: their angles are interpolated.
    """
    panel = np.full((HEIGHT, width, 3), _PAPER, np.uint8)
    points = keypoints[:, [axis, 1]] * HEIGHT / VIEW_M + np.array([_NECK[0] * width, _NECK[1] * HEIGHT])
    points = points.round().astype(int)
    for edges, colour, thickness in _edge_groups():
        for a, b in edges:
            here = confidence[a] >= MIN_CONFIDENCE and confidence[b] >= MIN_CONFIDENCE
            start, end = points[a].tolist(), points[b].tolist()
            cv2.line(panel, start, end, colour if here else _GREY, thickness + 1, cv2.LINE_AA)
    _write(panel, name if axis == 0 else f"{name} (camera on the left)", (8, 18), _INK)
    return panel


def _draw_timelines(timelines: Timelines, index: int, width: int) -> Picture:
    """Draw a bar per hand over the whole video, coloured where the hand is active, and a line at the current frame."""
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
    ascii_text = text.encode("ascii", "replace").decode()  # OpenCV's fonts have no other characters
    if outline:
        cv2.putText(picture, ascii_text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(picture, ascii_text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)


# ---------------------------------------------------------------- tables and files


def _frame_rows(results: Path, shard: str, video_id: str, timelines: Timelines) -> Iterator[FrameRow]:
    """The video's frames in order, one row group of its tables in memory at a time."""
    crops = read_table(results / shard_table(CROPS, shard), CROPS)
    mine = [k for k, name in enumerate(crops["video_id"]) if name == video_id]
    poses = read_groups_of(results / shard_table(POSE, shard), POSE, video_id, ["frame", "image_xy", "confidence"])
    posed = read_groups_of(results / shard_table(KEYPOINTS, shard), KEYPOINTS, video_id, ["keypoints", "confidence"])
    for pose, solved in zip(poses, posed, strict=True):
        for k, frame in enumerate(pose["frame"].tolist()):
            boxes = [
                tuple(float(crops[name][c]) for name in ("x0", "y0", "side")) for c in mine
                if 0 <= frame - crops["start_frame"][c] < crops["n_frames"][c]
            ]  # fmt: skip
            active = {side: bool(timelines[side][frame]) for side in SIDES}
            box: Any = boxes[0] if boxes else None
            yield FrameRow(pose["image_xy"][k], pose["confidence"][k], solved["keypoints"][k], active, box)


def _activity(results: Path, shard: str, video_id: str) -> Timelines:
    """Activity (T,) of each hand in the window that starts at each frame; the last frames repeat the last window."""
    path = results / shard_table(ACTIVITY, shard)
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


def _crop_with_joints(results: Path, shard: str, row: dict[str, Any], frame: int, box: Any) -> Picture:
    """A cropped frame of a video with its joints; grey if the source can no longer be read."""
    (x0, y0, side), size, video_id = box, CELL, row["video_id"]
    info = timeline_of(results, shard, video_id)
    try:
        frames = read_row(VideoRow.of(row), None if info["native"] else info["rate"])
        picture = next(found.rgb for found in frames if found.index == frame)
    except (VideoError, StopIteration) as error:
        log.warning("%s: an image of the sheet stays grey: %s", video_id, error or f"there is no frame {frame}")
        return np.full((size, size, 3), 128, np.uint8)
    crop = cut_box(picture, x0, y0, side, size).copy()
    for pose in read_groups_of(results / shard_table(POSE, shard), POSE, video_id, ["frame", "image_xy", "confidence"]):
        for k in np.flatnonzero(pose["frame"] == frame):
            draw_joints(crop, (pose["image_xy"][k] - [x0, y0]) * size / side, pose["confidence"][k])
    return crop


def _fit(picture: Picture, height: int, width: int) -> Picture:
    """Fit a picture of any size into another, with black borders, whole and in proportion."""
    if picture.shape[:2] == (height, width):
        return np.ascontiguousarray(picture)
    factor = min(height / picture.shape[0], width / picture.shape[1])
    inside = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)[:height, :width]
    fitted = np.zeros((height, width, 3), np.uint8)
    fitted[: inside.shape[0], : inside.shape[1]] = inside
    return fitted


def _encode(pictures: Iterator[Picture], out: Path, rate: float) -> int:
    """Encode images as an MP4 that every player can show; returns their number."""
    first = next(pictures, None)
    if first is None:
        raise TableError(f"{out}: no frame to show")
    n_frames = 0
    options = {"movflags": "faststart"}
    with atomic_path(out) as partial, av.open(str(partial), "w", format="mp4", options=options) as mp4:
        stream: Any = mp4.add_stream("libx264", Fraction(rate).limit_denominator(1001), options={"crf": "20"})
        stream.height, stream.width, stream.pix_fmt = *first.shape[:2], "yuv420p"
        for picture in itertools.chain([first], pictures):
            mp4.mux(stream.encode(av.VideoFrame.from_ndarray(_fit(picture, first.shape[0], first.shape[1]))))
            n_frames += 1
        mp4.mux(stream.encode(None))
    return n_frames


def _counted(pictures: Iterable[Picture], progress: Progress) -> Iterator[Picture]:
    for picture in pictures:
        progress.advance(1)
        yield picture
