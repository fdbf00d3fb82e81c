"""Which frames of a damaged video can be shown: not those that did not decode, nor what builds on them."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Lost:
    """Stands for a frame of the file that cannot be shown."""

    pts: int


class Damage:
    """Tells lost frames from good ones: those that did not decode, and all after them up to the next keyframe."""

    def __init__(self) -> None:
        self.errors = 0  # packets that did not decode, whose frames were not missed yet
        self.lost = 0
        self._promised: list[int] = []  # heap of the timestamps of packets whose frames did not come yet
        self._suspects: set[int] = set()  # timestamps of packets that the demuxer calls corrupt
        self._builds_on_damage = False

    def promise(self, packet: Any) -> None:
        """Note a packet before it is decoded."""
        if packet.size and packet.pts is not None and not packet.is_discard:
            heapq.heappush(self._promised, packet.pts)
            if packet.is_corrupt:
                self._suspects.add(packet.pts)

    def sort(self, frame: Any) -> Iterator[Any]:
        """The frames missing before a decoded one, as lost, and that frame itself or a lost one in its place."""
        if frame.pts is None:
            if self._is_good(frame):
                yield frame
            return
        yield from self._missing(frame.pts)
        if self._promised and self._promised[0] == frame.pts:
            heapq.heappop(self._promised)
        if self._is_good(frame):
            yield frame
        else:
            self.lost += 1
            yield Lost(frame.pts)

    def rest(self) -> Iterator[Lost]:
        """What is missing at the end."""
        yield from self._missing(None)

    def _missing(self, until: int | None) -> Iterator[Lost]:
        # A packet without a frame is no damage by itself: some codecs have packets that are never shown.
        while self._promised and (until is None or self._promised[0] < until):
            timestamp = heapq.heappop(self._promised)
            if self.errors:
                self.errors -= 1
                self.lost += 1
                self._builds_on_damage = True
                yield Lost(timestamp)

    def _is_good(self, frame: Any) -> bool:
        damaged = frame.is_corrupt or frame.pts in self._suspects
        self._suspects.discard(frame.pts)
        self._builds_on_damage = damaged or (self._builds_on_damage and not frame.key_frame)
        return not self._builds_on_damage
