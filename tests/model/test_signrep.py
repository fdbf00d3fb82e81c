"""The model as a whole, and its file."""

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from signrep_core.errors import CheckpointError
from signrep_core.model.signrep import PRESETS, SignRep, SignRepConfig, load_weights, save_weights

TINY = dataclasses.replace(
    PRESETS["tiny"], encoder=dataclasses.replace(PRESETS["tiny"].encoder, embed_dim=8), decoder_channels=(32, 24)
)


@pytest.fixture(scope="module")
def model() -> SignRep:
    torch.manual_seed(0)
    return SignRep(TINY).eval()


@pytest.fixture(scope="module")
def video() -> torch.Tensor:
    return torch.randn(2, 3, 16, TINY.encoder.image_size, TINY.encoder.image_size)


def test_the_base_preset_has_the_papers_parts() -> None:
    with torch.device("meta"):
        model = SignRep(PRESETS["base"])
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert shapes["projection.1.weight"] == (768, 768)
    assert "projection.1.bias" not in shapes
    assert shapes["decoder.expand.0.weight"] == (512, 768, 1)
    assert shapes["decoder.expand.2.weight"] == (512, 384, 16)
    widths = {name: shapes[f"decoder.heads.{name}.weight"] for name in model.decoder.heads}
    assert widths == {
        "body_angles": (44, 384), "right_angles": (82, 384), "left_angles": (82, 384),
        "body_keypoints": (183, 384), "right_keypoints": (63, 384), "left_keypoints": (63, 384),
        "body_distances": (792, 384), "right_distances": (165, 384), "left_distances": (165, 384),
    }  # fmt: skip
    assert shapes["activity_head.0.weight"] == (128, 768)
    assert shapes["activity_head.2.weight"] == (2, 128)
    kinds = [[type(layer) for layer in part] for part in (model.projection, model.decoder.expand, model.activity_head)]
    assert kinds == [
        [nn.LayerNorm, nn.Linear],
        [nn.Conv1d, nn.GELU, nn.ConvTranspose1d],
        [nn.Linear, nn.GELU, nn.Linear],
    ]


def test_a_window_gives_latent_features_priors_and_activity(model: SignRep, video: torch.Tensor) -> None:
    output = model(video)
    assert output.latent.shape == output.features.shape == (2, 64)
    assert output.activity.shape == (2, 2)
    assert output.priors["body_distances"].shape == (2, 16, 12, 22, 3)
    assert output.priors["left_angles"].shape == (2, 16, 41, 2)
    torch.testing.assert_close(output.latent, model.encoder(video).tokens.mean(1))


def test_decoder_and_activity_head_read_the_features(model: SignRep, video: torch.Tensor) -> None:
    output = model(video)
    torch.testing.assert_close(output.features, model.projection(output.latent))
    torch.testing.assert_close(output.activity, model.activity_head(output.features))
    frames = model.decoder.expand(output.features[..., None])  # a sequence of length 1 → 16 frames
    assert frames.shape == (2, 24, 16)
    torch.testing.assert_close(
        output.priors["right_keypoints"].flatten(2), model.decoder.heads["right_keypoints"](frames.transpose(1, 2))
    )


def test_loaded_weights_give_the_same_features(model: SignRep, video: torch.Tensor, tmp_path: Path) -> None:
    model.save(tmp_path / "model.safetensors", {"step": "7"})
    loaded = SignRep.load(tmp_path / "model.safetensors")
    assert loaded.config == TINY
    assert not loaded.training
    torch.testing.assert_close(loaded(video).features, model(video).features)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_loaded_model_can_be_trained_on(model: SignRep, video: torch.Tensor, tmp_path: Path) -> None:
    model.save(tmp_path / "model.safetensors")
    loaded = SignRep.load(tmp_path / "model.safetensors")
    loaded(video).features.sum().backward()
    assert loaded.encoder.patch_embed.proj.weight.grad is not None


def test_a_file_of_something_else_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    path.write_text("not weights")
    with pytest.raises(CheckpointError, match=r"other.safetensors: cannot be read as safetensors"):
        SignRep.load(path)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match=r"expected SignRep weights of format .* found format None"):
        SignRep.load(path)
    with pytest.raises(CheckpointError, match=r"cannot be read"):
        SignRep.load(tmp_path / "missing.safetensors")


def test_weights_that_do_not_fit_their_configuration_are_refused(model: SignRep, tmp_path: Path) -> None:
    weights = {name: w for name, w in model.state_dict().items() if name != "projection.1.weight"}  # its norm is there
    save_weights(tmp_path / "model.safetensors", weights, TINY)
    with pytest.raises(CheckpointError, match=r"projection.1.weight"):
        SignRep.load(tmp_path / "model.safetensors")


def test_the_configuration_is_restored_from_the_file(tmp_path: Path) -> None:
    config = SignRepConfig(dataclasses.replace(TINY.encoder, drop_path=0.3), (7, 5), 3)
    save_weights(tmp_path / "x.safetensors", {}, config)
    assert load_weights(tmp_path / "x.safetensors")[1] == config
