"""Training a translator: it learns, resumes exactly, and reports errors in the data."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from signrep_core.__main__ import main
from signrep_core.config import Translation
from signrep_core.errors import CheckpointError, TrainingError
from signrep_core.evaluate.translation import evaluate_translator
from signrep_core.model.translator import Translator
from signrep_core.model.weights import UNTRAINED, read_notes
from signrep_core.store.files import file_digest
from signrep_core.store.records import read_record
from signrep_core.store.schemas import SEQUENCES, TRANSLATIONS
from signrep_core.store.tables import read_table, write_table
from signrep_core.train import loop
from signrep_core.train.checkpoint import StateWriter
from signrep_core.train.launch import Devices
from signrep_core.train.loop import RunSetup, TrainResult, write_placeholder
from signrep_core.train.translation import (
    COLUMNS,
    IGNORED,
    next_pieces,
    train_translation,
    translation_loss,
)
from tests.store.test_feature_table import write_features
from tests.train.test_pretrain import assert_equal, assert_same_weights

TEXTS = {
    "a": "the mother is good",
    "b": "the house is big",
    "c": "hello, I wait for the car",
    "d": "the tree is good",
    "e": "NO, the father is here",
    "f": "you help",
}
SETTINGS = Translation(
    preset="tiny", vocabulary=60, iterations=120, batch_size=6, learning_rate=3e-3, warmup=10, validate_every=60,
    save_every=10, max_pieces=30, beam=3, label_smoothing=0.05,
)  # fmt: skip


def changed(**values: Any) -> Translation:
    return SETTINGS.model_copy(update=values)


def train(features: Path, index: dict[str, list[str]], out: Path, settings: Translation) -> TrainResult:
    return train_translation(features, index, settings, RunSetup(out, devices=Devices("cpu")), "d")


def write_corpus(folder: Path) -> tuple[Path, dict[str, list[str]]]:
    """Each sentence once per split, with the same features plus noise of the split."""
    rng = np.random.default_rng(0)
    clean = {name: rng.normal(size=(5 + k, 8)) for k, name in enumerate(TEXTS)}
    videos, rows = {}, []
    for split in ("train", "val", "test"):
        for name, text in TEXTS.items():
            videos[f"{split}-{name}"] = (clean[name] + 0.1 * rng.normal(size=clean[name].shape)).astype(np.float32)
            rows.append((f"{split}-{name}", "d", split, text))
    columns = zip(*rows, strict=True)
    index = dict(zip(("video_id", "dataset", "split", "text"), map(list, columns), strict=True))
    return write_features(folder / "features.parquet", videos), index


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[str]]]:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    train(*corpus, out, SETTINGS)
    return out


def without(index: dict[str, list[str]], *splits: str) -> dict[str, list[str]]:
    kept = [k for k, split in enumerate(index["split"]) if split not in splits]
    return {name: [values[k] for k in kept] for name, values in index.items()}


@pytest.mark.slow
def test_a_small_corpus_is_memorised(corpus, trained):
    result, translations = evaluate_translator(trained / "best.safetensors", *corpus, dataset="d", accelerator="cpu")
    assert [each.hypothesis for each in translations] == [text.lower() for text in TEXTS.values()]
    assert result["metrics"]["BLEU-4"] == pytest.approx(100)
    assert result["metrics"]["ROUGE-L"] == pytest.approx(100)
    assert result["chance"]["BLEU-4"] < 50
    assert result["counts"]["test"] == {"sentences": 6, "without_text": 0, "without_features": 0, "cut": 0}
    assert result["protocol"]["bleu"].startswith("nrefs:1|case:lc|eff:no|tok:13a|smooth:exp|version:")
    assert result["protocol"]["selected_by"] == "BLEU-4 of the validation split"


def test_the_command_trains_and_prints_the_metrics(corpus, tmp_path, capsys):
    features, index = corpus
    n = len(index["video_id"])
    rest = {"shard": ["00000"] * n, **dict.fromkeys(("gloss", "language", "signer"), [""] * n)}
    numbers = {name: np.arange(n) for name in ("sequence", "first_row", "n_frames", "fps")}
    write_table(tmp_path / "index.parquet", SEQUENCES, index | rest | numbers)
    small = "preset: tiny, vocabulary: 200, iterations: 2, warmup: 1, batch_size: 2, max_pieces: 5"
    (tmp_path / "c.yaml").write_text(f"translation: {{{small}}}")
    run = tmp_path / "translation" / "run"
    out = run / "d"
    arguments = ["--features", features, "--index", tmp_path / "index.parquet", "--dataset", "d", "--out", out]
    assert main(["train", "translation", *map(str, arguments), "--configfile", str(tmp_path / "c.yaml")]) == 0
    assert "translation of d (chance, other references): BLEU-1 " in capsys.readouterr().out
    assert json.loads((run / "d.json").read_text())["digests"]["weights"] == file_digest(out / "best.safetensors")
    table = read_table(run / "d.parquet", TRANSLATIONS)
    assert table["reference"] == [text.lower() for text in TEXTS.values()]
    for made in (out / "best.safetensors", out / "metrics.csv"):
        assert read_record(made).rule == "train_translation"
    for made in (run / "d.json", run / "d.parquet"):
        assert read_record(made).rule == "evaluate_translation"
        assert read_record(made).finished


def test_metrics_contain_loss_and_validation(trained):
    metrics = pd.read_csv(trained / "metrics.csv")
    assert list(metrics.step) == list(range(10, 121, 10))
    assert metrics.loss.iloc[-1] < metrics.loss.iloc[0] / 2
    assert metrics["BLEU-4"].notna().sum() == 2
    assert metrics.selection.max() == pytest.approx(100)


def test_a_stopped_run_ends_with_the_weights_of_a_whole_one(corpus, tmp_path, monkeypatch):
    class KilledError(Exception):
        pass

    settings = changed(iterations=16, validate_every=8, save_every=4)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(*corpus, whole, settings)
    write = StateWriter.write

    def write_and_die(states, state):
        write(states, state)
        if state["step"] == 12:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(StateWriter, "write", write_and_die)
        with pytest.raises(KilledError):
            train(*corpus, stopped, settings)
    assert not (stopped / "best.safetensors").exists()
    train(*corpus, stopped, settings)
    assert_same_weights(stopped / "best.safetensors", whole / "best.safetensors")
    ours, theirs = (torch.load(folder / "last/state.pt", weights_only=True)["model"] for folder in (stopped, whole))
    assert_equal(ours, theirs)


def test_the_vocabulary_is_learned_from_the_training_text_only(corpus, tmp_path):
    features, index = corpus
    index = index | {
        "text": [t + " ß" if s != "train" else t for t, s in zip(index["text"], index["split"], strict=True)]
    }
    settings = changed(iterations=1, validate_every=1)
    train(features, index, tmp_path, settings)
    model, _ = Translator.load(tmp_path / "best.safetensors")
    assert "ß".encode() not in model.vocabulary
    assert b"mother" in model.vocabulary or b"m" in model.vocabulary


def test_without_a_validation_split_the_loss_selects(corpus, tmp_path, caplog):
    features, index = corpus
    with caplog.at_level(logging.INFO):
        train(features, without(index, "val"), tmp_path, changed(iterations=3))
    assert "selected by the negative training loss" in caplog.text


def test_an_empty_test_split_has_no_metrics_and_the_log_says_so(corpus, trained, caplog):
    features, index = corpus
    result, translations = evaluate_translator(
        trained / "best.safetensors", features, without(index, "test"), dataset="d", accelerator="cpu"
    )
    assert (result["metrics"], result["chance"], translations) == (None, None, [])
    assert "no sentence of split 'test' has features and a text" in caplog.text


def test_without_training_sentences_placeholders_give_the_reason(corpus, tmp_path):
    features, index = corpus
    index = index | {"text": [""] * len(index["text"])}
    result = train(features, index, tmp_path, SETTINGS)
    assert (result.finished, result.step) == (True, 0)
    why = r"no training sentence of data set 'd'.*without text 6.*fill dataset, split and text"
    assert re.search(why, read_notes(result.weights, "")[UNTRAINED])


def test_placeholder_weights_give_the_reason_and_no_metrics(corpus, tmp_path):
    left = write_placeholder(RunSetup(tmp_path), SETTINGS, COLUMNS, "no sentence of 'd'")
    result, translations = evaluate_translator(left.weights, *corpus, dataset="d", accelerator="cpu")
    assert (result["metrics"], result["chance"], result["note"], translations) == (None, None, "no sentence of 'd'", [])
    assert result["counts"]["test"]["sentences"] == 6
    with pytest.raises(CheckpointError, match=r"expected a translator .* found 'untrained'"):
        Translator.load(left.weights)


def test_features_of_another_width_are_refused(corpus, trained, tmp_path):
    other = write_features(tmp_path / "f.parquet", {"test-a": np.zeros((5, 9), np.float32)})
    with pytest.raises(CheckpointError, match=r"was trained on windows of 8 values, .* has windows of 9"):
        evaluate_translator(trained / "best.safetensors", other, corpus[1], dataset="d", accelerator="cpu")


def test_an_unfinished_run_is_not_resumed_with_other_features(corpus, tmp_path, monkeypatch):
    features, index = corpus
    with monkeypatch.context() as patch:
        patch.setattr(loop, "_publish", lambda *_: None)
        train(features, index, tmp_path, changed(iterations=10))
    state = torch.load(tmp_path / "last/state.pt", weights_only=True)
    torch.save(state | {"finished": False}, tmp_path / "last/state.pt")
    videos = {name: np.zeros((5, 9), np.float32) for name in index["video_id"]}
    other = write_features(tmp_path / "f.parquet", videos)
    with pytest.raises(TrainingError, match="width was 8 and is 9"):
        train(other, index, tmp_path, changed(iterations=10))


def test_a_loss_that_is_not_finite_stops_and_names_the_sentences(corpus, tmp_path):
    _, index = corpus
    videos = {name: np.full((5, 8), np.nan, np.float32) for name in index["video_id"]}
    broken = write_features(tmp_path / "f.parquet", videos)
    with pytest.raises(TrainingError, match=r"step 0: loss.* became nan; the batch: .*train-a"):
        train(broken, index, tmp_path, SETTINGS)


def test_padding_is_not_a_target():
    pieces = torch.tensor([[2, 7, 8, 3], [2, 9, 3, 0]])
    assert next_pieces(pieces, torch.tensor([4, 3])).tolist() == [[7, 8, 3], [9, 3, IGNORED]]


def test_the_loss_is_cross_entropy_with_label_smoothing():
    logits = torch.tensor([[[2.0, 0.0, 1.0], [0.0, 0.0, 5.0]]])
    targets = torch.tensor([[0, IGNORED]])
    log_p = logits[0, 0].log_softmax(0)
    expected = -(0.9 * log_p[0] + 0.1 * log_p.mean())
    torch.testing.assert_close(translation_loss(logits, targets, 0.1), expected)
