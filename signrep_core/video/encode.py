"""Encode 256×256 frames so that a window of them can be read back alone, and join encoded pieces into one MP4.

H.264 yuv420p, BT.709 in TV range, constant frame rate, closed GOPs, no B-frames, keyframes at each piece's start and
every `gop` frames after it and nowhere else. ffmpeg-python drives the FFmpeg binary that imageio-ffmpeg ships; x264
runs single-threaded, so the result does not depend on the machine's cores.
"""

import functools
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import ffmpeg
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from signrep_core.errors import ShardError
from signrep_core.store.shards import GOP

STDERR_TAIL = 2000  # characters of FFmpeg's messages that an error message holds


@dataclass(frozen=True)
class EncoderSettings:
    """Settings of the encoder; `str()` of it is recorded in the MP4 and in shards/info.json."""

    size: int = 256
    fps: float = 25.0
    crf: int = 18
    preset: str = "medium"
    gop: int = GOP

    @property
    def x264(self) -> str:
        """Parameters for x264 besides preset and crf."""
        # Lookahead past the closed GOP buys nothing. CAVLC instead of CABAC: measured on real clips, frames decode in
        # about half the time at 7 % more bytes, and every frame is decoded far more often than it is encoded. Without
        # the deblocking filter windows are read in a sixth less time, at 0.2 dB less PSNR and the same bytes.
        return (
            f"keyint={self.gop}:min-keyint={self.gop}:scenecut=0:bframes=0:open-gop=0:cabac=0:no-deblock=1:rc-lookahead={self.gop}:"
            "threads=1:lookahead-threads=1:sliced-threads=0"
        )

    def __str__(self) -> str:
        return (
            f"libx264 {self.size}x{self.size} yuv420p bt709 tv {self.fps:g} fps crf={self.crf} preset={self.preset} "
            f"{self.x264} (FFmpeg {imageio_ffmpeg.get_ffmpeg_version()})"
        )


class Encoder(AbstractContextManager["Encoder"]):
    """Encodes frames one by one to a piece; the piece is complete when the block ends without an error."""

    def __init__(self, path: Path, settings: EncoderSettings) -> None:
        self._path, self._settings, self.size = path, settings, settings.size
        self.n_frames = 0

    def __enter__(self) -> "Encoder":
        self._stderr = tempfile.TemporaryFile()  # a pipe that nobody reads could fill and block FFmpeg
        self._process = subprocess.Popen(
            _command(self._path, self._settings), stdin=subprocess.PIPE, stderr=self._stderr, bufsize=0
        )
        return self

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Append a frame, (size, size, 3) RGB.

        Raises:
            ShardError: FFmpeg has ended.
        """
        size = self.size
        if frame.shape != (size, size, 3) or frame.dtype != np.uint8:
            raise ValueError(f"expected a uint8 frame {(size, size, 3)}, got {frame.dtype} {frame.shape}")
        assert self._process.stdin is not None
        rest = memoryview(np.ascontiguousarray(frame).data).cast("B")
        try:
            while rest:
                rest = rest[self._process.stdin.write(rest) :]
        except OSError as error:
            raise self._failure() from error
        self.n_frames += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        try:
            if kind is not None:
                self._process.kill()
            self._process.stdin.close()
            if self._process.wait() != 0 and kind is None:
                raise self._failure()
        finally:
            self._stderr.close()

    def _failure(self) -> ShardError:
        code = self._process.wait()
        self._stderr.seek(0)
        said = " | ".join(self._stderr.read().decode(errors="replace").split("\n")).strip(" |")[-STDERR_TAIL:]
        how = f"killed by signal {-code}" if code < 0 else f"exit status {code}"
        return ShardError(
            f"{self._path}: FFmpeg stopped after {self.n_frames} frames ({how}): {said or 'no message'}; "
            "free disk space or memory if that is what ran out, and run the stage again"
        )


def join_pieces(pieces: Sequence[tuple[Path, int]], mp4: Path, settings: EncoderSettings) -> None:
    """Join (piece, its frames) into one MP4 by copying packets: one frame per 1/fps, nothing encoded again.

    The index (moov) stands at the end: nothing reads it but players, and putting it first would write everything twice.
    No piece at all gives a file of zero bytes.

    Raises:
        ShardError: a piece has another number of frames or other codec parameters than the rest.
    """
    if not pieces:
        mp4.write_bytes(b"")
        return
    tick = 1 / Fraction(settings.fps).limit_denominator(100_000)
    position = 0
    try:
        with av.open(str(mp4), "w", format="mp4") as output:
            output.metadata["comment"] = str(settings)
            stream, extradata = None, None
            for path, n_frames in pieces:
                with av.open(str(path)) as piece:
                    source = piece.streams.video[0]
                    if stream is None:
                        stream, extradata = output.add_stream_from_template(source), source.codec_context.extradata
                    if source.codec_context.extradata != extradata:
                        raise ShardError(f"{path}: encoded with other parameters than {pieces[0][0]}")
                    copied = _copy_packets(piece, stream, position, tick, settings.gop)
                if copied != n_frames:
                    raise ShardError(f"{path}: {n_frames} frames went in, {copied} came out")
                position += copied
    except (av.FFmpegError, OSError) as error:
        raise ShardError(f"{mp4}: cannot be written: {error}; free disk space and run the stage again") from error


def _copy_packets(piece: Any, stream: Any, position: int, tick: Fraction, gop: int) -> int:
    """Copy a piece's packets to a stream from frame `position` on; return their number."""
    copied = 0
    for packet in piece.demux(piece.streams.video[0]):
        if packet.size == 0:
            continue
        if packet.is_keyframe != (copied % gop == 0):
            raise ShardError(f"{piece.name}: frame {copied} is {'a' if packet.is_keyframe else 'no'} keyframe")
        packet.stream = stream
        packet.time_base = tick
        packet.pts = packet.dts = position + copied
        packet.duration = 1
        stream.container.mux(packet)
        copied += 1
    return copied


def _command(path: Path, settings: EncoderSettings) -> list[str]:
    size = settings.size, settings.size
    frames = ffmpeg.input("pipe:", format="rawvideo", pix_fmt="rgb24", video_size=size, framerate=f"{settings.fps:g}")
    frames = frames.filter(
        "scale", out_color_matrix="bt709", out_range="tv", flags="bicubic+accurate_rnd+full_chroma_int"
    )
    frames = frames.filter("format", "yuv420p")
    frames = frames.filter("setparams", range="tv", colorspace="bt709", color_primaries="bt709", color_trc="bt709")
    output = frames.output(
        f"file:{path}", vcodec="libx264", preset=settings.preset, crf=settings.crf, format="mp4", threads=1,
        map_metadata=-1, fflags="+bitexact", **{"x264-params": settings.x264, "flags:v": "+bitexact",
        "bsf:v": "filter_units=remove_types=6"},  # without x264's 700-byte signature at the head of every sequence
    )  # fmt: skip
    return output.global_args("-loglevel", "error", "-nostdin").compile(cmd=_ffmpeg(), overwrite_output=True)


@functools.cache
def _ffmpeg() -> str:
    return imageio_ffmpeg.get_ffmpeg_exe()
