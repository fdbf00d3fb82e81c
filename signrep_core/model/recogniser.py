"""Recognisers of isolated signs: SignRep on clips of 64 frames, and a network on keypoints for comparison.

A linear classifier on z (supplement A3, A6). The input of the keypoint recogniser (D) is what SignRep is trained to
predict, so the comparison shows what pixels add to poses.

Legend: B clips, T = 64 frames, G glosses, D features, K values of a frame.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from signrep_core.body.targets import PRIORS, Target
from signrep_core.errors import CheckpointError
from signrep_core.model.encoder import Encoder
from signrep_core.model.inflate import inflate_config, inflate_encoder
from signrep_core.model.signrep import SignRep, SignRepConfig, config_from
from signrep_core.model.weights import read_weights, write_weights

FORMAT: Final = "recogniser-1"  # of the safetensors file: names of the weights and of the configuration
ADVICE: Final = "give a best.safetensors of `signrep train recognition`"
KEYPOINT_PRIORS: Final = tuple(name for name in PRIORS if not name.endswith("distances"))


class Recogniser(nn.Module):
    """Linear classifier on z of a clip; starts from the weights of a `SignRep`."""

    inputs: Final = "video"

    def __init__(self, config: SignRepConfig, glosses: Sequence[str]) -> None:
        super().__init__()
        self.config, self.glosses = config, tuple(glosses)
        self.encoder = Encoder(inflate_config(config.encoder))
        width = self.encoder.num_features
        self.projection = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width, bias=False))
        self.classifier = nn.Linear(width, len(self.glosses))

    @classmethod
    def from_signrep(cls, model: SignRep, glosses: Sequence[str]) -> "Recogniser":
        """Create the recogniser that fine-tuning starts from."""
        recogniser = cls(model.config, glosses)
        recogniser.encoder = inflate_encoder(model.encoder, model.config.encoder)
        recogniser.projection.load_state_dict(model.projection.state_dict())
        return recogniser

    def forward(self, video: Tensor) -> Tensor:
        """(B, 3, 64, S, S) ImageNet-normalised → logits (B, G)."""
        return self.classifier(self.projection(self.encoder(video).tokens.mean(1)))

    def save(self, path: str | Path, notes: Mapping[str, str] | None = None) -> None:
        """Write weights, sizes and glosses as one safetensors file, atomically."""
        _save(self, path, notes, dataclasses.asdict(self.config))


class KeypointRecogniser(nn.Module):
    """Three convolutions in time on angles and keypoints, the mean over time, and a linear classifier."""

    inputs: Final = "keypoints"
    width: Final = 128  # D

    def __init__(self, glosses: Sequence[str]) -> None:
        super().__init__()
        self.glosses = tuple(glosses)
        values = sum(math.prod(PRIORS[name].shape) for name in KEYPOINT_PRIORS)  # K
        layers: list[nn.Module] = []
        for channels in (values, self.width, self.width):
            layers += [nn.Conv1d(channels, self.width, 5, stride=2, padding=2), nn.GroupNorm(1, self.width), nn.GELU()]
        self.layers = nn.Sequential(nn.BatchNorm1d(values), *layers)
        self.classifier = nn.Linear(self.width, len(self.glosses))

    def forward(self, values: Tensor) -> Tensor:
        """(B, T, K) of `keypoint_values` → logits (B, G)."""
        return self.classifier(self.layers(values.transpose(1, 2)).mean(2))

    def save(self, path: str | Path, notes: Mapping[str, str] | None = None) -> None:
        """Write weights and glosses as one safetensors file, atomically."""
        _save(self, path, notes, None)


AnyRecogniser = Recogniser | KeypointRecogniser


def keypoint_values(targets: Mapping[str, Target]) -> Tensor:
    """Concatenate angles (sine, cosine) and keypoints of `prior_targets`: (B, T, K); missing values are 0."""
    return torch.cat([targets[name].value.flatten(2) for name in KEYPOINT_PRIORS], 2).float()


def load_recogniser(path: str | Path, device: str | torch.device = "cpu") -> AnyRecogniser:
    """Load a recogniser, in evaluation mode.

    Raises:
        CheckpointError: the file is broken, or contains no recogniser.
    """
    weights, about = read_weights(path, ADVICE)
    if about.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: expected a recogniser of format {FORMAT!r}, found {about.get('format')!r}; {ADVICE}"
        )
    glosses = about["glosses"]
    model = Recogniser(config_from(about["config"]), glosses) if about["config"] else KeypointRecogniser(glosses)
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: its weights do not fit its own configuration: {error}") from error
    return model.to(device).eval()


def _save(
    model: AnyRecogniser, path: str | Path, notes: Mapping[str, str] | None, config: dict[str, Any] | None
) -> None:
    about = {"format": FORMAT, "glosses": list(model.glosses), "config": config, "notes": dict(notes or {})}
    write_weights(path, model.state_dict(), about)
