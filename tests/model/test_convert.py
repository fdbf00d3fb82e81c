"""Conversion of released checkpoints, imitated with their names."""

import argparse
import dataclasses
import functools
import re
from pathlib import Path

import pytest
import torch

from signrep_core.__main__ import main
from signrep_core.errors import CheckpointError
from signrep_core.model import convert
from signrep_core.model.convert import convert_checkpoint
from signrep_core.model.signrep import PRESETS, SignRep, load_weights

TINY = dataclasses.replace(PRESETS["tiny"], encoder=dataclasses.replace(PRESETS["tiny"].encoder, embed_dim=8))
THEIR_HEADS = ("full_body_angles", "full_right_angles", "full_left_angles", "body_pose", "right_pose", "left_pose",
               "body_dist", "right_dist", "left_dist")  # fmt: skip


@pytest.fixture(scope="module")
def model() -> SignRep:
    torch.manual_seed(3)
    return SignRep(TINY).eval()


def released(model: SignRep) -> dict[str, torch.Tensor]:
    """The weights under the names of the authors' release, written out."""
    ours = model.state_dict()
    theirs = {f"backbone.{name.removeprefix('encoder.')}": w for name, w in ours.items() if name.startswith("encoder.")}
    theirs |= {"fc.0.weight": ours["projection.0.weight"], "fc.0.bias": ours["projection.0.bias"],
               "fc.1.weight": ours["projection.1.weight"]}  # fmt: skip
    for k in (0, 2):
        for part in ("weight", "bias"):
            theirs[f"cls_head.latent_proj.{k}.{part}"] = ours[f"decoder.expand.{k}.{part}"]
            theirs[f"active_head.{k}.{part}"] = ours[f"activity_head.{k}.{part}"]
    for their_head, our_head in zip(THEIR_HEADS, model.decoder.heads, strict=True):
        for part in ("weight", "bias"):
            name = f"cls_head.dict_component_projections.{their_head}.layers.0.{part}"
            theirs[name] = ours[f"decoder.heads.{our_head}.{part}"]
    return theirs


def autoencoder(model: SignRep) -> dict[str, torch.Tensor]:
    ours = {name.removeprefix("encoder."): w for name, w in model.state_dict().items() if name.startswith("encoder.")}
    others = ("decoder_pos_embed", "mask_token", "encoder_norm.weight", "multi_scale_fusion_heads.0.weight",
              "decoder_blocks.0.norm1.weight")  # fmt: skip
    return ours | {name: torch.zeros(2) for name in others}


def test_a_release_becomes_a_model_with_the_same_output(model: SignRep, tmp_path: Path) -> None:
    weights = released(model) | {"backbone.head.norm.weight": torch.zeros(3)}
    torch.save({"model": weights, "epoch": 3}, tmp_path / "release.pth")
    conversion = convert_checkpoint(tmp_path / "release.pth", tmp_path / "ours.safetensors", TINY)
    video = torch.randn(1, *model.encoder.input_shape)
    with torch.no_grad():
        ours, theirs = SignRep.load(tmp_path / "ours.safetensors")(video), model(video)
    # Equal weights in other places of the memory may take other kernels, so the last bits can differ.
    torch.testing.assert_close(ours.features, theirs.features)
    torch.testing.assert_close(ours.priors["left_distances"], theirs.priors["left_distances"])
    torch.testing.assert_close(ours.activity, theirs.activity)
    assert conversion.dropped == ["backbone.head.norm.weight"]


def test_the_command_prints_a_summary_and_on_request_every_key(
    model: SignRep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(convert, "convert_checkpoint", functools.partial(convert_checkpoint, config=TINY))
    weights = released(model) | {"backbone.head.norm.weight": torch.zeros(3)}
    torch.save({"model": weights}, tmp_path / "release.pth")
    call = ["convert", str(tmp_path / "release.pth"), "--out", str(tmp_path / "ours.safetensors")]
    assert main(call) == 0
    summary = capsys.readouterr().out
    counts = dict(re.findall(r"^  ([a-z ]+?) +(\d+)$", summary, re.MULTILINE))
    n_encoder = sum(name.startswith("encoder.") for name in model.state_dict())
    assert counts == {"encoder": str(n_encoder), "projection": "3", "decoder heads": "18", "decoder": "4",
                      "activity head": "4", "dropped": "1", "missing": "0"}  # fmt: skip
    assert f"{len(weights) - 1} of {len(weights)} weights converted" in summary
    assert "non-commercial" in summary
    assert "fc.0.weight" not in summary
    assert main([*call, "--verbose"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in weights)


def test_an_autoencoder_becomes_an_encoder(model: SignRep, tmp_path: Path) -> None:
    torch.save({"model_state": autoencoder(model)}, tmp_path / "mae.pth")
    conversion = convert_checkpoint(tmp_path / "mae.pth", tmp_path / "encoder.safetensors", TINY)
    weights, config = load_weights(tmp_path / "encoder.safetensors")
    assert config == TINY
    assert weights.keys() == {name for name in model.state_dict() if name.startswith("encoder.")}
    assert len(conversion.dropped) == 5
    with pytest.raises(CheckpointError, match="only an encoder; give it as initial_weights"):
        SignRep.load(tmp_path / "encoder.safetensors")


def test_a_checkpoint_of_other_sizes_or_names_is_refused(model: SignRep, tmp_path: Path) -> None:
    weights = released(model)
    weights["fc.1.weight"] = weights["fc.1.weight"][:5]
    weights["extra.weight"] = torch.zeros(1)
    del weights["active_head.2.bias"]
    torch.save({"model": weights}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError) as caught:
        convert_checkpoint(tmp_path / "x.pth", tmp_path / "x.safetensors", TINY)
    message = str(caught.value)
    assert "activity_head.2.bias is missing" in message
    assert "extra.weight is unknown" in message
    assert "projection.1.weight has shape (5, 64), expected (64, 64)" in message
    assert not (tmp_path / "x.safetensors").exists()


def test_a_file_of_something_else_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_text("hello")
    with pytest.raises(CheckpointError, match="cannot be read as a PyTorch checkpoint"):
        convert_checkpoint(path, tmp_path / "x.safetensors")
    torch.save({"state_dict": {}}, path)
    with pytest.raises(CheckpointError, match=r"expected the key 'model' .* found \['state_dict'\]"):
        convert_checkpoint(path, tmp_path / "x.safetensors")
    torch.save({"model": {}, "args": argparse.Namespace()}, path)  # code is not run
    with pytest.raises(CheckpointError, match="of tensors only"):
        convert_checkpoint(path, tmp_path / "x.safetensors")
