"""Cropping a shard's signers: the pose table's runs of frames, each cut to one steady square, into one MP4.

Every video is decoded once, streaming; `threads` videos at a time, each in a worker process (crop_worker.py) that feeds
an FFmpeg process of its own. Finished pieces wait in the job's resume cache.
Frame k of a crop is frame start + k of the common timeline: the same frames that the pose was taken from.
"""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from signrep_core.errors import ShardError, VideoError
from signrep_core.progress import Progress
from signrep_core.skeleton import MIN_CONFIDENCE
from signrep_core.store.files import atomic_path
from signrep_core.store.resume import ResumeCache, open_resume_cache, work_key
from signrep_core.store.schemas import CROPS, POSE
from signrep_core.store.tables import Columns, read_videos
from signrep_core.store.video_status import FinalStatus
from signrep_core.video.crop_boxes import signer_runs, torso_box
from signrep_core.video.encode import Encoder, EncoderSettings, join_pieces
from signrep_core.video.reader import Frame, read_frames
from signrep_core.workers import Died, run_tasks

WORKER: Final = (sys.executable, "-m", "signrep_core.video.crop_worker")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cut:
    """A sequence to be: frames of the common timeline and the square to cut out of them."""

    start: int
    n_frames: int
    start_s: float  # time of the first frame, as the pose table has it
    x0: float
    y0: float
    side: float


@dataclass(frozen=True)
class CropResult:
    """The shard's crops table, what became of the videos that gave no sequence, and the encoder's settings."""

    crops: Columns
    outcomes: dict[str, FinalStatus]
    encoder: str


def crop_shard(
    table: Mapping[str, Any],
    pose: str | Path,
    out_mp4: str | Path,
    *,
    threads: int = 1,
    size: int = 256,
    margin: float = 0.1,
    crf: int = 18,
    preset: str = "medium",
    target_fps: float | None = 25.0,
    min_frames: int = 16,
    max_gap: int = 5,
    cache: ResumeCache | None = None,
    worker: Sequence[str] = WORKER,
) -> CropResult:
    """Crop and encode the signers of a shard's videos that are still `ok`, in the video status table's order.

    Args:
        videos: columns of the VIDEOS table.
        pose: the shard's POSE table.
        out_mp4: the sequences one after the other; zero bytes if the shard has none.
        target_fps: of the common timeline; None (native frames) is encoded as 25.
        cache: keeps finished videos where a job is killed; None = one that ends with this call.
        worker: command of a worker process.

    Raises:
        SignRepError: encoding failed, or the pose table lacks an ok video. A video that cannot be cropped is in
            `outcomes` instead: no_signer, signer_too_brief, or what decoding it raised.
    """
    if cache is None:
        with open_resume_cache(out_mp4) as cache:
            return crop_shard(
                table, pose, out_mp4, threads=threads, size=size, margin=margin, crf=crf, preset=preset,
                target_fps=target_fps, min_frames=min_frames, max_gap=max_gap, cache=cache, worker=worker,
            )  # fmt: skip
    settings = EncoderSettings(size=size, fps=target_fps or 25.0, crf=crf, preset=preset)
    videos = _ok_videos(table)
    plans = _plan_cuts(videos, pose, margin, min_frames, max_gap)
    outcomes: dict[str, FinalStatus] = {}
    rows: list[tuple[str, Cut]] = []
    pieces: list[tuple[Path, int]] = []
    tasks = {
        video: _task({"video_id": video, **videos[video], "target_fps": target_fps}, cuts, settings, cache)
        for video, cuts in plans.items()
        if not isinstance(cuts, VideoError)
    }
    encoded = _encode_videos(tasks, cache, threads, worker, Path(out_mp4).stem)
    for video, cuts in plans.items():
        done = cuts if isinstance(cuts, VideoError) else next(encoded)
        if isinstance(done, VideoError):
            outcomes[video] = FinalStatus("rejected", done.reason, done.detail)
            continue
        rows += [(video, cut) for cut in cuts]  # type: ignore[union-attr]
        pieces += [(path, cut.n_frames) for path, cut in zip(done, cuts, strict=True)]  # type: ignore[arg-type]
    with atomic_path(out_mp4) as partial:
        join_pieces(pieces, partial, settings)
    return CropResult(_crops_columns(rows), outcomes, str(settings))


def plan_crops(
    videos: Mapping[str, Any], pose: str | Path, *, margin: float = 0.1, min_frames: int = 16, max_gap: int = 5
) -> Columns:
    """The CROPS table that `crop_shard` would give, without decoding anything; arguments as there."""
    plans = _plan_cuts(_ok_videos(videos), pose, margin, min_frames, max_gap)
    return _crops_columns(
        [(video, cut) for video, cuts in plans.items() if not isinstance(cuts, VideoError) for cut in cuts]
    )


def cut_box(rgb: NDArray[np.uint8], x0: float, y0: float, side: float, size: int) -> NDArray[np.uint8]:
    """The square of a frame, (H, W, 3) → (size, size, 3); black where it reaches outside."""
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


def _ok_videos(videos: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What decoding needs of each ok video, by id, in the video status table's order."""
    masks = {name: np.ma.getmaskarray(videos[name]) for name in ("start", "end")}
    return {
        video: {
            "path": videos["path"][i],
            "fps": float(videos["fps"][i]),
            **{name: None if mask[i] else float(videos[name][i]) for name, mask in masks.items()},
        }
        for i, video in enumerate(videos["video_id"])
        if videos["status"][i] == "ok"
    }


def _plan_cuts(
    videos: Mapping[str, Any], pose: str | Path, margin: float, min_frames: int, max_gap: int
) -> dict[str, list[Cut] | VideoError]:
    """Each ok video's cuts, or why it has none, in the table's order; one video's pose in memory at a time."""
    plans: dict[str, list[Cut] | VideoError] = {}
    columns = ["frame", "time_s", "present", "damaged", "image_xy", "confidence"]
    for video, rows in read_videos(pose, POSE, columns):
        if video in videos:
            plans[video] = _plan_video(video, rows, margin, min_frames, max_gap)
    missing = [video for video in videos if video not in plans]
    if missing:
        raise ShardError(
            f"{pose}: expected the poses of {len(videos)} ok videos, {len(missing)} are missing, the first "
            f"{missing[0]!r}; rerun the stage extract_pose for this shard"
        )
    return {video: plans[video] for video in videos}


def _plan_video(video: str, rows: Columns, margin: float, min_frames: int, max_gap: int) -> list[Cut] | VideoError:
    if not np.array_equal(rows["frame"], np.arange(len(rows["frame"]))):
        raise ShardError(f"pose of {video!r}: frames must count from 0 without gaps; rerun the stage extract_pose")
    seen = (rows["confidence"] >= MIN_CONFIDENCE) & np.isfinite(rows["image_xy"]).all(-1)
    present = rows["present"] & seen.any(1)
    if not present.any():
        return VideoError("no_signer", f"none of {len(present)} frames shows a signer")
    cuts = []
    for start, n in signer_runs(present, min_frames, max_gap, rows["damaged"]):
        shown = slice(start, start + n)
        x0, y0, side = torso_box(rows["image_xy"][shown], rows["confidence"][shown], margin)
        cuts.append(Cut(start, n, float(rows["time_s"][start]), x0, y0, side))
    if not cuts:
        longest = max(n for _, n in signer_runs(present, 1, max_gap, rows["damaged"]))
        return VideoError("signer_too_brief", f"the longest run has {longest} frames, {min_frames} are needed")
    return cuts


def _crops_columns(rows: list[tuple[str, Cut]]) -> Columns:
    return {
        "video_id": [video for video, _ in rows],
        "sequence": np.arange(len(rows), dtype=np.int32),
        "start_frame": np.array([cut.start for _, cut in rows], np.int32),
        "n_frames": np.array([cut.n_frames for _, cut in rows], np.int32),
        **{name: np.array([getattr(cut, name) for _, cut in rows], np.float32) for name in ("x0", "y0", "side")},
    }


# ---------------------------------------------------------------- encoding


def _task(
    video: Mapping[str, Any], cuts: Sequence[Cut], settings: EncoderSettings, cache: ResumeCache
) -> dict[str, Any]:
    """What `encode_video` needs; of two rows with the same span of one file each has a key of its own."""
    task = {**video, "cuts": [asdict(cut) for cut in cuts], "settings": asdict(settings)}
    return {**task, "key": work_key(video["path"], task, str(settings), CROPS.version), "cache": str(cache.folder)}


def _encode_videos(
    tasks: Mapping[str, dict[str, Any]], cache: ResumeCache, threads: int, worker: Sequence[str], shard: str
) -> Iterator[VideoError | list[Path]]:
    """A video's pieces, or why it cannot be decoded, in the tasks' order: from the resume cache, or of the workers."""
    found = {video: entry for video, task in tasks.items() if (entry := cache.find(task["key"])) is not None}
    left = [video for video in tasks if video not in found]
    if found:
        log.info("%d of %d videos were finished before", len(found), len(tasks))
    frames = sum(cut["n_frames"] for video in left for cut in tasks[video]["cuts"])
    with Progress(f"crop_signers {shard}", frames) as progress:
        results = run_tasks(
            worker, [tasks[video] for video in left], threads=threads, on_frames=lambda _, n: progress.advance(n)
        )
        for number, (video, task) in enumerate(tasks.items(), 1):
            done = found[video] if video in found else next(results)
            progress.advance(0, note=f"{number}/{len(tasks)} videos")
            if isinstance(done, Died):
                yield VideoError("undecodable", f"{task['path']}: the decoding process {done.how} in this video")
            elif done["reason"]:
                yield VideoError(done["reason"], done["detail"])
            else:
                yield piece_paths(task)


def piece_paths(task: Mapping[str, Any]) -> list[Path]:
    """Where a task's pieces lie in the resume cache, one for each cut."""
    cache = ResumeCache(Path(task["cache"]))
    return [cache.file(task["key"], f"{i:05d}.mp4") for i in range(len(task["cuts"]))]


def encode_video(task: Mapping[str, Any], on_frame: Callable[[], None] = lambda: None) -> None:
    """Encode a piece per cut, in one pass over the video.

    Raises:
        VideoError: the video cannot be decoded as its pose says. SignRepError: nothing can be encoded or written.
    """
    settings = EncoderSettings(**task["settings"])
    span = task["start"], task["end"]
    frames = read_frames(task["path"], task["target_fps"], *span, threads=1, folder_fps=task["fps"])
    with closing(frames):  # type: ignore[type-var]
        for cut, path in zip(task["cuts"], piece_paths(task), strict=True):
            with atomic_path(path) as partial:
                _encode_cut(task["path"], frames, Cut(**cut), partial, settings, on_frame)


def _encode_cut(
    path: str, frames: Iterator[Frame], cut: Cut, piece: Path, settings: EncoderSettings, on_frame: Callable[[], None]
) -> None:
    """Encode one cut's frames, leaving `frames` behind its last one."""
    repeated: tuple[Any, NDArray[np.uint8]] | None = None
    with Encoder(piece, settings) as encoder:
        for frame in frames:
            if frame.index < cut.start:
                continue
            if frame.index == cut.start and abs(frame.time_s - cut.start_s) > 1e-6:
                raise VideoError(
                    "undecodable", f"{path}: frame {cut.start} is at {frame.time_s} s, its pose at {cut.start_s} s"
                )
            if repeated is None or repeated[0] is not frame.rgb:
                repeated = frame.rgb, cut_box(frame.rgb, cut.x0, cut.y0, cut.side, settings.size)
            encoder.write(repeated[1])
            on_frame()
            if encoder.n_frames == cut.n_frames:
                return
        raise VideoError(
            "undecodable",
            f"{path}: its pose goes to frame {cut.start + cut.n_frames}, decoding ended at frame "
            f"{cut.start + encoder.n_frames}; if the file was changed, rerun the stage extract_pose",
        )
