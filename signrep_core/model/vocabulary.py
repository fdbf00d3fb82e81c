"""Word pieces for translation: a sentencepiece model trained on the training sentences only.

Unigram pieces as published with Tarrés et al. 2023. Every character of the training text is a piece, and text is not
normalised (no Unicode folding), so that encoding and decoding return the same text.
"""

import io
import logging
from collections.abc import Iterable, Sequence
from typing import Final

import sentencepiece

from signrep_core.errors import TrainingError

log = logging.getLogger(__name__)

PAD, UNKNOWN, START, END = range(4)  # the first pieces
SPECIAL: Final = 4
LONGEST: Final = 1 << 20  # bytes of a sentence at most


class Vocabulary:
    """Encoder of text as piece numbers, and decoder; `model` contains the bytes of a sentencepiece model."""

    def __init__(self, model: bytes) -> None:
        self.model = model
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)

    def __len__(self) -> int:
        return int(self._processor.get_piece_size())

    def encode(self, text: str) -> list[int]:
        """Pieces of a text, without START and END; UNKNOWN for characters that the training text lacks."""
        return list(self._processor.encode(text))

    def decode(self, pieces: Sequence[int]) -> str:
        """Text of pieces."""
        return str(self._processor.decode(list(pieces)))


def train_vocabulary(texts: Iterable[str], size: int) -> Vocabulary:
    """Learn at most `size` pieces from texts (of `clean_text`); the same texts give the same bytes.

    There are fewer pieces if the texts do not contain so many, and more if they have more characters; this is logged.

    Raises:
        TrainingError: the texts are empty.
    """
    texts = [text for text in texts if text]
    if not texts:
        raise TrainingError("no training sentence has a text; fill the sheet's column text for the training split")
    needed = len(set().union(*texts, "▁") - {" "}) + SPECIAL
    if needed > size:
        log.warning("a vocabulary of %d pieces is asked for; the training text needs %d, one per character: using %d",
                    size, needed, needed)  # fmt: skip
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, vocab_size=max(size, needed), model_type="unigram",
        character_coverage=1.0, hard_vocab_limit=False, normalization_rule_name="identity", num_threads=1,
        max_sentence_length=LONGEST, pad_id=PAD, unk_id=UNKNOWN, bos_id=START, eos_id=END, minloglevel=2,
    )  # fmt: skip
    vocabulary = Vocabulary(model.getvalue())
    if len(vocabulary) < size:
        log.warning("a vocabulary of %d pieces is asked for; %d training sentences give %d",
                    size, len(texts), len(vocabulary))  # fmt: skip
    return vocabulary


def clean_text(text: str, lowercase: bool) -> str:
    """A text with single spaces, in lower case if asked for (as published for How2Sign)."""
    text = " ".join(text.split())
    return text.lower() if lowercase else text
