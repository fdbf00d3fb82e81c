"""Translation by a pretrained causal language model: projected feature windows are the beginning of its text.

Supplement A3 (as Sign2GPT, Wong et al. 2024): the language model, the base, is frozen; low-rank adapters of its
attention layers and a linear projection of the features learn. A sentence is read as its windows, then the start piece,
then its own pieces. Ours (decision 0021): windows stand before the text, where Sign2GPT attends to them through a gate
in every layer; inputs are standardised, and the projection starts at the scale of the base's word embeddings.

Legend: B sentences, N windows, F values of a window, D width of the base, L word pieces, V vocabulary.
"""

import dataclasses
import importlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from signrep_core.config import LanguageModel
from signrep_core.errors import CheckpointError, TrainingError
from signrep_core.extras import optional_packages
from signrep_core.model.beam import Hypothesis
from signrep_core.model.language_model import Pretrained, load_pretrained
from signrep_core.model.standardised import Standardised
from signrep_core.model.weights import read_weights, write_weights

FORMAT: Final = "language-translator-1"  # of the safetensors file: names of the weights and of the configuration
ADVICE: Final = "give a best.safetensors of `signrep train translation`"
NAMED: Final = 12  # layers named in a message


@dataclass(frozen=True)
class LanguageTranslatorConfig:
    """The base and its adapters: all but the learned weights."""

    features: int  # F
    vocabulary: int  # V
    base: str
    revision: str | None  # commit on the hub; None = a folder
    origin: str  # identity of the base's files
    targets: tuple[str, ...]
    rank: int
    alpha: float
    dropout: float


class LanguageTranslator(Standardised):
    """Model of the next piece given the windows of a sentence; its state has the learned weights only."""

    def __init__(self, config: LanguageTranslatorConfig, pretrained: Pretrained) -> None:
        super().__init__(config.features)
        self.config, self.tokenizer = config, pretrained.tokenizer
        self.base = _adapt(pretrained.model, config)
        self._end = int(self.tokenizer.eos_token_id)
        self._start = _start_piece(self.tokenizer)
        self._accepts = set(inspect.signature(self.base.forward).parameters)
        embedding = self.base.get_input_embeddings()
        self.projection = nn.Linear(config.features, embedding.embedding_dim)
        words = embedding(torch.arange(min(1_000, config.vocabulary), device=embedding.weight.device))
        nn.init.normal_(self.projection.weight, std=float(words.float().std()) * config.features**-0.5)
        nn.init.zeros_(self.projection.bias)
        self.register_state_dict_post_hook(_leave_out_base)
        self.register_load_state_dict_post_hook(_expect_no_base)

    @classmethod
    def build(cls, features: int, settings: LanguageModel, device: torch.device | str = "cpu") -> "LanguageTranslator":
        """Load the base and add new adapters.

        Raises:
            CheckpointError: the base cannot be used.
            TrainingError: it has no layers of the names in `targets`.
        """
        pretrained = load_pretrained(settings.base, settings.revision, device)
        config = LanguageTranslatorConfig(
            features, len(pretrained.tokenizer), settings.base, pretrained.commit, pretrained.origin,
            tuple(settings.targets), settings.rank, settings.alpha, settings.dropout,
        )  # fmt: skip
        return cls(config, pretrained)

    @property
    def unknown(self) -> int | None:
        """Piece for text that the tokeniser does not know; None = it knows all text."""
        piece: int | None = self.tokenizer.unk_token_id
        return piece

    @property
    def positions(self) -> int | None:
        """Longest sequence of windows and pieces that the base can read; None = no limit is stated."""
        return getattr(self.base.config, "max_position_embeddings", None)

    def train(self, mode: bool = True) -> "LanguageTranslator":
        """Switch the adapters' dropout on or off; the frozen base stays in evaluation mode."""
        super().train(mode)
        self.base.eval()
        for name, module in self.base.named_modules():
            if name.endswith(".lora_dropout"):
                module.train(mode)
        return self

    def to_pieces(self, text: str) -> list[int]:
        """Pieces of a text, with start and end."""
        return [self._start, *self.tokenizer(text, add_special_tokens=False).input_ids, self._end]

    def to_text(self, pieces: Sequence[int]) -> str:
        """Text of pieces without start and end."""
        return str(self.tokenizer.decode(list(pieces), skip_special_tokens=True)).strip()

    def forward(self, features: Tensor, lengths: Tensor, pieces: Tensor) -> Tensor:
        """(B, N, F), (B,), (B, L) that begin with the start piece → logits (B, L, V) of each next piece."""
        inputs, seen = self._inputs(features, lengths, pieces)
        options = {
            "position_ids": (seen.cumsum(1) - 1).clamp_min(0),  # from the first window of each sentence
            "use_cache": False,
            "logits_to_keep": pieces.shape[1],
        }
        options = {name: value for name, value in options.items() if name in self._accepts}
        logits: Tensor = self.base(inputs_embeds=inputs, attention_mask=seen, **options).logits
        return logits[:, -pieces.shape[1] :]

    def _inputs(self, features: Tensor, lengths: Tensor, pieces: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors (B, N + L, D) of windows and pieces, and which of them are read: padding comes first."""
        n = features.shape[1]
        source = torch.arange(n, device=features.device) - (n - lengths[:, None])  # (B, N) to the right of the padding
        windows = self.projection(self.standardised(features))
        windows = windows.gather(1, source.clamp_min(0)[..., None].expand_as(windows))
        words = self.base.get_input_embeddings()(pieces)
        return torch.cat((windows.to(words.dtype), words), 1), torch.cat((source >= 0, torch.ones_like(pieces) > 0), 1)

    @torch.inference_mode()
    def translate(
        self, features: Tensor, lengths: Tensor, *, beam: int = 4, length_penalty: float = 1.0, max_pieces: int = 64
    ) -> list[Hypothesis]:
        """Translate each sentence by beam search; `beam` 1 is greedy."""
        start = torch.full((len(features), 1), self._start, device=features.device)
        inputs, seen = self._inputs(features, lengths, start)
        found = self.base.generate(
            inputs_embeds=inputs, attention_mask=seen.long(), num_beams=beam, length_penalty=length_penalty,
            max_new_tokens=max_pieces, do_sample=False, return_dict_in_generate=True, output_scores=True,
        )  # fmt: skip
        rows = [row[: row.index(self._end) + 1] if self._end in row else row for row in found.sequences.tolist()]
        if beam > 1:
            scores = found.sequences_scores.tolist()
        else:
            steps = self.base.compute_transition_scores(found.sequences, found.scores, normalize_logits=True)
            sums = [float(step[: len(row)].sum()) for step, row in zip(steps, rows, strict=True)]
            scores = [total / len(row) ** length_penalty for total, row in zip(sums, rows, strict=True)]
        return [
            Hypothesis([piece for piece in row if piece != self._end], score)
            for row, score in zip(rows, scores, strict=True)
        ]

    def save(self, path: str | Path, notes: Mapping[str, str] | None = None) -> None:
        """Write learned weights, the base's name and identity, and notes as one safetensors file, atomically."""
        about = {"format": FORMAT, "config": dataclasses.asdict(self.config), "notes": dict(notes or {})}
        write_weights(path, self.state_dict(), about)

    @classmethod
    def load(cls, path: str | Path, device: torch.device | str = "cpu") -> tuple["LanguageTranslator", dict[str, str]]:
        """Load a model and its base, in evaluation mode, and the notes of its file.

        Raises:
            CheckpointError: the file is broken or contains no such model, or the base is missing or another one.
        """
        weights, about = read_weights(path, ADVICE)
        if about.get("format") != FORMAT:
            raise CheckpointError(
                f"{path}: expected a translator of format {FORMAT!r}, found {about.get('format')!r}; {ADVICE}"
            )
        config = LanguageTranslatorConfig(**{**about["config"], "targets": tuple(about["config"]["targets"])})
        pretrained = load_pretrained(config.base, config.revision, device)
        if pretrained.origin != config.origin:
            raise CheckpointError(
                f"{path}: was trained with the base {config.base} of {config.origin}, found {pretrained.origin}; put "
                "the former base back, or train again"
            )
        model = cls(config, pretrained)
        try:
            model.load_state_dict(weights, strict=True)
        except RuntimeError as error:
            raise CheckpointError(f"{path}: its weights do not fit its own configuration: {error}") from error
        return model.to(device).eval(), about["notes"]


def _adapt(base: Any, config: LanguageTranslatorConfig) -> Any:
    """Add adapters to the base's layers, the only weights of it that learn.

    Raises:
        TrainingError: no layer has one of the names in `targets`.
    """
    with optional_packages():
        peft: Any = importlib.import_module("peft")
    linear = {name.rpartition(".")[2] for name, module in base.named_modules() if _is_linear(module)}
    if absent := sorted(set(config.targets) - linear):
        raise TrainingError(
            f"{config.base}: has no linear layer {', '.join(absent)}; name some of its own in language_model.targets: "
            f"{', '.join(sorted(linear)[:NAMED])}"
        )
    lora = peft.LoraConfig(
        r=config.rank, lora_alpha=config.alpha, lora_dropout=config.dropout, target_modules=list(config.targets),
        fan_in_fan_out=any(type(module).__name__ == "Conv1D" for module in base.modules()),
    )  # fmt: skip
    adapted = peft.inject_adapter_in_model(lora, base)
    for weight in adapted.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()  # small steps would be lost in bfloat16, which the base may have
    return adapted


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"  # as GPT-2's layers are called


def _start_piece(tokenizer: Any) -> int:
    """Piece that the tokeniser puts before every text (XGLM: the end of the text before), or its own start or end."""
    before = tokenizer("").input_ids
    start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    return int(before[0] if before else start)


def _frozen(module: Any) -> set[str]:
    """Names of the base's own weights, tied ones by each of their names."""
    weights = (*module.base.named_parameters(remove_duplicate=False), *module.base.named_buffers())
    return {f"base.{name}" for name, weight in weights if not weight.requires_grad}


def _leave_out_base(module: nn.Module, state: dict[str, Tensor], prefix: str, _: Any) -> None:
    """Remove the base's own weights from a state: its files are named instead."""
    for name in _frozen(module):
        state.pop(prefix + name, None)


def _expect_no_base(module: nn.Module, keys: Any) -> None:
    """Accept a state without the base's own weights."""
    frozen = _frozen(module)
    keys.missing_keys[:] = [name for name in keys.missing_keys if name not in frozen]
