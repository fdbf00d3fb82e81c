"""The files that a sheet and a configuration ask for in a results folder, and the params of their rules.

The rules of the workflow take their params from here, so that `verify`, `status` and `explain` know them too. Params
hold everything besides the inputs that decides an output's content, also what decides which inputs there are; of a file
of the user they hold its digest, not only its path.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

from signrep_core.config import SCRATCH, Config, describe_departures, describe_pretraining
from signrep_core.errors import ConfigError
from signrep_core.lift import LIFTER_WEIGHTS
from signrep_core.skeleton import SKELETON_VERSION
from signrep_core.sources.evaluated import Evaluated, choose_evaluated
from signrep_core.sources.sheet import Row, cut_shards, shard_digest
from signrep_core.store import layout, schemas
from signrep_core.store.files import file_digest

KEYPOINTS: Final = "keypoints"  # stands for a run's name in the outputs of the recogniser on keypoints


class WantedJob(NamedTuple):
    """A job by its rule and wildcards, and its outputs below the results folder."""

    rule: str
    wildcards: Mapping[str, str]
    outputs: list[str]


@dataclass(frozen=True)
class Wanted:
    """The sheet and the configuration of a run.

    Attributes:
        rows: rows of the sheet, or of the embedded demo's plan.
    """

    config: Config
    rows: Sequence[Row]

    @cached_property
    def shards(self) -> dict[str, list[Row]]:
        """Rows of each shard."""
        return dict(cut_shards(self.rows, self.config.videos_per_shard))

    @cached_property
    def evaluated(self) -> Evaluated:
        """Data sets that are evaluated.

        Raises:
            ConfigError: as `choose_evaluated`.
        """
        return choose_evaluated(self.rows, self.config)

    @cached_property
    def recognisers(self) -> list[str]:
        """Names that stand for a run in the outputs of recognition."""
        return [self.config.pretrain.run, KEYPOINTS]

    @cached_property
    def translators(self) -> list[str]:
        """Names that stand for a run in the outputs of translation."""
        return [self.config.pretrain.run, *self.config.translation.baselines]

    def shard_files(self) -> list[str]:
        """Outputs of every shard."""
        outputs = [o for o in layout.PER_SHARD if o.rule != layout.OPTIONAL_RULE or self.config.priors.write_distances]
        return [output.path(shard=shard) for output in outputs for shard in self.shards]

    def evaluation_files(self) -> list[str]:
        """Outputs of every evaluated data set."""
        run, sets = self.config.pretrain.run, self.evaluated
        found = [
            output.path(run=run, dataset=dataset)
            for output in layout.PER_DATASET
            for dataset in (sets.retrieved if output.rule == "evaluate_retrieval" else sets.all)
        ]
        for outputs, names, datasets in (
            (layout.PER_TRANSLATION, self.translators, sets.translated),
            (layout.PER_RECOGNITION, self.recognisers, sets.recognised),
        ):
            found += [o.path(run=name, dataset=dataset) for o in outputs for name in names for dataset in datasets]
        return found

    def targets(self) -> list[str]:
        """Outputs of a finished run: each is a target of its own, so that a deleted one is made again."""
        run = self.config.pretrain.run
        whole = [output.pattern for output in layout.WHOLE]
        return [*self.shard_files(), *whole, *(o.path(run=run) for o in layout.PER_RUN), *self.evaluation_files()]

    def jobs(self) -> list[WantedJob]:
        """Jobs of all targets and of what only other jobs read: baselines, a trained lifter, the demo's videos."""
        found: dict[tuple[str, tuple[tuple[str, str], ...]], WantedJob] = {}
        for name in [*self.targets(), *self._intermediate()]:
            output = layout.find_output(name)
            assert output is not None
            rule, wildcards = output[0].rule, output[1]
            job = found.setdefault((rule, tuple(wildcards.items())), WantedJob(rule, wildcards, []))
            job.outputs.append(name)
        return list(found.values())

    def params(self, rule: str, wildcards: Mapping[str, str]) -> dict[str, Any]:
        """Params of a job, as its record holds them."""
        own = {**self.rule_params(rule), **self.job_params(rule, wildcards)}
        return dict(json.loads(json.dumps(own, default=str)))

    def job_params(self, rule: str, wildcards: Mapping[str, str]) -> dict[str, Any]:
        """Params that the jobs of a rule have each for themselves.

        Rows of a shard count by their digest, so rows appended later do not rerun finished shards.
        """
        if rule == "probe":
            return {"rows": shard_digest(self.shards[wildcards["shard"]], os.path.dirname(self.config.sheet or ""))}
        if rule == "train_translation":
            return {"translator": self.config.translator(wildcards["dataset"]).identity()}
        return {}

    def rule_params(self, rule: str) -> dict[str, Any]:
        """Params of a rule without those of the single job; files of the user are read once."""
        if rule not in self._known:
            self._known[rule] = dict(_PARAMS[rule](self)) if rule in _PARAMS else {}
        return dict(self._known[rule])

    @cached_property
    def _known(self) -> dict[str, dict[str, Any]]:
        return {}

    def _intermediate(self) -> list[str]:
        files = [
            f"features/{kind}/{dataset}.parquet"
            for kinds, datasets in (
                (self.config.retrieval.baselines, self.evaluated.retrieved),
                (self.config.translation.baselines, self.evaluated.translated),
            )
            for kind in kinds
            for dataset in datasets
        ]
        if trains_lifter(self.config):
            files += [output.pattern for output in layout.LIFTER]
        if self.config.sheet is None:
            files += [layout.DEMO[0].pattern, *(layout.DEMO[1].path(shard=shard) for shard in self.shards)]
        return list(dict.fromkeys(files))


def trains_lifter(config: Config) -> bool:
    """Whether the workflow trains the lifter that it uses."""
    return config.angles.solver != "closed_form" and config.angles.lifter == "train"


def lifter_weights(config: Config) -> Path | None:
    """The weights of the lifter that the configuration asks for; None where the workflow trains them, or needs none.

    Raises:
        ConfigError: there is no such file.
    """
    if config.angles.solver == "closed_form" or trains_lifter(config):
        return None
    weights = Path(config.angles.lifter or LIFTER_WEIGHTS)
    if not weights.is_file():
        raise ConfigError(
            f"angles.lifter: expected a file of weights, found none at {weights}; "
            "train them: signrep train lifter, or write `train`, or leave the key out"
        )
    return weights


def _content(name: str, path: str | Path | None) -> dict[str, str | None]:
    """A param for a file of the user: its digest. None where the file is not there: then nobody can compare it."""
    if path is None:
        return {name: None}
    return {name: file_digest(path)} if Path(path).is_file() else {}


def _pose(wanted: Wanted) -> dict[str, Any]:
    pose, rate = wanted.config.pose, wanted.config.timeline.rate
    model = _content("model_digest", None if pose.model == "mediapipe" else pose.model)
    return {**pose.model_dump(exclude={"device"}), **model, "target_fps": rate, "schema": schemas.POSE.version}


def _deduplicate(wanted: Wanted) -> dict[str, Any]:
    trained = wanted.config.pretrain
    listed = _content("wlasl", wanted.config.deduplicate.wlasl)
    return {"splits": trained.splits, "datasets": trained.datasets, **listed, "schema": schemas.VIDEOS.version}


def _angles(wanted: Wanted) -> dict[str, Any]:
    trained = wanted.config.pretrain
    weights = _content("weights", lifter_weights(wanted.config))
    return {**wanted.config.angles.model_dump(), **weights, "splits": trained.splits, "datasets": trained.datasets,
            "schema": schemas.ANGLES.version}  # fmt: skip


def _pretrain(wanted: Wanted) -> dict[str, Any]:
    settings = wanted.config.pretrain.identity()
    start = settings.pop("initial_weights")
    known = {"start": start} if start == SCRATCH else _content("start", start)
    return {"pretrain": settings, **known, "seed": wanted.config.seed}


def _crops(wanted: Wanted) -> dict[str, Any]:
    config, version = wanted.config, schemas.CROPS.version
    return {**config.crop.model_dump(), "max_gap": config.angles.max_gap, "target_fps": config.timeline.rate,
            "splits": config.pretrain.splits, "datasets": config.pretrain.datasets, "schema": version}  # fmt: skip


def _recognition(wanted: Wanted) -> dict[str, Any]:
    settings = wanted.config.recognition
    return {"recognition": {**settings.identity(), "keypoint_learning_rate": settings.keypoint_learning_rate},
            "seed": wanted.config.seed}  # fmt: skip


# By rule; a rule without params is left out. `schema`: a raised version of the table makes it again.
_PARAMS: Final[Mapping[str, Callable[[Wanted], Mapping[str, Any]]]] = {
    "write_synthetic_sheet": lambda w: {"corpus": w.config.synthetic.model_dump(), "seed": w.config.seed},
    "synthesize": lambda w: {
        "corpus": w.config.synthetic.model_dump(),
        "seed": w.config.seed,
        "videos_per_shard": w.config.videos_per_shard,
        "schema": schemas.TRUTH.version,
    },
    "probe": lambda w: {
        "videos_per_shard": w.config.videos_per_shard,
        "target_fps": w.config.timeline.rate,
        "schema": schemas.VIDEOS.version,
    },
    "deduplicate": _deduplicate,
    "extract_pose": _pose,
    "train_lifter": lambda w: {"seed": w.config.seed, "skeleton": SKELETON_VERSION},
    "solve_angles": _angles,
    "angles_to_keypoints": lambda w: {"schema": schemas.KEYPOINTS.version},
    "distance_priors": lambda w: {"schema": schemas.DISTANCES.version},
    "activity_labels": lambda w: {
        "threshold": w.config.priors.activity_std,
        "deviation": w.config.priors.activity_deviation,
        "schema": schemas.ACTIVITY.version,
    },
    "crop_signers": _crops,
    "pack_shards": lambda w: {"target_fps": w.config.timeline.rate, "schema": schemas.FRAMES.version},
    "index_shards": lambda w: {"schema": schemas.SEQUENCES.version},
    "pretrain": _pretrain,
    "draw_augmented_windows": lambda w: {
        "settings": w.config.pretrain.model_dump(include={"preset", "crop_area", "crop_ratio"}),
        "seed": w.config.seed,
    },
    "extract_features": lambda w: w.config.features.model_dump(exclude={"parts"}),
    "evaluate_retrieval": lambda w: {**w.config.retrieval.model_dump(exclude={"datasets"}), "seed": w.config.seed},
    "train_recognition": _recognition,
    "evaluate_recognition": lambda w: {"schema": schemas.PREDICTIONS.version},
    "train_translation": lambda w: {"seed": w.config.seed},
    "evaluate_translation": lambda w: {
        "baselines": w.config.translation.baselines,
        "schema": schemas.TRANSLATIONS.version,
    },
    "summarize": lambda w: {
        "videos": len(w.rows),
        "target_fps": w.config.timeline.rate,
        "training": {
            "pretraining": describe_pretraining(w.config.pretrain),
            "departures": describe_departures(w.config),
        },
    },
    "report": lambda w: {
        "run": w.config.pretrain.run,
        "rate": w.config.timeline.rate,
        "evaluations": w.evaluation_files(),
    },
}
