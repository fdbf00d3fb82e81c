"""Speed and memory of the pose stage on one core, on a real clip; `signrep bench pose` measures the engine alone."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

CLIP = Path(__file__).parents[2] / "shared" / "clips" / "asl_walk_C.mkv"
FRAMES = 60


def rows() -> list[tuple[str, str]]:
    """Measure in a separate process, so that memory is that of a worker."""
    if not CLIP.exists():
        return [("pose", f"not measured: {CLIP.parent} is absent")]
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.pose"],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [(what, figure) for what, figure in (line.split("\t") for line in child.stdout.splitlines())]


def measure() -> list[tuple[str, str]]:
    """The rows, measured in this process."""
    from signrep_core.pose.backend import open_backend
    from signrep_core.pose.extract import extract_video
    from signrep_core.pose.people import find_people, open_face_detector
    from signrep_core.video.reader import read_frames

    ours, find_faces = open_backend(), open_face_detector()
    found: list[tuple[str, str]] = []
    video = lambda fps: read_frames(CLIP, fps or 25.0)  # noqa: E731
    began, cpu = time.monotonic(), time.process_time()
    n = sum(len(piece["frame"]) for piece in extract_video(video, ours, find_faces, min_shoulder_px=24))
    wall, cpu = time.monotonic() - began, time.process_time() - cpu
    found.append(
        ("extract_pose of a clip (640×480, one person)", f"{n / cpu:.1f} frames/core-s ({n / wall:.1f} frames/s)")
    )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found.append(("memory of a worker at its peak", f"{memory:.0f} MiB"))
    frames = list(islice(read_frames(CLIP), FRAMES))
    scanned = frames[::8]
    per_face = _core_seconds(lambda: find_people(scanned, find_faces, lambda: None)) / len(scanned)
    found.append(("sparse scan for people (3 a second)", f"{1000 * per_face:.1f} core-ms per scanned frame"))
    decoding = _core_seconds(lambda: list(read_frames(CLIP))) / 75
    found.append(("decoding to RGB", f"{1000 * decoding:.1f} core-ms per frame"))
    return found


def _core_seconds(work: Callable[[], object]) -> float:
    cpu = time.process_time()
    work()
    return time.process_time() - cpu


if __name__ == "__main__":
    for what, figure in measure():
        print(f"{what}\t{figure}")
