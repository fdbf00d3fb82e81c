"""A worker of probe with the reading of files replaced: the path says what a video holds."""

import os
import signal
import time
from pathlib import Path

from signrep_core.errors import VideoError
from signrep_core.video import probe
from signrep_core.video.reader import VideoInfo
from signrep_core.workers import Send, Work

INFO = VideoInfo(
    width=640, height=480, fps=29.97, n_frames=77, timeline_frames=64, duration_s=2.5, codec="h264", rotation=90,
    vfr=True, sha256="ab" * 32,
)  # fmt: skip


def probe_video(path: str, **arguments: float | None) -> VideoInfo:
    assert arguments == {"start": 1.0, "end": 3.0, "target_fps": 25.0, "folder_fps": 30.0}
    if path.startswith("empty"):
        raise VideoError("empty_file", f"{path}: zero bytes")
    if path.startswith("bug"):
        raise RuntimeError("decoder\n  fell over")
    if path.startswith("bloats"):
        bytearray(8 << 30)
    if path.startswith("crashes"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if path.startswith("hangs"):
        time.sleep(60)
    if path.startswith("killed") and not Path(path + ".once").exists():
        Path(path + ".once").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if path.startswith("waits"):  # for the other two, which must be in other processes
        Path(path + ".here").touch()
        while not all(Path(f"waits {name}.here").exists() for name in "abc"):
            time.sleep(0.01)
    return INFO


def prepare(send: Send, folder: str) -> Work:
    os.chdir(folder)
    probe.probe_video = probe_video  # type: ignore[assignment]
    return probe.prepare_probe(send)
