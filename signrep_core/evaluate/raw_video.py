"""Features of video files, without workflow or pose; the signer is cropped by a given box, or from the middle.

Legend: n windows, D features.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from signrep_core.errors import ConfigError, VideoError
from signrep_core.evaluate.features import CHUNK, Chunk, Inference, encode, features_columns
from signrep_core.evaluate.windows import STRIDE, VideoFeatures, window_starts
from signrep_core.model.signrep import SignRep
from signrep_core.progress import Progress
from signrep_core.store.files import file_digest
from signrep_core.store.resume import open_resume_cache, work_key
from signrep_core.store.schemas import features_schema
from signrep_core.store.tables import join_tables, write_table
from signrep_core.video.crop_file import Box, crop_frames
from signrep_core.video.row import VideoRow, read_row
from signrep_core.window import WINDOW

log = logging.getLogger(__name__)

SPAN: Final = (CHUNK - 1) * STRIDE + WINDOW  # frames of a full chunk


def extract_video_files(
    weights: str | Path,
    videos: Sequence[str],
    out: str | Path,
    *,
    box: Box | None = None,
    fps: float | None = None,
    provenance: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Write the features of video files as a features table; a video_id is the path as given.

    A killed run continues with the first unfinished video.

    Args:
        box: crop of every frame; None = the largest square in the middle.
        fps: frame rate of image folders.
        provenance: noted in the table's metadata.

    Returns:
        The videos without features, with the reasons; the others are in the table.

    Raises:
        CheckpointError: the weights cannot be used.
    """
    model = SignRep.load(weights, Inference().device)
    schema = features_schema(model.n_features)
    tables: list[Path] = []
    failed: dict[str, str] = {}
    about = {"weights": Path(weights).name, "weights_sha256": file_digest(weights), "crop": str(box or "centre")}
    about |= {"fps": f"{fps:g}"} if fps else {}
    about |= provenance or {}
    wanted = dict.fromkeys(videos)
    with open_resume_cache(out) as cache, Progress("features", len(wanted), "videos") as progress:
        for video in wanted:
            key = work_key(os.path.abspath(video), about)
            table = cache.folder / f"{key}.parquet"
            try:
                if cache.find(key) is None:
                    found = video_file_features(model, video, box=box, fps=fps)
                    write_table(table, schema, features_columns(found))
                    cache.record(key, {}, [table.name])
                tables.append(table)
            except (VideoError, ConfigError) as error:  # ConfigError: the box lies outside the frame
                log.warning("no features of %s: %s", video, error)
                failed[video] = str(error)
            progress.advance()
        join_tables(tables, out, schema, about)
    return failed


def video_file_features(
    model: SignRep, video: str, *, box: Box | None = None, fps: float | None = None
) -> VideoFeatures:
    """Compute the features of all windows of one video file; frames are streamed.

    Raises:
        VideoError: the video cannot be read.
        ConfigError: the box lies outside the frame.
    """
    crops = crop_frames(read_row(VideoRow(video, fps=fps)), box)
    pieces = list(encode(model, cut_chunks(crops)))
    starts = [chunk.starts for chunk, _, _ in pieces]
    features, activity = (np.concatenate([piece[k] for piece in pieces]) for k in (1, 2))
    return VideoFeatures(video, np.concatenate(starts).astype(np.int32), features, activity)


def cut_chunks(crops: Iterable[NDArray[np.uint8]]) -> Iterator[Chunk]:
    """Cut windows of 16 frames every second frame, CHUNK at a time; a shorter video gives one, padded later."""
    held: list[NDArray[np.uint8]] = []
    first = 0  # number of the first frame in `held`
    for crop in crops:
        held.append(crop)
        if len(held) == SPAN:
            yield Chunk(0, first + window_starts(SPAN), 0, torch.from_numpy(np.stack(held)))
            held = held[CHUNK * STRIDE :]
            first += CHUNK * STRIDE
    if held and (first == 0 or len(held) >= WINDOW):
        yield Chunk(0, first + window_starts(len(held)), 0, torch.from_numpy(np.stack(held)))
