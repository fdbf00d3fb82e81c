"""HDR pictures as SDR: colours come back, and highlights are compressed as FFmpeg's filters do it."""

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from signrep_core.video.hdr import compress, tone_map
from signrep_core.video.reader import probe_video, read_frames

PQ, HLG = 16, 18
NAMES = {PQ: "smpte2084", HLG: "arib-std-b67"}
SKIN = (224, 172, 140)
TAGS = "setparams=color_primaries=bt2020:color_trc={0}:colorspace=bt2020nc:range=tv"
TO_LINEAR = "zscale=t=linear:npl=203,format=gbrpf32le"
TO_SDR = "zscale=p=bt709,tonemap=mobius:param=0.7:peak=4.926:desat=0,zscale=t=bt709:m=gbr:r=full,format=rgb24"


def ffmpeg(*arguments: str, given: bytes = b"") -> bytes:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments]
    return subprocess.run(command, input=given, check=True, stdout=subprocess.PIPE).stdout


def write_hdr(path: Path, colours: list[tuple[int, int, int]], transfer: int) -> Path:
    """Sixteen frames with a column of 8 pixels for each SDR colour, as HDR with SDR white at 203 cd/m², by FFmpeg."""
    picture = np.repeat(np.array([colours], np.uint8), 8, 1).repeat(32, 0)
    name = NAMES[transfer]
    to_hdr = f"format=gbrp,zscale=tin=bt709:pin=bt709:min=gbr:rin=full:t={name}:p=bt2020:m=bt2020nc:r=tv:npl=203"
    tags = ["-color_trc", name, "-color_primaries", "bt2020", "-colorspace", "bt2020nc", "-color_range", "tv"]
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{picture.shape[1]}x32", "-r", "25", "-i", "-"]
    ffmpeg(*raw, "-vf", f"{to_hdr},format=yuv444p10le", "-c:v", "ffv1", *tags, str(path), given=picture.tobytes() * 16)
    return path


def columns(picture: np.ndarray) -> np.ndarray:
    """The colour in the middle of each column."""
    return picture[16, 4::8].astype(int)


def signal_of(light: np.ndarray, transfer: int) -> np.ndarray:
    """Signals, 0 to 1, of BT.2020 light in cd/m² on the screen: BT.2100's inverse functions, written out once more."""
    if transfer == PQ:
        power = (light / 10_000) ** 0.1593017578125
        return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    luminance = (light / 1000) @ [0.2627, 0.6780, 0.0593]
    scene = light / 1000 * luminance[..., None] ** (1 / 1.2 - 1)
    log = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), log)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_sdr_colours_come_back_from_hdr(transfer: int) -> None:
    sdr = np.array([SKIN, (141, 85, 36), (60, 46, 40), (128, 128, 128), (20, 20, 20), (90, 120, 60)])
    to_bt2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])  # BT.2087
    signal = signal_of(203 * (sdr / 255) ** 2.4 @ to_bt2020.T, transfer)
    found = tone_map(np.rint(signal[None] * 65535).astype(np.uint16), transfer)[0]
    assert np.abs(found - sdr).max() <= 2


@pytest.mark.parametrize(("transfer", "within"), [(PQ, 4), (HLG, 12)])  # FFmpeg's HLG has an approximate gamma
def test_a_video_is_tone_mapped_and_noted(tmp_path: Path, transfer: int, within: int) -> None:
    path = write_hdr(tmp_path / "hdr.mkv", [SKIN, (128, 128, 128)], transfer)
    found = columns(next(read_frames(path)).rgb)
    assert np.abs(found - [SKIN, (128, 128, 128)]).max() <= within
    assert probe_video(path).note == f"{'HLG' if transfer == HLG else 'PQ'} tone-mapped to SDR"


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_highlights_are_compressed_as_by_ffmpegs_moebius_curve(tmp_path: Path, transfer: int) -> None:
    white = np.array([10, 50, 100, 203, 400, 700, 1000.0])  # cd/m²
    signal = signal_of(np.repeat(white[:, None], 3, 1), transfer)
    found = tone_map(np.rint(signal[None] * 65535).astype(np.uint16), transfer)[0, :, 0].astype(int)
    grey = (np.rint(signal[:, :1] * 876 + 64).astype("<u2") * np.ones(8, "<u2")).reshape(1, -1).repeat(8, 0)
    planes = grey.tobytes() + np.full((2, 8, 56), 512, "<u2").tobytes()
    raw = ["-f", "rawvideo", "-pix_fmt", "yuv444p10le", "-s", "56x8", "-i", "-"]
    way = f"{TAGS.format(NAMES[transfer])},{TO_LINEAR},{TO_SDR}"
    expected = np.frombuffer(ffmpeg(*raw, "-vf", way, "-f", "rawvideo", "-", given=planes), np.uint8)
    assert np.abs(found - expected.reshape(8, 7, 8, 3)[4, :, 4, 0]).max() <= 2
    assert found[-1] == 255
    assert found[3] == 239  # reference white: (0.856)^(1/2.4)


def test_light_is_unchanged_to_the_knee_and_rises_to_the_peak() -> None:
    light = np.linspace(0, 1000 / 203, 1001, dtype=np.float32)
    assert np.allclose(compress(light)[light <= 0.7], light[light <= 0.7])
    assert (np.diff(compress(light)) > 0).all()
    assert compress(np.float32([1000 / 203, 50])) == pytest.approx([1, 1], abs=1e-5)


def test_sdr_video_is_not_touched(tmp_path: Path) -> None:
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "32x32", "-r", "25", "-i", "-"]
    ffmpeg(*raw, "-c:v", "ffv1", "-pix_fmt", "gbrp", str(tmp_path / "sdr.mkv"), given=bytes(SKIN) * (32 * 32 * 16))
    assert next(read_frames(tmp_path / "sdr.mkv")).rgb[0, 0].tolist() == list(SKIN)
    assert probe_video(tmp_path / "sdr.mkv").note == ""
