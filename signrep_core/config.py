"""The configuration: every knob once, with its reason; `config.yaml` is generated from these models.

Runtime knobs (cores, memory, GPUs, retries) live in `profiles/`. A value that the paper fixes carries its section.
"""

import difflib
import hashlib
import json
import textwrap
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from signrep_core.errors import ConfigError

Fraction = Annotated[float, Field(ge=0, le=1)]
Baseline = Literal["keypoints", "angles"]  # raw poses in the place of a run's features
Solver = Literal["lifter", "lifter_refined", "closed_form"]  # of joint angles


class Section(BaseModel):
    """A part of the configuration; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Synthetic(Section):
    """The embedded demo corpus of procedural signers, rendered when no sheet is given."""

    signers: PositiveInt = Field(8, description="people; they are divided among the train, val and test splits")
    glosses: PositiveInt = Field(5, description="different signs")
    takes: PositiveInt = Field(1, description="performances of each sign by each signer")
    size: PositiveInt = Field(320, description="width and height of the pictures, pixels")
    sentences: int = Field(
        2, ge=0, description="sentences of each signer, for translation; one costs about six seconds of two cores"
    )
    sentence_glosses: PositiveInt = Field(12, description="different signs that the sentences are made of")


class Timeline(Section):
    """Which frames exist: one common timeline for pose, crops and tables."""

    target_fps: PositiveInt | Literal["native"] = Field(
        25, description="frames per second; `native` keeps each video's own frames"
    )

    @property
    def rate(self) -> float | None:
        """Frames per second, or None for each video's own frames."""
        return None if self.target_fps == "native" else float(self.target_fps)


class Deduplicate(Section):
    """Videos of evaluation data are kept out of pretraining (supplement A2)."""

    wlasl: str | None = Field(None, description="path of WLASL_v0.3.json as published; null = nothing to compare with")


class Pose(Section):
    """Landmarks from video."""

    model: str = Field(
        "mediapipe",
        description="`mediapipe` = Holistic with the models of its wheel; or the path of a holistic `.task` file",
    )
    min_shoulder_px: PositiveInt = Field(
        48,
        description="with narrower shoulders the hands cannot be seen: rejected as signer_too_small",
    )


class Angles(Section):
    """Landmarks to joint angles."""

    solver: Solver = Field(
        "lifter",
        description="`lifter` = the network that reads 2-D joints, as the paper's estimator does (A1); "
        "`lifter_refined` = its angles brought to where the joints were seen, less what the detector errs by: steadier "
        "hands, a seventh of the speed (docs/lifter.md); `closed_form` = inverse kinematics of the detector's own 3-D "
        "landmarks, whose depth is weak",
    )
    lifter: str | None = Field(
        None,
        description="weights of your own, as `train lifter` writes them (best.safetensors); "
        "`train` = the workflow trains them first, uncalibrated; null = those that ship with the package",
    )
    max_gap: int = Field(
        5,
        ge=0,
        description="gaps of at most so many frames are interpolated in angle space, flagged, and kept in a sequence",
    )


class Priors(Section):
    """Sign priors from keypoints."""

    activity_std: float = Field(
        0.26, gt=0, description="a low hand whose joints' summed standard deviation is below this is inactive (A2)"
    )
    write_distances: bool = Field(
        True,
        description="write distances/*.parquet for inspection; training derives the same distances from the keypoints, "
        "so a corpus of 300 million frames can do without these 1.3 TB",
    )


class Crop(Section):
    """Signer crops, 256×256 (A2), and their encoding."""

    margin: float = Field(0.1, ge=0, description="room around the reach of head and hands, as a share of that reach")
    crf: int = Field(18, ge=0, le=51, description="x264 quality of the shards: lower is better and larger")
    preset: str = Field("medium", description="x264 speed preset")


class Pretrain(Section):
    """Self-supervised pretraining (A3, A4)."""

    run: str = Field("demo", pattern=r"^[\w.-]+$", description="name of the run: its folder is pretrain/{run}")
    splits: list[str] = Field(
        ["train"],
        description="splits of the sheet that are pretrained on: the only ones that overlaps are excluded from",
    )
    preset: Literal["tiny", "base"] = Field("tiny", description="`base` is the paper's model (50.8 M parameters)")
    iterations: PositiveInt = Field(400, description="optimiser steps; the paper: 500000")
    batch_size: PositiveInt = Field(20, description="windows in a batch, two of each video (A2)")
    mask_ratio: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the mask units hidden in training; the paper: 0.8 (section 2), which a few hundred steps "
        "from scratch do not get over",
    )
    learning_rate: float = Field(2e-3, gt=0, description="peak, after warm-up; the paper at its size: 1e-4")
    warmup: int = Field(50, ge=0, description="warm-up steps; the paper: 50000")
    weight_decay: float = Field(0.05, ge=0, description="of AdamW; the paper, over 500000 steps: 0.5")
    layer_decay: float = Field(
        1.0,
        gt=0,
        le=1,
        description="each layer's learning rate as a share of the next one's; the paper, which starts from pretrained "
        "weights: 0.85; from scratch the early layers have as much to learn as the late ones",
    )
    quick_start: bool = Field(
        True,
        description="begin where a short run from scratch would have to get to first: patch filters at the principal "
        "changes from frame to frame, sharp attention, the decoder at the median target; the paper, which starts from "
        "pretrained weights and trains long: false (with initial_weights only the decoder's part is done)",
    )
    regularize_after: int = Field(
        250,
        ge=0,
        description="steps before the variance, covariance and adversarial terms have a say: features that know "
        "nothing of the pose yet are spread over looks instead; the paper: 0",
    )
    validate_every: PositiveInt = Field(
        100, description="steps between validations; the best one is kept; the paper: 25000"
    )
    save_every: PositiveInt = Field(50, description="steps between resume states")
    initial_weights: str | None = Field(
        None,
        description="converted weights to start from, as `signrep convert` writes them; "
        "the paper: Hiera-B, Kinetics-400 MAE (section 2)",
    )
    max_broken: Fraction = Field(
        0.05, description="videos that cannot be read, per window read, above which the run stops (never below ten)"
    )
    compile: bool = Field(False, description="torch.compile the model on a GPU: slower to begin, faster steps")
    workers: int = Field(1, ge=0, description="loader processes")

    @field_validator("run")
    @classmethod
    def _not_a_baseline(cls, run: str) -> str:
        """Outputs of the baselines lie beside the run's, under their own names."""
        if run in get_args(Baseline):
            taken = " and ".join(get_args(Baseline))
            raise PydanticCustomError(
                "taken", f"expected a name of your own ({taken} are the baselines on raw poses; choose another)"
            )
        return run


class Retrieval(Section):
    """Zero-shot retrieval: each query video against the gallery of another split."""

    gallery: str = Field("train", description="split whose videos are searched")
    queries: str = Field("test", description="split whose videos are looked up")
    pooling: Literal["weighted", "average"] = Field(
        "weighted", description="of a video's windows, by activity or plain"
    )
    baselines: list[Baseline] = Field(
        ["keypoints", "angles"],
        description="raw poses, pooled per window, that are retrieved in the same way for comparison (Table 4)",
    )


class Recognition(Section):
    """Fine-tuning for isolated signs: 64 frames of a video to its gloss (sections 5, 6; A5, A6)."""

    datasets: list[str] | None = Field(
        None,
        description="data sets of the sheet that a recogniser is trained for on `train`, selected on `val` and "
        "measured on `test`; null = those most of whose test videos have a gloss that is trained on, [] = none",
    )
    epochs: PositiveInt = Field(100, description="times that each training video is seen; the paper: 100")
    batch_size: PositiveInt = Field(8, description="clips in a batch; the paper: 8")
    learning_rate: float = Field(1e-3, gt=0, description="peak, after warm-up; the paper at its size: 1e-4")
    warmup: int = Field(20, ge=0, description="warm-up steps; the paper: 1000")
    weight_decay: float = Field(0.05, ge=0, description="of AdamW; of pretraining the paper says 0.5")
    layer_decay: float = Field(
        1.0,
        gt=0,
        le=1,
        description="each layer's learning rate as a share of the next one's; of pretraining the paper says 0.85; "
        "after a short pretraining the early layers still have much to learn",
    )
    freeze: Literal["nothing", "encoder"] = Field(
        "nothing",
        description="`encoder` = only projection and classifier learn, several times as fast; the paper: nothing",
    )
    kappa: float = Field(
        0.2, ge=0, description="weight of the divergence from the class distribution (A5); 0 = plain cross entropy"
    )
    label_smoothing: Fraction = Field(0.1, description="of the cross entropy; the paper: 0.1")
    keypoint_learning_rate: float = Field(
        1e-3, gt=0, description="of the network on keypoints and angles that the figure is compared with"
    )
    validate_every: PositiveInt = Field(
        50, description="steps between validations; the best weights are kept; about an epoch of a large data set"
    )
    save_every: PositiveInt = Field(50, description="steps between resume states")
    workers: int = Field(1, ge=0, description="loader processes")


class Translation(Section):
    """Sentences from frozen features (section 6), as Tarrés et al. 2023 published it for How2Sign."""

    datasets: list[str] | None = Field(
        None, description="data sets that are translated; null = every one whose sheet has texts"
    )
    baselines: list[Baseline] = Field(
        ["keypoints"],
        description="raw poses, pooled per window, that a translator of the same size is trained on for comparison",
    )
    preset: Literal["tiny", "base"] = Field(
        "tiny", description="`base` is the published one: 6 encoder and 3 decoder layers of width 256"
    )
    vocabulary: PositiveInt = Field(
        200, description="word pieces at most, learned from the training text; published: 7000"
    )
    lowercase: bool = Field(True, description="learn and count lower case only, as published")
    tokenizer: Literal["13a", "intl", "zh", "char", "none"] = Field(
        "13a", description="sacrebleu's, for BLEU and ROUGE-L; `char` counts characters (Chinese)"
    )
    iterations: PositiveInt = Field(300, description="optimiser steps; published: 100000 at most")
    batch_size: PositiveInt = Field(16, description="sentences in a batch; published: 32")
    learning_rate: float = Field(1e-3, gt=0, description="peak, after warm-up, as published")
    warmup: int = Field(50, ge=0, description="warm-up steps; published: 2000")
    validate_every: PositiveInt = Field(
        100, description="steps between validations by BLEU-4; the best weights are kept; published: every other epoch"
    )
    save_every: PositiveInt = Field(100, description="steps between resume states")
    max_windows: PositiveInt = Field(1024, description="longer sentences are cut after so many windows, as published")
    max_pieces: PositiveInt = Field(60, description="longest translation, word pieces; published: 200")
    beam: PositiveInt = Field(5, description="hypotheses kept in beam search, as published; 1 = greedy")
    length_penalty: float = Field(
        1.0, description="exponent of the length that a hypothesis's log-probability is divided by, as published"
    )
    workers: int = Field(0, ge=0, description="loader processes")


class Config(Section):
    """Everything that changes what is computed."""

    results: str = Field("results", description="folder that everything is written to")
    sheet: str | None = Field(
        None,
        description="your videos, as `signrep sheet` lists them; null = the embedded synthetic demo",
    )
    videos_per_shard: PositiveInt = Field(
        64, description="videos per shard, the unit of every job; fixed once a corpus is begun"
    )
    seed: int = Field(0, ge=0, description="of everything random")
    synthetic: Synthetic = Synthetic()
    timeline: Timeline = Timeline()
    deduplicate: Deduplicate = Deduplicate()
    pose: Pose = Pose()
    angles: Angles = Angles()
    priors: Priors = Priors()
    crop: Crop = Crop()
    pretrain: Pretrain = Pretrain()
    retrieval: Retrieval = Retrieval()
    recognition: Recognition = Recognition()
    translation: Translation = Translation()


def load_config(values: Mapping[str, Any]) -> Config:
    """Check a nested mapping (of YAML or of the command line) and fill in the defaults.

    Raises:
        ConfigError: names each wrong key, what was expected, and for an unknown key the nearest valid one.
    """
    try:
        return Config.model_validate(dict(values))
    except ValidationError as error:
        problems = [_explain(problem) for problem in error.errors()]
        raise ConfigError("the configuration is wrong:\n" + "\n".join(f"  {line}" for line in problems)) from None


def load_config_file(path: str) -> Config:
    """Read and check a YAML file."""
    try:
        with open(path, encoding="utf-8") as file:
            values = yaml.safe_load(file) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path}: expected keys and values at the top level, found {type(values).__name__}")
    return load_config(values)


def digest(values: Any) -> str:
    """A short stable digest of plain values (numbers, text, lists, mappings)."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]


def changed_values(config: Section, default: Section | None = None) -> dict[str, Any]:
    """The values that differ from the defaults, nested as in a configuration file."""
    default = default or type(config)()
    changed: dict[str, Any] = {}
    for name in type(config).model_fields:
        value, usual = getattr(config, name), getattr(default, name)
        if value != usual:
            changed[name] = changed_values(value, usual) if isinstance(value, Section) else value
    return changed


def default_yaml() -> str:
    """The text of `config.yaml`: every key with its default and its reason."""
    head = textwrap.wrap(
        "Every knob of the workflow with its default and its reason. Generated by `signrep config`; "
        "give other values in a file of your own (--configfile) or with --config key=value.",
        118,
    )
    return "\n".join([*(f"# {line}" for line in head), "", *_section_yaml(Config(), 0)]) + "\n"


def reference_page() -> str:
    """The text of `docs/configuration.md`: a table of keys per section."""
    lines = [
        "# Configuration",
        "",
        "Every key with its default and its reason, generated by `signrep config --format markdown`.",
        "Give other values with `--config key=value`, nested ones as `--config 'crop={crf: 20}'`, or in a file of your",
        "own with `--configfile`. A key that does not exist is an error that names the nearest one. Changing a value",
        "redoes the stages that use it and what depends on them, nothing else.",
    ]
    sections = {"": Config(), **{name: part for name, part in Config() if isinstance(part, Section)}}
    for name, section in sections.items():
        lines += ["", f"## `{name}`" if name else "## At the top", "", (type(section).__doc__ or "").strip(), ""]
        lines += ["| key | default | reason |", "|---|---|---|"]
        for key, field in type(section).model_fields.items():
            value = getattr(section, key)
            if not isinstance(value, Section):
                text = yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
                reason = " ".join((field.description or "").split()).replace("|", "\\|")
                lines.append(
                    f"| `{name}.{key}` | `{text}` | {reason} |" if name else f"| `{key}` | `{text}` | {reason} |"
                )
    return "\n".join(lines) + "\n"


def _section_yaml(section: Section, depth: int) -> list[str]:
    lines: list[str] = []
    indent = "  " * depth
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, Section):
            lines += ["", f"{indent}# {(type(value).__doc__ or '').strip()}", f"{indent}{name}:"]
            lines += _section_yaml(value, depth + 1)
        else:
            text = yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
            lines += [f"{indent}# {line}" for line in textwrap.wrap(field.description or "", 116)]
            lines.append(f"{indent}{name}: {text}")
    return lines


def _explain(problem: Mapping[str, Any]) -> str:
    """One line on one problem that pydantic found."""
    path, known = [], list(Config.model_fields)
    for part in problem["loc"]:  # pydantic appends the branch of a union and list positions: those are no keys
        path.append(str(part))
        if part not in known:
            break
        known = _keys_below(path)
    where = ".".join(path)
    if problem["type"] == "extra_forbidden":
        return f"{where}: there is no such key; {_nearest_key(path)}"
    if path[-1] not in _keys_below(path[:-1]):
        where = ".".join(path[:-1])
    message = problem["msg"]
    return f"{where}: {message[0].lower()}{message[1:]}, got {problem['input']!r}"


def _nearest_key(path: list[str]) -> str:
    """What the user may have meant by the unknown key at the end of `path`."""
    siblings = _keys_below(path[:-1])
    sections = reversed(Config.model_fields)  # of a key in several sections the first one is meant
    everywhere = {name: [section, name] for section in sections for name in _keys_below([section])}
    key = path[-1]
    if key in everywhere:
        return f"did you mean {'.'.join(everywhere[key])}?"
    if near := difflib.get_close_matches(key, siblings, n=1):
        return f"did you mean {'.'.join([*path[:-1], near[0]])}?"
    if near := difflib.get_close_matches(key, everywhere, n=1, cutoff=0.7):
        return f"did you mean {'.'.join(everywhere[near[0]])}?"
    return f"the keys here are {', '.join(siblings)}"


def _keys_below(path: list[str]) -> list[str]:
    """Keys of the section at `path`; none if a plain value stands there."""
    model: Any = Config
    for part in path:
        model = model.model_fields[part].annotation if part in model.model_fields else None
        if not (isinstance(model, type) and issubclass(model, Section)):
            return []
    return list(model.model_fields)
