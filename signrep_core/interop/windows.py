"""Export of windows as WebDataset tars, for training code that streams tars instead of reading the shards.

A sample has 16 frames from a keyframe on: `mp4` (copied packets, not re-encoded), `npz` (the targets of the frames) and
`json` (video, split, gloss, language, signer, first frame, frame rate).
"""

import io
import json
import logging
import re
import tarfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from signrep_core.errors import ShardError
from signrep_core.progress import Progress
from signrep_core.skeleton import SIDES
from signrep_core.store.files import atomic_path
from signrep_core.store.schemas import SHEET_COLUMNS
from signrep_core.store.shards import ShardReader
from signrep_core.window import WINDOW

log = logging.getLogger(__name__)

STRIDE: Final = 18  # frames between window starts; a multiple of the keyframe interval


def export_windows(
    shards: str | Path, out: str | Path, *, stride: int = STRIDE, per_tar: int = 2000, n_frames: int = WINDOW
) -> dict[str, int]:
    """Write the windows of all sequences as `windows-000000.tar` and so on; returns the number of windows and tars.

    Raises:
        ShardError: the stride is not a multiple of the keyframe interval, or a shard is broken.
    """
    reader, out = ShardReader(shards), Path(out)
    if stride < 1 or stride % reader.info.gop:
        raise ShardError(f"stride: expected a multiple of the keyframe interval {reader.info.gop}, got {stride}")
    starts = [
        (row, start)
        for row in range(len(reader))
        for start in range(0, int(reader.index["n_frames"][row]) - n_frames + 1, stride)
    ]
    if short := sum(n < n_frames for n in reader.index["n_frames"].tolist()):
        log.warning("%s: %d sequences of fewer than %d frames are left out", shards, short, n_frames)
    with Progress("export_windows", len(starts), "windows") as progress:
        for k in range(0, len(starts), per_tar):
            with atomic_path(out / f"windows-{k // per_tar:06d}.tar") as partial, tarfile.open(partial, "w") as tar:
                for number, (row, start) in enumerate(starts[k : k + per_tar], k):
                    _add_sample(tar, number, reader, row, start, n_frames)
                    progress.advance(1)
    return {"windows": len(starts), "tars": -(-len(starts) // per_tar)}


def _add_sample(tar: tarfile.TarFile, number: int, reader: ShardReader, row: int, start: int, n_frames: int) -> None:
    targets = reader.read_targets(row, start, n_frames)
    video_id = str(reader.index["video_id"][row])
    about: dict[str, Any] = {"video_id": video_id, "fps": float(reader.index["fps"][row])}
    about |= {column.name: str(reader.index[column.name][row]) for column in SHEET_COLUMNS}
    about["first_frame"] = int(targets["frame"][0])
    activity = {f"{side}_active": targets.pop(f"{side}_active") for side in SIDES}
    about |= {name: None if np.ma.is_masked(values[0]) else bool(values[0]) for name, values in activity.items()}
    arrays = io.BytesIO()
    np.savez(arrays, **targets)
    # The key of a sample must not contain dots or slashes; the number makes it unique and keeps the order.
    key = f"{number:09d}-{re.sub(r'[^A-Za-z0-9_-]+', '_', video_id)[:60]}"
    parts = {"mp4": reader.read_mp4(row, start, n_frames), "npz": arrays.getvalue(),
             "json": json.dumps(about, ensure_ascii=False).encode()}  # fmt: skip
    for suffix, data in parts.items():
        entry = tarfile.TarInfo(f"{key}.{suffix}")
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))
