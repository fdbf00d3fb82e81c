"""Frames and times that are read from codecs and containers, compared with FFmpeg's own decoding of the same files.

One clip, whose frames carry their numbers, is written in each combination by the shipped FFmpeg.
"""

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from signrep_core.errors import VideoError
from signrep_core.video.reader import probe_video, read_frames

BITS: Final = 6  # of a frame's number, an upright bar each
FRAMES: Final = 60
FPS: Final = 25
WIDTH, HEIGHT = 176, 144
EXACT_S: Final = 0.002  # times of containers are rounded to milliseconds
H264: Final = ("-c:v", "libx264", "-preset", "ultrafast")
B_FRAMES: Final = (*H264, "-bf", "3", "-b_strategy", "0", "-g", "24")
HEVC: Final = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:bframes=3")
REALTIME: Final = ("-deadline", "realtime", "-cpu-used", "8")
HIDDEN: Final = ("-deadline", "good", "-cpu-used", "8", "-auto-alt-ref", "1", "-lag-in-frames", "16")
VARIABLE: Final = ("-vf", "setpts=(N+0.4*mod(N\\,3)+8*gt(N\\,30))/25/TB", "-fps_mode", "vfr")
LATE: Final = ("-output_ts_offset", "7")
DV: Final = ("-vf", "scale=720:576:flags=neighbor,format=yuv420p", "-c:v", "dvvideo")

# name of a codec -> arguments of FFmpeg, and the suffixes of the containers
CODECS: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "h264": (H264, "mp4 avi h264"),
    "h264_b": (B_FRAMES, "mp4 mov m4v 3gp mkv avi flv ts m2ts mpg asf wmv mxf nut wtv h264"),
    "h264_b_variable": ((*B_FRAMES, *VARIABLE), "mp4 mkv ts flv nut"),
    "h264_b_late": ((*B_FRAMES, *LATE), "mp4 mkv ts"),
    "h264_b_ntsc": ((*B_FRAMES, "-r", "30000/1001"), "mp4 mkv avi"),
    "h264_b_fragments": ((*B_FRAMES, "-movflags", "frag_keyframe+empty_moov"), "mp4"),
    "h264_b_negative_offsets": ((*B_FRAMES, "-movflags", "negative_cts_offsets"), "mp4"),
    "h264_b_no_edit_list": ((*B_FRAMES, "-use_editlist", "0"), "mp4"),
    "h264_open_gop": ((*B_FRAMES, "-x264-params", "open-gop=1"), "mp4 mkv avi ts h264"),
    "hevc_b": (HEVC, "mp4 mov mkv ts flv hevc"),
    "vvc": (("-c:v", "libvvenc", "-preset", "faster"), "mp4"),
    "mpeg4": (("-c:v", "mpeg4"), "mp4 avi 3gp"),
    "mpeg4_b": (("-c:v", "mpeg4", "-bf", "2"), "mp4 mkv avi ts nut"),
    "xvid_b": (("-c:v", "libxvid", "-bf", "2"), "mp4 mkv avi"),
    "mpeg2_b": (("-c:v", "mpeg2video", "-bf", "2"), "mpg vob ts mp4 mkv avi mxf wtv m2v"),
    "mpeg1": (("-c:v", "mpeg1video"), "avi"),
    "mpeg1_b": (("-c:v", "mpeg1video", "-bf", "2"), "mpg"),
    "vp8": (("-c:v", "libvpx", *REALTIME), "webm mkv avi ogv ivf"),
    "vp8_hidden": (("-c:v", "libvpx", *HIDDEN), "webm"),
    "vp9": (("-c:v", "libvpx-vp9", *REALTIME), "webm mkv mp4 ivf"),
    "vp9_hidden": (("-c:v", "libvpx-vp9", *HIDDEN), "webm"),
    "vp9_variable": (("-c:v", "libvpx-vp9", *REALTIME, *VARIABLE), "webm"),
    "av1": (("-c:v", "libsvtav1", "-preset", "12", "-svtav1-params", "lp=1"), "mp4 mkv webm ivf obu"),
    "mjpeg": (("-c:v", "mjpeg"), "avi mov mkv mjpeg"),
    "ffv1": (("-c:v", "ffv1"), "mkv avi"),
    "prores": (("-c:v", "prores"), "mov mkv"),
    "dnxhr": (("-c:v", "dnxhd", "-profile:v", "dnxhr_sq", "-vf", "scale=352:288,format=yuv422p"), "mov"),
    "dv": (DV, "dv avi mov"),
    "wmv1": (("-c:v", "wmv1"), "wmv"),
    "wmv2": (("-c:v", "wmv2"), "wmv avi"),
    "msmpeg4v2": (("-c:v", "msmpeg4v2"), "avi"),
    "msmpeg4v3": (("-c:v", "msmpeg4"), "avi"),
    "flv1": (("-c:v", "flv"), "flv swf"),
    "flashsv": (("-c:v", "flashsv"), "flv"),
    "theora": (("-c:v", "libtheora"), "ogv ogg"),
    "h263": (("-c:v", "h263"), "3gp"),
    "h261": (("-c:v", "h261"), "mkv"),
    "rv20": (("-c:v", "rv20"), "rm"),
    "svq1": (("-c:v", "svq1"), "mov"),
    "qtrle": (("-c:v", "qtrle"), "mov"),
    "png": (("-c:v", "png"), "mov"),
    "cinepak": (("-c:v", "cinepak"), "avi"),
    "huffyuv": (("-c:v", "huffyuv"), "avi"),
    "utvideo": (("-c:v", "utvideo"), "avi"),
    "raw": (("-c:v", "rawvideo"), "avi nut"),
    "jpeg2000": (("-c:v", "jpeg2000"), "mkv"),
    "vc2": (("-c:v", "vc2"), "mkv"),
    "gif": ((), "gif"),
    "gif_12": (("-r", "12.5"), "gif"),
    "apng": (("-f", "apng"), "apng"),
}
COMBINATIONS: Final = {
    f"{codec}.{suffix}": arguments for codec, (arguments, suffixes) in CODECS.items() for suffix in suffixes.split()
}
QUALITY: Final = ("-q:v", "3")  # of the codecs that know it


@dataclass(frozen=True)
class Shown:
    """Frames of a file in the order in which they are shown: their numbers, and their times after the first."""

    numbers: list[int]
    times: list[float]


@dataclass(frozen=True)
class Result:
    """A combination: what the reader gives, what FFmpeg gives, and what the probe counts."""

    name: str
    read: Shown
    ffmpeg: Shown
    n_probed: int

    @property
    def share(self) -> float:
        """Share of FFmpeg's distinct frames that are read."""
        return len(set(self.read.numbers) & set(self.ffmpeg.numbers)) / len(set(self.ffmpeg.numbers))

    @property
    def same(self) -> bool:
        """Whether the frames are FFmpeg's, each as often and in the same order, and as many as were probed."""
        return self.read.numbers == self.ffmpeg.numbers and self.n_probed == len(self.read.numbers)

    @property
    def error_s(self) -> float:
        """Largest difference of a frame's time from FFmpeg's."""
        return _largest(self.read.times, self.ffmpeg.times)

    @property
    def source_error_s(self) -> float:
        """Largest difference of a frame's time from the clip's, of a combination at the clip's rate."""
        return _largest(self.read.times, [number / FPS for number in self.read.numbers])


def rows() -> list[tuple[str, str]]:
    """The combinations read like FFmpeg, and each that is not."""
    with tempfile.TemporaryDirectory() as folder:
        found, refused = [], []
        for name in COMBINATIONS:
            try:
                found.append(measure(name, Path(folder)))
            except VideoError as error:
                refused.append((name, error.reason))
    timed = [result for result in found if result.error_s <= EXACT_S]
    odd = [result for result in found if result not in timed or not result.same]
    return [
        ("combinations of codec and container; refused", f"{len(found)}; {len(refused)}"),
        ("  share of FFmpeg's distinct frames: mean; lowest", f"{_mean(found):.1%}; {min(r.share for r in found):.1%}"),
        ("  the same frames in the same order as FFmpeg", f"{sum(r.same for r in found)}"),
        (f"  the same times within {EXACT_S * 1e3:g} ms; largest error", f"{len(timed)}; {_ms(_worst(timed))}"),
        *(
            (f"  {r.name}: time error to FFmpeg; to the clip", f"{_ms(r.error_s)}; {_ms(r.source_error_s)}")
            for r in odd
        ),
        *((f"  {name}: refused", reason) for name, reason in refused),
    ]


def measure(name: str, folder: Path) -> Result:
    """Write a combination into a folder and read it.

    Raises:
        VideoError: the reader refuses it.
    """
    path = folder / name
    _run("-i", str(write_clip(folder)), *COMBINATIONS[name], *QUALITY, str(path))
    frames = list(read_frames(path, None))
    read = Shown([number_in(frame.rgb) for frame in frames], [frame.time_s for frame in frames])
    return Result(name, read, decode_by_ffmpeg(path), probe_video(path, target_fps=None).n_frames)


def write_clip(folder: Path) -> Path:
    """Write the clip, lossless, if it is not in the folder."""
    path = folder / "clip.mkv"
    if not path.exists():
        bars = np.arange(FRAMES)[:, None] >> (np.arange(WIDTH) * BITS // WIDTH) & 1
        grey = np.broadcast_to((40 + 175 * bars.astype(np.uint8))[:, None], (FRAMES, HEIGHT, WIDTH))
        size = ("-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(FPS))
        _run(*size, "-i", "-", "-c:v", "ffv1", "-pix_fmt", "yuv420p", str(path), given=grey.tobytes())
    return path


def number_in(picture: NDArray[np.uint8]) -> int:
    """The number in a frame of the clip, (H, W) or (H, W, 3) uint8 of any size."""
    middles = ((np.arange(BITS) + 0.5) * picture.shape[1] / BITS).astype(int)
    bars = np.median(picture[:, middles].reshape(len(picture), BITS, -1), axis=(0, 2)) > 128
    return int(bars @ (1 << np.arange(BITS)))


def decode_by_ffmpeg(path: Path) -> Shown:
    """Frames and times as the shipped FFmpeg decodes a file, none dropped or repeated."""
    picture = f"showinfo=checksum=0,scale={WIDTH}:{HEIGHT},format=gray"
    way = ("-fps_mode", "passthrough", "-vf", picture, "-f", "rawvideo", "-")
    done = _run("-loglevel", "info", "-i", str(path), *way)
    times = [float(found) for found in re.findall(rb"pts_time:(\S+)", done.stderr)]
    pictures = np.frombuffer(done.stdout, np.uint8).reshape(-1, HEIGHT, WIDTH)
    return Shown([number_in(picture) for picture in pictures], [time - times[0] for time in times])


def _run(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-y", *arguments]
    return subprocess.run(command, input=given, capture_output=True, check=True)


def _largest(times: list[float], others: list[float]) -> float:
    return max(abs(a - b) for a, b in zip(times, others, strict=False))


def _mean(results: list[Result]) -> float:
    return sum(result.share for result in results) / len(results)


def _worst(results: list[Result]) -> float:
    return max(result.error_s for result in results)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms"
