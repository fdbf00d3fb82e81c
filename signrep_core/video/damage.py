"""Find the lost frames of a damaged video: those that did not decode, and those predicted from them."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Lost:
    """A frame of the file that cannot be decoded, with its packet's timestamps."""

    pts: int | None
    dts: int | None = None


class Damage:
    """Separates lost frames from good ones: lost are those that did not decode, and all up to the next keyframe.

    Args:
        ordered: the packets' times are those of showing, so a frame that does not come has a place among the others.
            Else it is taken to be missing where its packet was decoded.
    """

    def __init__(self, ordered: bool = True) -> None:
        self._ordered = ordered
        self.errors = 0  # packets that did not decode, whose frames were not reported as lost yet
        self.lost = 0
        self._expected: list[int] = []  # heap of the timestamps of packets whose frames were not decoded yet
        self._suspects: set[int] = set()  # timestamps of packets that the demuxer marks as corrupt
        self._predicted_from_damage = False

    def expect(self, packet: Any) -> None:
        """Note a packet before it is decoded."""
        if packet.size and packet.pts is not None and not packet.is_discard:
            if self._ordered:
                heapq.heappush(self._expected, packet.pts)
            if packet.is_corrupt:
                self._suspects.add(packet.pts)

    def fail(self, packet: Any) -> Iterator[Lost]:
        """Note a packet that did not decode; its frame is lost here, or where `sort` finds its place."""
        if self._ordered and packet.pts is not None:
            self.errors += 1
        elif packet.size:
            self.lost += 1
            self._predicted_from_damage = True
            yield Lost(packet.pts, packet.dts)

    def sort(self, frame: Any) -> Iterator[Any]:
        """Yield the frames missing before a decoded one, as lost, and that frame, or a lost one in its place."""
        if frame.pts is not None:
            yield from self._missing(frame.pts)
            if self._expected and self._expected[0] == frame.pts:
                heapq.heappop(self._expected)
        if self._is_good(frame):
            yield frame
        else:
            self.lost += 1
            yield Lost(frame.pts, frame.dts)

    def rest(self) -> Iterator[Lost]:
        """Yield the frames that are missing at the end."""
        yield from self._missing(None)

    def _missing(self, until: int | None) -> Iterator[Lost]:
        # A packet without a frame is not always damage: some codecs have packets that are never shown.
        while self._expected and (until is None or self._expected[0] < until):
            timestamp = heapq.heappop(self._expected)
            if self.errors:
                self.errors -= 1
                self.lost += 1
                self._predicted_from_damage = True
                yield Lost(timestamp)

    def _is_good(self, frame: Any) -> bool:
        damaged = frame.is_corrupt or frame.pts in self._suspects
        self._suspects.discard(frame.pts)
        self._predicted_from_damage = damaged or (self._predicted_from_damage and not frame.key_frame)
        return not self._predicted_from_damage
