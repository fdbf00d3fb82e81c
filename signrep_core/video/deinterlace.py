"""Deinterlace the frames that their stream marks as interlaced (FFmpeg's bwdif); each gives one frame, at its time."""

from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

from av.filter import Graph

from signrep_core.video.damage import Lost


def deinterlace(items: Iterable[Any]) -> Iterator[Any]:
    """Pass decoded frames and lost ones through, in order.

    Interlaced frames come out one frame later, deinterlaced,
    with True as `opaque`.
    """
    filter_: _Bwdif | None = None
    for item in items:
        usable = not isinstance(item, Lost) and (filter_ or item.interlaced_frame)
        if filter_ and not (usable and filter_.takes(item)):
            yield from filter_.finish()
            filter_ = None
        if usable:
            filter_ = filter_ or _Bwdif(item)
            yield from filter_.push(item)
        else:
            yield item
    if filter_:
        yield from filter_.finish()


class _Bwdif:
    """A filter for frames of one size and format."""

    def __init__(self, frame: Any) -> None:
        self._graph = Graph()
        self._graph.threads = 1
        self._shape = self._shape_of(frame)
        self._waiting: deque[Any] = deque()  # frames whose deinterlaced ones did not come yet
        source = self._graph.add_buffer(template=frame, time_base=Fraction(1, 1000))
        nodes = source, self._graph.add("bwdif", "mode=send_frame:deint=interlaced"), self._graph.add("buffersink")
        self._graph.link_nodes(*nodes)
        self._graph.configure()

    def takes(self, frame: Any) -> bool:
        """Whether a frame has the size and format of the filter."""
        return self._shape_of(frame) == self._shape

    def push(self, frame: Any) -> Iterator[Any]:
        """Take a frame; yield those that are ready."""
        self._waiting.append(frame)
        self._graph.vpush(frame)
        yield from self._ready()

    def finish(self) -> Iterator[Any]:
        """Yield the rest; a single frame, which bwdif needs another for, comes as it is."""
        self._graph.vpush(None)
        yield from self._ready()
        yield from self._waiting

    def _ready(self) -> Iterator[Any]:
        while self._waiting:
            try:
                done = self._graph.vpull()
            except (BlockingIOError, EOFError):
                return
            given = self._waiting.popleft()
            done.pts, done.dts, done.opaque = given.pts, given.dts, given.interlaced_frame
            yield done

    @staticmethod
    def _shape_of(frame: Any) -> tuple[int, int, str]:
        return frame.width, frame.height, frame.format.name
