"""Features of video files equal those of the same crops in shards."""

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from signrep_core.__main__ import main
from signrep_core.data.augment import prepare
from signrep_core.evaluate import raw_video as module
from signrep_core.evaluate.raw_video import SPAN, cut_chunks, extract_video_files, video_file_features
from signrep_core.evaluate.retrieval import read_features
from signrep_core.evaluate.windows import VideoFeatures
from signrep_core.model.signrep import PRESETS, SignRep
from signrep_core.store.records import read_record
from signrep_core.video.crop_file import crop_frames
from signrep_core.video.reader import read_frames
from tests.video.painted import write_video

CONFIG = dataclasses.replace(
    PRESETS["tiny"],
    encoder=dataclasses.replace(PRESETS["tiny"].encoder, image_size=32, embed_dim=8, stages=(1, 1, 1, 1)),
)


@pytest.fixture(scope="module")
def model() -> SignRep:
    torch.manual_seed(0)
    return SignRep(CONFIG).eval()


@pytest.mark.parametrize("n", [1, 15, 16, 17, 18, SPAN - 1, SPAN, SPAN + 1, SPAN + 2, 2 * SPAN, 200])
def test_chunks_contain_every_window_once_with_its_frames(n: int) -> None:
    frames = (np.full((1, 1, 3), k, np.uint8) for k in range(n))
    starts = []
    for chunk in cut_chunks(frames):
        assert chunk.frames is not None
        starts += chunk.starts.tolist()
        for k, start in enumerate(chunk.starts.tolist()):
            window = chunk.frames[2 * k : 2 * k + 16, 0, 0, 0].tolist()
            assert window == list(range(start, min(start + 16, n)))
    assert starts == list(range(0, max(n - 15, 1), 2))


def test_the_features_are_those_of_the_model_on_each_window(model: SignRep, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", range(70))
    found = video_file_features(model, str(path), box=(20, 10, 100, 90))
    assert found.start_frame.tolist() == list(range(0, 55, 2))
    crops = np.stack(list(crop_frames(read_frames(path), (20, 10, 100, 90))))
    for k in (0, 23, 24, 27):
        with torch.no_grad():
            output = model(prepare(torch.from_numpy(crops[2 * k : 2 * k + 16])[None], 32))
        np.testing.assert_allclose(found.features[k], output.features[0], atol=1e-5)
        np.testing.assert_allclose(found.activity[k], output.activity[0].sigmoid(), atol=1e-5)


def test_the_command_names_unreadable_videos_and_continues(model: SignRep, tmp_path: Path, capsys, caplog) -> None:
    model.save(tmp_path / "w.safetensors")
    (tmp_path / "bad.mp4").write_text("no video")
    good, short = (str(write_video(tmp_path / f"{n}.mp4", range(n))) for n in (20, 7))
    out = str(tmp_path / "features/run/mine.parquet")
    options = ["--weights", str(tmp_path / "w.safetensors"), "--out", out]
    assert main(["features", good, str(tmp_path / "bad.mp4"), short, *options]) == 0
    assert "features of 2 videos; 1 cannot be read" in capsys.readouterr().out
    assert "bad.mp4: not_a_video" in caplog.text
    assert [(v.video_id, len(v.features)) for v in read_features(out)] == [(good, 3), (short, 1)]
    record = read_record(out)
    assert record is not None
    assert (record.finished, record.rule) == (True, "extract_features")
    assert main(["features", str(tmp_path / "bad.mp4"), *options]) == 2
    assert "none of 1 videos has features" in capsys.readouterr().err


def test_a_box_outside_the_frame_excludes_only_that_video(model: SignRep, tmp_path: Path, capsys, caplog) -> None:
    model.save(tmp_path / "w.safetensors")
    large = str(write_video(tmp_path / "large.mp4", range(20)))
    small = str(write_video(tmp_path / "small.mp4", range(20), size=(64, 48)))
    out = tmp_path / "f.parquet"
    options = ["--weights", str(tmp_path / "w.safetensors"), "--out", str(out), "--box", "80,10,120,60"]
    assert main(["features", small, large, *options]) == 0
    assert "features of 1 videos; 1 cannot be read" in capsys.readouterr().out
    assert "the box 80,10,120,60 lies outside the frame of 64×48 pixels" in caplog.text
    assert [video.video_id for video in read_features(out)] == [large]


def test_a_killed_run_continues_with_the_first_unfinished_video(model: SignRep, tmp_path: Path, monkeypatch) -> None:
    model.save(tmp_path / "w.safetensors")
    videos = [str(write_video(tmp_path / f"{n}.mp4", range(n))) for n in (20, 30, 40)]
    described: list[str] = []

    def describe(model: SignRep, video: str, **options: object) -> VideoFeatures:
        described.append(video)
        if len(described) == 2:
            raise KeyboardInterrupt
        return video_file_features(model, video)

    extract = partial(extract_video_files, tmp_path / "w.safetensors", out=tmp_path / "f.parquet")
    with monkeypatch.context() as patch:
        patch.setattr(module, "video_file_features", describe)
        with pytest.raises(KeyboardInterrupt):
            extract(videos)
        assert not (tmp_path / "f.parquet").exists()
        assert extract(videos) == {}
        assert described == [videos[0], videos[1], videos[1], videos[2]]
    assert not (tmp_path / ".f.resume").exists()
    extract_video_files(tmp_path / "w.safetensors", videos, tmp_path / "whole.parquet")
    for one, other in zip(
        read_features(tmp_path / "f.parquet"), read_features(tmp_path / "whole.parquet"), strict=True
    ):
        assert one.video_id == other.video_id
        np.testing.assert_allclose(one.features, other.features, atol=1e-5)


def test_a_cached_video_of_another_box_or_of_a_changed_file_is_extracted_again(
    model: SignRep, tmp_path: Path, monkeypatch
) -> None:
    model.save(tmp_path / "w.safetensors")
    one, other = (str(write_video(tmp_path / f"{n}.mp4", range(n))) for n in (20, 30))
    described: list[str] = []

    def describe(model: SignRep, video: str, **options: object) -> VideoFeatures:
        if video == other:
            raise KeyboardInterrupt  # so that the first one's part stays
        described.append(video)
        return video_file_features(model, video)

    monkeypatch.setattr(module, "video_file_features", describe)
    for n, box in ((20, None), (20, None), (20, (0.0, 0.0, 50.0, 50.0)), (24, (0.0, 0.0, 50.0, 50.0))):
        if n == 24:
            write_video(Path(one), range(n))
        with pytest.raises(KeyboardInterrupt):
            extract_video_files(tmp_path / "w.safetensors", [one, other], tmp_path / "f.parquet", box=box)
    assert len(described) == 3


@pytest.mark.parametrize("box", ["1,2,3", "a,b,c,d", "5,5,5,9"])
def test_an_invalid_box_is_refused(box: str, capsys) -> None:
    with pytest.raises(SystemExit):
        main(["features", "v.mp4", "--weights", "w", "--box", box])
    assert "expected x0" in capsys.readouterr().err
