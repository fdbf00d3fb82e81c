"""Accuracies, compared with calculations by hand, and videos without a usable gloss."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from signrep_core.config import Recognition, digest
from signrep_core.errors import CheckpointError
from signrep_core.evaluate import recognition as module
from signrep_core.evaluate.comparison import Comparison
from signrep_core.evaluate.features import Inference
from signrep_core.evaluate.recognition import (
    Predictions,
    accuracies,
    chance_accuracies,
    confusions,
    evaluate_recognition,
    join_predictions,
    judge,
    write_evaluation,
    write_predictions,
)
from signrep_core.inspect.figures.confusion import confusion_matrix
from signrep_core.model.recogniser import KeypointRecogniser, load_recogniser
from signrep_core.sources.sheet import Row
from signrep_core.store.files import file_digest
from signrep_core.store.schemas import PREDICTIONS, VIDEOS
from signrep_core.store.tables import read_table, write_table
from signrep_core.store.video_status import finalise, new_video_status
from signrep_core.train.loop import RunSetup, write_placeholder
from signrep_core.train.recognition import COLUMNS
from tests.fake_reader import FakeReader, use_reader

GLOSSES = ("A", "B", "C", "D", "E", "F")


def predictions(logits: list[list[float]], labels: list[int], names: tuple[str, ...] = GLOSSES) -> Predictions:
    judged = judge(torch.tensor(logits), torch.tensor(labels), min(5, len(names)))
    return Predictions(
        glosses=names,
        video_ids=[f"v{k}" for k in range(len(labels))],
        truth=[names[label] if label >= 0 else "other" for label in labels],
        labels=np.array(labels),
        unreadable=[],
        **{name: values.numpy() for name, values in judged.items()},
    )


# A twice right of three times (once second), B once last of six, and one video of another gloss
LOGITS = [[9.0, 1, 0, 0, 0, 0], [9.0, 8, 0, 0, 0, 0], [5.0, 6, 0, 0, 0, 0], [9.0, -1, 5, 4, 3, 2], [9.0, 0, 0, 0, 0, 0]]
LABELS = [0, 0, 0, 1, -1]


def test_accuracies_are_over_videos_and_over_glosses() -> None:
    """Instance: 2 of 4 and 3 of 4. Class: A 2/3 and 3/3, B 0 and 0: mean 1/3 and 1/2. Ranks 0, 0, 1 and 5."""
    assert accuracies(predictions(LOGITS, LABELS)) == pytest.approx(
        {"top1_instance": 50, "top1_class": 100 / 3, "top5_instance": 75, "top5_class": 50,
         "DCG": 25 * (1 + 1 + 1 / np.log2(3) + 1 / np.log2(7)), "MRR": 25 * (1 + 1 + 1 / 2 + 1 / 6)}
    )  # fmt: skip


def test_the_predictions_of_several_ranks_are_joined() -> None:
    parts = [predictions(LOGITS[rank::2], LABELS[rank::2]) for rank in (0, 1)]
    joined = join_predictions(parts)
    assert accuracies(joined) == pytest.approx(accuracies(predictions(LOGITS, LABELS)))
    assert joined.truth == ["A", "A", "other", "A", "B"]


def test_ties_count_against_the_right_gloss() -> None:
    found = predictions([[1.0] * 6], [2])
    assert found.rank.tolist() == [5]
    assert accuracies(found) == pytest.approx(
        {"top1_instance": 0, "top1_class": 0, "top5_instance": 0, "top5_class": 0,
         "DCG": 100 / np.log2(7), "MRR": 100 / 6}
    )  # fmt: skip


def test_without_a_trained_gloss_there_are_no_accuracies() -> None:
    assert accuracies(predictions([[1.0] * 6], [-1])) is None


def test_chance_is_one_over_the_number_of_glosses() -> None:
    top = {"top1_instance": 5, "top1_class": 5, "top5_instance": 25, "top5_class": 25}
    assert chance_accuracies(20).items() >= top.items()
    of_three = chance_accuracies(3)
    assert of_three["top5_class"] == 100
    assert of_three["DCG"] == pytest.approx(100 * (1 + 1 / np.log2(3) + 1 / 2) / 3)
    assert of_three["MRR"] == pytest.approx(100 * (1 + 1 / 2 + 1 / 3) / 3)


def test_confusions_are_the_most_frequent_first_and_leave_out_other_glosses() -> None:
    logits = [[0.0, 1, 0, 0, 0, 0]] * 2 + [[0.0, 0, 1, 0, 0, 0]] + [[1.0, 0, 0, 0, 0, 0]] * 2
    assert confusions(predictions(logits, [0, 0, 0, 0, -1])) == [("A", "B", 2), ("A", "C", 1)]


def test_predictions_are_written_best_first(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.parquet", predictions(LOGITS, LABELS))
    table = read_table(tmp_path / "p.parquet", PREDICTIONS)
    assert table["video_id"] == ["v0", "v1", "v2", "v3", "v4"]
    assert table["gloss"] == ["A", "A", "A", "B", "other"]
    assert table["rank"].tolist() == [0, 0, 1, 5, -1]
    assert [table[f"predicted_{k}"][3] for k in range(1, 6)] == ["A", "C", "D", "E", "F"]
    assert table["predicted_1"][2] == "B"
    assert table["probability_1"][2] == pytest.approx(np.exp(6) / (np.exp(6) + np.exp(5) + 4), rel=1e-5)


def test_with_fewer_than_five_glosses_the_rest_is_empty(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.parquet", predictions([[1.0, 0]], [0], ("A", "B")))
    table = read_table(tmp_path / "p.parquet", PREDICTIONS)
    assert [table[f"predicted_{k}"][0] for k in range(1, 6)] == ["A", "B", "", "", ""]
    assert table["probability_3"].tolist() == [0]


class Test(FakeReader):
    """Video04 (gloss1) and video05 (gloss2, which is not trained on) are in the test split."""

    __test__ = False
    splits = ("train", "train", "train", "train", "test", "test")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    notes = {"selected_by": "top-1", "step": "40", "settings": '{"epochs": 2}'}
    KeypointRecogniser(["gloss0", "gloss1"]).save(tmp_path / "weights.safetensors", notes)
    return tmp_path / "weights.safetensors"


def evaluate(weights: Path, reader: Any, **options: Any) -> tuple[Predictions, dict[str, Any]]:
    with use_reader(reader, module):
        return evaluate_recognition(weights, Path(), "fake", inference=Inference("cpu", batch_size=8), **options)


def test_a_gloss_that_was_not_trained_on_is_counted_logged_and_left_out(
    weights: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found, result = evaluate(weights, Test)
    assert found.video_ids == ["video04", "video05"]
    assert found.labels.tolist() == [1, -1]
    assert result["counts"] == {
        "videos": 1, "glosses": 1, "glosses_trained_on": 2, "videos_without_trained_gloss": 1,
        "glosses_not_trained_on": 1, "unreadable_videos": 0,
    }  # fmt: skip
    assert result["metrics"]["top5_instance"] == 100
    assert result["chance"]["top1_instance"] == 50
    assert len(result["digests"]["weights"]) == 64
    assert "1 glosses are not trained on, their videos are left out of the accuracies: gloss2" in caplog.text


def test_files_hold_metrics_predictions_and_digests(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"metrics": {"top1_instance": 40.0}}')
    (tmp_path / "none.json").write_text('{"metrics": null}')
    baselines = {"keypoints": tmp_path / "other.json", "angles": tmp_path / "none.json"}
    with use_reader(Test, module):
        write_evaluation(
            weights, Path(), "fake", (tmp_path / "m.json", tmp_path / "p.parquet"),
            Comparison(baselines, provenance={"params": "abc"}),
        )  # fmt: skip
    found = json.loads((tmp_path / "m.json").read_text())
    assert found["digests"] == {"weights": file_digest(weights), "settings": digest({"epochs": 2})}
    assert (found["protocol"]["selected_by"], found["protocol"]["selected_at_step"]) == ("top-1", 40)
    assert found["protocol"]["sampling"].startswith("middles of 64 equal parts of the frames with a signer")
    assert found["protocol"]["crops"] is None  # of a network on keypoints
    assert "each gloss's videos" in found["protocol"]["class"]
    assert found["lost"] is None
    assert found["provenance"] == {"params": "abc"}
    assert found["baselines"] == {"keypoints": {"top1_instance": 40}}
    assert read_table(tmp_path / "p.parquet", PREDICTIONS)["video_id"] == ["video04", "video05"]


def test_an_unreadable_video_is_counted_and_left_out(weights: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Test):
        broken_rows = (8, 9)

    caplog.set_level(logging.WARNING)
    found, result = evaluate(weights, Broken)
    assert found.video_ids == ["video05"]
    assert result["counts"]["unreadable_videos"] == 1
    assert (result["metrics"], result["chance"]) == (None, None)
    assert "no prediction (1 unreadable so far): video04: row 8" in caplog.text


def test_an_empty_split_has_no_metrics_and_the_log_lists_the_labelled_splits(
    weights: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found, result = evaluate(weights, Test, split="dev")
    assert (len(found), result["metrics"], result["chance"], result["counts"]["videos"]) == (0, None, None, 0)
    assert (
        "no video with a gloss in split 'dev'; sequences with one by data set and split: fake test: 4; fake train: 8"
        in (caplog.text)
    )


def test_labelled_videos_that_never_reached_the_shards_are_counted(weights: Path, tmp_path: Path) -> None:
    rows = [Row("gone", "/gone.mp4", "fake", "test", "gloss0"), Row("video04", "/4.mp4", "fake", "test", "gloss1")]
    videos = finalise(new_video_status(rows), {"gone": ("rejected", "missing_file", "")})
    write_table(tmp_path / "videos.parquet", VIDEOS, videos)
    with use_reader(Test, module):
        _, result = write_evaluation(
            weights, Path(), "fake", (tmp_path / "m.json", tmp_path / "p.parquet"),
            Comparison(videos=[tmp_path / "videos.parquet"]),
        )  # fmt: skip
    assert result["lost"] == {"test": {"missing_file": 1}}


def test_without_a_readable_video_there_are_no_metrics(weights: Path) -> None:
    class AllBroken(Test):
        broken_rows = (8, 9, 10, 11)

    found, result = evaluate(weights, AllBroken)
    assert len(found) == 0
    assert result["metrics"] is None
    assert result["counts"]["unreadable_videos"] == 2


def test_placeholder_weights_give_the_reason_and_no_metrics(tmp_path: Path) -> None:
    setup = RunSetup(tmp_path / "run", provenance={"params": "abc"})
    left = write_placeholder(setup, Recognition(), COLUMNS, "no video of 'fake'")
    assert (left.finished, left.step, left.best) == (True, 0, None)
    assert (tmp_path / "run/metrics.csv").read_text() == ",".join(COLUMNS) + "\n"
    found, result = evaluate(left.weights, Test)
    assert len(found) == 0
    assert (result["metrics"], result["chance"], result["note"]) == (None, None, "no video of 'fake'")
    assert result["counts"] == {
        "videos": 0, "glosses": 0, "glosses_trained_on": 0, "videos_without_trained_gloss": 2,
        "glosses_not_trained_on": 2, "unreadable_videos": 0,
    }  # fmt: skip
    write_predictions(tmp_path / "p.parquet", found)
    assert read_table(tmp_path / "p.parquet", PREDICTIONS)["video_id"] == []
    confusion_matrix(found, tmp_path / "p.png", "none")
    assert (tmp_path / "p.png").stat().st_size > 0
    with pytest.raises(CheckpointError, match=r"expected a recogniser .* found 'untrained'"):
        load_recogniser(left.weights)
