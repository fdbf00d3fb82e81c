"""SignRep: from a folder of sign-language videos to Parquet/MP4 shards and a trained representation.

REQUIRED INPUTS
    A sheet of videos (config key `sheet`), as `signrep sheet folder DIR --out videos.tsv` writes it. Without one the
    synthetic demo is rendered and used.

OUTPUTS
    Below `results` (config key): one folder per stage, one file per shard. `summary.txt` counts the videos by state,
    `shards/` is all that a GPU machine needs, `pretrain/{run}/` holds the trained model, `figures/` the drawings.
"""

import shlex
import sys

from snakemake.utils import min_version

from signrep_core.inspect.console import show_stages

min_version("9.27")

# Snakemake puts the interpreter's path into shell commands as it is; it may have spaces.
sys.executable = shlex.quote(sys.executable)

if workflow.is_main_process:
    show_stages(
        workflow.logger_manager.logger,
        workflow.output_settings,
        lambda: f"{CONFIG.results}/benchmarks",
    )


configfile: workflow.source_path("config.yaml")


include: "rules/common.smk"


pathvars:
    results=CONFIG.results,
    logs=f"{CONFIG.results}/logs",
    benchmarks=f"{CONFIG.results}/benchmarks",
    run=CONFIG.pretrain.run,


rule all:
    """The main job: shards, a trained model, its retrieval, recognition and translations, report and summary."""
    input:
        TARGETS,


include: "rules/synthesize.smk"
include: "rules/videos.smk"
include: "rules/pose.smk"
include: "rules/lifter.smk"
include: "rules/angles.smk"
include: "rules/priors.smk"
include: "rules/shards.smk"
include: "rules/pretrain.smk"
include: "rules/evaluate.smk"
include: "rules/recognition.smk"
include: "rules/translation.smk"
include: "rules/report.smk"


onsuccess:
    show_summary()
