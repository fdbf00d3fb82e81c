"""The confusion matrix: which glosses it shows, and what it counts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from signrep_core.evaluate.recognition import Predictions
from signrep_core.inspect.figures import confusion


def predictions(truth: list[int], said: list[int], n_glosses: int) -> Predictions:
    n = len(truth)
    top = np.array(said)[:, None]
    return Predictions(
        glosses=tuple(f"GLOSS{k}" for k in range(n_glosses)), video_ids=["v"] * n, truth=["?"] * n,
        labels=np.array(truth), top=top, probability=np.zeros((n, 1), np.float32), rank=np.zeros(n, np.int64),
        right=np.zeros(n, np.float32), unreadable=[],
    )  # fmt: skip


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The arguments of the drawing function."""
    seen: dict[str, Any] = {}

    def note(counts: np.ndarray, rows: list[str], columns: list[str], title: str, out: Path) -> None:
        seen.update(counts=counts.tolist(), rows=rows, columns=columns, title=title)

    monkeypatch.setattr(confusion, "_draw_matrix", note)
    return seen


def test_rows_are_true_glosses_and_columns_predicted_ones(drawn: dict[str, Any]) -> None:
    confusion.confusion_matrix(predictions([0, 0, 2, -1], [0, 2, 2, 0], 4), "x.png", "title")
    assert drawn == {"counts": [[1, 1], [0, 1]], "rows": ["GLOSS0", "GLOSS2"], "columns": ["GLOSS0", "GLOSS2"],
                     "title": "title"}  # fmt: skip


def test_of_many_glosses_those_with_the_most_errors_are_shown(drawn: dict[str, Any]) -> None:
    """Gloss 40 is recognised as 41 three times, 7 as 8 once; all others are correct."""
    truth = [*range(50), 40, 40, 40, 7]
    said = [*range(50), 41, 41, 41, 8]
    confusion.confusion_matrix(predictions(truth, said, 50), "x.png", "title")
    assert len(drawn["rows"]) == 30
    assert {"GLOSS40", "GLOSS41", "GLOSS7", "GLOSS8"} <= set(drawn["rows"])
    row = drawn["rows"].index("GLOSS40")
    assert drawn["counts"][row][drawn["columns"].index("GLOSS41")] == 3
    assert drawn["title"].endswith("30 glosses with the most errors of 50")


def test_predictions_without_a_column_count_as_others(drawn: dict[str, Any]) -> None:
    """Forty glosses, each recognised as the next one, the first thirty of them twice."""
    truth = [k for k in range(40) for _ in range(3 if k < 30 else 1)]
    confusion.confusion_matrix(predictions(truth, [(k + 1) % 40 for k in truth], 40), "x.png", "title")
    assert drawn["columns"][-1] == "others"
    assert sum(map(sum, drawn["counts"])) == sum(3 if int(name[5:]) < 30 else 1 for name in drawn["rows"])


def test_the_figure_is_not_empty(tmp_path: Path) -> None:
    confusion.confusion_matrix(predictions([0, 1, 1], [0, 1, 0], 2), tmp_path / "c.png", "title")
    assert np.asarray(Image.open(tmp_path / "c.png")).std() > 10


def test_no_video_still_gives_a_figure(tmp_path: Path) -> None:
    empty = predictions([-1], [0], 2)
    confusion.confusion_matrix(empty, tmp_path / "c.png", "title")
    assert (tmp_path / "c.png").exists()
