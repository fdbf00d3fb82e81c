"""The configuration: every key once, with default, meaning and source.

The defaults of the trainings are the paper's (for translation, the published ones); `config.yaml` and `configs/*.yaml`
hold departures only. Cores, memory, GPUs and retries are set in `profiles/`.
"""

import difflib
import hashlib
import json
import os
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from signrep_core.errors import ConfigError
from signrep_core.text import SPLIT_WORDS, normalise, to_split

Fraction = Annotated[float, Field(ge=0, le=1)]
Baseline = Literal["keypoints", "angles"]  # raw poses instead of a run's features
PoseEngine = Literal["own", "mediapipe"]
PoseDevice = Literal["cpu", "cuda"]
PoseTracking = Literal["offline", "causal"]
Solver = Literal["lifter", "closed_form"]  # of joint angles
Pooling = Literal["weighted", "average"]  # of a video's windows
Deviation = Literal["mean", "norm", "sum"]  # of the deviations along x, y and z
Preset = Literal["tiny", "base"]  # sizes of a model
Prior = Literal[
    "body_angles", "right_angles", "left_angles", "body_keypoints", "right_keypoints", "left_keypoints",
    "body_distances", "right_distances", "left_distances",
]  # fmt: skip
PriorLoss = Literal["l1", "smooth_l1", "mse"]
AdversarialForm = Literal["swapped_means", "midpoint", "relativistic"]
Triangle = Literal["with_diagonal", "without_diagonal", "whole"]  # of a Gram matrix
ClipBy = Literal["norm", "value"]
Tokenizer = Literal["13a", "intl", "zh", "char", "none"]  # sacrebleu's

DEMO_CONFIG: Final = Path(__file__).resolve().parents[1] / "config.yaml"
PAPER_CONFIG: Final = "configs/paper.yaml"
SCRATCH: Final = "scratch"  # in the place of initial weights
KINETICS: Final = "mae_hiera_base_16x224 (video) from the model zoo of github.com/facebookresearch/hiera (CC BY-NC)"
TARRES: Final = "Tarrés et al. 2023"
WONG: Final = "Wong et al. 2024"  # Sign2GPT: the paper, and its published code where the paper is silent
UNFIT_IN_PATHS: Final = "{}<>"  # of settings, and in names of data sets: the workflow reads them as wildcards
_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)\}|([A-Za-z_]\w*))")


def expand_path(path: str) -> str:
    """Expand `~` and environment variables in a path of the settings; doubled and last slashes are removed.

    Raises:
        PydanticCustomError: the path is empty, holds a character that the workflow cannot take, or names a person or a
            variable that does not exist.
    """

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if not os.environ.get(name):
            raise _unfit(f"the environment variable {name} is not set; set it, or write the path in full")
        return os.environ[name]

    expanded = os.path.expanduser(_VARIABLE.sub(value, path))
    if expanded.startswith("~"):
        raise _unfit("this person has no home folder here; write the path in full, or ./~ for a name that begins so")
    if found := [character for character in expanded if character in UNFIT_IN_PATHS or character < " "]:
        raise _unfit(f"expected a path without {found[0]!r}, which the workflow cannot take; rename the folder or file")
    if str(Path(expanded)) == ".":
        raise _unfit("expected the path of a file, or of a folder of its own")
    return str(Path(expanded))


def _unfit(message: str) -> PydanticCustomError:
    return PydanticCustomError("path", "{message}", {"message": message})


FilePath = Annotated[str, AfterValidator(expand_path)]
Name = Annotated[str, AfterValidator(normalise)]  # of a data set
Split = Annotated[str, AfterValidator(to_split)]
OPEN: Final = "D, decision 0026"  # source of a choice on which the paper is silent


def method(default: Any, source: str, description: str, **limits: Any) -> Any:
    """Define a field of the method.

    Args:
        source: of the default: a supplement (A1-A8) or table of the paper, another publication, or "D" with
            the decision record of an open choice.
        limits: as pydantic's `Field` takes them.
    """
    return Field(default, description=description, json_schema_extra={"source": source}, **limits)


def operation(default: Any, description: str, **limits: Any) -> Any:
    """Define a field that does not influence what a run computes; arguments as in `method`."""
    return Field(default, description=description, json_schema_extra={"operation": True}, **limits)


def _extra(field: FieldInfo) -> dict[str, Any]:
    """Metadata of a field that `method` or `operation` defined."""
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


class Section(BaseModel):
    """A part of the configuration; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Synthetic(Section):
    """The embedded demo corpus of procedural signers, rendered when no sheet is given."""

    signers: PositiveInt = Field(8, description="people, divided among the train, val and test splits")
    glosses: PositiveInt = Field(5, description="different signs")
    takes: PositiveInt = Field(1, description="performances of each sign by each signer")
    size: PositiveInt = Field(320, description="width and height of the frames, pixels")
    sentences: int = Field(
        2, ge=0, description="sentences of each signer, for translation; each takes about six seconds on two cores"
    )
    sentence_glosses: PositiveInt = Field(12, description="different signs in the sentences")


class Timeline(Section):
    """Common timeline of frames for pose, crops and tables."""

    target_fps: PositiveInt | Literal["native"] = method(
        25, OPEN, "frames per second, on which the paper is silent; `native` keeps the frames of each video"
    )

    @property
    def rate(self) -> float | None:
        """Frames per second, or None for the frames of each video."""
        return None if self.target_fps == "native" else float(self.target_fps)


class Deduplicate(Section):
    """Exclusion of evaluation videos from pretraining (supplement A2)."""

    wlasl: FilePath | None = Field(None, description="path of WLASL_v0.3.json as published; null = no comparison")


class Pose(Section):
    """Landmark detection in videos."""

    engine: PoseEngine = Field(
        "own",
        description="what runs Holistic's networks: `own` = this package, in less time with the same landmarks; "
        "`mediapipe` = its graph, the reference",
    )
    tracking: PoseTracking = Field(
        "offline",
        description="`offline` = with the whole recording in view: hands are looked for in several places of a "
        "frame and chosen over the whole video, landmarks smoothed without delay; `causal` = from frame to frame, "
        "as MediaPipe does it; the engine `mediapipe` is always causal",
    )
    device: PoseDevice = Field(
        "cpu",
        description="where `own` runs them: `cpu` in float32; `cuda` in float16, whose landmarks differ by less than "
        "MediaPipe's own do between two encodings, so changing it makes nothing again",
    )
    model: FilePath = Field(
        "mediapipe",
        description="`mediapipe` = the networks of Holistic in its wheel; or the path of a holistic `.task` file",
    )
    min_shoulder_px: PositiveInt = Field(
        48,
        description="videos with narrower shoulders are rejected as signer_too_small: hands are not visible",
    )


class Angles(Section):
    """Joint angles from landmarks."""

    solver: Solver = Field(
        "lifter",
        description="`lifter` = a network on 2-D joints, like the paper's estimator (A1); `closed_form` = inverse "
        "kinematics of the detector's 3-D landmarks, whose depth is inaccurate",
    )
    lifter: FilePath | None = Field(
        None,
        description="your own weights, as `train lifter` writes them (best.safetensors); `train` = the workflow trains "
        "them first, uncalibrated; null = the weights in the package",
    )
    max_gap: int = Field(
        5,
        ge=0,
        description="longest gap in frames that is interpolated in angle space, flagged, and kept in a sequence",
    )


class Priors(Section):
    """Sign priors from keypoints."""

    activity_std: float = method(
        0.26, "A1", "a lowered hand is inactive if the summed standard deviation of its 21 joints is smaller", gt=0
    )
    activity_deviation: Deviation = method(
        "mean",
        OPEN,
        "a joint's standard deviation from those of its x, y and z, on which the paper is silent: `mean`, `norm` "
        "(the root of the sum of their squares) or `sum`",
    )
    write_distances: bool = Field(
        True,
        description="write distances/*.parquet for inspection; training computes them from the keypoints, "
        "so a corpus of 300 million frames does not need these 1.3 TB",
    )


class Crop(Section):
    """Signer crops, 256×256 (A2), and their encoding."""

    margin: float = Field(0.1, ge=0, description="margin around the range of head and hands, as a share of that range")
    crf: int = Field(
        18, ge=0, le=51, description="x264 quality of the shards: lower values give better quality and larger files"
    )
    preset: str = Field("medium", description="x264 speed preset")


class Training(Section):
    """Settings of a training, without the seed."""

    def identity(self) -> dict[str, Any]:
        """Values that determine what a run computes; a run can be resumed only with the same ones."""
        included = {name for name, field in type(self).model_fields.items() if not _extra(field).get("operation")}
        return self.model_dump(mode="json", include=included)


def _ascend(values: tuple[float, float]) -> tuple[float, float]:
    """Check the two ends of a range."""
    if not 0 < values[0] <= values[1]:
        raise PydanticCustomError("range", "expected two numbers above 0, the smaller one first")
    return values


Range = Annotated[tuple[float, float], AfterValidator(_ascend)]


class EncoderTraining(Training):
    """Settings that A3 gives for pretraining and recognition alike."""

    learning_rate: float = method(1e-4, "A3", "peak, after warm-up", gt=0)
    learning_rate_end: Fraction = method(
        0.0, OPEN, "start of the warm-up and end of the cosine as a share of the peak, on which the paper is silent"
    )
    betas: tuple[float, float] = method((0.9, 0.95), "A3", "of AdamW")
    weight_decay: float = method(0.5, "A3", "of AdamW; not of biases, norms and position embeddings", ge=0)
    layer_decay: float = method(0.85, "A3", "learning rate of each layer as a share of the next layer's", gt=0, le=1)
    clip: float = method(1.0, "A3", "largest norm of the gradient, or largest value in it", gt=0)
    clip_by: ClipBy = method("norm", OPEN, "what `clip` limits: the `norm` of the whole gradient, or each `value`")
    crop_area: Range = method(
        (0.875, 1.0),
        "D, decision 0029",
        "area of the random crop in training, as a share of the frame's, all of which evaluation sees",
    )
    crop_ratio: Range = method((0.9, 1.1), "D, decision 0029", "width to height of the random crop in training")
    save_every: PositiveInt = operation(1_000, "steps between resume states, at most")
    save_minutes: float = operation(10.0, "minutes between resume states, at most", gt=0)
    log_every: PositiveInt = operation(10, "steps between rows of metrics.csv")


class Pretrain(EncoderTraining):
    """Self-supervised pretraining (A3, A4)."""

    run: str = operation("signrep", "name of the run: its folder is pretrain/{run}", pattern=r"^[\w.-]+$")
    splits: list[Split] = Field(
        ["train"],
        description="splits of the sheet for pretraining; only these are checked for overlaps",
    )
    datasets: list[Name] | None = Field(
        None,
        description="data sets of the sheet for pretraining; null = all; the paper trains on YouTube-SL-25 alone (A2)",
    )
    validation: Name | None = Field(
        None,
        description="data set of the shards whose `val` split is retrieved from its `train` split to select the "
        "weights, the paper's is WLASL (A3); null = all with glosses in both, else the training loss",
    )
    preset: Preset = method(
        "base", "supplement", "size of the model: `base` has 50.8 M parameters, `tiny` is for a CPU"
    )
    iterations: PositiveInt = method(500_000, "A3", "optimiser steps")
    batch_size: PositiveInt = method(20, "A2", "windows in a batch, two of each video")
    mask_ratio: float = method(0.8, "supplement", "share of the mask units hidden in training", ge=0, lt=1)
    warmup: int = method(50_000, "A3", "warm-up steps", ge=0)
    discriminator_learning_rate: float = method(1e-4, "A4", "peak of the discriminator's learning rate", gt=0)
    discriminator_betas: tuple[float, float] = method((0.5, 0.9), "A4", "of the discriminator's AdamW")
    discriminator_weight_decay: float = method(1e-3, "A4", "of the discriminator's AdamW", ge=0)
    momentum: float = method(0.1, "A4", "of the running means of the discriminator's outputs", gt=0, le=1)
    prior_loss: PriorLoss = method("l1", OPEN, "error between a prior and its target")
    priors: list[Prior] = method(list(get_args(Prior)), "Table 9", "sign priors that are trained on")
    variance_weight: float = method(1.0, "Table 9", "weight of the variance term", ge=0)
    covariance_weight: float = method(0.004, "Table 9", "weight of the covariance term", ge=0)
    adversarial_weight: float = method(2.0, "Table 9", "weight of the adversarial term; 0 = no discriminator", ge=0)
    adversarial_form: AdversarialForm = method(
        "swapped_means",
        OPEN,
        "error of the encoder: squared distance of the discriminator's output on matched pairs to the running mean on "
        "unmatched ones and vice versa; of both to their `midpoint`; or the `relativistic` average loss",
    )
    style_stage: int = method(1, OPEN, "stage of the encoder whose Gram matrix is the style, 1 to 4", ge=1, le=4)
    style_triangle: Triangle = method("with_diagonal", OPEN, "part of the Gram matrix that is the style")
    divide_by_width: bool = method(
        True, OPEN, "divide variance and covariance by the number of features, as VICReg does; false = plain sums"
    )
    initialise_from_data: bool = method(
        False,
        "D, decision 0016",
        "data-dependent initialisation for short runs from scratch: patch filters at the principal changes from frame "
        "to frame, sharp attention, the decoder at the median target; with initial_weights only the decoder's part",
    )
    regularize_after: int = method(
        0,
        "D, decision 0016",
        "steps before the variance, covariance and adversarial terms are added to the loss",
        ge=0,
    )
    validate_every: PositiveInt = method(25_000, "A3", "steps between validations; the best weights are kept")
    validation_stride: PositiveInt = method(
        8, "D, decision 0031", "frames from one window to the next in validations; evaluation takes every second frame"
    )
    initial_weights: FilePath | None = method(
        None,
        "supplement",
        "converted weights to start from, as `signrep convert` writes them; the paper starts from Hiera-B trained as a "
        "masked autoencoder on Kinetics-400; `scratch` = random weights; null = an error that says how to get them",
    )
    max_broken: Fraction = Field(
        0.05,
        description="share of unreadable videos above which the run stops (never below ten videos; decision 0017)",
    )
    compile: bool = operation(
        False,
        "compile the steps on a GPU, and capture them as one CUDA graph on a single one: slower to start, faster steps",
    )
    workers: int = operation(1, "loader processes", ge=0)

    def find_start(self) -> Path | None:
        """Find the file of the initial weights; None for a start from scratch.

        Raises:
            ConfigError: `initial_weights` is not set, or there is no such file.
        """
        path = self.initial_weights
        if path == SCRATCH:
            return None
        if path and Path(path).is_file():
            return Path(path)
        found = f"found none at {path}" if path else "got null"
        raise ConfigError(
            f"pretrain.initial_weights: expected a file of weights, {found}; the paper starts from Hiera-B, trained as "
            f"a masked autoencoder on Kinetics-400: download {KINETICS}, convert it with `signrep convert "
            f"mae_hiera_base_16x224.pth --out {path or 'hiera.safetensors'}`, and name that file here; or write "
            f"`{SCRATCH}` to start from random weights"
        )

    @field_validator("run")
    @classmethod
    def _not_a_baseline(cls, run: str) -> str:
        """Refuse the baselines' names: their outputs are stored next to the run's, under those names."""
        if run in get_args(Baseline):
            taken = " and ".join(get_args(Baseline))
            raise PydanticCustomError(
                "taken", f"expected a name of your own ({taken} are the baselines on raw poses; choose another)"
            )
        return run


class Features(Section):
    """Features of every window of the evaluated data sets."""

    half_precision: bool = Field(
        False, description="store 16 bits of each value: half the size on disk, errors below 0.05 % of a value"
    )
    parts: PositiveInt = operation(
        1, "jobs that share the shards of a data set, each on a machine of its own; their tables are joined"
    )


class Retrieval(Section):
    """Zero-shot retrieval: each query video against the gallery of another split."""

    datasets: list[Name] | None = Field(
        None, description="data sets that are retrieved; null = every one that is not translated, [] = none"
    )
    gallery: Split = Field("train", description="split whose videos are searched")
    queries: Split = Field("test", description="split whose videos are looked up")
    pooling: Pooling = method(
        "weighted", "paper", "mean over a video's windows: `weighted` by the hands' activity, or `average`"
    )
    baselines: list[Baseline] = method(
        ["keypoints", "angles"],
        "Table 4",
        "raw poses, pooled per window, that are retrieved in the same way for comparison",
    )


class Recognition(EncoderTraining):
    """Fine-tuning for isolated signs: 64 frames of a video to its gloss (A3, A5, A6)."""

    datasets: list[Name] | None = operation(
        None,
        "data sets of the sheet for which a recogniser is trained on `train`, selected on `val` and measured on "
        "`test`; null = those most of whose test videos have a gloss of the training split, [] = none",
    )
    epochs: PositiveInt = method(100, "A3", "times that each training video is seen")
    batch_size: PositiveInt = method(8, "A3", "clips in a batch")
    warmup: int = method(1_000, "A3", "warm-up steps", ge=0)
    freeze: Literal["nothing", "encoder"] = method(
        "nothing", "A3", "`encoder` = only projection and classifier learn, several times as fast"
    )
    kappa: float = method(
        0.2, "A5", "weight of the divergence from the class distribution; 0 = plain cross entropy", ge=0
    )
    label_smoothing: Fraction = method(0.1, "A3", "of the cross entropy")
    validate_every: PositiveInt | Literal["epoch"] = method(
        "epoch", "D, decision 0020", "steps between validations, or `epoch`: once an epoch; the best weights are kept"
    )
    keypoint_learning_rate: float = operation(
        1e-3, "learning rate of the network on keypoints and angles, which the figures are compared with", gt=0
    )
    workers: int = operation(1, "loader processes", ge=0)

    def for_keypoints(self) -> "Recognition":
        """Settings of the network on keypoints and angles: its own learning rate, no distribution, nothing frozen."""
        return self.model_copy(update={"learning_rate": self.keypoint_learning_rate, "kappa": 0.0, "freeze": "nothing"})


class Translating(Training):
    """A training of a translator, of either kind."""

    def search(self) -> dict[str, Any]:
        """Settings of the beam search, as arguments of `evaluate.translation.translate`."""
        return {name: getattr(self, name) for name in ("beam", "length_penalty", "max_pieces", "max_windows")}


class Translation(Translating):
    """Sentences from frozen features (A3), as Tarrés et al. 2023 published it for How2Sign."""

    datasets: list[Name] | None = operation(None, "data sets that are translated; null = every one with texts")
    by_character: list[Name] = operation(
        ["csl_daily"],
        "data sets whose BLEU and ROUGE-L count characters, not words, whichever translator they have: languages "
        "written without spaces",
    )
    baselines: list[Baseline] = operation(
        ["keypoints"], "raw poses, pooled per window, for which a translator of the same size is trained for comparison"
    )
    preset: Preset = method("base", TARRES, "`base` has 6 encoder and 3 decoder layers of width 256")
    vocabulary: PositiveInt = method(7_000, TARRES, "word pieces at most, learned from the training text")
    lowercase: bool = method(True, TARRES, "learn and count lower case only")
    tokenizer: Tokenizer = method("13a", TARRES, "sacrebleu's, for BLEU and ROUGE-L of the other data sets")
    iterations: PositiveInt = method(100_000, TARRES, "optimiser steps")
    batch_size: PositiveInt = method(32, TARRES, "sentences in a batch")
    learning_rate: float = method(1e-3, TARRES, "peak, after warm-up", gt=0)
    warmup: int = method(2_000, TARRES, "warm-up steps", ge=0)
    restart_every: PositiveInt | None = method(
        17_000,
        TARRES,
        "steps of a cosine, after which the learning rate starts again at its peak; null = one cosine over all steps",
    )
    learning_rate_end: Fraction = method(0.1, TARRES, "start of the warm-up and end of a cosine as a share of the peak")
    betas: tuple[float, float] = method((0.9, 0.98), TARRES, "of AdamW")
    weight_decay: float = method(0.1, TARRES, "of AdamW; not of biases and norms", ge=0)
    label_smoothing: Fraction = method(0.1, TARRES, "of the cross entropy")
    clip: float = method(1.0, TARRES, "largest norm of the gradient, or largest value in it", gt=0)
    clip_by: ClipBy = method("norm", TARRES, "what `clip` limits: the `norm` of the whole gradient, or each `value`")
    max_windows: PositiveInt = method(1_024, TARRES, "longer sentences are cut after so many windows")
    max_pieces: PositiveInt = method(200, TARRES, "longest translation, word pieces")
    beam: PositiveInt = method(5, TARRES, "hypotheses kept in beam search; 1 = greedy")
    length_penalty: float = method(
        1.0, TARRES, "exponent of the length that a hypothesis's log-probability is divided by"
    )
    validate_every: PositiveInt = method(
        2_000, TARRES, "steps between validations by BLEU-4 (about every other epoch); the best weights are kept"
    )
    save_every: PositiveInt = operation(1_000, "steps between resume states, at most")
    save_minutes: float = operation(10.0, "minutes between resume states, at most", gt=0)
    log_every: PositiveInt = operation(10, "steps between rows of metrics.csv")
    workers: int = operation(0, "loader processes", ge=0)


class LanguageModel(Translating):
    """Sentences by a pretrained language model with adapters (A3; Sign2GPT, Wong et al. 2024; extra [translation])."""

    datasets: list[Name] = operation(
        ["phoenix14t", "csl_daily"], "data sets that a language model translates; the others have the Transformer (A3)"
    )
    base: FilePath = method(
        "facebook/xglm-1.7B",
        WONG,
        "pretrained model: a folder with weights and tokeniser, or a name on the Hugging Face hub",
    )
    revision: str | None = Field(None, description="commit or tag of a name on the hub; null = the newest")
    targets: list[str] = method(
        ["q_proj", "k_proj", "v_proj", "out_proj"],
        WONG,
        "layers of the base, in all its blocks, that have adapters; other bases name them otherwise",
        min_length=1,
    )
    rank: PositiveInt = method(4, WONG, "of the adapters")
    alpha: float = method(4.0, WONG, "scale of the adapters, times the rank", gt=0)
    dropout: float = method(0.1, WONG, "of the adapters' inputs; the frozen base has none", ge=0, lt=1)
    lowercase: bool = method(False, WONG, "learn and count lower case only")
    tokenizer: Tokenizer = method(
        "13a", "D, decision 0021", "sacrebleu's, for BLEU and ROUGE-L; of data sets in translation.by_character: `char`"
    )
    epochs: PositiveInt = method(100, WONG, "times that each training sentence is seen")
    batch_size: PositiveInt = method(8, WONG, "sentences in a batch (published for CSL-Daily: 4 on each GPU)")
    learning_rate: float = method(3e-4, WONG, "peak, after warm-up", gt=0)
    warmup_epochs: int = method(5, WONG, "epochs of warm-up", ge=0)
    learning_rate_end: Fraction = method(
        0.01, WONG, "start of the warm-up and end of the cosine as a share of the peak"
    )
    betas: tuple[float, float] = method((0.9, 0.999), WONG, "of AdamW")
    weight_decay: float = method(1e-3, WONG, "of AdamW; not of biases", ge=0)
    label_smoothing: Fraction = method(0.1, WONG, "of the cross entropy")
    clip: float = method(1.0, WONG, "largest norm of the gradient, or largest value in it", gt=0)
    clip_by: ClipBy = method(
        "norm",
        WONG,
        "what `clip` limits: the `norm` of the whole gradient, or each `value` (published: value, then norm)",
    )
    max_windows: PositiveInt = method(256, WONG, "longer sentences are cut after so many windows")
    max_pieces: PositiveInt = method(64, WONG, "longest translation, pieces of the base's tokeniser")
    beam: PositiveInt = method(4, WONG, "hypotheses kept in beam search; 1 = greedy")
    length_penalty: float = method(
        1.0, WONG, "exponent of the length that a hypothesis's log-probability is divided by"
    )
    validate_every: PositiveInt | Literal["epoch"] = method(
        "epoch", WONG, "steps between validations by BLEU-4, or `epoch`: once an epoch; the best weights are kept"
    )
    save_every: PositiveInt = operation(1_000, "steps between resume states, at most")
    save_minutes: float = operation(10.0, "minutes between resume states, at most", gt=0)
    log_every: PositiveInt = operation(10, "steps between rows of metrics.csv")
    workers: int = operation(0, "loader processes", ge=0)


AnyTranslation = Translation | LanguageModel


def may_be_base(name: str) -> bool:
    """Whether `language_model.base` names a folder that exists, or has the form of a name on the Hugging Face hub."""
    return Path(name).is_dir() or re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) is not None


class Config(Section):
    """All settings that determine the outputs."""

    results: FilePath = Field(
        "results", description="folder of all outputs; in this and all other paths `~` and `$VARIABLE` are expanded"
    )
    sheet: FilePath | None = Field(
        None,
        description="list of your videos, as `signrep sheet` writes it; null = the embedded synthetic demo",
    )
    videos_per_shard: PositiveInt = Field(
        64, description="videos per shard, the unit of all jobs; must not change within a corpus"
    )
    seed: int = Field(0, ge=0, description="seed of all random numbers")
    synthetic: Synthetic = Synthetic()
    timeline: Timeline = Timeline()
    deduplicate: Deduplicate = Deduplicate()
    pose: Pose = Pose()
    angles: Angles = Angles()
    priors: Priors = Priors()
    crop: Crop = Crop()
    pretrain: Pretrain = Pretrain()
    features: Features = Features()
    retrieval: Retrieval = Retrieval()
    recognition: Recognition = Recognition()
    translation: Translation = Translation()
    language_model: LanguageModel = LanguageModel()

    @property
    def splits(self) -> set[str]:
        """Splits that something uses; a row of another split would be processed for nothing."""
        return {*SPLIT_WORDS, *self.pretrain.splits, self.retrieval.gallery, self.retrieval.queries}

    @property
    def sheet_path(self) -> str:
        """Path of the sheet, which is the embedded demo's if the configuration gives none."""
        return self.sheet or f"{self.results}/synthetic/videos.tsv"

    def translator(self, dataset: str) -> AnyTranslation:
        """Settings of a data set's translator, with the tokeniser of its metrics."""
        settings = self.language_model if dataset in self.language_model.datasets else self.translation
        update = {"tokenizer": "char"} if dataset in self.translation.by_character else {}
        return settings.model_copy(update=update)


def load_config(values: Mapping[str, Any]) -> Config:
    """Check nested values (from YAML or the command line) and fill in the defaults.

    Raises:
        ConfigError: a value is wrong; the message names each wrong key, the expected value, and for an unknown key the
            nearest valid one.
    """
    try:
        return Config.model_validate(dict(values))
    except ValidationError as error:
        problems = [_explain(problem) for problem in error.errors()]
        raise ConfigError("the configuration is wrong:\n" + "\n".join(f"  {line}" for line in problems)) from None


def load_config_file(path: str | Path) -> Config:
    """Read and check a YAML file."""
    return load_config(read_yaml(path))


def workflow_config(path: str | Path | None = None) -> Config:
    """Load the configuration of the workflow: `config.yaml` next to the Snakefile, updated with a file (--configfile).

    If the core is installed without the workflow, the defaults are used instead of `config.yaml`.
    """
    values = read_yaml(DEMO_CONFIG) if DEMO_CONFIG.is_file() else {}
    return load_config(merge(values, read_yaml(path) if path else {}))


def merge(values: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Update nested values with those of `over`, as Snakemake merges configuration files."""
    merged = dict(values)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read keys and values of a configuration file, without checking them.

    Raises:
        ConfigError: the file cannot be read, or has no keys at the top level.
    """
    try:
        with open(path, encoding="utf-8") as file:
            values = yaml.safe_load(file) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path}: expected keys and values at the top level, found {type(values).__name__}")
    return dict(values)


def digest(values: Any) -> str:
    """Short stable digest of numbers, text, lists and mappings."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]


def changed_values(config: Section, default: Section | None = None) -> dict[str, Any]:
    """Values that differ from the defaults, or from another configuration, nested as in a configuration file."""
    default = default or type(config)()
    changed: dict[str, Any] = {}
    for name in type(config).model_fields:
        value, usual = getattr(config, name), getattr(default, name)
        if value != usual:
            changed[name] = changed_values(value, usual) if isinstance(value, Section) else value
    return changed


# ---------------------------------------------------------------- departures from the paper


def paper_config() -> Config:
    """Load the configuration of the paper's run: `configs/paper.yaml` over `config.yaml`, as the workflow does.

    If the core is installed without the workflow, the defaults, which are the paper's in the trainings.
    """
    path = DEMO_CONFIG.parent / PAPER_CONFIG
    return workflow_config(path) if path.is_file() else Config()


def compare_with_paper(config: Config) -> str:
    """List the keys whose value is not that of the paper's run, one per line with both values and the source."""
    paper = flatten(paper_config())
    lines = []
    for key, (value, field) in flatten(config).items():
        theirs = paper[key][0]
        if value != theirs:
            source = _extra(field).get("source")
            origin = f" [{source}]" if source else ""
            lines.append(f"{key}: {_inline(value)}  # the paper's run: {_inline(theirs)}{origin}")
    return "\n".join(lines)


def flatten(section: Section, above: str = "") -> dict[str, tuple[Any, FieldInfo]]:
    """Values of all keys below a section with their fields, by dotted key."""
    found: dict[str, tuple[Any, FieldInfo]] = {}
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        found |= flatten(value, f"{above}{name}.") if isinstance(value, Section) else {f"{above}{name}": (value, field)}
    return found


def describe_departures(settings: "Config | Training") -> str:
    """Describe in one line how a run, or one training, departs from the paper's settings; empty where it does not."""
    trainings = (
        {"": settings}
        if isinstance(settings, Training)
        else {
            "pretraining": settings.pretrain,
            "recognition": settings.recognition,
            "translation": settings.translation,
            "translation by a language model": settings.language_model,
        }
    )
    departures = {name: found for name, training in trainings.items() if (found := _departures(training))}
    if not departures:
        return ""
    small = any(getattr(training, "preset", None) == "tiny" for training in trainings.values())
    listed = "; ".join(
        f"{name}: {', '.join(found)}" if name else ", ".join(found) for name, found in departures.items()
    )
    return f"{'small' if small else 'own'} settings: {listed}; the paper's: --configfile {PAPER_CONFIG}"


def _departures(training: Training) -> list[str]:
    """Describe each field of the method whose value is not the paper's."""
    found = []
    for name, field in type(training).model_fields.items():
        value, default, source = getattr(training, name), field.get_default(), _extra(field).get("source")
        if source is None or value == default or (name == "initial_weights" and value != SCRATCH):
            continue
        if name == "preset":
            found.append(f"{value} preset")
        elif name == "iterations":
            found.append(f"{value:,} of {default:,} steps")
        elif name == "mask_ratio" and not value:
            found.append("no masks")
        elif name == "initial_weights":
            found.append("random initial weights")
        else:
            published = source in (TARRES, WONG)
            origin = "default" if source.startswith("D,") else "published" if published else "paper"
            found.append(f"{name.replace('_', ' ')} {_number(value)} ({origin} {_number(default)})")
    return found


def describe_data(datasets: Sequence[str] | None, splits: Sequence[str]) -> str:
    """Name the data that a pretraining is trained on: "youtube_sl_25, split train"."""
    return f"{', '.join(datasets) if datasets else 'all data sets'}, split {', '.join(splits)}"


def describe_pretraining(settings: Pretrain) -> str:
    """Describe in one line the data, the start and the selection of a pretraining."""
    start = settings.initial_weights or "no initial weights"
    selected = (
        f"retrieval on the val split of {settings.validation}"
        if settings.validation
        else "retrieval on the val split, or by the training loss where it has no gloss of the train split"
    )
    data = describe_data(settings.datasets, settings.splits)
    return f"pretraining: trained on {data}; started from {start}; selected by {selected}"


def _number(value: Any) -> str:
    """Format a value: whole numbers with separators, others short."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ("no", "yes")[value] if isinstance(value, bool) else _inline(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


# ---------------------------------------------------------------- reference of all keys


def reference_yaml() -> str:
    """All keys with default, meaning and source, as YAML."""
    head = textwrap.wrap(
        "Every key with its default, its meaning and the source of the default. Generated by `signrep config`. "
        "Give other values in a file of your own (--configfile) or with --config key=value; config.yaml holds those "
        "of the demo.",
        118,
    )
    return "\n".join([*(f"# {line}" for line in head), "", *_section_yaml(Config(), 0)]) + "\n"


def reference_page(demo: Config) -> str:
    """Text of `docs/configuration.md`: a table of keys per section, with the demo's values (`config.yaml`)."""
    lines = [
        "# Configuration",
        "",
        "Every key, generated by `signrep config --format markdown`. *Default* is the value that holds if nothing is",
        "given; in the trainings it is the paper's, and *source* says where the paper gives it: a supplement (A1-A8),",
        "a table; [the method](method.md) lists these statements. D = no source says, our choice, with the number of",
        "its page in [decisions](decisions/README.md). *Demo* is the value of `config.yaml`, which the workflow loads",
        "first, where it departs from the default: a small model that trains in minutes on a CPU.",
        "`--configfile configs/paper.yaml` restores the paper's.",
        "",
        "Give other values with `--config key=value`, nested ones as `--config 'crop={crf: 20}'`, or in a file of your",
        "own with `--configfile`. A key that does not exist is an error that names the nearest one. Changing a value",
        "runs the stages that use it and those that depend on them again, and no others.",
    ]
    sections: dict[str, tuple[Section, Section]] = {"": (Config(), demo)}
    sections |= {name: (part, getattr(demo, name)) for name, part in Config() if isinstance(part, Section)}
    for name, (section, small) in sections.items():
        lines += ["", f"## `{name}`" if name else "## At the top", "", (type(section).__doc__ or "").strip(), ""]
        lines += _reference_table(name, section, small)
    return "\n".join(lines) + "\n"


def _reference_table(name: str, section: Section, demo: Section) -> list[str]:
    """Table of a section's keys; empty columns are left out."""
    fields = {
        k: field for k, field in type(section).model_fields.items() if not isinstance(getattr(section, k), Section)
    }
    departs = {key for key in fields if getattr(section, key) != getattr(demo, key)}
    sourced = {key for key, field in fields.items() if "source" in _extra(field)}
    columns = ["key", "default", *(["demo"] if departs else []), *(["source"] if sourced else []), "meaning"]
    rows = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for key, field in fields.items():
        cells = {
            "key": f"`{name}.{key}`" if name else f"`{key}`",
            "default": f"`{_inline(getattr(section, key))}`",
            "demo": f"`{_inline(getattr(demo, key))}`" if key in departs else "",
            "source": _extra(field).get("source", ""),
            "meaning": " ".join((field.description or "").split()).replace("|", "\\|"),
        }
        rows.append(f"| {' | '.join(cells[column] for column in columns)} |")
    return rows


def _section_yaml(section: Section, depth: int) -> list[str]:
    lines: list[str] = []
    indent = "  " * depth
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, Section):
            lines += ["", f"{indent}# {(type(value).__doc__ or '').strip()}", f"{indent}{name}:"]
            lines += _section_yaml(value, depth + 1)
        else:
            source = _extra(field).get("source")
            reason = f"{field.description or ''}{f' [{source}]' if source else ''}"
            lines += [f"{indent}# {line}" for line in textwrap.wrap(reason, 116)]
            lines.append(f"{indent}{name}: {_inline(value)}")
    return lines


def _inline(value: Any) -> str:
    """A value as YAML on one line."""
    value = list(value) if isinstance(value, tuple) else value
    text: str = yaml.safe_dump(value, default_flow_style=True, width=1_000)
    return text.removesuffix("...\n").strip()


# ---------------------------------------------------------------- messages


def _explain(problem: Mapping[str, Any]) -> str:
    """Describe one of pydantic's problems in one line."""
    path, known = [], list(Config.model_fields)
    for part in problem["loc"]:  # pydantic appends union branches and list positions, which are no keys
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
    """Suggest a key for the unknown key at the end of `path`."""
    siblings = _keys_below(path[:-1])
    sections = reversed(Config.model_fields)  # of several sections with this key, the first one wins
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
    """Keys of the section at `path`; none if `path` is a value."""
    model: Any = Config
    for part in path:
        model = model.model_fields[part].annotation if part in model.model_fields else None
        if not (isinstance(model, type) and issubclass(model, Section)):
            return []
    return list(model.model_fields)
