"""Read windows of the shards: one ranged read and one decode each, without opening a container.

A shard is an MP4 and a table with a row per frame: the place of the frame's packet and its training targets.
`index.parquet` has a row per sequence, `info.json` the parameters of the decoder. Every sequence begins with a
keyframe and has one every `gop` frames, so a window is decoded from the keyframe at or before its first frame.

Legend: T frames of a window, J = 61 joints.
"""

import base64
import io
import json
import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from signrep_core.errors import ShardError, TableError
from signrep_core.skeleton import SKELETON_VERSION
from signrep_core.store.page_reader import PageReader
from signrep_core.store.schemas import FRAMES, SEQUENCES
from signrep_core.store.tables import Columns, read_table
from signrep_core.window import WINDOW

GOP: Final = 6  # frames from keyframe to keyframe (docs/decisions/0011)
FORMAT_VERSION: Final = 1  # of the shards as a whole; raise it when an older reader could misread them
# Of the frame tables. A window reads all row groups that it touches, and a reader keeps the place of every group:
# smaller groups make reading faster and the reader larger (measured: benchmarks/loader.py).
ROWS_PER_GROUP: Final = 128
PACKETS: Final = ("sequence", "packet_offset", "packet_size", "keyframe")
TARGETS: Final = (
    "frame", "body_angles", "right_angles", "left_angles", "keypoints", "confidence", "right_active", "left_active",
)  # fmt: skip


class ShardReader:
    """Random windows of a folder of shards.

    Pickles without its open files, so every process of a data loader opens its own; not for several threads at once.

    Args:
        folder: holds `index.parquet` and `info.json`.
        max_open: shards kept open, at two file descriptors each. The places of a shard's rows are kept for all
            that were read from, some 50 KB for each hour of video.

    Raises:
        ShardError: another format or skeleton version.
        TableError: the index is missing or of another version.
    """

    def __init__(self, folder: str | Path, max_open: int = 128) -> None:
        self.folder = Path(folder)
        self.index: Columns = read_table(self.folder / "index.parquet", SEQUENCES)
        self.info = read_info(self.folder / "info.json")
        self._max_open = max_open
        self._forget()

    def __len__(self) -> int:
        """Number of sequences."""
        return len(self.index["shard"])

    def read_window(self, row: int, start: int, n_frames: int = WINDOW) -> NDArray[np.uint8]:
        """Read frames start .. start + n_frames of a sequence as (T, 256, 256, 3) RGB; `row` is its row of the index.

        For pictures: the models are given `read_planes`, since FFmpeg's fast conversion is about a level too dark.

        Raises:
            IndexError: the sequence has no such frames.
            ShardError: the shard's bytes disagree with its table; names shard and sequence.
        """
        rgb = np.empty((max(n_frames, 0), self.info.height, self.info.width, 3), np.uint8)
        for k, frame in enumerate(self._decode(row, start, n_frames)):
            rgb[k] = self._reformatter.reformat(
                frame, format="rgb24", src_colorspace=Colorspace.ITU709, src_color_range=ColorRange.MPEG,
                dst_color_range=ColorRange.JPEG, threads=1,
            ).to_ndarray()  # fmt: skip
        return rgb

    def read_planes(self, row: int, start: int, n_frames: int = WINDOW) -> NDArray[np.uint8]:
        """Read the same frames as (T, 384, 256): 256 rows of Y, 64 of U, 64 of V (yuv420p, BT.709, TV range)."""
        return self._planes(self._decode(row, start, n_frames), max(n_frames, 0))

    def read_planes_at(self, row: int, frames: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Read some frames of a sequence, ascending numbers (T,), as `read_planes` does.

        Decoded are only the frames from a keyframe to the last wanted one before the next.

        Raises:
            IndexError, ShardError: as read_window.
        """
        start, n_frames = int(frames[0]), int(frames[-1] - frames[0] + 1)
        return self._planes(self._decode(row, start, n_frames, (frames - start).tolist()), len(frames))

    def _planes(self, frames: Iterator[Any], n: int) -> NDArray[np.uint8]:
        """Copy the planes of n decoded frames: (n, 384, 256)."""
        height, width = self.info.height, self.info.width
        planes = np.empty((n, height + height // 2, width), np.uint8)
        for k, frame in enumerate(frames):
            out, end = planes[k].reshape(-1), 0
            for plane in frame.planes:
                begin, end = end, end + plane.width * plane.height
                out[begin:end] = _unpadded(plane)
        return planes

    def read_mp4(self, row: int, start: int = 0, n_frames: int | None = None) -> bytes:
        """Read the same frames as an MP4 of their own, copied packet by packet; `start` must be a keyframe.

        Args:
            n_frames: to the end of the sequence by default.

        Raises:
            IndexError, ShardError: as read_window.
        """
        if start % self.info.gop:
            raise IndexError(f"{self._name(row)}: frame {start} is no keyframe; those are multiples of {self.info.gop}")
        n_frames = int(self.index["n_frames"][row]) - start if n_frames is None else n_frames
        packets = self._packets(row, start, n_frames)
        rate = Fraction(float(self.index["fps"][row])).limit_denominator(1001)
        written = io.BytesIO()
        shard = self.folder / self.info.paths["mp4"].format(shard=self.index["shard"][row])
        with av.open(str(shard)) as source, av.open(written, "w", format="mp4") as mp4:
            stream: Any = mp4.add_stream_from_template(source.streams.video[0])
            for k, packet in enumerate(packets):
                packet.stream, packet.time_base, packet.duration = stream, 1 / rate, 1
                packet.pts = packet.dts = k
                packet.is_keyframe = k % self.info.gop == 0
                mp4.mux(packet)
        return written.getvalue()

    def read_targets(self, row: int, start: int, n_frames: int = WINDOW) -> Columns:
        """Read the TARGETS of the same frames, each (T, ...). Activity (masked) is that of the window that starts
        at each frame.

        Raises:
            IndexError, ShardError: as read_window.
        """
        first = self._first_row(row, start, n_frames)
        columns = self._rows(row, first, first + n_frames, PACKETS + TARGETS)
        return {name: columns[name] for name in TARGETS}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if not name.startswith("_")} | {
            "_max_open": self._max_open
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()

    def _forget(self) -> None:
        """Drop open files and the decoder: those of another process must not be used."""
        self._pid = os.getpid()
        self._open: OrderedDict[str, _Shard] = OrderedDict()
        self._pages: dict[tuple[str, int, int], PageReader] = {}  # of all shards that were read from, open or not
        self._last: tuple[_Shard, range, Columns] | None = None
        self._decoder: Any = None
        self._reformatter = VideoReformatter()

    def _first_row(self, row: int, start: int, n_frames: int) -> int:
        """Row of the shard's frame table where a window begins."""
        length = int(self.index["n_frames"][row])
        if n_frames < 1 or start < 0 or start + n_frames > length:
            raise IndexError(f"{self._name(row)}: frames {start}..{start + n_frames} of a sequence of {length}")
        return int(self.index["first_row"][row]) + start

    def _decode(self, row: int, start: int, n_frames: int, chosen: Sequence[int] | None = None) -> Iterator[Any]:
        """Yield the window's frames, each as soon as it is decoded, while it is in the cache.

        Args:
            chosen: ascending numbers of those that are wanted, from `start` on; None = all.
        """
        lead = start % self.info.gop  # frames between the keyframe and the window
        packets = self._packets(row, start - lead, lead + n_frames)
        wanted = [lead + k for k in (range(n_frames) if chosen is None else chosen)]
        last = {k // self.info.gop: k for k in wanted}  # of each keyframe's frames
        needed = [k for k in range(len(packets)) if k <= last.get(k // self.info.gop, -1)]
        kept = set(wanted)
        decoder, self._decoder = self._decoder or self.info.decoder(), None  # not used again after an error
        found = 0
        try:
            for packet in (*(packets[k] for k in needed), None):
                for frame in decoder.decode(packet):
                    if frame.is_corrupt or (frame.width, frame.height) != (self.info.width, self.info.height):
                        raise self._broken(row, "its packets are damaged")
                    if found < len(needed) and needed[found] in kept:
                        yield frame
                    found += 1
            decoder.flush_buffers()
        except av.FFmpegError as error:
            raise self._broken(row, f"its packets cannot be decoded ({error.strerror})") from error
        if found != len(needed):
            raise self._broken(row, f"{len(needed)} packets gave {found} frames")
        self._decoder = decoder

    def _packets(self, row: int, start: int, n_frames: int) -> list[Any]:
        """The packets of frames from a keyframe on."""
        first = self._first_row(row, start, n_frames)
        columns = self._rows(row, first, first + n_frames, PACKETS)
        offsets, sizes = columns["packet_offset"], columns["packet_size"]
        begin, end = int(offsets[0]), int(offsets[-1]) + int(sizes[-1])
        if not columns["keyframe"][0] or not np.array_equal(offsets[:-1] + sizes[:-1], offsets[1:]):
            raise self._broken(row, "its packets do not follow each other from a keyframe on")
        data = os.pread(self._shard(row).mp4, end - begin, begin)
        if len(data) != end - begin:
            size = os.fstat(self._shard(row).mp4).st_size
            raise self._broken(row, f"the MP4 has {size} bytes, its packets go to {end}")
        places = zip((offsets - begin).tolist(), sizes.tolist(), strict=True)
        return [av.Packet(data[place : place + size]) for place, size in places]

    def _rows(self, row: int, begin: int, end: int, names: tuple[str, ...]) -> Columns:
        """Rows of a sequence out of its shard's frame table."""
        try:
            columns, first = self._groups(self._shard(row), begin, end, names)
        except (OSError, TableError) as error:
            raise self._broken(row, f"its table cannot be read ({error})") from error
        rows = {name: columns[name][begin - first : end - first] for name in names}
        if (rows["sequence"] != self.index["sequence"][row]).any():
            raise self._broken(row, f"rows {begin}..{end} of its table belong to another sequence")
        return rows

    def _groups(self, shard: "_Shard", begin: int, end: int, names: tuple[str, ...]) -> tuple[Columns, int]:
        """Read the row groups of some rows; return them and their first row. The last ones are kept: a window's targets
        are in the same groups as the places of its packets.
        """
        groups, first = shard.pages.groups(begin, end)
        if self._last is None or self._last[:2] != (shard, groups) or not self._last[2].keys() >= set(names):
            self._last = shard, groups, shard.read(groups, names)
        return self._last[2], first

    def _shard(self, row: int) -> "_Shard":
        """Open the shard of a sequence; close the least recently used one if too many are open."""
        if self._pid != os.getpid():
            self._forget()  # forked: files and decoder are the parent's
        name = self.index["shard"][row]
        shard = self._open.pop(name, None)
        if shard is None:
            while len(self._open) >= self._max_open:
                self._open.popitem(last=False)[1].close()
            shard = self._open_shard(row, name)
        self._open[name] = shard
        return shard

    def _open_shard(self, row: int, name: str) -> "_Shard":
        mp4, frames = (self.folder / self.info.paths[kind].format(shard=name) for kind in ("mp4", "frames"))
        try:
            stat = os.stat(frames)
            version = (name, stat.st_size, stat.st_mtime_ns)
            if version not in self._pages:
                self._pages[version] = PageReader(frames, FRAMES)
            return _Shard(mp4, frames, self._pages[version])
        except (OSError, TableError) as error:
            raise self._broken(row, f"{error}; copy the whole folder of shards again") from error

    def _broken(self, row: int, what: str) -> ShardError:
        return ShardError(f"{self._name(row)}: {what}; pack the shard again: snakemake --forcerun crop_signers")

    def _name(self, row: int) -> str:
        return (
            f"{self.folder}: shard {self.index['shard'][row]}, sequence {self.index['sequence'][row]} "
            f"of video {self.index['video_id'][row]!r}"
        )


def _unpadded(plane: Any) -> NDArray[np.uint8]:
    """Copy a decoded plane without its padding; PyAV's own conversion copies twice."""
    if plane.line_size == plane.width:
        return np.frombuffer(plane, np.uint8, plane.width * plane.height)
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width].reshape(-1)


class _Shard:
    """A shard's two open files."""

    def __init__(self, mp4: Path, frames: Path, pages: PageReader) -> None:
        self.pages = pages
        self._frames = os.open(frames, os.O_RDONLY)
        try:
            self.mp4 = os.open(mp4, os.O_RDONLY)
        except OSError:
            os.close(self._frames)
            raise

    def read(self, groups: range, names: Sequence[str]) -> Columns:
        """Read row groups of the frame table."""
        return self.pages.read(self._frames, groups, names)

    def close(self) -> None:
        os.close(self._frames)
        os.close(self.mp4)


# ---------------------------------------------------------------- info.json


@dataclass(frozen=True)
class ShardInfo:
    """Content of info.json: format and decoder parameters of all shards of a folder."""

    encoder: str  # its settings
    codec: str
    extradata: bytes  # the decoder's parameters (avcC)
    width: int
    height: int
    pix_fmt: str
    gop: int
    counts: dict[str, int]
    paths: dict[str, str]

    def decoder(self) -> Any:
        """Open a decoder for the shards' packets."""
        decoder = av.CodecContext.create(self.codec, "r")
        decoder.extradata = self.extradata
        decoder.thread_count = 1  # frame threads delay frames, and the loader runs many processes
        decoder.options = {"err_detect": "explode"}
        return decoder

    def to_json(self) -> dict[str, Any]:
        """The content of info.json."""
        return {
            "format": "signrep shards",
            "version": FORMAT_VERSION,
            "skeleton": SKELETON_VERSION,
            **{name: getattr(self, name) for name in ("encoder", "codec", "width", "height", "pix_fmt", "gop")},
            "extradata": base64.b64encode(self.extradata).decode(),
            "counts": self.counts,
            "paths": self.paths,
        }


def read_info(path: str | Path) -> ShardInfo:
    """Read info.json.

    Raises:
        ShardError: it is missing or broken, or of another format or skeleton version.
    """
    redo = "rerun the stage index_shards, or copy the whole folder of shards again"
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        versions = found["version"], found["skeleton"]
        if versions != (FORMAT_VERSION, SKELETON_VERSION):
            raise ShardError(
                f"{path}: expected format version {FORMAT_VERSION} and skeleton version {SKELETON_VERSION}, "
                f"found {versions[0]} and {versions[1]}; {redo}"
            )
        names = ("encoder", "codec", "width", "height", "pix_fmt", "gop", "counts", "paths")
        return ShardInfo(extradata=base64.b64decode(found["extradata"]), **{name: found[name] for name in names})
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ShardError(f"{path}: cannot be read as the shards' info ({error!r}); {redo}") from error
