"""Shards for measurements: videos of moving, noisy frames with random targets, which need neither a renderer nor poses.

The frames are encoded once and repeated by stream copy for each video.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from signrep_core.store.pack import PackedFiles, StageFiles, pack_shard, write_index
from signrep_core.store.schemas import ACTIVITY, ANGLES, CROPS, KEYPOINTS, VIDEOS, Schema
from signrep_core.store.shards import ShardReader
from signrep_core.store.tables import TableWriter, write_table
from signrep_core.video.encode import Encoder, EncoderSettings, join_pieces

DATASET: Final = "bench"
GLOSSES: Final = 10
SETTINGS: Final = EncoderSettings()


def build_shard(folder: Path, n_videos: int, n_frames: int) -> ShardReader:
    """Build a shard of `n_videos` labelled training videos of `n_frames` each in `folder`/shards."""
    folder.mkdir(parents=True, exist_ok=True)
    piece = folder / "piece.mp4"
    rng = np.random.default_rng(0)
    with Encoder(piece, SETTINGS) as encoder:
        for k in range(n_frames):
            encoder.write(_draw_frame(k, rng))
    join_pieces([(piece, n_frames)] * n_videos, folder / "crops.mp4", SETTINGS)
    names = [f"video{i:04d}" for i in range(n_videos)]
    _write_targets(folder, names, n_frames, rng)
    paths = {name: folder / f"{name}.parquet" for name in ("videos", "crops", "angles", "keypoints", "activity")}
    out = folder / "shards"
    files = StageFiles(mp4=folder / "crops.mp4", **paths)
    pack_shard("00000", files, PackedFiles(out / "00000.mp4", out / "00000.parquet", folder / "sequences.parquet"))
    write_index([folder / "sequences.parquet"], [out / "00000.mp4"], out / "index.parquet", out / "info.json")
    return ShardReader(out)


def _draw_frame(k: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A blob that moves over a soft background, with camera noise."""
    y, x = np.mgrid[:256, :256].astype(np.float32)
    cx, cy = 128 + 80 * np.sin(k / 9), 140 + 60 * np.cos(k / 7)
    blob = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 900)[..., None] * np.array([120, 60, 30])
    base = np.stack([90 + 40 * np.sin(x / 40), 100 + 30 * np.cos(y / 50), 110 + 20 * np.sin((x + y) / 30)], -1)
    return np.clip(base + blob + rng.normal(0, 2, (256, 256, 1)), 0, 255).astype(np.uint8)


def _write_targets(folder: Path, names: list[str], n_frames: int, rng: np.random.Generator) -> None:
    """Write the tables of the earlier stages, with random numbers."""
    for schema in (ANGLES, KEYPOINTS, ACTIVITY):
        with TableWriter(folder / f"{schema.name}.parquet", schema) as writer:
            times = {"frame": np.arange(n_frames), "time_s": np.arange(n_frames) / SETTINGS.fps}
            columns = _random_columns(schema, n_frames, rng) | times
            for name in names:
                writer.write(columns | {"video_id": [name] * n_frames})
    n = len(names)
    labels = {"dataset": [DATASET] * n, "split": ["train"] * n, "gloss": [f"gloss{k % GLOSSES}" for k in range(n)]}
    videos = _random_columns(VIDEOS, n, rng) | {"video_id": names, "status": ["ok"] * n} | labels
    write_table(folder / "videos.parquet", VIDEOS, videos)
    places = {"sequence": np.arange(n), "start_frame": np.zeros(n), "n_frames": np.full(n, n_frames)}
    write_table(folder / "crops.parquet", CROPS, _random_columns(CROPS, n, rng) | {"video_id": names} | places)


def _random_columns(schema: Schema, n: int, rng: np.random.Generator) -> dict[str, Any]:
    return {
        column.name: [""] * n
        if str(column.dtype) == "string"
        else rng.normal(0, 1, (n, *column.shape)).astype(column.dtype.to_pandas_dtype())
        for column in schema.columns
    }
