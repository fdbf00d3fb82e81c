"""Translation by a language model: what learns, what it reads, its search and its file."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from signrep_core.config import LanguageModel
from signrep_core.errors import CheckpointError, TrainingError
from signrep_core.model.language_model import load_pretrained
from signrep_core.model.language_translator import LanguageTranslator
from tests.model.language_models import write_gpt2, write_xglm

GPT2 = ["c_attn", "c_proj"]


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LanguageModel]:
    folder = tmp_path_factory.mktemp("bases")
    return {
        "xglm": LanguageModel(base=str(write_xglm(folder / "xglm"))),
        "gpt2": LanguageModel(base=str(write_gpt2(folder / "gpt2")), targets=GPT2),
    }


def build(settings: LanguageModel) -> LanguageTranslator:
    """A translator whose adapters do something, as after some training."""
    torch.manual_seed(0)
    model = LanguageTranslator.build(6, settings)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    return model.eval()


@pytest.fixture(scope="module", params=["xglm", "gpt2"])
def model(request: Any, bases: dict[str, LanguageModel]) -> LanguageTranslator:
    return build(bases[request.param])


def sentences() -> tuple[Tensor, Tensor]:
    return torch.randn(2, 7, 6, generator=torch.Generator().manual_seed(1)), torch.tensor([7, 4])


def padded(model: LanguageTranslator, *texts: str) -> Tensor:
    rows = [torch.tensor(model.to_pieces(text)) for text in texts]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def test_adapters_and_projection_learn_and_nothing_else(bases: dict[str, LanguageModel]) -> None:
    """Four attention layers in each of two blocks, two matrices of rank 4 each; the projection of six values."""
    model = LanguageTranslator.build(6, bases["xglm"])
    learning = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    assert {name.split(".")[-3] for name in learning if name.startswith("base")} == {"lora_A", "lora_B"}
    assert sum(weight.numel() for weight in learning.values()) == 2 * 4 * 2 * 4 * 32 + (6 * 32 + 32)
    features, lengths = sentences()
    model.train()
    model(features, lengths, padded(model, "hello", "big")).sum().backward()
    assert {name for name, weight in model.named_parameters() if weight.grad is not None} == set(learning)


def test_the_base_is_never_in_training_mode_but_its_adapters_dropout_is(bases: dict[str, LanguageModel]) -> None:
    model = LanguageTranslator.build(6, bases["xglm"]).train()
    training = {name for name, module in model.base.named_modules() if module.training}
    assert training
    assert all(".lora_dropout" in name for name in training)
    assert not any(module.training for module in model.eval().modules())


def test_what_learns_has_single_precision_on_a_base_of_bfloat16(bases: dict[str, LanguageModel]) -> None:
    settings = bases["xglm"]
    plain = load_pretrained(settings.base, None)
    plain.model.bfloat16()
    model = LanguageTranslator(LanguageTranslator.build(6, settings).config, plain).train()
    assert {weight.dtype for weight in model.parameters() if weight.requires_grad} == {torch.float32}
    features, lengths = sentences()
    for mixed in (True, False):
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            logits = model(features, lengths, padded(model, "hello", "big"))
        assert logits.dtype == torch.bfloat16
        logits.float().sum().backward()
    assert model.projection.weight.grad.isfinite().all()
    assert len(model.eval().translate(features, lengths, max_pieces=3)) == 2


def test_untrained_adapters_leave_the_base_as_it_is(bases: dict[str, LanguageModel]) -> None:
    from transformers import XGLMForCausalLM

    model, plain = (
        LanguageTranslator.build(6, bases["xglm"]).eval(),
        XGLMForCausalLM.from_pretrained(bases["xglm"].base),
    )
    pieces = torch.tensor([model.to_pieces("the house")])
    torch.testing.assert_close(model.base(input_ids=pieces).logits, plain.eval()(input_ids=pieces).logits)


def test_the_projection_starts_at_the_scale_of_the_words(bases: dict[str, LanguageModel]) -> None:
    model = LanguageTranslator.build(600, bases["xglm"])
    words = model.base.get_input_embeddings()(torch.arange(model.config.vocabulary))
    windows = model.projection(torch.randn(500, 600, generator=torch.Generator().manual_seed(0))).detach()
    assert float(windows.std() / words.std()) == pytest.approx(1, rel=0.1)


def test_padding_does_not_change_the_output(model: LanguageTranslator) -> None:
    features, lengths = sentences()
    pieces = padded(model, "the mother is good", "hello")
    alone = model(features[1:, :4], lengths[1:], pieces[1:, :7])
    assert alone.shape == (1, 7, model.config.vocabulary)
    torch.testing.assert_close(model(features, lengths, pieces)[1:, :7], alone, rtol=1e-4, atol=1e-5)
    features[1, 4:] = 99
    torch.testing.assert_close(model(features, lengths, pieces)[1:, :7], alone, rtol=1e-4, atol=1e-5)


def test_every_window_matters_and_later_pieces_do_not(model: LanguageTranslator) -> None:
    features, lengths = sentences()
    pieces = padded(model, "hello", "hello")
    before = model(features, lengths, pieces)
    torch.testing.assert_close(model(features, lengths, pieces[:, :3]), before[:, :3], rtol=1e-4, atol=1e-5)
    for window in range(4):
        other = features.clone()
        other[1, window] += 1
        assert not torch.allclose(model(other, lengths, pieces)[1], before[1], atol=1e-5)


@pytest.mark.parametrize("beam", [1, 3])
def test_the_score_is_the_mean_log_probability_of_the_pieces(model: LanguageTranslator, beam: int) -> None:
    features, lengths = sentences()
    found = model.translate(features, lengths, beam=beam, max_pieces=6)
    again = model.translate(features[1:, :4], lengths[1:], beam=beam, max_pieces=6)
    assert again[0].pieces == found[1].pieces
    for row, (pieces, score) in enumerate(found):
        ended = pieces if len(pieces) == 6 else [*pieces, model._end]
        read = torch.tensor([[model._start, *ended[:-1]]])
        logits = model(features[row : row + 1], lengths[row : row + 1], read)[0].log_softmax(1).detach()
        expected = logits[torch.arange(len(ended)), torch.tensor(ended)].mean()
        assert score == pytest.approx(float(expected), abs=1e-4)


def test_text_survives_the_way_to_pieces_and_back(model: LanguageTranslator) -> None:
    pieces = model.to_pieces("hello, I wait")
    assert (pieces[0], pieces[-1], len(pieces)) == (1, 1, 15)  # the tokeniser has no start, so its end begins a text
    assert model.to_text(pieces[1:-1]) == "hello, I wait"


def test_a_file_has_the_learned_weights_only_and_gives_the_same_model(
    model: LanguageTranslator, tmp_path: Path
) -> None:
    model.standardise(torch.ones(6), 2 * torch.ones(6))
    model.save(tmp_path / "best.safetensors", {"step": "3"})
    learned = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert set(model.state_dict()) == learned | {"feature_mean", "feature_scale"}
    loaded, notes = LanguageTranslator.load(tmp_path / "best.safetensors")
    assert (notes, loaded.config) == ({"step": "3"}, model.config)
    inputs = *sentences(), padded(model, "hello", "big")
    torch.testing.assert_close(loaded(*inputs), model(*inputs))
    for name in ("a", "b"):
        model.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_file_is_refused_without_its_base_or_with_another(bases: dict[str, LanguageModel], tmp_path: Path) -> None:
    base = tmp_path / "base"
    model = LanguageTranslator.build(6, bases["xglm"].model_copy(update={"base": str(write_xglm(base, seed=1))}))
    model.save(tmp_path / "best.safetensors")
    write_xglm(base, seed=2)
    with pytest.raises(CheckpointError, match=r"was trained with the base .*/base of sha256 \w+, found sha256 "):
        LanguageTranslator.load(tmp_path / "best.safetensors")
    base.rename(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match=r"/base: expected a language model in this folder, found no folder"):
        LanguageTranslator.load(tmp_path / "best.safetensors")


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match=r"expected a translator of format 'language-translator-1', found None"):
        LanguageTranslator.load(tmp_path / "x.safetensors")


def test_a_base_with_other_layers_says_which_it_has(bases: dict[str, LanguageModel]) -> None:
    settings = bases["gpt2"].model_copy(update={"targets": ["c_proj", "q_proj"]})
    message = r"has no linear layer q_proj; .*language_model\.targets: c_attn, c_fc, c_proj, lm_head"
    with pytest.raises(TrainingError, match=message):
        LanguageTranslator.build(6, settings)
