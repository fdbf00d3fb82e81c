"""Convert released checkpoints to our format: the authors' SignRep, and Meta's masked autoencoder of Kinetics-400.

Both are licensed CC BY-NC; they are read from the user's path and never bundled.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor

from signrep_core.errors import CheckpointError
from signrep_core.model.signrep import PRESETS, SignRep, SignRepConfig, save_weights

LICENCE = "CC BY-NC: for non-commercial use only, and so is what is trained from it"

# Names of the heads in the released checkpoint → ours.
_HEADS = MappingProxyType(
    {
        "full_body_angles": "body_angles", "full_right_angles": "right_angles", "full_left_angles": "left_angles",
        "body_pose": "body_keypoints", "right_pose": "right_keypoints", "left_pose": "left_keypoints",
        "body_dist": "body_distances", "right_dist": "right_distances", "left_dist": "left_distances",
    }
)  # fmt: skip
# Prefixes of names in the released checkpoint → ours.
_PREFIXES = MappingProxyType(
    {
        "backbone.": "encoder.",
        "fc.": "projection.",
        "cls_head.latent_proj.": "decoder.expand.",
        **{f"cls_head.dict_component_projections.{a}.layers.0.": f"decoder.heads.{b}." for a, b in _HEADS.items()},
        "active_head.": "activity_head.",
    }
)
# Weights of Meta's autoencoder without a counterpart: the pixel decoder, and final norms and heads.
_NOT_ENCODER = re.compile(r"^(decoder_|mask_token|multi_scale_fusion_heads\.|encoder_norm\.|norm\.|head\.)")
_UNUSED = re.compile(r"^backbone\.(head|norm)\.")
# Parts of the model by the beginning of our names.
_PARTS = MappingProxyType(
    {
        "encoder.": "encoder",
        "projection.": "projection",
        "decoder.heads.": "decoder heads",
        "decoder.": "decoder",
        "activity_head.": "activity head",
    }
)


@dataclass(frozen=True)
class Conversion:
    """The keys of a converted checkpoint."""

    kind: str  # "signrep" or "encoder"
    renamed: dict[str, str]  # name in the checkpoint → our name
    dropped: list[str]  # names of weights that the model does not have
    shapes: dict[str, tuple[int, ...]]  # by name in the checkpoint


def convert_checkpoint(checkpoint: str | Path, out: str | Path, config: SignRepConfig = PRESETS["base"]) -> Conversion:
    """Read a checkpoint and write it as a safetensors file in our format.

    A SignRep release (key `model`) becomes a whole model for `SignRep.load`; a masked autoencoder (key `model_state`)
    an encoder, to give as `initial_weights` of a pretraining.

    Raises:
        CheckpointError: not such a checkpoint, or its weights are not those of `config`; nothing is written.
    """
    kind, found = _read(Path(checkpoint))
    renamed = {name: _our_name(name, kind) for name in found if not _is_dropped(name, kind)}
    shapes = {name: tuple(weight.shape) for name, weight in found.items()}
    conversion = Conversion(kind, renamed, sorted(set(found) - set(renamed)), shapes)
    weights = {ours: found[theirs] for theirs, ours in renamed.items()}
    _check(Path(checkpoint), weights, kind, config)
    save_weights(out, weights, config, {"converted_from": Path(checkpoint).name, "licence": LICENCE})
    return conversion


def summarise_conversion(conversion: Conversion) -> str:
    """Count the weights of a conversion by part of the model, one line each."""
    counts = Counter(_part(ours) for ours in conversion.renamed.values())
    rows = [(part, counts[part]) for part in _PARTS.values() if counts[part]]
    rows += [("dropped", len(conversion.dropped)), ("missing", 0)]  # a checkpoint with a missing weight is refused
    return "\n".join(f"  {part:<16}{n:>5}" for part, n in rows)


def list_keys(conversion: Conversion) -> str:
    """List every key of a conversion with its new name and shape, one line each."""
    lines = [f"{theirs} -> {ours} {conversion.shapes[theirs]}" for theirs, ours in conversion.renamed.items()]
    return "\n".join([*lines, *(f"{name} dropped" for name in conversion.dropped)])


def _part(name: str) -> str:
    return next(part for prefix, part in _PARTS.items() if name.startswith(prefix))


def _read(path: Path) -> tuple[str, dict[str, Tensor]]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler can raise any error on a file of another kind
        raise CheckpointError(f"{path}: cannot be read as a PyTorch checkpoint of tensors only ({error!r})") from error
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
    """Our name of a weight; an unknown name stays as it is and fails the check."""
    if kind == "encoder":
        return f"encoder.{name}"
    prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), None)
    return name if prefix is None else _PREFIXES[prefix] + name.removeprefix(prefix)


def _check(path: Path, weights: dict[str, Tensor], kind: str, config: SignRepConfig) -> None:
    """Check that names and shapes are exactly those of the model."""
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
        raise CheckpointError(f"{path}: its weights do not fit the model: {'; '.join(problems[:8])}{more}")
