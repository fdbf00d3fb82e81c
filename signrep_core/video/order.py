"""Choose the timestamps that tell when a file's frames are shown.

Mostly the presentation times (pts). AVI has none, and some muxers write the times of decoding in their place (seen in
ASF and MXF): a frame is then shown when the decoder gives it, at the decoding time (dts) of the packet that the decoder
took last. Where neither is in order (seen in Matroska, with two frames in a packet), or most are missing (H.264 in an
MPEG program stream), the frame rate alone tells the times.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Any, Final, Literal

import av

HEAD: Final = 64  # packets that are looked at: B-frames come within so many, or hardly ever
WITHOUT_PTS: Final = {"avi"}  # demuxers
PACKED: Final = {"mpeg4"}  # codecs that may have two frames in a packet

Stamp = Literal["pts", "dts", "none"]


def choose_stamp(container: Any, codec: Any, packets: Iterable[Any], first: Any, before: int) -> Stamp:
    """Choose the timestamp of decoded frames to rely on.

    Args:
        container, codec: of the open file.
        packets: of the stream, those after the first decoded frame; they may be consumed.
        first: that frame.
        before: number of packets that were decoded for it.
    """
    if not codec.has_b_frames:
        return "pts"  # shown as they are decoded
    if container.format.name in WITHOUT_PTS:
        return "dts"
    head: list[Any] = []
    for packet in islice(packets, max(HEAD - before, 0)):
        if head and None is not packet.pts < (head[-1].pts or 0) and codec.name not in PACKED:
            return "pts"  # in another order than that of decoding, so they are no times of decoding
        if packet.size:
            head.append(packet)
    if 2 * sum(packet.pts is None for packet in head) > len(head):
        return "none"
    shown = [first, *(frame for packet in head for frame in _decode(packet))]
    stamps: tuple[Stamp, ...] = ("pts", "dts")
    return next((stamp for stamp in stamps if _rise([getattr(frame, stamp) for frame in shown])), "none")


def _rise(stamps: list[int | None]) -> bool:
    known = [stamp for stamp in stamps if stamp is not None]
    return known == sorted(known)


def _decode(packet: Any) -> list[Any]:
    try:
        return list(packet.decode())
    except av.FFmpegError:
        return []
