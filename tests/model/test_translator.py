"""The translator's masks, positions, search and file."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from signrep_core.errors import CheckpointError
from signrep_core.model.beam import Search, beam_search
from signrep_core.model.cached_decoder import CachedDecoder
from signrep_core.model.translator import Memory, Translator, TranslatorConfig, sinusoids
from signrep_core.model.vocabulary import END, PAD, START

SMALL = TranslatorConfig(
    features=6, vocabulary=11, width=16, feedforward=32, heads=2, encoder_layers=2, decoder_layers=1, dropout=0.1
)


@pytest.fixture
def model() -> Translator:
    torch.manual_seed(0)
    return Translator(SMALL, b"pieces \xff\x00").eval()


def sentences(n_windows: int = 7) -> torch.Tensor:
    return torch.randn(2, n_windows, 6, generator=torch.Generator().manual_seed(1))


def test_the_published_sizes_are_the_defaults():
    model = Translator(TranslatorConfig(features=768, vocabulary=7000))
    assert (len(model.encoder.layers), len(model.decoder.layers)) == (6, 3)
    per_encoder = 4 * (256 * 256 + 256) + 2 * 256 * 1024 + 1024 + 256 + 2 * 2 * 256
    per_decoder = per_encoder + 4 * (256 * 256 + 256) + 2 * 256
    norms = 3 * 2 * 256  # after the encoder, after the decoder, on the embedding
    tied = 7000 * 256  # once
    expected = 768 * 256 + 256 + tied + 6 * per_encoder + 3 * per_decoder + norms
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


def test_layers_start_with_different_weights(model):
    first, second = (layer.linear1.weight for layer in model.encoder.layers)
    assert not torch.equal(first, second)


def test_padding_does_not_change_the_output(model):
    x, pieces = sentences(), torch.tensor([[START, 5, 6], [START, 7, 8]])
    padded = torch.cat((x, 99 * torch.ones(2, 4, 6)), 1)
    alone = model(x, torch.tensor([7, 7]), pieces)
    torch.testing.assert_close(model(padded, torch.tensor([7, 7]), pieces), alone, rtol=1e-4, atol=1e-5)


def test_outputs_do_not_depend_on_later_pieces(model):
    x, lengths = sentences(), torch.tensor([7, 7])
    before = model(x, lengths, torch.tensor([[START, 5, 6, 7]] * 2))
    after = model(x, lengths, torch.tensor([[START, 5, 9, 4]] * 2))
    torch.testing.assert_close(before[:, :2], after[:, :2], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(before[:, 2:], after[:, 2:])


def test_the_order_of_the_windows_matters(model):
    x, lengths, pieces = sentences(), torch.tensor([7, 7]), torch.tensor([[START]] * 2)
    assert not torch.allclose(model(x, lengths, pieces), model(x.flip(1), lengths, pieces), atol=1e-4)


def test_positions_are_sines_and_cosines_from_one_radian_to_a_ten_thousandth():
    table = sinusoids(3, 8)
    assert table.shape == (3, 8)
    torch.testing.assert_close(table[0], torch.tensor([0.0] * 4 + [1.0] * 4))
    assert table[2, 0] == pytest.approx(0.9092974)  # sin 2
    assert table[2, 3] == pytest.approx(2e-4)
    assert table[2, 4] == pytest.approx(-0.4161468)  # cos 2


def test_inputs_of_any_scale_give_the_same_output(model):
    x, lengths, pieces = sentences(), torch.tensor([7, 7]), torch.tensor([[START, 4]] * 2)
    flat = x.flatten(0, 1)
    model.standardise(flat.mean(0), flat.std(0))
    near = model(x, lengths, pieces)
    model.standardise(1000 * flat.mean(0) + 5, 1000 * flat.std(0))
    torch.testing.assert_close(model(1000 * x + 5, lengths, pieces), near, rtol=1e-3, atol=1e-3)


def test_constant_inputs_stay_finite(model):
    model.standardise(torch.full((6,), 3.0), torch.zeros(6))
    x = torch.full((1, 4, 6), 3.0)
    assert model(x, torch.tensor([4]), torch.tensor([[START]])).isfinite().all()


def test_a_translation_contains_no_padding_start_or_end(model):
    for found in model.translate(sentences(), torch.tensor([7, 3]), beam=3, max_pieces=12):
        assert len(found.pieces) < 12
        assert not {PAD, START, END} & set(found.pieces)


@pytest.fixture
def talkative() -> Translator:
    """A translator whose pieces depend on windows and earlier pieces, and whose sentences differ in length."""
    torch.manual_seed(3)
    model = Translator(dataclasses.replace(SMALL, decoder_layers=2)).eval()
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.mul_(2)
    return model


@torch.inference_mode()
def test_a_decoder_that_keeps_earlier_pieces_gives_what_decoding_all_of_them_gives(talkative):
    """Three hypotheses of each of two sentences, which continue each other's prefixes at random."""
    generator = torch.Generator().manual_seed(0)
    memory = talkative.encode(sentences(), torch.tensor([7, 4]))
    whole = Memory(*(part.repeat_interleave(3, 0) for part in memory))
    decoder = CachedDecoder(talkative.decoder, *memory, beam=3)
    pieces, origins = torch.full((6, 1), START), torch.arange(6)
    for length in range(6):
        output = decoder.advance(talkative._embed(pieces[:, -1:], first=length)[:, 0], origins)
        expected = talkative.decode(whole, pieces)[:, -1]
        torch.testing.assert_close(F.linear(output, talkative.embedding.weight), expected, rtol=1e-4, atol=1e-5)
        origins = torch.cat([3 * k + torch.randint(3, (3,), generator=generator) for k in range(2)])
        pieces = torch.cat((pieces[origins], torch.randint(3, 11, (6, 1), generator=generator)), 1)


@pytest.mark.parametrize("beam", [1, 4])
@torch.inference_mode()
def test_translations_are_those_of_a_search_that_decodes_whole_prefixes(talkative, beam):
    x = 3 * torch.randn(8, 7, 6, generator=torch.Generator().manual_seed(2))
    lengths = torch.arange(8).clamp(min=1, max=7)
    whole = Memory(*(part.repeat_interleave(beam, 0) for part in talkative.encode(x, lengths)))

    def score(pieces, _):
        logits = talkative.decode(whole, pieces)[:, -1]
        logits[:, [PAD, START]] = -torch.inf
        return logits.log_softmax(1)

    expected = beam_search(score, 8, Search(beam, 12, 1.0), start=START, end=END)
    found = talkative.translate(x, lengths, beam=beam, max_pieces=12)
    assert [one.pieces for one in found] == [other.pieces for other in expected]
    assert len({tuple(one.pieces) for one in found}) > 3
    assert [one.score for one in found] == pytest.approx([other.score for other in expected], abs=1e-5)


def test_a_loaded_translator_gives_the_same_translations(model, tmp_path):
    model.standardise(torch.ones(6), 2 * torch.ones(6))
    model.save(tmp_path / "best.safetensors", {"step": "3"})
    loaded, notes = Translator.load(tmp_path / "best.safetensors")
    assert loaded.vocabulary == b"pieces \xff\x00"
    assert notes == {"step": "3"}
    assert loaded.config == SMALL
    x, lengths, pieces = sentences(), torch.tensor([7, 5]), torch.tensor([[START, 4]] * 2)
    torch.testing.assert_close(loaded(x, lengths, pieces), model(x, lengths, pieces))


def test_equal_weights_are_equal_files(model, tmp_path):
    for name in ("a", "b"):
        model.save(tmp_path / name, {"step": "3"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_weights_of_something_else_are_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match=r"expected a translator of format 'translator-1', found None"):
        Translator.load(tmp_path / "x.safetensors")
    (tmp_path / "y.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"cannot be read as safetensors weights .*train translation"):
        Translator.load(tmp_path / "y.safetensors")
