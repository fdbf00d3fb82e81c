"""Tiny causal language models with tokenisers, random and made on the spot: one piece for every character."""

from pathlib import Path
from typing import Any

import torch

TEXTS = ("the mother is good", "the house is big", "hello, I wait")


def write_tokenizer(folder: Path, texts: tuple[str, ...] = TEXTS, **special: str) -> int:
    """Write a tokeniser of the texts' characters; its number of pieces."""
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    pieces = ["<pad>", "</s>", "<unk>", *sorted(set("".join(texts)))]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer: Any = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    tokenizer.decoder = decoders.Fuse()
    special = special or {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    return len(pieces)


def write_xglm(folder: Path, texts: tuple[str, ...] = TEXTS, seed: int = 0, positions: int = 64) -> Path:
    """Write an XGLM of two layers of width 32, as the published base but for its size."""
    from transformers import XGLMConfig, XGLMForCausalLM

    n = write_tokenizer(folder, texts)
    torch.manual_seed(seed)
    sizes: dict[str, Any] = {
        "d_model": 32,
        "ffn_dim": 64,
        "num_layers": 2,
        "attention_heads": 2,
        "max_position_embeddings": positions,
    }
    sizes["init_std"] = 0.2  # large, so that random layers tell their inputs apart
    special = {"bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0, "decoder_start_token_id": 1}
    XGLMForCausalLM(XGLMConfig(vocab_size=n, **sizes, **special)).save_pretrained(folder)
    return folder


def write_gpt2(folder: Path) -> Path:
    """Write a GPT-2 of two layers of width 32, whose layers are named otherwise."""
    from transformers import GPT2Config, GPT2LMHeadModel

    n = write_tokenizer(folder)
    torch.manual_seed(0)
    sizes = {"n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 2}
    GPT2LMHeadModel(GPT2Config(vocab_size=n, bos_token_id=1, eos_token_id=1, **sizes)).save_pretrained(folder)
    return folder


def write_bert(folder: Path) -> Path:
    """Write a BERT, which reads in both directions."""
    from transformers import BertConfig, BertLMHeadModel

    n = write_tokenizer(folder)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertLMHeadModel(BertConfig(vocab_size=n, is_decoder=False, **sizes)).save_pretrained(folder)
    return folder


def write_t5(folder: Path) -> Path:
    """Write the configuration of a T5, an encoder with a decoder, without weights."""
    from transformers import T5Config

    T5Config(vocab_size=write_tokenizer(folder), d_model=32).save_pretrained(folder)
    return folder
