"""Pretrained causal language models with their tokenisers, from a folder or the Hugging Face hub (extra [translation]).

`transformers` is imported by name when a model is asked for, since it takes seconds and is an extra. On a GPU the
weights are loaded in bfloat16, elsewhere in single precision.
"""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch

from signrep_core.config import digest, may_be_base
from signrep_core.errors import CheckpointError
from signrep_core.extras import optional_packages
from signrep_core.store.files import file_digest

FILES: Final = {".json", ".safetensors", ".bin", ".model", ".txt"}  # of a folder's weights and tokeniser
ADVICE: Final = (
    "language_model.base takes a folder with the weights and the tokeniser of a causal language model, as "
    "`save_pretrained` of transformers writes them, or its name on the Hugging Face hub"
)


class Pretrained(NamedTuple):
    """A pretrained language model in evaluation mode, none of whose weights learn."""

    model: Any  # transformers.PreTrainedModel with logits of the next piece
    tokenizer: Any
    commit: str | None  # of a name on the hub
    origin: str  # identity of its files: their commit on the hub, or their digest


def load_pretrained(name: str, revision: str | None, device: torch.device | str = "cpu") -> Pretrained:
    """Load a causal language model and its tokeniser; a name on the hub is downloaded once.

    Raises:
        SignRepError: the extra [translation] is not installed.
        CheckpointError: there is no such model, it is broken, or it is no causal language model.
    """
    with optional_packages():
        transformers: Any = importlib.import_module("transformers")
    folder = Path(name)
    if not may_be_base(name):
        raise CheckpointError(f"{name}: expected a language model in this folder, found no folder; {ADVICE}")
    bf16 = torch.device(device).type == "cuda" and torch.cuda.is_bf16_supported()
    try:
        with _quiet(transformers):
            commit = None if folder.is_dir() else _commit(transformers, name, revision)
            tokenizer = transformers.AutoTokenizer.from_pretrained(name, revision=commit)
            model, report = transformers.AutoModelForCausalLM.from_pretrained(
                name, revision=commit, dtype=torch.bfloat16 if bf16 else torch.float32, output_loading_info=True
            )
    except Exception as error:  # the loaders of the many models raise errors of any kind
        reason = str(error).strip().splitlines() or [repr(error)]
        raise CheckpointError(f"{name}: cannot be loaded as a causal language model ({reason[0]}); {ADVICE}") from error
    _check(name, model, tokenizer, report["missing_keys"])
    model.generation_config = transformers.GenerationConfig(  # not the settings that came with the weights
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id,
    )
    origin = f"commit {commit}" if commit else f"sha256 {_digest(folder)}"
    return Pretrained(model.to(device).eval().requires_grad_(False), tokenizer, commit, origin)


def _commit(transformers: Any, name: str, revision: str | None) -> str:
    """Commit of a name on the hub: a file's folder in the hub's cache is named after it."""
    return Path(transformers.utils.cached_file(name, "config.json", revision=revision)).parent.name


def _check(name: str, model: Any, tokenizer: Any, missing: Any) -> None:
    """Check that a loaded model can write sentences.

    Raises:
        CheckpointError: it cannot.
    """
    n = model.get_input_embeddings().num_embeddings
    why = ""
    if missing:
        why = f"it lacks weights of {type(model).__name__}: {', '.join(sorted(missing)[:3])}"
    elif set(tokenizer.get_vocab()) <= set(tokenizer.added_tokens_encoder):
        why = "it comes without its tokeniser's pieces"  # in whose place the library makes an empty one
    elif tokenizer.eos_token_id is None:
        why = "its tokeniser has no piece that ends a sentence (eos_token)"
    elif len(tokenizer) > n:
        why = f"its tokeniser has {len(tokenizer)} pieces, its model {n}"
    elif not _is_causal(model):
        why = f"{type(model).__name__} uses later pieces to predict a piece"
    if why:
        raise CheckpointError(f"{name}: expected a causal language model: {why}; {ADVICE}")


@torch.no_grad()
def _is_causal(model: Any) -> bool:
    """Whether predictions do not depend on later pieces."""
    n = model.get_input_embeddings().num_embeddings
    pieces = torch.tensor([[1, 2, 3], [1, 2, 4]]) % n
    first, second = model.eval()(input_ids=pieces).logits[:, :2].float()
    return bool((first - second).abs().max() <= 1e-4 * first.std())


def _digest(folder: Path) -> str:
    """Digest of a model's files."""
    files = sorted(path for path in folder.iterdir() if path.suffix in FILES and path.is_file())
    return digest([(path.name, file_digest(path)) for path in files])


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Show neither progress bars nor advice of the loaders; what they find is checked here."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
