"""Shared by the rules: the checked configuration, the sheet cut into shards, and the functions of the workflow."""

import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from signrep_core.config import (
    describe_departures,
    describe_pretraining,
    load_config,
)
from signrep_core.errors import SignRepError
from signrep_core.inspect.doctor import check_place
from signrep_core.lift import LIFTER_WEIGHTS
from signrep_core.inspect.report.summary import format_run
from signrep_core.sources.evaluated import check_pretraining, choose_evaluated
from signrep_core.skeleton import SKELETON_VERSION
from signrep_core.sources.sheet import cut_shards, shard_digest
from signrep_core.store import layout, schemas
from signrep_core.store.files import check_folder, file_digest
from signrep_core.synthetic.corpus import planned_sheet

try:
    CONFIG = load_config(config)
    ROWS, NOTES = planned_sheet(CONFIG)
    SHARDS = dict(cut_shards(ROWS, CONFIG.videos_per_shard))
    EVALUATED = choose_evaluated(ROWS, CONFIG)
    check_pretraining(ROWS, CONFIG)
    if workflow.is_main_process and not workflow.output_settings.dryrun:
        check_folder(Path(".snakemake"))
        check_folder(CONFIG.results)
except SignRepError as error:
    raise WorkflowError(str(error))

if (place := check_place(Path(workflow.basedir))).state == "fails":
    raise WorkflowError(f"{place.found}: {place.remedy}")
if workflow.is_main_process:
    for note in (*NOTES, *EVALUATED.notes):
        logger.warning(note)

SHEET = CONFIG.sheet or f"{CONFIG.results}/synthetic/videos.tsv"
TRANSLATORS = [CONFIG.pretrain.run, *CONFIG.translation.baselines]
RECOGNISERS = [CONFIG.pretrain.run, "keypoints"]


wildcard_constraints:
    shard=r"\d{5}",


def rows_digest(wildcards):
    """Digest of the shard's rows of the sheet: rows appended later do not rerun finished shards."""
    return shard_digest(SHARDS[wildcards.shard])


def rendered_videos(wildcards):
    """Truth of the demo's videos of this shard, which are rendered first; nothing where there is a sheet."""
    return (
        []
        if CONFIG.sheet
        else f"{CONFIG.results}/synthetic/truth/{wildcards.shard}.parquet"
    )


def evaluation_list(wildcards):
    """The published list of WLASL, if the configuration asks for the comparison."""
    path = CONFIG.deduplicate.wlasl
    if path and not Path(path).is_file():
        raise WorkflowError(
            f"deduplicate.wlasl: expected WLASL_v0.3.json as published, found none at {path}; "
            "download it from github.com/dxli94/WLASL, or write null for no comparison"
        )
    return [path] if path else []


def initial_weights(wildcards):
    """The weights that pretraining starts from; none where it starts from scratch."""
    try:
        start = CONFIG.pretrain.find_start()
    except SignRepError as error:
        raise WorkflowError(str(error))
    return {"start": str(start)} if start else {}


def recogniser_start(wildcards):
    """Inputs of a fine-tuning: weights and features; none for the network on keypoints."""
    if wildcards.inputs == "keypoints":
        return {}
    run = f"{CONFIG.results}/pretrain/{wildcards.inputs}/best.safetensors"
    features = (
        f"{CONFIG.results}/features/{wildcards.inputs}/{wildcards.dataset}.parquet"
    )
    return {"start": run, "features": features}


def recognition_baselines(wildcards):
    """Metrics of the recogniser on keypoints, the baseline of the representation."""
    if wildcards.inputs == "keypoints":
        return []
    return [f"{CONFIG.results}/recognition/keypoints/{wildcards.dataset}.json"]


def baseline_scores(wildcards):
    """Metrics of the translators of raw poses, the baselines of the representation."""
    kinds = (
        CONFIG.translation.baselines if wildcards.inputs == CONFIG.pretrain.run else []
    )
    return [
        f"{CONFIG.results}/translation/{kind}/{wildcards.dataset}.json"
        for kind in kinds
    ]


def translator_settings(wildcards):
    """Settings that determine the data set's translator; those of other data sets do not retrain it."""
    settings = CONFIG.translator(wildcards.dataset)
    return settings.model_dump(exclude={"datasets", "baselines", "by_character"})


def translator_threads(wildcards):
    """One thread for the tiny Transformer, which more would slow down."""
    settings = CONFIG.translator(wildcards.dataset)
    return 1 if getattr(settings, "preset", None) == "tiny" else 16


def own_lifter(wildcards):
    """Weights of the lifter that the workflow trains, if the configuration asks for it."""
    if CONFIG.angles.solver == "closed_form" or CONFIG.angles.lifter != "train":
        return {}
    return {"lifter": f"{CONFIG.results}/lifter/best.safetensors"}


def lifter_digest():
    """Digest of the lifter's weights, since other weights give other angles; weights trained here are an input."""
    if CONFIG.angles.solver == "closed_form" or CONFIG.angles.lifter == "train":
        return None
    weights = Path(CONFIG.angles.lifter or LIFTER_WEIGHTS)
    if not weights.is_file():
        raise WorkflowError(
            f"angles.lifter: expected a file of weights, found none at {weights}; "
            "train them: signrep train lifter, or write `train`, or leave the key out"
        )
    return file_digest(weights)


def all_shards(pattern):
    """One path per shard of the sheet."""
    return expand(pattern, shard=SHARDS)


# Every output of every stage is a target of its own, so that a deleted one is made again.
STAGE_FILES = [
    all_shards(f"<results>/{output.pattern}")
    for output in layout.PER_SHARD
    if output.rule != layout.OPTIONAL_RULE or CONFIG.priors.write_distances
]

DATASET_FILES = (
    [
        f"<results>/{output.path(run='<run>', dataset=dataset)}"
        for output in layout.PER_DATASET
        for dataset in (
            EVALUATED.retrieved
            if output.rule == "evaluate_retrieval"
            else EVALUATED.all
        )
    ]
    + [
        f"<results>/{output.path(run=inputs, dataset=dataset)}"
        for output in layout.PER_TRANSLATION
        for inputs in TRANSLATORS
        for dataset in EVALUATED.translated
    ]
    + [
        f"<results>/{output.path(run=inputs, dataset=dataset)}"
        for output in layout.PER_RECOGNITION
        for inputs in RECOGNISERS
        for dataset in EVALUATED.recognised
    ]
)
SCORES = [path for path in DATASET_FILES if path.endswith(".json")]
DATASET_FIGURES = [path for path in DATASET_FILES if path.endswith(".png")]
# The first shard's tables, of which the report shows the metadata; nothing depends on the optional ones.
FIRST_TABLES = [
    f"<results>/{output.path(shard=min(SHARDS))}"
    for output in layout.PER_SHARD
    if output.schema and output.rule != layout.OPTIONAL_RULE
]


def show_summary():
    """Print the summary of the videos, the metrics, and the paths of the files, as far as they exist."""
    datasets = {
        "retrieval": EVALUATED.retrieved,
        "recognition": EVALUATED.recognised,
        "translation": EVALUATED.translated,
    }
    text = format_run(CONFIG.results, CONFIG.pretrain.run, datasets)
    page = Path(CONFIG.results) / "report.html"
    link = f"report: {page}\n" if page.exists() else ""
    sys.stderr.write(f"\n{text}\n{link}")
