"""A worker's memory does not grow with the video."""

import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import pytest

from tests.faults.site import environment
from tests.video.painted import write_video

PEAK = """
import resource, sys
from signrep_core.video.reader import probe_video, read_frames
info = probe_video(sys.argv[1], target_fps=5)
count = sum(1 for frame in read_frames(sys.argv[1], 5))
assert count == info.timeline_frames
print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def repeat(video: Path, seconds: int, path: Path) -> Path:
    """The video over and over, packets copied."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-stream_loop", "-1", "-i", str(video), "-c", "copy"]
    subprocess.run([*command, "-t", str(seconds), str(path)], check=True, stdin=subprocess.DEVNULL)
    return path


def frames_and_peak_mb(video: Path) -> tuple[int, int]:
    """How many frames a process probes and reads, and the most memory it holds."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(video)], env=environment(), check=True, capture_output=True, text=True
    )
    frames, peak = done.stdout.split()
    return int(frames), int(peak)


@pytest.mark.slow
def test_three_hours_are_read_in_the_memory_of_three_minutes(tmp_path: Path) -> None:
    minute = write_video(tmp_path / "minute.mp4", range(240), fps=5, size=(64, 48))
    short, brief = frames_and_peak_mb(repeat(minute, 180, tmp_path / "short.mp4"))
    long, peak = frames_and_peak_mb(repeat(minute, 3 * 3600, tmp_path / "long.mp4"))
    assert abs(short - 900) < 20
    assert abs(long - 54_000) < 1000
    assert peak - brief < 16, "MB: the container's own index, and nothing per frame of ours"
