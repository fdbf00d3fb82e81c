"""SignRep: encoder, sign decoder and activity head, with weights that carry their configuration.

Sizes as in the supplement and the released checkpoint.

Legend: B batch, T = 16 frames, D features (768), A latent width (D of the encoder's last stage).
"""

import dataclasses
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from signrep_core.body.targets import PRIORS
from signrep_core.errors import CheckpointError
from signrep_core.model.encoder import Encoder, EncoderConfig
from signrep_core.model.weights import read_weights, write_weights
from signrep_core.skeleton import SKELETON_VERSION

log = logging.getLogger(__name__)

FORMAT = "signrep-1"  # of the safetensors file: names of the weights and of the configuration


@dataclass(frozen=True)
class SignRepConfig:
    """Sizes of the model; the defaults are the paper's (C)."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    decoder_channels: tuple[int, int] = (512, 384)  # after the first convolution, and of each decoded frame
    activity_channels: int = 128


class SignRepOutput(NamedTuple):
    """Output of the model for a batch of windows."""

    latent: Tensor  # (B, D) mean of the encoder's tokens
    features: Tensor  # (B, D) z, the input of all downstream tasks
    priors: dict[str, Tensor]  # by name of `PRIORS`: (B, T, *shape), in Table 9's scale (divide by ψ for units)
    activity: Tensor  # (B, 2) logits: right, left hand active
    style_tokens: Tensor  # (B, N, C) tokens after the encoder's `style_stage`


PRESETS = MappingProxyType(
    {
        "base": SignRepConfig(),
        # A narrow, shallow model with small frames and longer patches, for the demo and tests on a CPU (D).
        "tiny": SignRepConfig(
            EncoderConfig(
                image_size=64,
                embed_dim=32,
                stages=(1, 1, 2, 1),
                drop_path=0.0,
                patch_kernel=(5, 7, 7),
                patch_stride=(4, 4, 4),
            ),
            (128, 96),
            64,
        ),
    }
)


class SignDecoder(nn.Module):
    """Decoder of z to the priors of 16 frames: z as a sequence of length 1, two convolutions, one Linear per prior."""

    def __init__(self, features: int, channels: tuple[int, int], frames: int) -> None:
        super().__init__()
        wide, narrow = channels
        self.expand = nn.Sequential(
            nn.Conv1d(features, wide, 1), nn.GELU(), nn.ConvTranspose1d(wide, narrow, kernel_size=frames)
        )
        self.heads = nn.ModuleDict({name: nn.Linear(narrow, math.prod(p.shape)) for name, p in PRIORS.items()})

    @torch.no_grad()
    def start_at(self, priors: Mapping[str, Tensor]) -> None:
        """Set the biases of the heads to these priors, by name (*shape) in Table 9's scale."""
        for name, head in self.heads.items():
            assert isinstance(head, nn.Linear)
            head.bias.copy_(priors[name].flatten())

    def forward(self, z: Tensor) -> dict[str, Tensor]:
        """(B, D) → by prior (B, T, *shape)."""
        frames = self.expand(z[..., None]).transpose(1, 2)  # (B, T, narrow)
        return {name: head(frames).unflatten(-1, PRIORS[name].shape) for name, head in self.heads.items()}


class SignRep(nn.Module):
    """The whole model: load it with `SignRep.load(path)` and call it with normalised windows."""

    def __init__(self, config: SignRepConfig = PRESETS["base"]) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.encoder)
        width = self.encoder.num_features
        self.n_features = width
        self.projection = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width, bias=False))
        self.decoder = SignDecoder(width, config.decoder_channels, config.encoder.frames)
        self.activity_head = nn.Sequential(
            nn.Linear(width, config.activity_channels), nn.GELU(), nn.Linear(config.activity_channels, 2)
        )

    def forward(self, video: Tensor, visible: Tensor | None = None, style_stage: int = 1) -> SignRepOutput:
        """Encode windows of video and predict their priors.

        Args:
            video: (B, 3, 16, 224, 224) RGB, ImageNet-normalised (`signrep_core.data.augment.prepare`); other presets
                have their own frame size, `config.encoder.image_size`.
            visible: (B, U) visible mask units (training); None = all.
            style_stage: stage of the encoder, from 1, whose tokens the style is computed from.
        """
        encoded = self.encoder(video, visible, style_stage)
        latent = encoded.tokens.mean(1)
        z = self.projection(latent)
        return SignRepOutput(latent, z, self.decoder(z), self.activity_head(z), encoded.of_stage)

    def save(self, path: str | Path, extra: Mapping[str, str] | None = None) -> None:
        """Write weights and configuration as one safetensors file, atomically; `extra` notes go to its metadata."""
        save_weights(path, self.state_dict(), self.config, extra)

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device = "cpu") -> "SignRep":
        """Load a model from a safetensors file, in evaluation mode.

        Raises:
            CheckpointError: the file is broken, of another format, or for another skeleton.
        """
        weights, config = load_weights(path)
        if not any(name.startswith("projection.") for name in weights):
            raise CheckpointError(f"{path}: contains only an encoder; give it as initial_weights of a pretraining")
        with torch.device("meta"):
            model = cls(config)
        try:
            model.load_state_dict(weights, strict=True, assign=True)
        except RuntimeError as error:
            raise CheckpointError(f"{path}: its weights do not fit its own configuration: {error}") from error
        for parameter in model.parameters():
            parameter.requires_grad_(True)
        return model.to(device).eval()


def save_weights(
    path: str | Path, weights: Mapping[str, Tensor], config: SignRepConfig, extra: Mapping[str, str] | None = None
) -> None:
    """Write weights (names of `SignRep`) and their configuration, atomically."""
    about = {
        "format": FORMAT,
        "skeleton": str(SKELETON_VERSION),
        "config": dataclasses.asdict(config),
        "notes": dict(extra or {}),
    }
    write_weights(path, weights, about)


def load_weights(path: str | Path) -> tuple[dict[str, Tensor], SignRepConfig]:
    """Read weights and configuration as `save_weights` wrote them.

    Raises:
        CheckpointError: the file is broken, of another format, or for another skeleton.
    """
    weights, about = read_weights(path, "give a best.safetensors of a run, or convert a checkpoint first")
    found = about.get("format"), about.get("skeleton")
    if found != (FORMAT, str(SKELETON_VERSION)):
        raise CheckpointError(
            f"{path}: expected SignRep weights of format {FORMAT!r} and skeleton {SKELETON_VERSION}, found format "
            f"{found[0]!r} and skeleton {found[1]}; train or convert them again with this version"
        )
    return weights, config_from(about["config"])


def config_from(values: dict[str, Any]) -> SignRepConfig:
    """Create a configuration from the JSON of a file, in which tuples are lists."""

    def with_tuples(part: dict[str, Any]) -> dict[str, Any]:
        return {key: tuple(value) if isinstance(value, list) else value for key, value in part.items()}

    rest = {key: value for key, value in values.items() if key != "encoder"}
    return SignRepConfig(EncoderConfig(**with_tuples(values["encoder"])), **with_tuples(rest))
