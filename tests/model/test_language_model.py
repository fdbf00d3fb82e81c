"""Loading a pretrained language model: what it gives, and a clear message for what is none."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from signrep_core.errors import CheckpointError, SignRepError
from signrep_core.model.language_model import load_pretrained
from tests.model.language_models import write_bert, write_t5, write_tokenizer, write_xglm


@pytest.fixture(scope="module")
def xglm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_xglm(tmp_path_factory.mktemp("models") / "xglm")


def test_a_folder_gives_a_frozen_model_in_evaluation_mode(xglm: Path) -> None:
    found = load_pretrained(str(xglm), None)
    assert type(found.model).__name__ == "XGLMForCausalLM"
    assert not found.model.training
    assert not any(weight.requires_grad for weight in found.model.parameters())
    assert found.model.dtype == torch.float32
    assert found.tokenizer.eos_token == "</s>"
    assert found.commit is None


def test_a_folder_is_identified_by_its_files(xglm: Path, tmp_path: Path) -> None:
    origin = load_pretrained(str(xglm), None).origin
    assert origin.startswith("sha256 ")
    (xglm / "README.md").write_text("no part of the model")
    assert load_pretrained(str(xglm), None).origin == origin
    assert load_pretrained(str(write_xglm(tmp_path, seed=1)), None).origin != origin


def test_settings_of_generation_that_came_with_the_weights_are_not_used(tmp_path: Path) -> None:
    write_xglm(tmp_path)
    settings = json.loads((tmp_path / "generation_config.json").read_text())
    (tmp_path / "generation_config.json").write_text(json.dumps({**settings, "no_repeat_ngram_size": 2}))
    assert not load_pretrained(str(tmp_path), None).model.generation_config.no_repeat_ngram_size


def test_a_folder_that_is_missing_is_named() -> None:
    with pytest.raises(CheckpointError, match=r"/nowhere/xglm: expected a language model in this folder, found no "):
        load_pretrained("/nowhere/xglm", None)


def test_a_name_on_the_hub_is_identified_by_its_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As the hub's client keeps what it downloaded; the first commit is loaded by its name after a second one."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    (tmp_path / "models--some--model/refs").mkdir(parents=True)
    weights = []
    for seed, commit in enumerate(("a" * 40, "b" * 40)):
        write_xglm(tmp_path / "models--some--model/snapshots" / commit, seed=seed)
        (tmp_path / "models--some--model/refs/main").write_text(commit)
        found = load_pretrained("some/model", None)
        assert (found.commit, found.origin) == (commit, f"commit {commit}")
        weights.append(found.model.get_input_embeddings().weight)
    again = load_pretrained("some/model", "a" * 40)
    assert again.commit == "a" * 40
    torch.testing.assert_close(again.model.get_input_embeddings().weight, weights[0])


def test_a_name_that_the_hub_cannot_give_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match=r"nobody/no-model: cannot be loaded .* language_model\.base takes"):
        load_pretrained("nobody/no-model", None)


def test_a_model_that_reads_in_both_directions_is_refused(tmp_path: Path) -> None:
    message = r"expected a causal language model: BertLMHeadModel uses later pieces to predict a piece"
    with pytest.raises(CheckpointError, match=message):
        load_pretrained(str(write_bert(tmp_path)), None)


def test_an_encoder_with_a_decoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"cannot be loaded as a causal language model .*T5Config"):
        load_pretrained(str(write_t5(tmp_path)), None)


def test_a_folder_without_a_tokeniser_is_refused(xglm: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((xglm / name).read_bytes())
    with pytest.raises(CheckpointError, match="it comes without its tokeniser's pieces"):
        load_pretrained(str(tmp_path), None)


def test_weights_that_are_missing_are_not_filled_with_random_ones(tmp_path: Path) -> None:
    weights = load_file(write_xglm(tmp_path) / "model.safetensors")
    del weights["model.layers.1.fc1.weight"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"lacks weights of XGLMForCausalLM: model\.layers\.1\.fc1\.weight"):
        load_pretrained(str(tmp_path), None)


def test_broken_weights_are_refused(tmp_path: Path) -> None:
    (write_xglm(tmp_path) / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="cannot be loaded as a causal language model"):
        load_pretrained(str(tmp_path), None)


def test_a_tokeniser_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    write_tokenizer(write_xglm(tmp_path), ("many more characters: abcdefghijklmnopqrstuvwxyz",))
    with pytest.raises(CheckpointError, match=r"its tokeniser has \d+ pieces, its model \d+"):
        load_pretrained(str(tmp_path), None)
    write_tokenizer(write_xglm(tmp_path), unk_token="<unk>")
    with pytest.raises(CheckpointError, match=r"no piece that ends a sentence \(eos_token\)"):
        load_pretrained(str(tmp_path), None)


def test_without_the_extra_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(SignRepError, match=r"transformers is not installed; .* pip install 'signrep\[translation\]'"):
        load_pretrained("anything", None)
