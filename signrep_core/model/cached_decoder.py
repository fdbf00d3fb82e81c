"""A Transformer decoder one piece at a time, for beam search.

Keys and values of the windows are computed once for each sentence and shared by its hypotheses; those of earlier pieces
are kept, so that a step costs the same work for every piece but the attention to the earlier ones.

Legend: B sentences, K beam, N windows, D width, H heads, L pieces so far.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CachedDecoder:
    """State of decoding a batch of sentences; the hypotheses of a sentence are side by side.

    Args:
        decoder: with norm first, in evaluation mode.
        states: (B, N, D) of the encoder.
        padding: (B, N) True where there is no window.
        beam: hypotheses of each sentence.
    """

    def __init__(self, decoder: nn.TransformerDecoder, states: Tensor, padding: Tensor, beam: int) -> None:
        self._decoder, self._beam = decoder, beam
        self._read = ~padding[:, None, None]  # (B, 1, 1, N)
        self._windows = [_project(layer.multihead_attn, states, 1, 3) for layer in _layers(decoder)]
        self._pieces: list[tuple[Tensor, Tensor]] = []  # of each layer: keys and values (B·K, H, L, D/H)

    def advance(self, embedded: Tensor, origins: Tensor) -> Tensor:
        """Read the next piece of every hypothesis.

        Args:
            embedded: (B·K, D) of the piece.
            origins: (B·K,) the hypothesis of the call before that each one continues.

        Returns:
            (B·K, D) output for the piece after it.
        """
        x, kept = embedded[:, None], []
        for k, layer in enumerate(_layers(self._decoder)):
            query, keys, values = _project(layer.self_attn, layer.norm1(x), 0, 3)
            if self._pieces:
                earlier = self._pieces[k]
                keys, values = (
                    torch.cat((old[origins], new), 2) for old, new in zip(earlier, (keys, values), strict=True)
                )
            kept.append((keys, values))
            x = x + _join_heads(layer.self_attn, F.scaled_dot_product_attention(query, keys, values))
            x = x + self._attend_to_windows(layer.multihead_attn, layer.norm2(x), *self._windows[k])
            x = x + layer.linear2(F.relu(layer.linear1(layer.norm3(x))))
        self._pieces = kept
        assert self._decoder.norm is not None
        normed: Tensor = self._decoder.norm(x)
        return normed[:, 0]

    def _attend_to_windows(self, attention: nn.MultiheadAttention, x: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """The hypotheses of a sentence ask as if they were K pieces of one text: (B·K, 1, D) → the same."""
        (query,) = _project(attention, x.view(-1, self._beam, x.shape[-1]), 0, 1)  # (B, H, K, D/H)
        found = F.scaled_dot_product_attention(query, keys, values, attn_mask=self._read)
        return _join_heads(attention, found).view_as(x)


def _layers(decoder: nn.TransformerDecoder) -> list[nn.TransformerDecoderLayer]:
    layers = [layer for layer in decoder.layers if isinstance(layer, nn.TransformerDecoderLayer)]
    assert all(layer.norm_first for layer in layers)
    return layers


def _project(attention: nn.MultiheadAttention, x: Tensor, first: int, end: int) -> list[Tensor]:
    """Queries (0), keys (1) and values (2) from `first` up to `end`: (B, L, D) → (B, H, L, D/H) each."""
    width = attention.embed_dim
    assert attention.in_proj_bias is not None
    rows = slice(first * width, end * width)
    y = F.linear(x, attention.in_proj_weight[rows], attention.in_proj_bias[rows])
    return [part.unflatten(2, (attention.num_heads, -1)).transpose(1, 2) for part in y.split(width, 2)]


def _join_heads(attention: nn.MultiheadAttention, x: Tensor) -> Tensor:
    """(B, H, L, D/H) → (B, L, D)."""
    joined: Tensor = attention.out_proj(x.transpose(1, 2).flatten(2))
    return joined
