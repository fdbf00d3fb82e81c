"""Processor time and memory of exact retrieval in a gallery of a million windows."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from signrep_core.evaluate.features import features_columns
from signrep_core.evaluate.windows import VideoFeatures
from signrep_core.store.schemas import features_schema
from signrep_core.store.tables import TableWriter

N_WINDOWS, WINDOWS_PER_VIDEO, WIDTH, N_GLOSSES = 1_000_000, 50, 768, 2_000

SEARCH = """
import resource, sys, time
import numpy as np, torch
from signrep_core.evaluate.features import VideoFeatures
from signrep_core.evaluate.nearest import search
from signrep_core.evaluate.retrieval import evaluate_retrieval, read_features

torch.set_num_threads(1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rng = np.random.default_rng(1)
path, n_videos, n_glosses, what = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
began = time.process_time()
if what == "search":
    query = VideoFeatures("q", np.arange(20) * 2, rng.normal(size=(20, 768)).astype(np.float32), np.ones((20, 2)))
    search(query, read_features(path), {})
else:
    names = [f"v{k}" for k in range(n_videos)]
    index = {"video_id": names, "gloss": [f"g{k % n_glosses}" for k in range(n_videos)],
             "split": ["test" if k % 10 == 9 else "train" for k in range(n_videos)]}
    evaluate_retrieval(read_features(path), index)
print(time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def rows(n_windows: int = N_WINDOWS) -> list[tuple[str, str]]:
    """One query searched in, and every tenth video retrieved from, a table of `n_windows` windows."""
    n_videos = n_windows // WINDOWS_PER_VIDEO
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "features.parquet")
        write_gallery(path, n_videos)
        size = f"{n_windows:,} windows of {n_videos:,} videos ({path.stat().st_size / 1e9:.1f} GB)"
        found = []
        for what, said in (("search", "search one query in"), ("evaluate", "retrieve every tenth video of")):
            arguments = [sys.executable, "-c", SEARCH, str(path), str(n_videos), str(N_GLOSSES), what]
            output = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
            seconds, kilobytes = map(float, output.split())
            figure = f"{seconds:.1f} s of one core, {kilobytes / 1024:.0f} MiB more than the libraries"
            found.append((f"{said} {size}", figure))
    return found


def write_gallery(path: Path, n_videos: int) -> None:
    """Write random features."""
    rng = np.random.default_rng(0)
    starts = np.arange(WINDOWS_PER_VIDEO, dtype=np.int32) * 2
    with TableWriter(path, features_schema(WIDTH)) as writer:
        for k in range(n_videos):
            features = rng.standard_normal((WINDOWS_PER_VIDEO, WIDTH), dtype=np.float32)
            activity = rng.random((WINDOWS_PER_VIDEO, 2), dtype=np.float32)
            writer.write(features_columns(VideoFeatures(f"v{k}", starts, features, activity)))
