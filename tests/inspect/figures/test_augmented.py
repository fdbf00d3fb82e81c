"""The figure of augmented windows."""

from pathlib import Path

import numpy as np
from PIL import Image

from signrep_core.config import Pretrain
from signrep_core.inspect.figures import augmented
from signrep_core.inspect.figures.augmented import augmented_windows
from tests.fake_reader import FakeReader, use_reader


def test_windows_are_drawn_as_stored_and_as_augmented(tmp_path: Path) -> None:
    with use_reader(FakeReader, augmented):
        augmented_windows(tmp_path, tmp_path / "augmented.png", Pretrain(preset="tiny"), n=2)
    picture = np.asarray(Image.open(tmp_path / "augmented.png").convert("RGB"))
    left, right = picture[:, : picture.shape[1] // 2], picture[:, picture.shape[1] // 2 :]
    assert left.std() > 10
    assert right.std() > 10
