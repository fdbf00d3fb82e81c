"""Encoding pieces and joining them."""

from pathlib import Path

import av
import numpy as np
import pytest

from signrep_core.errors import ShardError
from signrep_core.video.encode import Encoder, EncoderSettings, join_pieces
from tests.video.painted import number_in, paint

SETTINGS = EncoderSettings()


def encode(path: Path, numbers: range, settings: EncoderSettings = SETTINGS) -> tuple[Path, int]:
    with Encoder(path, settings) as encoder:
        for number in numbers:
            encoder.write(paint(number, settings.size, settings.size))
    return path, len(numbers)


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pieces of 16, 29 and 24 frames."""
    folder = tmp_path_factory.mktemp("encode")
    spans = [range(16), range(16, 45), range(45, 69)]
    join_pieces([encode(folder / f"{i}.mp4", span) for i, span in enumerate(spans)], folder / "all.mp4", SETTINGS)
    return folder / "all.mp4"


def test_every_frame_is_decoded_in_order(joined: Path) -> None:
    with av.open(str(joined)) as container:
        assert [number_in(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)] == list(range(69))


def test_keyframes_are_at_each_start_and_every_sixth_frame(joined: Path) -> None:
    with av.open(str(joined)) as container:
        flags = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
    assert np.flatnonzero(flags).tolist() == [*range(0, 16, 6), *range(16, 45, 6), *range(45, 69, 6)]


def test_the_rate_is_constant_and_nothing_is_reordered(joined: Path) -> None:
    with av.open(str(joined)) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        assert stream.average_rate == 25
        assert [float(packet.pts * packet.time_base) for packet in packets] == pytest.approx(np.arange(69) / 25)
        assert all(packet.pts == packet.dts for packet in packets)
        assert not stream.codec_context.has_b_frames


def test_colours_are_bt709_in_tv_range_and_decode_to_the_same(tmp_path: Path) -> None:
    picture = np.zeros((256, 256, 3), np.uint8)
    picture[:, :128], picture[:, 128:] = (200, 40, 60), (20, 160, 90)
    with Encoder(tmp_path / "a.mp4", SETTINGS) as encoder:
        encoder.write(picture)
    with av.open(str(tmp_path / "a.mp4")) as container:
        frame = next(container.decode(video=0))
    assert frame.format.name == "yuv420p"
    assert {frame.color_range, frame.colorspace, frame.color_primaries, frame.color_trc} == {1}
    rgb = frame.reformat(format="rgb24", src_colorspace=1, src_color_range=1, dst_color_range=2).to_ndarray()
    assert np.abs(rgb[:, 8:120].astype(int) - picture[:, 8:120]).max() <= 4
    assert np.abs(rgb[:, 136:].astype(int) - picture[:, 136:]).max() <= 4


def test_the_same_frames_are_encoded_alike(tmp_path: Path, joined: Path) -> None:
    spans = [range(16), range(16, 45), range(45, 69)]
    join_pieces([encode(tmp_path / f"{i}.mp4", span) for i, span in enumerate(spans)], tmp_path / "all.mp4", SETTINGS)
    frames = []
    for path in (tmp_path / "all.mp4", joined):
        with av.open(str(path)) as container:
            frames.append(np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]))
    assert np.abs(frames[0].astype(int) - frames[1]).mean() < 0.5


def test_the_settings_are_recorded_in_the_file(joined: Path) -> None:
    with av.open(str(joined)) as container:
        assert container.metadata["comment"] == str(SETTINGS)
    assert "crf=18 preset=medium keyint=6" in str(SETTINGS)


def test_no_pieces_give_a_file_of_zero_bytes(tmp_path: Path) -> None:
    join_pieces([], tmp_path / "none.mp4", SETTINGS)
    assert (tmp_path / "none.mp4").stat().st_size == 0


def test_a_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match=r"expected a uint8 frame \(256, 256, 3\), got uint8 \(120, 160, 3\)"),
        Encoder(tmp_path / "a.mp4", SETTINGS) as encoder,
    ):
        encoder.write(paint(0))


def test_ffmpegs_message_is_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(
        ShardError, match=r"a\.mp4: FFmpeg stopped after .* No such file or directory.*; free disk space"
    ):
        encode(tmp_path / "no folder" / "a.mp4", range(200))


def test_the_signal_that_killed_ffmpeg_is_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"killed by signal 9"), Encoder(tmp_path / "a.mp4", SETTINGS) as encoder:  # noqa: PT012
        encoder.write(paint(0, 256, 256))
        encoder._process.kill()
        for _ in range(50):
            encoder.write(paint(0, 256, 256))


def test_an_error_while_feeding_ends_ffmpeg(tmp_path: Path) -> None:
    with pytest.raises(KeyError), Encoder(tmp_path / "a.mp4", SETTINGS) as encoder:
        raise KeyError
    assert encoder._process.returncode is not None


def test_a_full_disk_is_a_clear_error(tmp_path: Path) -> None:
    pieces = [encode(tmp_path / "a.mp4", range(16))]
    with pytest.raises(ShardError, match=r"/dev/full: cannot be written: .*No space left.*free disk space"):
        join_pieces(pieces * 40, Path("/dev/full"), SETTINGS)


def test_a_piece_with_a_missing_frame_is_an_error(tmp_path: Path) -> None:
    path, _ = encode(tmp_path / "a.mp4", range(16))
    with pytest.raises(ShardError, match=r"a\.mp4: 17 frames went in, 16 came out"):
        join_pieces([(path, 17)], tmp_path / "all.mp4", SETTINGS)


def test_pieces_encoded_differently_are_not_joined(tmp_path: Path) -> None:
    pieces = [encode(tmp_path / "a.mp4", range(16)), encode(tmp_path / "b.mp4", range(16), EncoderSettings(size=128))]
    with pytest.raises(ShardError, match=r"b\.mp4: encoded with other parameters than .*a\.mp4"):
        join_pieces(pieces, tmp_path / "all.mp4", SETTINGS)


def test_keyframes_elsewhere_are_an_error(tmp_path: Path) -> None:
    pieces = [encode(tmp_path / "a.mp4", range(20), EncoderSettings(gop=4))]
    with pytest.raises(ShardError, match="frame 4 is a keyframe"):
        join_pieces(pieces, tmp_path / "all.mp4", SETTINGS)
