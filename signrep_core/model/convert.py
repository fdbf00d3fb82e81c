"""Checkpoints of others to our format: the authors' released SignRep, and Meta's masked autoencoder of Kinetics-400.

Method section 2 (C). Both are under CC BY-NC: they are read from the user's path, never bundled.
"""

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor

from signrep_core.errors import CheckpointError
from signrep_core.model.signrep import PRESETS, SignRep, SignRepConfig, save_weights

log = logging.getLogger(__name__)

LICENCE = "CC BY-NC: for non-commercial use only, and so is what is trained from it"

# The released checkpoint's names of the heads.
_HEADS = MappingProxyType(
    {
        "full_body_angles": "body_angles", "full_right_angles": "right_angles", "full_left_angles": "left_angles",
        "body_pose": "body_keypoints", "right_pose": "right_keypoints", "left_pose": "left_keypoints",
        "body_dist": "body_distances", "right_dist": "right_distances", "left_dist": "left_distances",
    }
)  # fmt: skip
# Of its names the beginnings, and ours.
_PREFIXES = MappingProxyType(
    {
        "backbone.": "encoder.",
        "fc.": "projection.",
        "cls_head.latent_proj.": "decoder.expand.",
        **{f"cls_head.dict_component_projections.{a}.layers.0.": f"decoder.heads.{b}." for a, b in _HEADS.items()},
        "active_head.": "activity_head.",
    }
)
# Of Meta's autoencoder, what reconstructs pixels, and norms and heads that our encoder does not end with.
_NOT_ENCODER = re.compile(r"^(decoder_|mask_token|multi_scale_fusion_heads\.|encoder_norm\.|norm\.|head\.)")
_UNUSED = re.compile(r"^backbone\.(head|norm)\.")


@dataclass(frozen=True)
class Conversion:
    """What became of every key of a checkpoint."""

    kind: str  # "signrep" or "encoder"
    renamed: dict[str, str]  # their name → ours
    dropped: list[str]


def convert_checkpoint(checkpoint: str | Path, out: str | Path, config: SignRepConfig = PRESETS["base"]) -> Conversion:
    """Read a checkpoint and write it as safetensors of ours; every key is accounted for in the log.

    A SignRep release (key `model`) becomes a whole model for `SignRep.load`; a masked autoencoder (key `model_state`)
    an encoder, to give as `initial_weights` of a pretraining.

    Raises:
        CheckpointError: not such a checkpoint, or its weights are not those of `config`; nothing is written.
    """
    kind, found = _read(Path(checkpoint))
    renamed = {name: _our_name(name, kind) for name in found if not _is_dropped(name, kind)}
    conversion = Conversion(kind, renamed, sorted(set(found) - set(renamed)))
    weights = {ours: found[theirs] for theirs, ours in renamed.items()}
    _check(Path(checkpoint), weights, kind, config)
    for theirs, ours in renamed.items():
        log.info("%s -> %s %s", theirs, ours, tuple(found[theirs].shape))
    for name in conversion.dropped:
        log.info("%s dropped", name)
    log.info("%s: %s", checkpoint, LICENCE)
    save_weights(out, weights, config, {"converted_from": Path(checkpoint).name, "licence": LICENCE})
    return conversion


def _read(path: Path) -> tuple[str, dict[str, Tensor]]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file of something else makes the unpickler raise anything at all
        raise CheckpointError(f"{path}: cannot be read as a PyTorch checkpoint of plain weights ({error!r})") from error
    for key, kind in (("model", "signrep"), ("model_state", "encoder")):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            return kind, {name: value for name, value in content[key].items() if isinstance(value, Tensor)}
    keys = sorted(map(str, content))[:10] if isinstance(content, dict) else type(content).__name__
    raise CheckpointError(
        f"{path}: expected the key 'model' (a SignRep release) or 'model_state' (mae_hiera_base_16x224), found {keys}"
    )


def _is_dropped(name: str, kind: str) -> bool:
    return bool((_NOT_ENCODER if kind == "encoder" else _UNUSED).match(name))


def _our_name(name: str, kind: str) -> str:
    """Our name of a weight; a name that nobody knows stays, and fails the check."""
    if kind == "encoder":
        return f"encoder.{name}"
    prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), None)
    return name if prefix is None else _PREFIXES[prefix] + name.removeprefix(prefix)


def _check(path: Path, weights: dict[str, Tensor], kind: str, config: SignRepConfig) -> None:
    """Names and shapes are exactly those of the model."""
    with torch.device("meta"):
        model = SignRep(config)
    wanted = {name: tuple(w.shape) for name, w in model.state_dict().items()}
    if kind == "encoder":
        wanted = {name: shape for name, shape in wanted.items() if name.startswith("encoder.")}
    shapes = {name: tuple(w.shape) for name, w in weights.items()}
    problems = [f"{name} is missing" for name in sorted(wanted.keys() - shapes.keys())]
    problems += [f"{name} is unknown" for name in sorted(shapes.keys() - wanted.keys())]
    problems += [
        f"{name} has shape {shapes[name]}, expected {wanted[name]}"
        for name in sorted(wanted.keys() & shapes.keys())
        if shapes[name] != wanted[name]
    ]
    if problems:
        more = f" and {len(problems) - 8} more" if len(problems) > 8 else ""
        raise CheckpointError(f"{path}: its weights are not those of the model: {'; '.join(problems[:8])}{more}")
