"""The search command: printed glosses and the picture, from shards and from video files."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from signrep_core.__main__ import main
from signrep_core.model.signrep import PRESETS, SignRep
from tests.video.painted import write_video

CONFIG = dataclasses.replace(
    PRESETS["tiny"],
    encoder=dataclasses.replace(PRESETS["tiny"].encoder, image_size=32, embed_dim=8, stages=(1, 1, 1, 1)),
)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of three video files, and their weights."""
    folder = tmp_path_factory.mktemp("gallery")
    torch.manual_seed(0)
    model = SignRep(CONFIG)
    torch.nn.init.constant_(model.activity_head[-1].bias, 5)  # everybody signs
    model.save(folder / "w.safetensors")
    videos = [str(write_video(folder / f"{name}.mp4", range(first, first + 24))) for name, first in
              (("near", 0), ("far", 100), ("farther", 200))]  # fmt: skip
    assert (
        main(["features", *videos, "--weights", str(folder / "w.safetensors"), "--out", str(folder / "f.parquet")]) == 0
    )
    return folder


def test_a_video_finds_itself_first_and_the_picture_is_drawn(gallery: Path, tmp_path: Path, capsys) -> None:
    query = write_video(tmp_path / "query.mp4", range(24))
    options = ["--gallery", str(gallery / "f.parquet"), "--weights", str(gallery / "w.safetensors")]
    assert main(["search", str(query), *options, "--out", str(tmp_path / "s.png")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("nearest of 3 videos (15 windows)")
    assert lines[1].split()[:2] == ["1", "1.000"]
    assert "near.mp4" in lines[1]
    assert len(lines) == 5
    picture = np.asarray(Image.open(tmp_path / "s.png").convert("RGB"))
    assert picture.shape[1] > 8 * 128
    assert picture.shape[0] > 4 * 128  # the query and three strips


def test_weights_that_did_not_make_the_gallery_are_refused(gallery: Path, tmp_path: Path, capsys) -> None:
    torch.manual_seed(1)
    SignRep(CONFIG).save(tmp_path / "other.safetensors")
    command = ["search", str(gallery / "near.mp4"), "--gallery", str(gallery / "f.parquet")]
    assert main([*command, "--weights", str(tmp_path / "other.safetensors")]) == 2
    assert "features of different weights cannot be compared" in capsys.readouterr().err
    assert main(command) == 2
    assert "best.safetensors: no such weights; give those that made" in capsys.readouterr().err


def test_a_file_that_is_no_gallery_is_one_message(tmp_path: Path, capsys) -> None:
    assert main(["search", "q.mp4", "--gallery", str(tmp_path / "none.parquet")]) == 2
    assert "cannot be read as a features table" in capsys.readouterr().err
