"""Training a language model's adapters: it learns, resumes, saves what it learned, and names its base."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from signrep_core.__main__ import main
from signrep_core.config import LanguageModel
from signrep_core.errors import TrainingError
from signrep_core.evaluate.translation import evaluate_translator
from signrep_core.model.language_translator import LanguageTranslator
from signrep_core.model.weights import read_notes
from signrep_core.store.files import file_digest
from signrep_core.store.schemas import SEQUENCES, TRANSLATIONS
from signrep_core.store.tables import read_table, write_table
from signrep_core.train.checkpoint import StateWriter
from signrep_core.train.launch import Devices
from signrep_core.train.loop import RunSetup, TrainResult
from signrep_core.train.translation import train_translation
from tests.model.language_models import TEXTS, write_xglm
from tests.store.test_feature_table import write_features

Corpus = tuple[Path, dict[str, list[str]]]


def train(corpus: Corpus, out: Path, settings: LanguageModel) -> TrainResult:
    return train_translation(*corpus, settings, RunSetup(out, devices=Devices("cpu")), "d")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    base = write_xglm(tmp_path_factory.mktemp("base"))
    targets = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]  # a random base has more to learn
    return LanguageModel(
        base=str(base), targets=targets, rank=8, alpha=16.0, dropout=0.0, epochs=80, warmup_epochs=5, batch_size=3,
        learning_rate=1e-2, label_smoothing=0.0, max_windows=12, max_pieces=24, beam=3, validate_every=40,
        save_every=4,
    )  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Three sentences, once per split, with the same features plus noise."""
    rng = np.random.default_rng(0)
    clean = [rng.normal(size=(5 + k, 8)) for k in range(len(TEXTS))]
    videos, rows = {}, []
    for split in ("train", "val", "test"):
        for k, text in enumerate(TEXTS):
            videos[f"{split}-{k}"] = (clean[k] + 0.05 * rng.normal(size=clean[k].shape)).astype(np.float32)
            rows.append((f"{split}-{k}", "d", split, text))
    columns = zip(*rows, strict=True)
    index = dict(zip(("video_id", "dataset", "split", "text"), map(list, columns), strict=True))
    return write_features(tmp_path_factory.mktemp("corpus") / "features.parquet", videos), index


@pytest.fixture(scope="module")
def trained(corpus: Corpus, settings: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    train(corpus, out, settings)
    return out


@pytest.mark.slow
def test_three_sentences_are_memorised(corpus: Corpus, settings: LanguageModel, trained: Path) -> None:
    weights = trained / "best.safetensors"
    result, translations = evaluate_translator(weights, *corpus, dataset="d", accelerator="cpu")
    assert [each.hypothesis for each in translations] == list(TEXTS)
    assert result["metrics"]["BLEU-4"] == pytest.approx(100)
    assert result["protocol"]["tokenizer"] == "13a"
    assert result["protocol"]["beam"] == 3
    base = result["protocol"]["model"]
    assert (base["base"], base["rank"], base["targets"]) == (settings.base, 8, tuple(settings.targets))
    assert base["origin"].startswith("sha256 ")


def test_the_rate_warms_up_and_validation_comes_every_so_many_steps(trained: Path) -> None:
    metrics = pd.read_csv(trained / "metrics.csv")
    assert list(metrics.step) == list(range(10, 81, 10))  # 80 epochs of one batch
    assert list(metrics.step[metrics["BLEU-4"].notna()]) == [40, 80]
    assert metrics.learning_rate.max() < 1e-2
    assert metrics.learning_rate.iloc[-1] > 1e-4  # where the cosine ends
    assert metrics.loss.iloc[-1] < metrics.loss.iloc[0] / 4


def test_the_resume_state_and_the_weights_leave_the_base_out(settings: LanguageModel, trained: Path) -> None:
    state = torch.load(trained / "last/state.pt", weights_only=True)["model"]
    assert {name.split(".")[0] for name in state} == {"base", "projection", "feature_mean", "feature_scale"}
    assert all("lora_" in name for name in state if name.startswith("base."))
    assert json.loads(read_notes(trained / "best.safetensors")["settings"])["base"] == settings.base


def test_a_stopped_run_ends_with_the_weights_of_a_whole_one(
    corpus: Corpus, settings: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        pass

    short = settings.model_copy(update={"epochs": 8, "warmup_epochs": 1, "validate_every": 8, "dropout": 0.1})
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(corpus, whole, short)
    write = StateWriter.write

    def write_and_die(states: StateWriter, state: Mapping[str, Any]) -> None:
        write(states, state)
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(StateWriter, "write", write_and_die)
        with pytest.raises(KilledError):
            train(corpus, stopped, short)
    assert not (stopped / "best.safetensors").exists()
    train(corpus, stopped, short)
    ours, theirs = (LanguageTranslator.load(folder / "best.safetensors")[0].state_dict() for folder in (stopped, whole))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_an_unfinished_run_is_not_resumed_with_another_base(
    corpus: Corpus, settings: LanguageModel, tmp_path: Path
) -> None:
    short = settings.model_copy(update={"base": str(write_xglm(tmp_path / "base")), "epochs": 1})
    train(corpus, tmp_path / "run", short)
    state = tmp_path / "run/last/state.pt"
    torch.save(torch.load(state, weights_only=True) | {"finished": False}, state)
    write_xglm(tmp_path / "base", seed=1)
    with pytest.raises(TrainingError, match=r"base_files was 'sha256 \w+' and is 'sha256 \w+'"):
        train(corpus, tmp_path / "run", short)


def test_a_base_with_too_few_positions_is_refused(corpus: Corpus, settings: LanguageModel, tmp_path: Path) -> None:
    long = settings.model_copy(update={"max_windows": 60})
    with pytest.raises(TrainingError, match=r"has 64 positions, but 60 windows and a text take up to 85; lower"):
        train(corpus, tmp_path, long)


def test_text_that_the_tokeniser_does_not_know_is_counted(
    corpus: Corpus, settings: LanguageModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    features, index = corpus
    index = index | {"text": ["ß" + text for text in index["text"]]}
    with caplog.at_level(logging.WARNING):
        train((features, index), tmp_path, settings.model_copy(update={"epochs": 1}))
    assert "3 of 56 pieces of the training text are unknown to the tokeniser" in caplog.text


def test_the_command_chooses_the_language_model_by_the_data_set(
    corpus: Corpus, settings: LanguageModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Characters are counted where the configuration says so."""
    features, index = corpus
    n = len(index["video_id"])
    rest = {"shard": ["00000"] * n, **dict.fromkeys(("gloss", "language", "signer"), [""] * n)}
    numbers = {name: np.arange(n) for name in ("sequence", "first_row", "n_frames", "fps")}
    write_table(tmp_path / "index.parquet", SEQUENCES, index | rest | numbers)
    small = f"datasets: [d], base: {settings.base}, epochs: 1, batch_size: 3, max_windows: 12, max_pieces: 5, beam: 2"
    (tmp_path / "c.yaml").write_text(f"language_model: {{{small}}}\ntranslation: {{by_character: [d]}}")
    run = tmp_path / "translation/run"
    out = run / "d"
    arguments = ["--features", features, "--index", tmp_path / "index.parquet", "--dataset", "d", "--out", out]
    assert main(["train", "translation", *map(str, arguments), "--configfile", str(tmp_path / "c.yaml")]) == 0
    assert "translation of d (chance, other references): BLEU-1 " in capsys.readouterr().out
    result = json.loads((run / "d.json").read_text())
    assert result["protocol"]["tokenizer"] == "char"
    assert "|tok:char|" in result["protocol"]["bleu"]
    assert result["digests"]["weights"] == file_digest(out / "best.safetensors")
    assert result["protocol"]["model"]["base"] == settings.base
    assert len(read_table(run / "d.parquet", TRANSLATIONS)["hypothesis"]) == 3
