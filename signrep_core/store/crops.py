"""Cropping a shard's signers: the pose table's runs of frames, each cut to one steady square, into one MP4.

Every video is decoded once, streaming; `threads` videos at a time, each feeding an FFmpeg process of its own.
Frame k of a crop is frame start + k of the common timeline: the same frames that the pose was taken from.
"""

import logging
import shutil
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from signrep_core.errors import ShardError, VideoError
from signrep_core.skeleton import MIN_CONFIDENCE
from signrep_core.store.accounts import Outcome
from signrep_core.store.encode import Encoder, EncoderSettings, join_pieces
from signrep_core.store.files import atomic_path
from signrep_core.store.schemas import POSE
from signrep_core.store.squares import signer_runs, torso_square
from signrep_core.store.tables import Columns, read_videos
from signrep_core.store.video import Frame, read_frames

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
    outcomes: dict[str, Outcome]
    encoder: str


def crop_shard(
    account: Mapping[str, Any],
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
) -> CropResult:
    """Crop and encode the signers of a shard's videos that are still `ok`, in the account's order.

    Args:
        account: columns of the VIDEOS table.
        pose: the shard's POSE table.
        out_mp4: the sequences one after the other; zero bytes if the shard has none.
        target_fps: of the common timeline; None (native frames) is encoded as 25.

    Raises:
        ShardError: encoding failed, or the pose table lacks an ok video. A video that cannot be cropped is in
            `outcomes` instead: no_signer, signer_too_brief, or what decoding it raised.
    """
    settings = EncoderSettings(size=size, fps=target_fps or 25.0, crf=crf, preset=preset)
    videos = _ok_videos(account)
    plans = _plan_cuts(videos, pose, margin, min_frames, max_gap)
    outcomes: dict[str, Outcome] = {}
    rows: list[tuple[str, Cut]] = []
    pieces: list[tuple[Path, int]] = []
    out_mp4 = Path(out_mp4)
    with _piece_folder(out_mp4) as folder, ThreadPoolExecutor(max(threads, 1)) as pool:

        def encode(number: int, video: str) -> VideoError | list[Path]:
            cuts = plans[video]
            return (
                cuts if isinstance(cuts, VideoError)
                else _encode_video(videos[video], cuts, folder, number, settings, target_fps)
            )  # fmt: skip

        try:
            for video, done in _progress(plans, pool.map(encode, range(len(plans)), plans), out_mp4.stem):
                if isinstance(done, VideoError):
                    outcomes[video] = Outcome("rejected", done.reason, done.detail)
                    continue
                cuts = plans[video]
                rows += [(video, cut) for cut in cuts]  # type: ignore[union-attr]
                pieces += [(path, cut.n_frames) for path, cut in zip(done, cuts, strict=True)]  # type: ignore[arg-type]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        with atomic_path(out_mp4) as partial:
            join_pieces(pieces, partial, settings)
    return CropResult(_crops_columns(rows), outcomes, str(settings))


def cut_square(rgb: NDArray[np.uint8], x0: float, y0: float, side: float, size: int) -> NDArray[np.uint8]:
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


def _ok_videos(account: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What decoding needs of each ok video, by id, in the account's order."""
    masks = {name: np.ma.getmaskarray(account[name]) for name in ("start", "end")}
    return {
        video: {
            "path": account["path"][i],
            "fps": float(account["fps"][i]),
            **{name: None if mask[i] else float(account[name][i]) for name, mask in masks.items()},
        }
        for i, video in enumerate(account["video_id"])
        if account["status"][i] == "ok"
    }


def _plan_cuts(
    videos: Mapping[str, Any], pose: str | Path, margin: float, min_frames: int, max_gap: int
) -> dict[str, list[Cut] | VideoError]:
    """Each ok video's cuts, or why it has none, in the account's order; one video's pose in memory at a time."""
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
        x0, y0, side = torso_square(rows["image_xy"][shown], rows["confidence"][shown], margin)
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


def _encode_video(
    video: Mapping[str, Any], cuts: list[Cut], folder: Path, number: int, settings: EncoderSettings,
    target_fps: float | None,
) -> VideoError | list[Path]:  # fmt: skip
    """A piece per cut, in one pass over the video; or why the video cannot be decoded."""
    paths = [folder / f"{number:05d}_{i:05d}.mp4" for i in range(len(cuts))]
    try:
        frames = read_frames(video["path"], target_fps, video["start"], video["end"], folder_fps=video["fps"])
        with closing(frames):  # type: ignore[type-var]
            for cut, path in zip(cuts, paths, strict=True):
                _encode_cut(video["path"], frames, cut, path, settings)
    except VideoError as error:
        return error
    return paths


def _encode_cut(path: str, frames: Iterator[Frame], cut: Cut, piece: Path, settings: EncoderSettings) -> None:
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
                repeated = frame.rgb, cut_square(frame.rgb, cut.x0, cut.y0, cut.side, settings.size)
            encoder.write(repeated[1])
            if encoder.n_frames == cut.n_frames:
                return
        raise VideoError(
            "undecodable",
            f"{path}: its pose goes to frame {cut.start + cut.n_frames}, decoding ended at frame "
            f"{cut.start + encoder.n_frames}; if the file was changed, rerun the stage extract_pose",
        )


@contextmanager
def _piece_folder(mp4: Path) -> Iterator[Path]:
    """An empty folder beside the MP4 for its pieces; what a killed job left there is removed first."""
    folder = mp4.parent / f".{mp4.stem}.pieces"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _progress(videos: Any, results: Iterator[Any], shard: str) -> Iterator[tuple[str, Any]]:
    """(video, result) with a line per video in the log: how many are done, and the time left."""
    began = time.monotonic()
    for done, (video, result) in enumerate(zip(videos, results, strict=True), 1):
        left = (time.monotonic() - began) / done * (len(videos) - done)
        outcome = str(result) if isinstance(result, VideoError) else f"{len(result)} sequences"
        log.info("crop %s: %d/%d videos, %.0f s left; %s: %s", shard, done, len(videos), left, video, outcome)
        yield video, result
