"""The figure of nearest strips."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from signrep_core.evaluate.nearest import Window
from signrep_core.inspect.figures import strips
from signrep_core.inspect.figures.strips import OTHER, REFERENCE, SAME, UNKNOWN, make_strip, retrieval_strips
from signrep_core.store.schemas import features_schema
from signrep_core.store.tables import TableWriter
from tests.fake_reader import FakeReader, use_reader


def write_features(path: Path, n_videos: int) -> None:
    rng = np.random.default_rng(0)
    with TableWriter(path, features_schema(4)) as writer:
        for k in range(n_videos):
            writer.write(
                {
                    "video_id": [f"video{k:02d}"] * 2,
                    "start_frame": np.array([0, 102]),  # in the first and in the second sequence
                    "features": rng.normal(size=(2, 4)).astype(np.float32),
                    "right_active": np.array([0.9, 0.8]),
                    "left_active": rng.random(2),
                }
            )


def test_strips_of_references_and_their_nearest_are_drawn(tmp_path: Path) -> None:
    write_features(tmp_path / "features.parquet", 6)
    with use_reader(FakeReader, strips):
        groups = retrieval_strips(tmp_path / "features.parquet", tmp_path, tmp_path / "strips.png", n_references=2)
    assert [len(group) for group in groups] == [4, 4]
    for reference, *nearest in groups:
        assert reference.video_id not in {window.video_id for window in nearest}
        assert len({window.video_id for window in nearest}) == 3
    picture = np.asarray(Image.open(tmp_path / "strips.png").convert("RGB"))
    assert picture.shape[1] > 8 * 128
    assert (picture == 230).all(-1).any()  # the fake's bright square is in it


def test_the_figure_of_an_empty_table_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_features(tmp_path / "features.parquet", 0)
    with use_reader(FakeReader, strips):
        assert retrieval_strips(tmp_path / "features.parquet", tmp_path, tmp_path / "x.png") == []
    assert (np.asarray(Image.open(tmp_path / "x.png").convert("L")) < 200).any()
    assert "contains no window, so the figure is empty" in caplog.text


def test_label_and_colour_show_whether_the_gloss_is_the_same():
    glosses = {"a": "DOG", "b": "DOG", "c": "CAT", "d": ""}
    frames = np.zeros((16, 4, 4, 3), np.uint8)
    made = [make_strip(frames, "nearest 1", Window(video, 6, 0.5), glosses, "DOG") for video in "bcd"]
    assert [strip.colour for strip in made] == [SAME, OTHER, UNKNOWN]
    assert [strip.details for strip in made] == [
        "DOG (same)\nb\nframe 6", "CAT (other)\nc\nframe 6", "d\nframe 6"
    ]  # fmt: skip
    assert make_strip(frames, "reference", Window("a", 0, 1), glosses, "DOG").colour == REFERENCE


def test_a_strip_that_cannot_be_read_is_grey_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(FakeReader):
        broken_rows = tuple(range(12))

    write_features(tmp_path / "features.parquet", 3)
    with use_reader(Broken, strips):
        retrieval_strips(tmp_path / "features.parquet", tmp_path, tmp_path / "x.png", n_references=1)
    assert "a strip of the figure stays empty" in caplog.text
