"""Which frames a video has: reading a video file or a folder of pictures as upright RGB frames on the common timeline.

Pose and crop both take their frames from `read_frames`, so frame k of one is frame k of the other. Frame k of the
common timeline is shown at k / target_fps seconds after the first shown frame (or after `start`) and is the source
frame nearest in time, whatever rate, gaps or repeats the source has.

A frame that is damaged, or that builds on a damaged one, is never shown: it keeps its place on the timeline, marked,
with the last good picture.

Only local files are opened, and no playlist that could name other files. What would take unbounded time or memory is
refused: see the limits below.
"""

import functools
import heapq
import itertools
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type
from av.stream import Disposition
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from signrep_core.errors import VideoError
from signrep_core.store.files import file_digest
from signrep_core.video.damage import Damage, Lost
from signrep_core.video.image_folder import MAX_PIXELS, ImageFolder
from signrep_core.video.timeline import Clock, Intervals, Timed, exact_span, on_timeline

log = logging.getLogger(__name__)

# Demuxers that read one self-contained file. The audio ones are here to tell "audio only" from "not a video".
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,mpegts,mpeg,flv,asf,ogg,mxf,rm,h264,hevc,m4v,ivf,apng,"
    "wav,mp3,flac,aac,aiff"
)
SEEK_MARGIN_S = Fraction(1, 2)  # a span's reading begins at a keyframe at least this much before it
REORDER_PACKETS = 32  # packets leave the demuxer in decoding order; no codec reorders further than this
READ_ERRORS_IN_A_ROW = 8  # after so many damaged reads without a packet the rest of the file is given up
LONGEST_S = 4 * 3600  # of a video, or of a span of one; the stages that hold a whole video's rows rely on it
FASTEST_FPS = 300  # mean rate of a source; more is a clock in other units than it says
SQUARE_PIXEL_LIMIT = 4  # a pixel more than this times wider than high (or higher than wide) is a broken header


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame on the timeline; `rgb` (H, W, 3) uint8 is read-only, and the same array where a frame repeats.

    `damaged`: the file's frame of this time cannot be shown; `rgb` is the last good picture in its place.
    """

    index: int
    time_s: float
    rgb: NDArray[np.uint8]
    damaged: bool = False


@dataclass(frozen=True)
class VideoInfo:
    """What probing found: the span's part of the video where a span was asked for."""

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


def read_frames(
    path: str | Path,
    target_fps: float | None = 25.0,
    start: float | None = None,
    end: float | None = None,
    threads: int = 2,
    folder_fps: float | None = None,
) -> Iterator[Frame]:
    """Read a video's frames on the common timeline, in order, in constant memory.

    Args:
        path: a video file, or a folder of pictures.
        target_fps: rate of the timeline; None gives each source frame once, at its own time.
        start, end: seconds after the video's first frame; the span's times count from `start`.
        threads: decoding threads.
        folder_fps: rate of a folder of pictures; files know theirs.

    Raises:
        VideoError: nothing to read, with a reason of `errors.REASONS`. Damage in mid-file marks the frames it costs.
    """
    with _open_video(path, threads, folder_fps) as source:
        frames = source.decode(*exact_span(start, end))
        index = -1
        for index, time, (shown, _) in on_timeline(frames, target_fps, start, end):
            rgb, damaged = source.paint(shown)
            yield Frame(index, float(time), rgb, damaged)
        if index < 0:
            raise VideoError("empty_span", f"{path}: no frame between {start} s and {end} s")


def probe_video(
    path: str | Path,
    start: float | None = None,
    end: float | None = None,
    target_fps: float | None = 25.0,
    min_frames: int = 16,
    folder_fps: float | None = None,
) -> VideoInfo:
    """What kind of video a file or a folder of pictures holds, from its packets' times and its first decoded frame.

    Raises:
        VideoError: the video cannot be used; the reason is a key of `errors.REASONS`.
    """
    with _open_video(path, 1, folder_fps) as source:
        first = source.first_picture()
        shown = Intervals(source.packet_times(*exact_span(start, end)), *exact_span(start, end))
        n_timeline = _count_frames(path, on_timeline(shown, target_fps, start, end))
        if source.timeless or (shown.count > 1 and shown.longest == 0):
            raise VideoError("no_duration", f"{path}: {shown.count} frames, all at the same time")
        _check_clock(path, shown, source.untimely)
        if n_timeline == 0:
            raise VideoError("empty_span", f"{path}: no frame between {start} s and {end} s")
        if n_timeline < min_frames:
            raise VideoError("too_few_frames", f"{path}: {n_timeline} frames, at least {min_frames} are needed")
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
        )


# ---------------------------------------------------------------- its limits


def _count_frames(path: str | Path, timeline: Iterable[tuple[int, Fraction, Timed]]) -> int:
    """Frames of a timeline, which must not be longer than is read."""
    count = 0
    for count, (_, time, _) in enumerate(timeline, 1):
        if time > LONGEST_S or count > LONGEST_S * FASTEST_FPS:
            raise _too_long(path, f"{count} frames to {float(time):.0f} s, and more")
    return count


def _too_long(path: str | Path, found: str) -> VideoError:
    return VideoError(
        "too_long",
        f"{path}: {found}, at most {LONGEST_S} s and {LONGEST_S * FASTEST_FPS} frames are read at once; cut it into "
        "spans (start, end) in the sheet",
    )


def _check_clock(path: str | Path, shown: Intervals, untimely: int) -> None:
    """The frames' times are possible ones."""
    if untimely > shown.count:
        found = f"{untimely} of {untimely + shown.count} frames are timed no later than one before"
        raise VideoError("broken_clock", f"{path}: {found}")
    if shown.mean and 1 / shown.mean > FASTEST_FPS:
        raise VideoError("broken_clock", f"{path}: {float(1 / shown.mean):.0f} frames a second, at most {FASTEST_FPS}")


# ---------------------------------------------------------------- the file


class _Source:
    """An open video: its stream, its frames and its packets' times."""

    def __init__(self, path: str | Path, container: Any, stream: Any) -> None:
        self.path, self._container, self.stream = path, container, stream
        self.tick: Fraction = stream.time_base
        self._rate: Fraction | None = stream.guessed_rate or stream.average_rate
        self._first: Any = None
        self.timeless = False
        self._painted: Any = None
        self.untimely = 0  # packets that no time could be given to

    def first_frame(self) -> Any:
        """The first frame that can be decoded; the file is rewound afterwards, if it was not read yet."""
        if self._first is None:
            self._first = next((frame for frame in self._frames() if not isinstance(frame, Lost)), None)
            if self._first is None:
                codec = self.stream.codec_context.name
                raise VideoError("undecodable", f"{self.path}: no frame of its {codec} stream decodes")
            self._rewind(None)
        return self._first

    def decode(self, start: Fraction | None, end: Fraction | None) -> Iterator[Timed]:
        """(decoded frame, or None for a lost one, its time), from a little before `start` to a little after `end`."""
        for frame, time in self._from(start, self._frames, lambda frame: frame.pts):
            yield None if isinstance(frame, Lost) else frame, time
            if end is not None and time > end + SEEK_MARGIN_S:
                return

    def packet_times(self, start: Fraction | None, end: Fraction | None) -> Iterator[Timed]:
        """(None, time) of the frames that the packets promise, without decoding them."""
        self.timeless = True
        for timestamp, time in self._from(start, self._timestamps, lambda timestamp: timestamp):
            self.timeless = self.timeless and timestamp is None and self._rate is None
            yield None, time
            if end is not None and time > end + SEEK_MARGIN_S:
                return

    def _from(self, start: Fraction | None, read: Any, timestamp_of: Any) -> Iterator[Timed]:
        """What `read` gives with its times, from the last keyframe before `start` where the file can be sought."""
        first = self.first_frame().pts
        wanted = None
        if start and first is not None and start > SEEK_MARGIN_S:
            wanted = first + int((start - SEEK_MARGIN_S) / self.tick)
            self._rewind(wanted)
        items, head = _peek(read())
        if wanted is not None and (not head or timestamp_of(head[0]) is None or timestamp_of(head[0]) > wanted):
            self._rewind(None)  # sought past the span (or into nothing): read from the beginning
            items, head = _peek(read())
        clock = Clock(self.tick, self._rate, first)
        for item in items:
            time = clock(timestamp_of(item))
            self.untimely += time is None
            if time is not None and time >= 0:
                yield item, time

    def _rewind(self, timestamp: int | None) -> None:
        """Seek to the keyframe before a timestamp, or to the beginning."""
        try:
            if timestamp is not None:
                self._container.seek(timestamp, stream=self.stream, backward=True)
                return
        except av.FFmpegError:
            pass
        self._container.close()
        self._container, self.stream = _open_stream(self.path, self.stream.codec_context.thread_count)

    def _frames(self) -> Iterator[Any]:
        """Every frame in the order of showing: decoded, or lost."""
        damage = Damage()
        for packet in self._packets():
            damage.promise(packet)
            try:
                frames = packet.decode()
            except av.FFmpegError:
                damage.errors += 1
                continue
            for frame in frames:
                yield from damage.sort(frame)
        yield from damage.rest()
        if damage.lost:
            log.warning("%s: %d frames are damaged, or build on damaged ones", self.path, damage.lost)

    def _packets(self) -> Iterator[Any]:
        """The stream's packets with the closing empty one, going on after damaged reads."""
        errors = 0
        while errors < READ_ERRORS_IN_A_ROW:
            try:
                for packet in self._container.demux(self.stream):
                    errors = 0
                    yield packet
                return
            except av.FFmpegError as error:
                errors += 1
                log.warning("%s: damaged while reading: %s", self.path, error)

    def _timestamps(self) -> Iterator[int | None]:
        """The packets' timestamps in the order of showing."""
        waiting: list[int] = []
        decoded_at = None
        for packet in self._packets():
            if packet.size == 0 or packet.is_discard:
                continue
            if decoded_at is not None and packet.dts is not None and packet.dts < decoded_at:
                yield from sorted(waiting)  # the file's clock restarted
                waiting.clear()
            decoded_at = packet.dts
            if packet.pts is None:
                yield packet.dts
                continue
            heapq.heappush(waiting, packet.pts)
            if len(waiting) > REORDER_PACKETS:
                yield heapq.heappop(waiting)
        while waiting:
            yield heapq.heappop(waiting)

    def paint(self, frame: Any | None) -> tuple[NDArray[np.uint8], bool]:
        """(H, W, 3) uint8 of a frame, and False; of a lost one that of the frame painted before it, and True."""
        self._painted = frame or self._painted or self.first_frame()
        return self._painter.paint(self._painted), frame is None

    def first_picture(self) -> NDArray[np.uint8]:
        return self.paint(self.first_frame())[0]

    @functools.cached_property
    def _painter(self) -> "_Painter":
        return _Painter(self)

    @property
    def codec(self) -> str:
        return str(self.stream.codec_context.codec.canonical_name)

    @property
    def rotation(self) -> int:
        return int(self.first_frame().rotation)

    def digest(self) -> str:
        return _digest(str(self.path), *_identity(self.path))

    def close(self) -> None:
        self._container.close()


@contextmanager
def _open_video(path: str | Path, threads: int, folder_fps: float | None) -> Iterator[_Source | ImageFolder]:
    """Open a video file or a folder of pictures, or say with a reason code why it is none."""
    if Path(path).is_dir():
        yield ImageFolder(path, folder_fps)
        return
    _check_file(Path(path))
    try:
        source = _Source(path, *_open_stream(path, threads))
    except av.FFmpegError as error:
        raise VideoError("not_a_video", f"{path}: {_why_unreadable(Path(path))} ({error.strerror})") from error
    try:
        source.first_frame()
        yield source
    finally:
        source.close()


def _open_stream(path: str | Path, threads: int) -> tuple[Any, Any]:
    """An opened container and its video stream."""
    # "file:" keeps a colon in the name from being read as a protocol.
    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
    container = av.open(f"file:{path}", options=options, metadata_errors="replace")
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams or streams[0].codec_context is None:
        kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
        container.close()
        if streams:
            raise VideoError("undecodable", f"{path}: no decoder for the codec of its video stream")
        raise VideoError("no_video_stream", f"{path}: it holds {kinds}")
    stream = max(streams, key=lambda s: bool(s.disposition & Disposition.default))
    _check_size(path, stream)
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}  # also of what comes in mid-file
    stream.codec_context.thread_type = "AUTO"
    stream.codec_context.thread_count = threads
    return container, stream


def _check_size(path: str | Path, stream: Any) -> None:
    """What the header claims can be read in bounded time and memory."""
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > MAX_PIXELS:
        raise VideoError("too_large", f"{path}: {width}×{height} pixels, at most {MAX_PIXELS}; scale it down")
    if stream.frames > LONGEST_S * FASTEST_FPS:
        raise _too_long(path, f"{stream.frames} frames by its header")


def _check_file(path: Path) -> None:
    if not path.exists():
        raise VideoError("missing_file", f"{path}: no such file; correct its path")
    if not path.is_file():
        raise VideoError("not_a_video", f"{path}: a device, not a file")
    if not os.access(path, os.R_OK):
        raise VideoError("not_a_video", f"{path}: may not be read; correct its permissions")
    if path.stat().st_size == 0:
        raise VideoError("empty_file", f"{path}: zero bytes")


def _why_unreadable(path: Path) -> str:
    with open(path, "rb") as file:
        head = file.read(12)
    if head[4:8] == b"ftyp":
        return "an MP4 without its index (moov): cut off, or its recording never finished"
    return "no demuxer recognises it"


@functools.lru_cache(maxsize=256)
def _digest(path: str, size: int, modified_ns: int) -> str:
    """SHA-256 of a file, once for all the spans of one video."""
    return file_digest(path)


def _identity(path: str | Path) -> tuple[int, int]:
    stat = os.stat(path)
    return stat.st_size, stat.st_mtime_ns


def _peek(items: Iterator[Any]) -> tuple[Iterator[Any], list[Any]]:
    """The items, and the first of them in a list (empty if there is none)."""
    head = list(itertools.islice(items, 1))
    return itertools.chain(head, items), head


# ---------------------------------------------------------------- the picture


class _Painter:
    """Decoded frames to upright RGB with square pixels, all of the first frame's size."""

    def __init__(self, source: _Source) -> None:
        self._path = source.path
        self._reformatter = VideoReformatter()
        first = source.first_frame()
        self._size = _square_size(first.width, first.height, source.stream.sample_aspect_ratio)
        self._orientation = _display_matrix(first)
        self._last: tuple[Any, NDArray[np.uint8]] | None = None

    def paint(self, frame: Any) -> NDArray[np.uint8]:
        """(H, W, 3) uint8, read-only."""
        if self._last is not None and self._last[0] is frame:
            return self._last[1]
        try:
            rgb = np.ascontiguousarray(_upright(self._rgb(frame), self._orientation))
        except (av.FFmpegError, ValueError) as error:
            raise VideoError("undecodable", f"{self._path}: no RGB from {frame.format.name} frames: {error}") from error
        rgb.flags.writeable = False
        self._last = frame, rgb
        return rgb

    def _rgb(self, frame: Any) -> NDArray[np.uint8]:
        width, height = self._size
        options: dict[str, Any] = {
            "width": width,
            "height": height,
            "threads": 1,
            "interpolation": Interpolation.BICUBIC,
        }
        if frame.format.has_palette or any(component.is_alpha for component in frame.format.components):
            rgba = self._reformatter.reformat(frame, format="rgba", **options).to_ndarray()
            return (rgba[..., :3].astype(np.uint16) * rgba[..., 3:] // 255).astype(np.uint8)  # on black
        if not frame.format.is_rgb:
            full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
            options["src_color_range"] = ColorRange.JPEG if full else ColorRange.MPEG
            options["dst_color_range"] = ColorRange.JPEG
            options["src_colorspace"] = _matrix(frame)
        return self._reformatter.reformat(frame, format="rgb24", **options).to_ndarray()  # type: ignore[return-value]


def _matrix(frame: Any) -> int:
    """The frame's colour matrix; untagged video is BT.709 from 720 lines on and BT.601 below, as players assume."""
    tagged = {1: Colorspace.ITU709, 4: Colorspace.FCC, 5: Colorspace.ITU601, 6: Colorspace.ITU601,
              7: Colorspace.SMPTE240M, 9: Colorspace.BT2020, 10: Colorspace.BT2020}  # fmt: skip
    return tagged.get(frame.colorspace, Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601)


def _square_size(width: int, height: int, pixel: Fraction | None) -> tuple[int, int]:
    """Width and height with square pixels, never smaller than stored; `pixel` is the width : height of one."""
    if not pixel or not Fraction(1, SQUARE_PIXEL_LIMIT) <= pixel <= SQUARE_PIXEL_LIMIT:
        return width, height
    return (round(width * pixel), height) if pixel >= 1 else (width, round(height / pixel))


def _display_matrix(frame: Any) -> NDArray[np.int32]:
    """The 2×2 part of the file's display matrix, where its picture is to be turned or mirrored; else the identity."""
    for data in frame.side_data:
        if data.type == Type.DISPLAYMATRIX:
            return np.frombuffer(data, np.int32).reshape(3, 3)[:2, :2].copy()
    return np.eye(2, dtype=np.int32)


def _upright(picture: NDArray[np.uint8], matrix: NDArray[np.int32]) -> NDArray[np.uint8]:
    """The picture turned by quarter turns and mirrored as (x, y) · matrix says, as near as a matrix comes to that."""
    (a, b), (c, d) = matrix.tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        picture, a, d = picture.transpose(1, 0, 2), c, b
    return picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
