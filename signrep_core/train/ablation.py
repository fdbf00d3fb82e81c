"""What each part of the objective is worth: the paper's ablation on one's own shards.

Four trainings that add a part each (the paper, WLASL: DCG 45.1, 48.5, 49.9, 50.7), over several seeds, judged by
retrieval of the test split's glosses from the training split's, beside random weights, those that training begins
with, and chance.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import torch

from signrep_core.data.windows import WindowReader
from signrep_core.errors import TrainingError
from signrep_core.evaluate.features import select_rows, video_features
from signrep_core.evaluate.retrieval import evaluate_retrieval
from signrep_core.model.signrep import SignRep
from signrep_core.store.files import write_json
from signrep_core.store.shards import ShardReader
from signrep_core.train.pretrain import pretrain, start_model
from signrep_core.train.step import PretrainSettings

log = logging.getLogger(__name__)

_ALONE: Final = {"variance_weight": 0.0, "covariance_weight": 0.0, "adversarial_weight": 0.0}
VARIANTS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "angles": {"priors": ("body_angles", "right_angles", "left_angles"), **_ALONE},
        "keypoints_distances": _ALONE,
        "variance_covariance": {"adversarial_weight": 0.0},
        "adversarial": {},
    }
)
NAMES: Final = MappingProxyType(
    {
        "random": "random weights",
        "untrained": "where training begins",
        "angles": "angles only",
        "keypoints_distances": "+ keypoints and distances",
        "variance_covariance": "+ variance and covariance",
        "adversarial": "+ adversarial style",
    }
)
METRICS: Final = ("DCG", "R@1", "R@5")


def ablate(
    shards: Path,
    out: Path,
    settings: PretrainSettings,
    seeds: Sequence[int],
    *,
    open_reader: Callable[[Path], WindowReader] = ShardReader,
    **how: Any,
) -> dict[str, list[dict[str, float]]]:
    """Train and judge every variant with every seed; what is finished in `out` is not done again.

    Args:
        settings: of the last variant, the whole objective.
        how: as `pretrain` takes it (workers, devices, ...).

    Returns:
        By row of NAMES, and `chance`: a seed's metrics each.

    Raises:
        TrainingError: no gloss of the test split is in the training split, or a training was stopped.
    """
    opener = partial(open_reader, shards)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ("chance", *NAMES)}
    for seed in seeds:
        own = replace(settings, seed=seed)
        for name, start in (("random", replace(own, quick_start=False, initial_weights=None)), ("untrained", own)):
            result = _judged(out / f"{name}-{seed}.json", start, partial(start_model, start, opener), opener)
            found[name].append(result["metrics"])
        found["chance"].append(result["chance"])
        for variant, changes in VARIANTS.items():
            folder = out / f"{variant}-{seed}"
            changed = replace(own, **changes)

            def trained(folder: Path = folder, changed: PretrainSettings = changed) -> SignRep:
                ended = pretrain(shards, folder, changed, open_reader=open_reader, **how)
                if not ended.finished:
                    raise TrainingError(f"{folder}: stopped after step {ended.step}; the same command goes on")
                return SignRep.load(ended.weights)

            found[variant].append(_judged(folder / "retrieval.json", changed, trained, opener)["metrics"])
    return found


def format_table(found: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """A Markdown table: mean of the seeds, ± their standard deviation where there are several."""
    lines = [f"| objective | {' | '.join(METRICS)} |", "|---|" + "---|" * len(METRICS)]
    for name, seeds in found.items():
        cells = []
        for metric in METRICS:
            values = np.array([values[metric] for values in seeds])
            cells.append(f"{values.mean():.1f}" + (f" ± {values.std(ddof=1):.1f}" if len(values) > 1 else ""))
        lines.append(f"| {NAMES.get(name, name)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _judged(
    path: Path, settings: PretrainSettings, get_model: Callable[[], SignRep], open_reader: Callable[[], WindowReader]
) -> dict[str, Any]:
    """Retrieval of a model, from its file if it was judged before with these settings."""
    identity = json.loads(json.dumps(asdict(settings)))
    if path.exists():
        before: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if before["settings"] == identity:
            log.info("%s: was judged before", path)
            return before
    model = get_model()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    index = open_reader().index
    rows = select_rows(index, ("train", "test"))
    videos = video_features(model.to(device).eval(), open_reader, rows)
    result = evaluate_retrieval(videos, index, gallery="train", queries="test")
    if result["metrics"] is None:
        raise TrainingError(f"{path}: no gloss of the test split is in the training split: nothing to compare by")
    judged = {"settings": identity, "metrics": result["metrics"], "chance": result["chance"]}
    write_json(path, judged)
    return judged
