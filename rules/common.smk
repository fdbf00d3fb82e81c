"""Shared by the rules: the checked configuration, the sheet cut into shards, and the functions of the workflow."""

import os
import sys
from pathlib import Path

import snakemake.workflow
from snakemake.dag import DAG
from snakemake.exceptions import WorkflowError
from snakemake.jobs import Job
from snakemake.logging import logger

from signrep_core.config import load_config
from signrep_core.errors import SignRepError
from signrep_core.evaluate.feature_parts import Part, part_path
from signrep_core.inspect.compare import Comparison, describe_outdated
from signrep_core.inspect.doctor import check_place
from signrep_core.inspect.report.summary import format_run
from signrep_core.inspect.verify.problems import Results
from signrep_core.inspect.wanted import Wanted, lifter_weights, trains_lifter
from signrep_core.sources.evaluated import check_pretraining
from signrep_core.store import layout
from signrep_core.store.files import check_folder
from signrep_core.synthetic.corpus import planned_sheet

try:
    CONFIG = load_config(config)
    ROWS, NOTES = planned_sheet(CONFIG)
    WANTED = Wanted(CONFIG, ROWS)
    SHARDS, EVALUATED = WANTED.shards, WANTED.evaluated
    check_pretraining(ROWS, CONFIG)
    lifter_weights(CONFIG)  # a wrong path stops the start
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

TRANSLATORS, RECOGNISERS = WANTED.translators, WANTED.recognisers


wildcard_constraints:
    shard=r"\d{5}",
    dataset=r"[^/]+",


class RecordedDAG(DAG):
    """Snakemake's plan, in which the records beside the outputs decide what is up to date (decision 0028).

    Times of files and the metadata in .snakemake decide nothing: both belong to one disk and one working directory.
    """

    async def update_needrun(self, create_inventory=False):
        """Plan the jobs whose outputs are missing, not as wanted, or depend on such ones."""
        self.workflow.dag_settings.rerun_triggers = frozenset()
        plans = create_inventory and self.workflow.is_main_process
        there = Comparison(Results(Path(CONFIG.results)))
        if plans:
            outdated = list(there.outdated(WANTED))
            for line in describe_outdated(outdated):
                logger.info(line)
            self.forcefiles.update(
                self._outputs({problem.file for problem in outdated})
            )
        await super().update_needrun(create_inventory)
        if plans:
            kept = there.made_by_hand(WANTED)
            needed = {output for job in self.needrun_jobs() for output in job.output}
            for output in self._outputs(set(kept)) & needed:
                logger.warning(
                    f"{output} was put there by hand and will be made again, since what it depends on has changed"
                )

    async def check_output_mtime(self, job, expanded_output):
        """Accept outputs that are older than their inputs, as where a clock was set back."""

    def _outputs(self, names):
        """Outputs of the plan by their paths below the results folder."""
        paths = {os.path.normpath(f"{CONFIG.results}/{name}") for name in names}
        return {
            output
            for job in self.jobs
            for output in job.output
            if os.path.normpath(output) in paths
        }


async def no_time(job):
    """Time of a job's outputs: none, so that no input is newer."""
    return None


snakemake.workflow.DAG = RecordedDAG
Job.output_mintime = property(no_time)


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


FEATURES = f"{CONFIG.results}/features/{CONFIG.pretrain.run}/{{dataset}}.parquet"


def feature_parts(wildcards):
    """Parts that a data set's features are joined from; none where one job extracts them all."""
    n, out = CONFIG.features.parts, FEATURES.format(dataset=wildcards.dataset)
    return [str(part_path(out, Part(k + 1, n))) for k in range(n)] if n > 1 else []


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


def translator_threads(wildcards):
    """One thread for the tiny Transformer, which more would slow down."""
    settings = CONFIG.translator(wildcards.dataset)
    return 1 if getattr(settings, "preset", None) == "tiny" else 16


def own_lifter(wildcards):
    """Weights of the lifter that the workflow trains, if the configuration asks for it."""
    if not trains_lifter(CONFIG):
        return {}
    return {"lifter": f"{CONFIG.results}/lifter/best.safetensors"}


def all_shards(pattern):
    """One path per shard of the sheet."""
    return expand(pattern, shard=SHARDS)


TARGETS = [f"<results>/{name}" for name in WANTED.targets()]
DATASET_FILES = [f"<results>/{name}" for name in WANTED.evaluation_files()]
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
