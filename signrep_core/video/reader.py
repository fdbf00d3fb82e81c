"""Read a video file or an image folder as upright RGB frames on the common timeline.

Pose and crop both take their frames from `read_frames`, so frame k of one is frame k of the other. Frame k of the
common timeline is shown at k / target_fps seconds after the first shown frame (or after `start`) and is the source
frame nearest in time, whatever rate, gaps or repeats the source has.

A frame that is damaged, or predicted from a damaged one, is never shown: it keeps its place on the timeline, is marked
as damaged, and holds the last good frame.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from signrep_core.errors import VideoError
from signrep_core.video.source import FASTEST_FPS, LONGEST_S, open_video, too_long
from signrep_core.video.timeline import Intervals, Timed, exact_span, on_timeline


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame on the timeline; `rgb` (H, W, 3) uint8 is read-only, and the same array where a frame repeats.

    `damaged`: the file's frame of this time cannot be decoded; `rgb` is the last good frame in its place.
    `part`: counts the changes of the picture's shape or rotation; the frames of a part have one size.
    `shot`: counts the cuts before it where `video.shots.count_shots` has looked for them.
    `deinterlaced`: the stream marks the frame as interlaced, and `rgb` is without combs.
    """

    index: int
    time_s: float
    rgb: NDArray[np.uint8]
    damaged: bool = False
    part: int = 0
    deinterlaced: bool = False
    shot: int = 0


@dataclass(frozen=True)
class VideoInfo:
    """Properties of a video, or of the requested span of it, found by probing."""

    width: int  # upright, square pixels
    height: int
    fps: float  # mean rate of the source
    n_frames: int  # of the source
    timeline_frames: int  # on the common timeline
    duration_s: float
    codec: str
    rotation: int  # degrees counterclockwise, as stored in the file
    vfr: bool  # variable frame rate
    sha256: str
    note: str = ""  # what a person should know of an ok video: frames that are missing, a conversion of its pictures


def read_frames(
    path: str | Path,
    target_fps: float | None = 25.0,
    start: float | None = None,
    end: float | None = None,
    folder_fps: float | None = None,
) -> Iterator[Frame]:
    """Read a video's frames on the common timeline, in order, in constant memory.

    Args:
        path: a video file, or an image folder.
        target_fps: rate of the timeline; None gives each source frame once, at its own time.
        start, end: seconds after the video's first frame; the span's times count from `start`.
        folder_fps: rate of an image folder; files know theirs.

    Raises:
        VideoError: nothing to read, with a reason of `errors.REASONS`. Damage in mid-file marks the frames it costs.
    """
    with open_video(path, folder_fps) as source:
        frames = source.decode(*exact_span(start, end))
        index = -1
        for index, time, (shown, _) in on_timeline(frames, target_fps, start, end):
            rgb, damaged = source.to_rgb(shown)
            yield Frame(index, float(time), rgb, damaged, source.part, source.deinterlaced)
        if index < 0:
            raise VideoError("empty_span", f"{path}: no frame between {start} s and {end} s")


def probe_video(
    path: str | Path,
    start: float | None = None,
    end: float | None = None,
    target_fps: float | None = 25.0,
    folder_fps: float | None = None,
) -> VideoInfo:
    """Probe a video file or an image folder, by its packets' times and its first decoded frame.

    Raises:
        VideoError: the video cannot be used; the reason is a key of `errors.REASONS`.
    """
    with open_video(path, folder_fps) as source:
        first = source.first_rgb()
        shown = Intervals(source.packet_times(*exact_span(start, end)), *exact_span(start, end))
        n_timeline = _count_frames(path, on_timeline(shown, target_fps, start, end))
        if source.timeless or (shown.count > 1 and shown.longest == 0):
            raise VideoError("no_duration", f"{path}: {shown.count} frames, all at the same time")
        _check_clock(path, shown, source.untimely)
        if n_timeline == 0:
            raise VideoError("empty_span", f"{path}: no frame between {start} s and {end} s")
        mean = shown.mean or Fraction(1, Fraction(target_fps or 25))
        return VideoInfo(
            width=first.shape[1],
            height=first.shape[0],
            fps=float(1 / mean),
            n_frames=shown.count,
            timeline_frames=n_timeline,
            duration_s=float(mean * shown.count),
            codec=source.codec,
            rotation=source.rotation,
            vfr=shown.longest - shown.shortest > mean / 10 + source.tick,
            sha256=source.digest(),
            note=source.note(start, end),
        )


def _count_frames(path: str | Path, timeline: Iterable[tuple[int, Fraction, Timed]]) -> int:
    """Count the frames of a timeline; refuse one that is longer than the limits."""
    count = 0
    for count, (_, time, _) in enumerate(timeline, 1):
        if time > LONGEST_S or count > LONGEST_S * FASTEST_FPS:
            raise too_long(path, f"{count} frames to {float(time):.0f} s, and more")
    return count


def _check_clock(path: str | Path, shown: Intervals, untimely: int) -> None:
    """Refuse times that no video can have."""
    if untimely > shown.count:
        found = f"{untimely} of {untimely + shown.count} frames are timed no later than one before"
        raise VideoError("broken_clock", f"{path}: {found}")
    if shown.mean and 1 / shown.mean > FASTEST_FPS:
        raise VideoError("broken_clock", f"{path}: {float(1 / shown.mean):.0f} frames a second, at most {FASTEST_FPS}")
