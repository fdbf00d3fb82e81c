"""The paper's ablation on packed shards: the value of each part of the objective.

Four trainings that add a part each (the paper, WLASL: DCG 45.1, 48.5, 49.9, 50.7), over several seeds, scored by
retrieval of the test split's glosses from the training split's, and compared with random weights, with the weights
that training begins with, and with chance.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import torch

from signrep_core.config import SCRATCH, Pretrain
from signrep_core.errors import TrainingError
from signrep_core.evaluate.features import video_features
from signrep_core.evaluate.retrieval import evaluate_retrieval
from signrep_core.evaluate.windows import select_rows
from signrep_core.model.signrep import SignRep
from signrep_core.store.files import write_json
from signrep_core.store.shards import ShardReader
from signrep_core.train.launch import Devices
from signrep_core.train.loop import RunSetup, described_settings
from signrep_core.train.pretrain import pretrain, start_model

log = logging.getLogger(__name__)

_ONE_DEVICE: Final = Devices()
_ALONE: Final = {"variance_weight": 0.0, "covariance_weight": 0.0, "adversarial_weight": 0.0}
VARIANTS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "angles": {"priors": ["body_angles", "right_angles", "left_angles"], **_ALONE},
        "keypoints_distances": _ALONE,
        "variance_covariance": {"adversarial_weight": 0.0},
        "adversarial": {},
    }
)
NAMES: Final = MappingProxyType(
    {
        "random": "random weights",
        "untrained": "initial weights",
        "angles": "angles only",
        "keypoints_distances": "+ keypoints and distances",
        "variance_covariance": "+ variance and covariance",
        "adversarial": "+ adversarial style",
    }
)
METRICS: Final = ("DCG", "R@1", "R@5")


def ablate(
    shards: Path, out: Path, settings: Pretrain, seeds: Sequence[int], devices: Devices = _ONE_DEVICE
) -> dict[str, list[dict[str, float]]]:
    """Train and score every variant with every seed; those finished in `out` are not trained again.

    Args:
        settings: of the last variant, the whole objective.

    Returns:
        By row of NAMES, and `chance`: the metrics of each seed.

    Raises:
        TrainingError: no gloss of the test split is in the training split, or a training was stopped.
    """
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ("chance", *NAMES)}
    untrained = {
        "random": settings.model_copy(update={"initialise_from_data": False, "initial_weights": SCRATCH}),
        "untrained": settings,
    }
    for seed in seeds:
        for name, start in untrained.items():
            get_model = partial(start_model, start, seed, shards)
            result = _scored(out / f"{name}-{seed}.json", described_settings(start, seed), get_model, shards)
            found[name].append(result["metrics"])
        found["chance"].append(result["chance"])
        for variant, changes in VARIANTS.items():
            changed = settings.model_copy(update=dict(changes))
            setup = RunSetup(out / f"{variant}-{seed}", seed, devices)
            identity = described_settings(changed, seed)
            get_model = partial(_trained, shards, changed, setup)
            found[variant].append(_scored(setup.out / "retrieval.json", identity, get_model, shards)["metrics"])
    return found


def _trained(shards: Path, settings: Pretrain, setup: RunSetup) -> SignRep:
    """The model of a finished pretraining."""
    ended = pretrain(shards, settings, setup)
    if not ended.finished:
        raise TrainingError(f"{setup.out}: stopped after step {ended.step}; run the same command again to continue")
    return SignRep.load(ended.weights)


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


def _scored(path: Path, identity: Mapping[str, Any], get_model: Callable[[], SignRep], shards: Path) -> dict[str, Any]:
    """Retrieval metrics of a model; from its file if it was scored before with these settings."""
    if path.exists():
        before: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if before["settings"] == identity:
            log.info("%s: scored before", path)
            return before
    model = get_model()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    open_reader = partial(ShardReader, shards)
    index = open_reader().index
    rows = select_rows(index, ("train", "test"))
    videos = video_features(model.to(device).eval(), open_reader, rows)
    result = evaluate_retrieval(videos, index, gallery="train", queries="test")
    if result["metrics"] is None:
        raise TrainingError(
            f"{path}: no gloss of the test split is in the training split: retrieval cannot be measured"
        )
    scored = {"settings": identity, "metrics": result["metrics"], "chance": result["chance"]}
    write_json(path, scored)
    return scored
