"""Open a video file or an image folder, and decode its frames with their times.

Only local files are opened, and no playlist that could name other files. Files that would take unbounded time or memory
are refused: see the limits below.
"""

import functools
import heapq
import itertools
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition
from numpy.typing import NDArray

from signrep_core.errors import VideoError
from signrep_core.store.files import file_digest
from signrep_core.video.damage import Damage, Lost
from signrep_core.video.deinterlace import deinterlace
from signrep_core.video.formats import FORMATS
from signrep_core.video.hdr import TRANSFERS
from signrep_core.video.image_folder import MAX_PIXELS, ImageFolder
from signrep_core.video.order import Stamp, choose_stamp
from signrep_core.video.rgb import UPRIGHT, Orientation, RgbConverter, orientation_of
from signrep_core.video.timeline import Clock, Timed

log = logging.getLogger(__name__)

LACKING_S = 1.0  # a file that ends so much earlier than its header says is cut off
SEEK_MARGIN_S = Fraction(1, 2)  # a span's reading begins at a keyframe at least this much before it
REORDER_PACKETS = 32  # packets leave the demuxer in decoding order; no codec reorders further than this
READ_ERRORS_IN_A_ROW = 8  # after so many damaged reads without a packet the rest of the file is skipped
LONGEST_S = 4 * 3600  # of a video, or of a span of one; the stages that hold a whole video's rows rely on it
FASTEST_FPS = 300  # mean rate of a source; more is a clock in other units than it says


class VideoFile:
    """An open video: its stream, its frames and its packets' times."""

    def __init__(self, path: str | Path, container: Any, stream: Any) -> None:
        self.path, self._container, self.stream = path, container, stream
        self.tick: Fraction = stream.time_base
        # The codec's own rate first: where few packets have times, FFmpeg's guess counts only those.
        self._rate: Fraction | None = stream.codec_context.framerate or stream.guessed_rate or stream.average_rate
        self._first: Any = None
        self._stamp: Stamp = "pts"  # the frames' timestamps that are relied on
        self._delay = 0  # packets that the decoder takes before it gives the first frame
        self.timeless = False
        self._shown: Any = None
        self.untimely = 0  # packets that no time could be given to
        self._announced, self._last_s = 0, Fraction(0)  # packets, hidden ones too, and the last frame's time

    def first_frame(self) -> Any:
        """The first frame that can be decoded; the file is rewound afterwards, if it was not read yet."""
        if self._first is None:
            packets = _Counted(self._packets())
            self._first = next((frame for frame in self._frames(packets) if not isinstance(frame, Lost)), None)
            codec = self.stream.codec_context
            if self._first is None:
                raise VideoError("undecodable", f"{self.path}: no frame of its {codec.name} stream decodes")
            self._delay = packets.count - 1
            self._stamp = choose_stamp(self._container, codec, packets, self._first, packets.count)
            self._rewind(None)
        return self._first

    def decode(self, start: Fraction | None, end: Fraction | None) -> Iterator[Timed]:
        """((decoded frame, its orientation), or None for a lost one; its time): the span, and a little around it."""
        orientation = UPRIGHT
        for frame, time in self._from(start, lambda: deinterlace(self._frames(self._packets())), self._stamp_of):
            if isinstance(frame, Lost):
                yield None, time
            else:
                orientation = orientation_of(frame, orientation)
                yield (frame, orientation), time
            if end is not None and time > end + SEEK_MARGIN_S:
                return

    def packet_times(self, start: Fraction | None, end: Fraction | None) -> Iterator[Timed]:
        """(None, time) of the frames that the packets announce, without decoding them."""
        self.timeless = True
        for timestamp, time in self._from(start, self._timestamps, lambda timestamp: timestamp):
            self.timeless = self.timeless and timestamp is None and self._rate is None
            self._last_s = time
            yield None, time
            if end is not None and time > end + SEEK_MARGIN_S:
                return

    def _from(self, start: Fraction | None, read: Any, timestamp_of: Any) -> Iterator[Timed]:
        """Items of `read` with their times, from the last keyframe before `start` where the file can be sought."""
        first = self._stamp_of(self.first_frame())
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
        self._container, self.stream = _open_stream(self.path)

    def _stamp_of(self, item: Any) -> int | None:
        """The timestamp of a frame, a lost frame or a packet; None where the file tells none."""
        return getattr(item, self._stamp, None)

    def _frames(self, packets: Iterable[Any]) -> Iterator[Any]:
        """Every frame in the order of showing: decoded, or lost."""
        damage = Damage(ordered=self._stamp == "pts")
        for packet in packets:
            damage.expect(packet)
            try:
                frames = packet.decode()
            except av.FFmpegError:
                yield from damage.fail(packet)
                continue
            for frame in frames:
                yield from damage.sort(frame)
        yield from damage.rest()
        if damage.lost:
            log.warning("%s: %d frames are damaged, or are predicted from damaged ones", self.path, damage.lost)

    def _packets(self) -> Iterator[Any]:
        """The stream's packets with the closing empty one; continues after damaged reads."""
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

    def _shown_packets(self) -> Iterator[Any]:
        """The packets of frames that are shown; counts the others too."""
        self._announced = 0
        for packet in self._packets():
            self._announced += packet.size > 0
            if packet.size and not packet.is_discard:
                yield packet

    def _timestamps(self) -> Iterator[int | None]:
        """The frames' timestamps in the order of showing, from the packets alone."""
        if self._stamp != "pts":
            yield from map(self._stamp_of, self._shown_packets())
            yield from itertools.repeat(None, self._delay if self._stamp == "dts" else 0)  # those that come at the end
            return
        waiting: list[int] = []
        decoded_at = None
        for packet in self._shown_packets():
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

    def note(self, start: float | None, end: float | None) -> str:
        """Return what a person should know of the span, once its packets were read; mostly empty."""
        transfer = TRANSFERS.get(self.first_frame().color_trc)
        notes = self._shortfall(start, end), f"{transfer} tone-mapped to SDR" if transfer else ""
        return "; ".join(filter(None, notes))

    def _shortfall(self, start: float | None, end: float | None) -> str:
        """Say which of the frames that the header promises are not in the file."""
        if end is not None:
            return ""
        container = self._container  # whose duration counts from zero in some formats
        promised_s = ((container.duration or 0) - max(container.start_time or 0, 0)) / av.time_base
        if not start and (promised := self.stream.frames) > self._announced:
            promised_s = max(promised_s, float(promised / self._rate) if self._rate else 0.0)
            if promised_s - float(self._last_s) > 2.5 * promised_s / promised:
                return f"cut off: the file promises {promised} frames and gives {self._announced}"
        if promised_s - float(self._last_s) > LACKING_S:
            return f"the file promises {promised_s:.1f} s and its frames end at {float(self._last_s):.1f} s"
        return ""

    @property
    def part(self) -> int:
        """Number of the part of the frame that `to_rgb` gave last."""
        return self._converter.part

    @property
    def deinterlaced(self) -> bool:
        """Whether the frame that `to_rgb` gave last was deinterlaced."""
        return bool(self._shown[0].opaque)

    def to_rgb(self, frame: tuple[Any, Orientation] | None) -> tuple[NDArray[np.uint8], bool]:
        """(H, W, 3) uint8 of a frame, and False; for a lost frame (None) the one converted before it, and True."""
        self._shown = frame or self._shown or self._first_item()
        return self._converter.convert(*self._shown), frame is None

    def first_rgb(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 of the first frame that can be decoded."""
        return self.to_rgb(self._first_item())[0]

    def _first_item(self) -> tuple[Any, Orientation]:
        return self.first_frame(), orientation_of(self.first_frame())

    @functools.cached_property
    def _converter(self) -> RgbConverter:
        return RgbConverter(self.path, self.stream.sample_aspect_ratio)

    @property
    def codec(self) -> str:
        """Name of the codec."""
        return str(self.stream.codec_context.codec.canonical_name)

    @property
    def rotation(self) -> int:
        """Degrees counterclockwise, as stored in the file."""
        return int(self.first_frame().rotation)

    def digest(self) -> str:
        """SHA-256 of the file, in hex."""
        return _digest(str(self.path), *_identity(self.path))

    def close(self) -> None:
        """Close the file."""
        self._container.close()


@contextmanager
def open_video(path: str | Path, folder_fps: float | None) -> Iterator[VideoFile | ImageFolder]:
    """Open a video file or an image folder.

    Raises:
        VideoError: it is neither; the reason is a key of `errors.REASONS`.
    """
    _check_name(str(path))
    if Path(path).is_dir():
        yield ImageFolder(path, folder_fps)
        return
    _check_file(Path(path))
    try:
        source = VideoFile(path, *_open_stream(path))
    except av.FFmpegError as error:
        raise VideoError("not_a_video", f"{path}: {_why_unreadable(Path(path))} ({error.strerror})") from error
    try:
        source.first_frame()
        yield source
    finally:
        source.close()


def _open_stream(path: str | Path) -> tuple[Any, Any]:
    """An opened container and its video stream."""
    # "file:" keeps a colon in the name from being read as a protocol.
    options = {"protocol_whitelist": "file", "format_whitelist": ",".join(FORMATS)}
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
    # With several threads the frames around an error depend on their number: some are lost, some are not marked.
    stream.codec_context.thread_count = 1
    return container, stream


def _check_size(path: str | Path, stream: Any) -> None:
    """Refuse a size or a length in the header that cannot be read in bounded time and memory."""
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > MAX_PIXELS:
        raise VideoError("too_large", f"{path}: {width}×{height} pixels, at most {MAX_PIXELS}; scale it down")
    if stream.frames > LONGEST_S * FASTEST_FPS:
        raise too_long(path, f"{stream.frames} frames by its header")


def _check_name(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError as error:
        said = f"{path!a}: tables cannot hold a name that is not UTF-8; rename it"
        raise VideoError("not_a_video", said) from error


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


class _Counted:
    """Passes items through and counts them."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._items, self.count = iter(items), 0

    def __iter__(self) -> "_Counted":
        return self

    def __next__(self) -> Any:
        item = next(self._items)
        self.count += 1
        return item


def _peek(items: Iterator[Any]) -> tuple[Iterator[Any], list[Any]]:
    """The items, and the first of them in a list (empty if there is none)."""
    head = list(itertools.islice(items, 1))
    return itertools.chain(head, items), head


def too_long(path: str | Path, found: str) -> VideoError:
    """The error of a video that is longer than the limits."""
    return VideoError(
        "too_long",
        f"{path}: {found}, at most {LONGEST_S} s and {LONGEST_S * FASTEST_FPS} frames are read at once; cut it into "
        "spans (start, end) in the sheet",
    )
