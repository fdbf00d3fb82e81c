"""Each listed suffix is read as FFmpeg's own encoder writes it, and each demuxer is allowed or barred for a reason."""

import subprocess
from pathlib import Path

import av
import imageio_ffmpeg
import pytest
from av.format import ContainerFormat

from signrep_core.video.formats import BARRED, FORMATS, SUFFIXES
from signrep_core.video.reader import read_frames
from tests.video.painted import number_in, write_video

FRAMES = 20
_MPEG2, _MPEG1, _H264, _HEVC = "-c:v mpeg2video -b:v 2M", "-c:v mpeg1video -b:v 2M", "-c:v libx264", "-c:v libx265"
_MJPEG, _DV = "-c:v mjpeg -pix_fmt yuvj420p", "-c:v dvvideo -s 720x576 -pix_fmt yuv420p -f dv"
# suffix -> how it is encoded; the container follows the suffix but where -f names one
ENCODED = {
    **dict.fromkeys(("mp4", "m4v", "f4v", "3g2"), f"{_H264} -f mp4"),
    **dict.fromkeys(("mkv", "mk3d"), f"{_H264} -f matroska"),
    **dict.fromkeys(("ts", "m2t"), f"{_H264} -f mpegts"),
    **dict.fromkeys(("mts", "m2ts"), f"{_H264} -f mpegts -mpegts_m2ts_mode 1"),
    **dict.fromkeys(("trp", "tod"), f"{_MPEG2} -f mpegts"),
    **dict.fromkeys(("mpg", "mpe"), f"{_MPEG1} -f mpeg"),
    **dict.fromkeys(("mpeg", "vob"), f"{_MPEG2} -f vob"),
    **dict.fromkeys(("m1v", "mpv"), f"{_MPEG1} -f mpeg1video"),
    **dict.fromkeys(("h264", "264"), f"{_H264} -f h264"),
    **dict.fromkeys(("hevc", "h265", "265"), f"{_HEVC} -f hevc"),
    **dict.fromkeys(("mjpg", "mjpeg"), f"{_MJPEG} -f mjpeg"),
    **dict.fromkeys(("mov", "qt"), f"{_MJPEG} -f mov"),
    **dict.fromkeys(("wmv", "asf"), "-c:v wmv2 -b:v 2M -f asf"),
    **dict.fromkeys(("ogv", "ogm"), "-c:v libtheora -q:v 9 -f ogg"),
    **dict.fromkeys(("rm", "rmvb"), "-c:v rv10 -s 176x144 -f rm"),
    **dict.fromkeys(("avi", "divx"), "-c:v mpeg4 -f avi"),
    **dict.fromkeys(("dv", "dif"), _DV),
    "3gp": "-c:v h263 -s 176x144", "ismv": _H264, "webm": "-c:v libvpx", "ivf": "-c:v libvpx", "gif": "", "apng": "",
    "m2v": f"{_MPEG2} -f mpeg2video", "flv": "-c:v flv1", "swf": "-c:v flv1", "mxf": _MPEG2, "nut": _H264,
    "gxf": f"{_MPEG2} -s 720x576", "wtv": _MPEG2, "y4m": "-pix_fmt yuv420p -f yuv4mpegpipe",
    "obu": "-c:v libaom-av1 -cpu-used 8",
}  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("source") / "x.mkv", range(FRAMES), options={"qp": "0"})


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_listed_suffix_is_read(source: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"x.{suffix}"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(source), *ENCODED[suffix].split(), str(out)]
    subprocess.run(command, check=True, capture_output=True)
    assert [number_in(frame.rgb) for frame in read_frames(out, None)] == list(range(FRAMES))


def test_a_flash_video_is_read(source: Path, tmp_path: Path) -> None:
    test_a_listed_suffix_is_read(source, tmp_path, "swf")


def test_every_demuxer_is_read_or_barred_for_one_reason() -> None:
    barred = [name for names in BARRED.values() for name in names]
    assert len(set(barred)) == len(barred)
    assert not set(barred) & set(FORMATS)
    assert demuxers() <= {*barred, *FORMATS}


def demuxers() -> set[str]:
    """Names of the demuxers of this build of FFmpeg."""
    found = set()
    for name in av.formats_available:
        try:
            if ContainerFormat(name, "r").is_input:
                found |= set(name.split(","))
        except ValueError:  # a muxer alone
            continue
    return found
