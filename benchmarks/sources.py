"""Time of the sheet and the leak audit for a corpus of 39,000 videos."""

import random
import string
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from signrep_core.sources.overlap import find_overlap
from signrep_core.sources.sheet import Row, cut_shards, read_sheet, shard_digest, write_sheet
from signrep_core.store.video_status import new_video_status

N_VIDEOS = 39_000
N_EVALUATION_IDS = 10_000


def rows() -> list[tuple[str, str]]:
    """Seconds of each step over N_VIDEOS videos, the best of three."""
    dice = random.Random(0)
    ids = ["".join(dice.choices(string.ascii_letters + string.digits + "-_", k=11)) for _ in range(N_VIDEOS)]
    corpus = [
        Row(video, f"videos/{place % 100:02d}/A title of a usual length [{video}].mp4", "yt", "train", "", "ase", "s")
        for place, video in enumerate(ids)
    ]
    videos = new_video_status(corpus)
    known = {"WLASL": {video: {"00335"} for video in dice.sample(ids, N_EVALUATION_IDS)}}
    with tempfile.TemporaryDirectory() as folder:
        sheet = Path(folder, "videos.tsv")
        write_sheet(sheet, corpus)
        return [
            (f"read and check a sheet of {N_VIDEOS:,} rows", _best(lambda: read_sheet(sheet))),
            ("cut it into shards and digest each", _best(lambda: [shard_digest(s) for _, s in cut_shards(corpus)])),
            (f"look up its names among {N_EVALUATION_IDS:,} YouTube ids", _best(lambda: find_overlap(videos, known))),
        ]


def _best(job: Callable[[], object]) -> str:
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        job()
        seconds.append(time.perf_counter() - start)
    return f"{min(seconds):.2f} s"
