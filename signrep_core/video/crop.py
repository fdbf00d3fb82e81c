"""Crop a shard's signers: each run of frames with a signer is cut to one crop box and encoded; all go into one MP4.

Each video is decoded once, as a stream, in a worker process that feeds an FFmpeg process of its own; finished pieces
wait in the job's resume cache. Frame k of a crop is frame start + k of the common timeline: the frames that the pose
was taken from.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from signrep_core.config import Config
from signrep_core.errors import ShardError, VideoError
from signrep_core.skeleton import MIN_CONFIDENCE
from signrep_core.store.files import atomic_path
from signrep_core.store.pack import TIME_TOLERANCE_S
from signrep_core.store.resume import ResumeCache
from signrep_core.store.schemas import CROPS, POSE
from signrep_core.store.tables import Columns, read_videos
from signrep_core.store.video_status import FinalStatus, VideoTask, ok_videos, pretrained_on
from signrep_core.video.crop_boxes import signer_runs, torso_box
from signrep_core.video.encode import Encoder, EncoderSettings, join_pieces
from signrep_core.video.reader import Frame
from signrep_core.video.row import VideoRow, read_row
from signrep_core.video.shard_tasks import Result, Stage, Task, do_video_task, make_task, run_video_tasks, task_files
from signrep_core.window import WINDOW
from signrep_core.workers import Reporter, Send, Work, limit_memory

WORKER = ("signrep_core.video.crop:prepare_crop",)
FAILED: Final = "undecodable"  # reason of a video that breaks its worker
NATIVE_FPS: Final = 25.0  # of the MP4 where each video keeps its own frames

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cut:
    """Frames of the common timeline that become a sequence, and the box to cut out of them."""

    start: int
    n_frames: int
    times_s: list[float]  # of the frames, as the pose table has them
    x0: float
    y0: float
    side: float


@dataclass(frozen=True)
class CropResult:
    """The shard's CROPS table, the videos that gave no sequence, and the encoder's settings."""

    crops: Columns
    rejected: dict[str, FinalStatus]
    encoder: str


def crop_shard(
    videos: Columns,
    pose: str | Path,
    out_mp4: str | Path,
    cache: ResumeCache,
    config: Config | None = None,
    threads: int = 1,
) -> CropResult:
    """Crop and encode the signers of a shard's ok videos, in the table's order.

    Args:
        videos: columns of the VIDEOS table.
        pose: the shard's POSE table.
        out_mp4: the sequences one after the other; zero bytes if the shard has none.
        cache: keeps the finished videos until the job is done.
        config: its sections `crop`, `timeline` and `angles` are read, and which videos are pretrained on; default: the
            defaults.
        threads: videos at a time.

    Raises:
        SignRepError: encoding failed, or the pose table lacks an ok video. A video that cannot be cropped is in
            `rejected` instead: no_signer, or the reason why it cannot be decoded; of those for pretraining also
            too_few_frames and signer_too_brief.
    """
    config = config or Config()
    settings = EncoderSettings(fps=config.timeline.rate or NATIVE_FPS, crf=config.crop.crf, preset=config.crop.preset)
    plans = _plan_cuts(videos, pose, config)
    rejected = {plan.video.video_id: plan.rejected for plan in plans if plan.rejected}
    rows: list[tuple[str, Cut]] = []
    pieces: list[tuple[Path, int]] = []
    planned = [plan for plan in plans if plan.cuts]
    tasks = [_make_task(plan, settings, config.timeline.rate, cache) for plan in planned]
    frames = [sum(cut.n_frames for cut in plan.cuts) for plan in planned]
    stage = Stage("crop_signers", WORKER, FAILED)
    with closing(run_video_tasks(stage, tasks, frames, threads, Path(out_mp4).stem)) as results:
        for plan, task, result in zip(planned, tasks, results, strict=True):
            video_id = plan.video.video_id
            if result["reason"]:
                rejected[video_id] = FinalStatus("rejected", result["reason"], result["detail"])
                continue
            rows += [(video_id, cut) for cut in plan.cuts]
            pieces += [(path, cut.n_frames) for path, cut in zip(task_files(task), plan.cuts, strict=True)]
    with atomic_path(out_mp4) as partial:
        join_pieces(pieces, partial, settings)
    return CropResult(_crops_columns(rows), rejected, str(settings))


def plan_crops(videos: Columns, pose: str | Path, config: Config | None = None) -> Columns:
    """The CROPS table that `crop_shard` would give, without decoding anything; arguments as there."""
    plans = _plan_cuts(videos, pose, config or Config())
    return _crops_columns([(plan.video.video_id, cut) for plan in plans for cut in plan.cuts])


def cut_box(rgb: NDArray[np.uint8], x0: float, y0: float, side: float, size: int) -> NDArray[np.uint8]:
    """Cut a box out of a frame, (H, W, 3) → (size, size, 3); black where it reaches outside."""
    left, top, width = round(x0), round(y0), max(round(side), 1)
    height_, width_ = rgb.shape[:2]
    x_in, y_in = slice(max(left, 0), min(left + width, width_)), slice(max(top, 0), min(top + width, height_))
    if x_in.start >= x_in.stop or y_in.start >= y_in.stop:
        return np.zeros((size, size, 3), np.uint8)
    inside: NDArray[Any] = rgb[y_in, x_in]
    if inside.shape[:2] != (width, width):
        borders = y_in.start - top, top + width - y_in.stop, x_in.start - left, left + width - x_in.stop
        inside = cv2.copyMakeBorder(inside, *borders, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    way = cv2.INTER_AREA if width > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(inside, (size, size), interpolation=way), np.uint8)


# ---------------------------------------------------------------- planning


@dataclass(frozen=True)
class _Plan:
    """The cuts of a video, or why it has none."""

    video: VideoTask
    cuts: Sequence[Cut] = ()
    rejected: FinalStatus | None = None


def _plan_cuts(videos: Columns, pose: str | Path, config: Config) -> list[_Plan]:
    """Plan the cuts of ok videos, in order; one video's pose in memory at a time."""
    wanted = {video.video_id: video for video in ok_videos(videos)}
    trained = pretrained_on(videos, config.pretrain.splits, config.pretrain.datasets)
    needed = {video_id: WINDOW if yes else 1 for video_id, yes in zip(videos["video_id"], trained, strict=True)}
    plans: dict[str, _Plan] = {}
    columns = ["frame", "time_s", "present", "damaged", "part", "shot", "image_xy", "confidence"]
    for video_id, rows in read_videos(pose, POSE, columns):
        if video_id in wanted:
            plans[video_id] = _plan_video(wanted[video_id], rows, config, needed[video_id])
    missing = [video_id for video_id in wanted if video_id not in plans]
    if missing:
        raise ShardError(
            f"{pose}: expected the poses of {len(wanted)} ok videos, {len(missing)} are missing, the first "
            f"{missing[0]!r}; rerun the stage extract_pose for this shard"
        )
    return [plans[video_id] for video_id in wanted]


def _plan_video(video: VideoTask, rows: Columns, config: Config, needed: int) -> _Plan:
    """Plan the cuts of a video: its runs of a window or more; of a video without one, its longest run of `needed`."""
    if not np.array_equal(rows["frame"], np.arange(len(rows["frame"]))):
        raise ShardError(
            f"pose of {video.video_id!r}: frames must count from 0 without gaps; rerun the stage extract_pose"
        )
    seen = (rows["confidence"] >= MIN_CONFIDENCE) & np.isfinite(rows["image_xy"]).all(-1)
    present = rows["present"] & seen.any(1)
    if not present.any():
        none = f"none of {len(present)} frames shows a signer"
        return _Plan(video, rejected=FinalStatus("rejected", "no_signer", none))
    takes = rows["part"] + rows["shot"]
    breaks = rows["damaged"] | (np.diff(takes, prepend=takes[:1]) != 0)
    runs = signer_runs(present, 1, config.angles.max_gap, breaks)
    longest = max(runs, key=lambda run: run[1])
    if len(present) < needed:
        few = f"{len(present)} frames, pretraining needs {needed}"
        return _Plan(video, rejected=FinalStatus("rejected", "too_few_frames", few))
    if longest[1] < needed:
        brief = f"the longest run has {longest[1]} frames, pretraining needs {needed}"
        return _Plan(video, rejected=FinalStatus("rejected", "signer_too_brief", brief))
    cuts = []
    for start, n in [run for run in runs if run[1] >= WINDOW] or [longest]:
        shown = slice(start, start + n)
        x0, y0, side = torso_box(rows["image_xy"][shown], rows["confidence"][shown], config.crop.margin)
        cuts.append(Cut(start, n, rows["time_s"][shown].tolist(), x0, y0, side))
    return _Plan(video, cuts)


def _crops_columns(rows: list[tuple[str, Cut]]) -> Columns:
    return {
        "video_id": [video for video, _ in rows],
        "sequence": np.arange(len(rows), dtype=np.int32),
        "start_frame": np.array([cut.start for _, cut in rows], np.int32),
        "n_frames": np.array([cut.n_frames for _, cut in rows], np.int32),
        **{name: np.array([getattr(cut, name) for _, cut in rows], np.float32) for name in ("x0", "y0", "side")},
    }


# ---------------------------------------------------------------- encoding


def _make_task(plan: _Plan, settings: EncoderSettings, target_fps: float | None, cache: ResumeCache) -> Task:
    """The task of a video; two rows of the sheet with the same span of one file have keys of their own."""
    given = {"target_fps": target_fps, "cuts": [asdict(cut) for cut in plan.cuts], "encoder": asdict(settings)}
    suffixes = [f"{i:05d}.mp4" for i in range(len(plan.cuts))]
    return make_task(plan.video, given, cache, suffixes, [str(settings), CROPS.version])


def prepare_crop(send: Send) -> Work:
    """Return the function of a worker process that encodes the cuts of one video."""
    limit_memory()
    return lambda task: do_video_task(task, lambda task: encode_video(task, Reporter(send)), FAILED)[0]


def encode_video(task: Task, on_frame: Reporter) -> Result:
    """Encode a piece for each cut of a task, in one pass over the video.

    Raises:
        VideoError: the video cannot be decoded as its pose says.
        ShardError, StorageError: nothing can be encoded or written.
    """
    cuts, settings = [Cut(**cut) for cut in task["cuts"]], EncoderSettings(**task["encoder"])
    frames = read_row(VideoRow.of(task), task["target_fps"])
    with closing(frames):  # type: ignore[type-var]
        for cut, path in zip(cuts, task_files(task), strict=True):
            with atomic_path(path) as partial, Encoder(partial, settings) as encoder:
                _encode_cut(task["path"], frames, cut, encoder, on_frame)
    return {"reason": "", "detail": "", "frames": sum(cut.n_frames for cut in cuts)}


def _encode_cut(path: str, frames: Iterator[Frame], cut: Cut, encoder: Encoder, on_frame: Reporter) -> None:
    """Encode the frames of a cut, and leave `frames` after its last one."""
    repeated: tuple[Any, NDArray[np.uint8]] | None = None
    for frame in frames:
        if frame.index < cut.start:
            continue
        posed_s = cut.times_s[frame.index - cut.start]
        if abs(frame.time_s - posed_s) > TIME_TOLERANCE_S:
            raise ShardError(
                f"{path}: frame {frame.index} is at {frame.time_s:g} s, its pose at {posed_s:g} s; the poses are of "
                "another rate or file: import them again, or rerun the stage extract_pose"
            )
        if repeated is None or repeated[0] is not frame.rgb:
            repeated = frame.rgb, cut_box(frame.rgb, cut.x0, cut.y0, cut.side, encoder.size)
        encoder.write(repeated[1])
        on_frame()
        if encoder.n_frames == cut.n_frames:
            return
    raise VideoError(
        "undecodable",
        f"{path}: its pose goes to frame {cut.start + cut.n_frames}, decoding ended at frame "
        f"{cut.start + encoder.n_frames}; if the file was changed, rerun the stage extract_pose",
    )
