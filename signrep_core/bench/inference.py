"""Speed of applying trained models: features from shards, loader and model apart; the recogniser; the translator.

Weights are random, which changes no figure but the translator's: its sentences never end early.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import repeat
from typing import Final, TypeVar

import numpy as np
import torch

from signrep_core.bench.figures import Figure
from signrep_core.bench.step import median_seconds
from signrep_core.bench.workload import MEASURE_S, Workload
from signrep_core.data.clips import LabelledVideos, read_clip
from signrep_core.data.windows import group_rows
from signrep_core.evaluate.features import CHUNK, Chunk, Inference, encode, read_chunks, video_features
from signrep_core.evaluate.windows import STRIDE, select_rows
from signrep_core.model.recogniser import Recogniser
from signrep_core.model.signrep import SignRep
from signrep_core.model.translator import PRESETS, Translator, TranslatorConfig
from signrep_core.store.shards import ShardReader
from signrep_core.window import WINDOW

T = TypeVar("T")

CLIP: Final = 64  # frames (A6)
CLIPS: Final = 8  # in a forward pass of the recogniser
SOURCE_WINDOWS: Final = 100  # of a sentence: eight seconds
PIECES: Final = 50  # of a translation
VOCABULARY: Final = 7000


def measure_inference(work: Workload) -> Iterator[Figure]:
    """Windows, clips and sentences a second."""
    yield from _measure_features(work)
    yield from _measure_recogniser(work)
    yield _measure_translator(work)


def _measure_features(work: Workload) -> Iterator[Figure]:
    opener = partial(ShardReader, work.shards)
    rows = select_rows(opener().index, None)
    inference = Inference(work.device, work.inference_windows, work.workers)
    with torch.device(work.device):
        model = SignRep(work.config).eval()
    loaded = _rate(read_chunks(opener, rows, inference, work.device == "cuda"), lambda chunk: chunk.n_windows)
    yield Figure(f"features: loader alone, {work.workers} processes", loaded, "windows/s")
    frames = torch.randint(0, 256, ((CHUNK - 1) * STRIDE + WINDOW, 384, 256), dtype=torch.uint8)
    chunk = Chunk(0, STRIDE * np.arange(CHUNK), 0, frames)
    passes = 2 * work.repeats * work.inference_windows // CHUNK + 2
    encoded = _rate(encode(model, repeat(chunk, passes), work.inference_windows), lambda found: len(found[1]))
    yield Figure(f"features: model alone, {work.inference_windows} windows a pass", encoded, "windows/s")
    both = _rate(video_features(model, opener, rows, inference), lambda video: len(video.features))
    yield Figure("features: both, as they are extracted", both, "windows/s")


def _measure_recogniser(work: Workload) -> Iterator[Figure]:
    """Reading of clips by one process, and the forward pass."""
    reader = ShardReader(work.shards)
    videos = group_rows(reader.index, np.arange(min(len(reader), work.sentences)), 1)
    n = len(videos.video_ids)
    labelled = LabelledVideos(videos, [""] * n, np.zeros(n, np.int64))
    read = _rate((read_clip(reader, labelled, video, CLIP, "video") for video in range(n)), lambda _: 1)
    yield Figure(f"recogniser: clips of {CLIP} frames read by one process", read, "clips/s")
    with torch.device(work.device):
        model = Recogniser(work.config, ["a", "b"]).eval()
        clips = torch.randn(CLIPS, 3, CLIP, *model.encoder.input_shape[2:])
    with torch.inference_mode(), torch.autocast(work.device, torch.bfloat16, enabled=work.device == "cuda"):
        seconds = median_seconds(lambda: model(clips), work)
    yield Figure(f"recogniser: forward pass of {CLIPS} clips", CLIPS / seconds, "clips/s")


def _measure_translator(work: Workload) -> Figure:
    """Beam search for sentences of one length."""
    features, n = SignRep(work.config).n_features, work.sentences
    with torch.device(work.device):
        model = Translator(TranslatorConfig(features, VOCABULARY, **PRESETS[work.preset])).eval()
        windows, lengths = torch.randn(n, SOURCE_WINDOWS, features), torch.full((n,), SOURCE_WINDOWS)
    seconds = median_seconds(lambda: model.translate(windows, lengths, beam=5, max_pieces=PIECES), work)
    what = f"translator: beam 5, {n} sentences together"
    return Figure(what, n / seconds, "sentences/s", note=f"of {SOURCE_WINDOWS} windows and {PIECES} pieces")


def _rate(found: Iterable[T], count: Callable[[T], int]) -> float:
    """Units a second after the first result, for MEASURE_S at most; NaN if there is only one."""
    results = iter(found)
    next(results)
    n, now = 0, time.monotonic()
    began = now
    for one in results:
        n, now = n + count(one), time.monotonic()
        if now - began > MEASURE_S:
            break
    return n / (now - began) if n else math.nan
