"""Transformer for translation: the encoder reads feature windows, the decoder writes word pieces.

Supplement A3; Tarrés et al. 2023, "Sign Language Translation from Instructional Videos", as published with the
paper: norm before each block and after the last, ReLU, sinusoidal positions, inputs scaled by √D, a norm on the
decoder's embedding, its input and output embeddings tied. Ours (decision 0021): inputs are standardised by the training
sentences' statistics, so that features, keypoints and angles of any scale can be used.

Legend: B sentences, N windows, F values of a window, D width, L word pieces, V vocabulary, K beam.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from signrep_core.errors import CheckpointError
from signrep_core.model.beam import Hypothesis, Search, beam_search
from signrep_core.model.cached_decoder import CachedDecoder
from signrep_core.model.standardised import Standardised
from signrep_core.model.vocabulary import END, PAD, START, Vocabulary
from signrep_core.model.weights import read_weights, write_weights

FORMAT = "translator-1"  # of the safetensors file: names of the weights and of the configuration
ADVICE: Final = "give a best.safetensors of `signrep train translation`"
VOCABULARY = "vocabulary"  # tensor with the vocabulary's bytes


@dataclass(frozen=True)
class TranslatorConfig:
    """Sizes of the model; the defaults are the published ones."""

    features: int  # F
    vocabulary: int  # V
    width: int = 256
    feedforward: int = 1024
    heads: int = 4
    encoder_layers: int = 6
    decoder_layers: int = 3
    dropout: float = 0.3  # of residuals, attention and activations


# Arguments of TranslatorConfig by name: the published model, and a small one for the demo and the tests on a CPU (D).
PRESETS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(  # arguments of TranslatorConfig
    {
        "base": {},
        "tiny": {"width": 64, "feedforward": 128, "encoder_layers": 2, "decoder_layers": 2, "dropout": 0.1},
    }
)


class Memory(NamedTuple):
    """Output of the encoder for a batch of sentences."""

    states: Tensor  # (B, N, D)
    padding: Tensor  # (B, N) True where there is no window


class Translator(Standardised):
    """Model of the next word piece given the windows of a sentence; contains its vocabulary."""

    def __init__(self, config: TranslatorConfig, vocabulary: bytes = b"") -> None:
        super().__init__(config.features)
        self.config, self.vocabulary = config, vocabulary  # the sentencepiece model's bytes
        sizes = (config.width, config.heads, config.feedforward, config.dropout)
        self.projection = nn.Linear(config.features, config.width)
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.embedding_norm = nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(*sizes, batch_first=True, norm_first=True), config.encoder_layers,
            nn.LayerNorm(config.width),
            enable_nested_tensor=False,
        )  # fmt: skip
        self.decoder = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(*sizes, batch_first=True, norm_first=True), config.decoder_layers,
            nn.LayerNorm(config.width),
        )  # fmt: skip
        self._initialise()

    def _initialise(self) -> None:
        for parameter in self.parameters():
            if parameter.ndim > 1:  # the layers are copies of one layer, so each gets weights of its own
                nn.init.xavier_uniform_(parameter)
        nn.init.normal_(self.embedding.weight, std=self.config.width**-0.5)

    def encode(self, features: Tensor, lengths: Tensor) -> Memory:
        """(B, N, F), with lengths (B,) windows in each sentence → states (B, N, D)."""
        padding = torch.arange(features.shape[1], device=features.device) >= lengths[:, None]
        x = self.projection(self.standardised(features))
        x = self.dropout(self._place(x))
        return Memory(self.encoder(x, src_key_padding_mask=padding), padding)

    def decode(self, memory: Memory, pieces: Tensor) -> Tensor:
        """Pieces so far (B, L), starting with START → logits (B, L, V) of each next piece."""
        n = pieces.shape[1]
        x = self.dropout(self._embed(pieces))
        future = torch.ones(n, n, dtype=torch.bool, device=pieces.device).triu(1)
        x = self.decoder(x, memory.states, tgt_mask=future, tgt_is_causal=True, memory_key_padding_mask=memory.padding)
        return F.linear(x, self.embedding.weight)

    def forward(self, features: Tensor, lengths: Tensor, pieces: Tensor) -> Tensor:
        """(B, N, F), (B,), (B, L) → logits (B, L, V)."""
        return self.decode(self.encode(features, lengths), pieces)

    def _embed(self, pieces: Tensor, first: int = 0) -> Tensor:
        """Vectors (B, L, D) of pieces (B, L), which stand at `first` and after it."""
        embedded: Tensor = self.embedding_norm(self._place(self.embedding(pieces), first))
        return embedded

    def _place(self, x: Tensor, first: int = 0) -> Tensor:
        places = sinusoids(first + x.shape[1], self.config.width, x.device)[first:]
        return x * math.sqrt(self.config.width) + places

    @cached_property
    def _pieces(self) -> Vocabulary:
        return Vocabulary(self.vocabulary)

    def to_pieces(self, text: str) -> list[int]:
        """Pieces of a text, with START and END."""
        return [START, *self._pieces.encode(text), END]

    def to_text(self, pieces: Sequence[int]) -> str:
        """Text of pieces without START and END."""
        return self._pieces.decode(pieces)

    @torch.inference_mode()
    def translate(
        self, features: Tensor, lengths: Tensor, *, beam: int = 5, length_penalty: float = 1.0, max_pieces: int = 200
    ) -> list[Hypothesis]:
        """Translate each sentence by beam search; `beam` 1 is greedy."""
        decoder = CachedDecoder(self.decoder, *self.encode(features, lengths), beam)

        def score(pieces: Tensor, origins: Tensor) -> Tensor:
            last = self._embed(pieces[:, -1:], first=pieces.shape[1] - 1)
            logits = F.linear(decoder.advance(last[:, 0], origins), self.embedding.weight).float()
            logits[:, [PAD, START]] = -torch.inf  # never part of a text
            return logits.log_softmax(1)

        return beam_search(
            score, len(features), Search(beam, max_pieces, length_penalty), start=START, end=END,
            device=features.device,
        )  # fmt: skip

    def save(self, path: str | Path, notes: Mapping[str, str] | None = None) -> None:
        """Write weights, sizes, vocabulary and notes as one safetensors file, atomically."""
        about = {"format": FORMAT, "config": dataclasses.asdict(self.config), "notes": dict(notes or {})}
        pieces = torch.frombuffer(bytearray(self.vocabulary), dtype=torch.uint8)
        write_weights(path, self.state_dict() | {VOCABULARY: pieces}, about)

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device = "cpu") -> tuple["Translator", dict[str, str]]:
        """Load a model, in evaluation mode, and the notes of its file.

        Raises:
            CheckpointError: the file is broken, or contains no translator.
        """
        weights, about = _read(path)
        vocabulary = bytes(weights.pop(VOCABULARY).numpy())
        model = cls(TranslatorConfig(**about["config"]), vocabulary)
        try:
            model.load_state_dict(weights, strict=True)
        except RuntimeError as error:
            raise CheckpointError(f"{path}: its weights do not fit its own configuration: {error}") from error
        return model.to(device).eval(), about["notes"]


def sinusoids(n: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """Positions 0 .. n - 1 as sines and cosines of decreasing frequency (n, D); D is even (Vaswani et al. 2017)."""
    half = width // 2
    frequency = torch.exp(torch.arange(half, device=device) * (-math.log(10_000) / max(half - 1, 1)))
    angle = torch.arange(n, device=device)[:, None] * frequency
    return torch.cat((angle.sin(), angle.cos()), 1)


def _read(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    weights, about = read_weights(path, ADVICE)
    if about.get("format") != FORMAT or VOCABULARY not in weights:
        raise CheckpointError(
            f"{path}: expected a translator of format {FORMAT!r}, found {about.get('format')!r}; {ADVICE}"
        )
    return weights, about
