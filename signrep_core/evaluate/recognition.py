"""Accuracy of a recogniser: top-1 and top-5, per instance and per class.

Supplement A3, A6. A video whose gloss was not trained on cannot be recognised: it is predicted, saved and counted, but
left out of the accuracies, as in retrieval.

Legend: N videos, G glosses, K best glosses of each video (5, or G if fewer).
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from signrep_core.body.targets import prior_targets
from signrep_core.config import digest
from signrep_core.data.augment import EVALUATION_VIEW, Draws, augment, prepare
from signrep_core.data.clips import Inputs, LabelledVideos, iterate_clips, select_labelled
from signrep_core.data.stream import WindowReader
from signrep_core.data.windows import TARGETS
from signrep_core.evaluate.comparison import Comparison
from signrep_core.evaluate.features import Inference
from signrep_core.evaluate.retrieval import chance_metrics, metrics_of_ranks
from signrep_core.model.inflate import CLIP
from signrep_core.model.recogniser import ADVICE, AnyRecogniser, Recogniser, keypoint_values, load_recogniser
from signrep_core.model.weights import UNTRAINED, read_notes
from signrep_core.progress import Progress
from signrep_core.store.files import file_digest, write_json
from signrep_core.store.schemas import PREDICTIONS, TOP
from signrep_core.store.shards import ShardReader
from signrep_core.store.tables import write_table

log = logging.getLogger(__name__)

NAMED: Final = 5  # glosses named in a message
COLUMNS: Final = ("video", "top", "probability", "rank", "right")  # of predictions, collected batch by batch
INFERENCE: Final = Inference(batch_size=8)
PAIRS: Final = 20  # most frequent confusions in the report


@dataclass(frozen=True)
class Predictions:
    """Predictions of a recogniser for N videos."""

    glosses: tuple[str, ...]  # (G,) of the classifier
    video_ids: list[str]
    truth: list[str]  # each video's gloss
    labels: NDArray[np.int64]  # (N,) its index in the glosses, -1 = not trained on
    top: NDArray[np.int64]  # (N, K) best first
    probability: NDArray[np.float32]  # (N, K)
    rank: NDArray[np.int64]  # (N,) 0-based, of the right gloss; -1 = not trained on
    right: NDArray[np.float32]  # (N,) probability of the right gloss, 0 = not trained on
    unreadable: list[str]  # videos that could not be read, with the reasons

    def __len__(self) -> int:
        return len(self.video_ids)


def inputs_of(model: AnyRecogniser) -> Inputs:
    """Kind of input of a recogniser."""
    return "video" if isinstance(model, Recogniser) else "keypoints"


def clip_inputs(model: AnyRecogniser, tensors: Mapping[str, Tensor], draws: Draws | None = None) -> Tensor:
    """Input of a recogniser from the columns of a batch; frames are augmented with `draws`, or resized."""
    if not isinstance(model, Recogniser):
        return keypoint_values(prior_targets(*(tensors[name] for name in TARGETS)))
    size = model.config.encoder.image_size
    return prepare(tensors["frames"], size) if draws is None else augment(tensors["frames"], draws, size)


@torch.inference_mode()
def predict(
    model: AnyRecogniser,
    open_reader: Callable[[], WindowReader],
    labelled: LabelledVideos,
    inference: Inference = INFERENCE,
    progress: Progress | None = None,
    videos: Sequence[int] | None = None,
) -> Predictions:
    """Predict every video (of `videos`, if given) with a model in evaluation mode; unreadable videos are logged."""
    device = next(model.parameters()).device
    kept = min(TOP, len(model.glosses))
    columns: dict[str, list[Tensor]] = {name: [] for name in COLUMNS}
    unreadable: list[str] = []
    clips = iterate_clips(
        open_reader, labelled, CLIP, inputs_of(model), videos=videos, batch_size=inference.batch_size,
        workers=inference.workers,
    )  # fmt: skip
    for batch in clips:
        for line in batch.broken:
            unreadable.append(line)
            log.warning("no prediction (%d unreadable so far): %s", len(unreadable), line)
        if len(batch):
            batch = batch.to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                logits = model(clip_inputs(model, batch.tensors))
            for name, values in judge(logits.float(), batch.tensors["label"], kept).items():
                columns[name].append(values.cpu())
            columns["video"].append(batch.videos.cpu())
        if progress is not None:
            progress.advance(len(batch) + len(batch.broken))
    return _predictions(model.glosses, labelled, columns, kept, unreadable)


def judge(logits: Tensor, labels: Tensor, kept: int) -> dict[str, Tensor]:
    """Best glosses of logits (B, G), and rank of the right one; ties count against the right one.

    Returns:
        `top` and `probability` (B, kept), `rank` and `right` (B,), as in `Predictions`.
    """
    probability, top = logits.softmax(1).topk(kept, dim=1)
    own = logits.gather(1, labels.clamp(min=0)[:, None])
    rank = (logits >= own).sum(1) - 1
    right = logits.softmax(1).gather(1, labels.clamp(min=0)[:, None])[:, 0]
    return {"top": top, "probability": probability, "rank": rank.where(labels >= 0, -1),
            "right": right.where(labels >= 0, 0.0)}  # fmt: skip


def _predictions(
    glosses: tuple[str, ...], labelled: LabelledVideos, columns: Mapping[str, list[Tensor]], kept: int,
    unreadable: list[str],
) -> Predictions:  # fmt: skip
    shapes = {"top": (0, kept), "probability": (0, kept)}
    found: dict[str, NDArray[Any]] = {
        name: torch.cat(values).numpy() if values else np.zeros(shapes.get(name, (0,)), np.int64)
        for name, values in columns.items()
    }
    videos = found["video"]
    return Predictions(
        glosses=glosses,
        video_ids=[labelled.video_ids[k] for k in videos],
        truth=[labelled.glosses[k] for k in videos],
        labels=labelled.labels[videos],
        top=found["top"],
        probability=found["probability"],
        rank=found["rank"],
        right=found["right"],
        unreadable=unreadable,
    )


def join_predictions(parts: Sequence[Predictions]) -> Predictions:
    """Join the predictions of one recogniser for different videos."""
    joined: dict[str, Any] = {"glosses": parts[0].glosses}
    for name in ("video_ids", "truth", "unreadable"):
        joined[name] = [value for part in parts for value in getattr(part, name)]
    for name in ("labels", "top", "probability", "rank", "right"):
        joined[name] = np.concatenate([getattr(part, name) for part in parts])
    return Predictions(**joined)


def no_predictions(labelled: LabelledVideos) -> Predictions:
    """Empty predictions, for a data set without training data."""
    return _predictions((), labelled, {name: [] for name in COLUMNS}, 1, [])


def accuracies(predictions: Predictions) -> dict[str, float] | None:
    """Top-1 and top-5 over the videos (instance) and as the mean over their glosses (class), DCG and MRR; each × 100.

    DCG and MRR, over the videos, are ASL-Citizen's protocol, whose R@1 and R@5 are top-1 and top-5. Only videos whose
    gloss was trained on; None where there is none.
    """
    usable = predictions.labels >= 0
    if not usable.any():
        return None
    ranks, (_, gloss) = predictions.rank[usable], np.unique(predictions.labels[usable], return_inverse=True)
    count = np.bincount(gloss)
    values: dict[str, float] = {}
    for k in (1, TOP):
        hit = (ranks < k).astype(float)
        values |= {
            f"top{k}_instance": 100 * float(hit.mean()),
            f"top{k}_class": 100 * float((np.bincount(gloss, hit) / count).mean()),
        }
    return values | _of_ranking(metrics_of_ranks(ranks))


def chance_accuracies(n_glosses: int) -> dict[str, float]:
    """Average accuracies of guessing glosses at random."""
    top = {f"top{k}_{per}": 100 * min(k, n_glosses) / n_glosses for k in (1, TOP) for per in ("instance", "class")}
    return top | _of_ranking(chance_metrics(n_glosses))


def _of_ranking(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: metrics[name] for name in ("DCG", "MRR")}


def confusions(predictions: Predictions) -> list[tuple[str, str, int]]:
    """Confusions (gloss, predicted gloss, count), the most frequent first."""
    pairs = Counter(
        (truth, predictions.glosses[top[0]])
        for truth, top, label in zip(predictions.truth, predictions.top, predictions.labels, strict=True)
        if label >= 0 and top[0] != label
    )
    return [(truth, said, n) for (truth, said), n in sorted(pairs.items(), key=lambda item: (-item[1], item[0]))]


def evaluate_recognition(
    weights: str | Path,
    shards: str | Path,
    dataset: str,
    split: str = "test",
    inference: Inference = INFERENCE,
) -> tuple[Predictions, dict[str, Any]]:
    """Predictions for a data set's split, and their accuracies with protocol, counts and chance.

    Metrics and chance are None where no video of the split can be scored, or where nothing was trained, and `note` says
    why; where the split has no labelled video at all, the log says which splits have some.

    Raises:
        CheckpointError: not a recogniser's weights.
    """
    notes = read_notes(weights, ADVICE)
    model = None if UNTRAINED in notes else load_recogniser(weights, inference.device)
    open_reader = partial(ShardReader, Path(shards))
    index = open_reader().index
    labelled = select_labelled(index, dataset, [split], model.glosses if model else ())
    if not len(labelled):
        log.warning("%s", no_labelled(index, dataset, split))
    with Progress(f"evaluate_recognition {dataset}", len(labelled), "videos") as progress:
        predictions = predict(model, open_reader, labelled, inference, progress) if model else no_predictions(labelled)
    unknown = sorted({gloss for gloss, label in zip(labelled.glosses, labelled.labels, strict=True) if label < 0})
    if unknown:
        log.warning("%s, split %s: %d glosses are not trained on, their videos are left out of the accuracies: %s%s",
                    dataset, split, len(unknown), ", ".join(unknown[:NAMED]),
                    ", ..." if len(unknown) > NAMED else "")  # fmt: skip
    metrics = accuracies(predictions)
    return predictions, {
        "protocol": _protocol(dataset, split, notes, model),
        "counts": _counts(predictions, labelled, len(unknown)),
        "note": "" if metrics else notes.get(UNTRAINED, "no test video could be read whose gloss is trained on"),
        "metrics": metrics,
        "chance": chance_accuracies(len(predictions.glosses)) if metrics else None,
        "confusions": [list(pair) for pair in confusions(predictions)[:PAIRS]],
        "digests": {"weights": file_digest(weights), "settings": digest(json.loads(notes.get("settings", "{}")))},
    }


def _protocol(dataset: str, split: str, notes: Mapping[str, str], model: AnyRecogniser | None) -> dict[str, Any]:
    """Protocol: training and measurement of a recogniser."""
    return {
        "dataset": dataset,
        "trained_on": "train",
        "measured_on": split,
        "selected_by": notes.get("selected_by", ""),
        "selected_at_step": int(notes.get("step", 0)),
        "inputs": inputs_of(model) if model else None,
        "frames": CLIP,
        "sampling": f"middles of {CLIP} equal parts of the frames with a signer, in training and test alike",
        "crops": EVALUATION_VIEW if isinstance(model, Recogniser) else None,
        "ties": "against the right gloss",
        "gloss_not_trained_on": "predicted and counted, left out of the accuracies",
        "instance": "share of the videos of the split",
        "class": "mean over the glosses of the split of the share of each gloss's videos",
    }


def _counts(predictions: Predictions, labelled: LabelledVideos, n_unknown: int) -> dict[str, int]:
    """Videos and glosses that the accuracies are of, and those that are left out of them."""
    usable = predictions.labels >= 0
    n_usable, n_unreadable = int(usable.sum()), len(predictions.unreadable)
    return {
        "videos": n_usable,
        "glosses": len(set(predictions.labels[usable].tolist())),
        "glosses_trained_on": len(predictions.glosses),
        "videos_without_trained_gloss": len(labelled) - n_usable - n_unreadable,
        "glosses_not_trained_on": n_unknown,
        "unreadable_videos": n_unreadable,
    }


def no_labelled(index: Mapping[str, Any], dataset: str, split: str) -> str:
    """Message for a split without labelled videos."""
    counts = Counter(
        (name, part)
        for name, part, gloss in zip(index["dataset"], index["split"], index["gloss"], strict=True)
        if gloss
    )
    there = "; ".join(f"{name} {part}: {n}" for (name, part), n in sorted(counts.items())) or "none at all"
    return (
        f"data set {dataset!r} has no video with a gloss in split {split!r}; sequences with one by data set and split: "
        f"{there}; fill in glosses and splits in the sheet, or choose other data sets (recognition.datasets)"
    )


def write_evaluation(
    weights: str | Path,
    shards: str | Path,
    dataset: str,
    out: tuple[str | Path, str | Path],
    comparison: Comparison,
    inference: Inference = INFERENCE,
) -> tuple[Predictions, dict[str, Any]]:
    """Evaluate on the test split and write files.

    Args:
        out: of the metrics (JSON) and of the predictions (Parquet).
    """
    found, result = evaluate_recognition(weights, shards, dataset, inference=inference)
    result["baselines"] = comparison.metrics()
    result["lost"] = comparison.lost(dataset, "gloss")
    result["provenance"] = dict(comparison.provenance)
    metrics, predictions = out
    write_predictions(predictions, found, {"weights_sha256": result["digests"]["weights"], **result["provenance"]})
    write_json(metrics, result)
    return found, result


def write_predictions(path: str | Path, predictions: Predictions, provenance: Mapping[str, str] | None = None) -> None:
    """Write the predictions as a table (`store.schemas.PREDICTIONS`); missing classes are empty."""
    n, kept = predictions.top.shape
    probability = np.zeros((n, TOP), np.float32)
    probability[:, :kept] = predictions.probability
    columns: dict[str, Any] = {
        "video_id": predictions.video_ids,
        "gloss": predictions.truth,
        "rank": predictions.rank.astype(np.int32),
    }
    for k in range(TOP):
        names: Iterable[str] = (predictions.glosses[j] for j in predictions.top[:, k]) if k < kept else [""] * n
        columns |= {f"predicted_{k + 1}": list(names), f"probability_{k + 1}": probability[:, k]}
    write_table(path, PREDICTIONS, columns, provenance)
