"""Summary, dataset card and report page of a run.

REQUIRED INPUTS
    tables of all shards, video status, bones, overlap audit, metrics of the pretraining, results of the data sets

OUTPUTS
    statistics/{shard}.json   statistics of the shard's joints, angles, activity and sequences
    summary.txt               number of videos by final status, sequences and speed: printed at the end of a run
    summary.json              the same figures for programs
    README.md                 dataset card to publish with the shards: contents, licences, overlap audit
    report.html               report page, self-contained
    figures/, report/         its charts and images, and its sections with tables, as separate files, which
                              `snakemake --report report.zip` includes
"""

FIGURES = "<results>/figures"
PAGES = "<results>/report"
CAPTIONS = "../signrep_core/inspect/report/captions"


rule describe_shard:
    """Compute statistics of a shard's tables."""
    input:
        pose="<results>/pose/{shard}.parquet",
        angles="<results>/angles/{shard}.parquet",
        activity="<results>/activity/{shard}.parquet",
        crops="<results>/crops/{shard}.parquet",
    output:
        statistics="<results>/statistics/{shard}.json",
    log:
        "<logs>/describe_shard/{shard}.log",
    benchmark:
        "<benchmarks>/describe_shard/{shard}.tsv"
    conda:
        "../envs/signrep.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    script:
        "../workflow_scripts/describe_shard.py"


rule summarize:
    """Count videos by final status and reason, sequences, frames and hours, and measure the speed of pose extraction."""
    input:
        videos=all_shards("<results>/videos/{shard}.parquet"),
        sequences=all_shards("<results>/sequences/{shard}.parquet"),
        statistics=all_shards("<results>/statistics/{shard}.json"),
    output:
        text="<results>/summary.txt",
        json="<results>/summary.json",
    log:
        "<logs>/summarize.log",
    benchmark:
        "<benchmarks>/summarize.tsv"
    conda:
        "../envs/signrep.yaml"
    params:
        **WANTED.rule_params("summarize"),
    script:
        "../workflow_scripts/summarize.py"


rule report:
    """Write the report page of the run, with its charts."""
    input:
        statistics=all_shards("<results>/statistics/{shard}.json"),
        bones=all_shards("<results>/bones/{shard}.json"),
        videos=all_shards("<results>/videos/{shard}.parquet"),
        summary="<results>/summary.json",
        overlap="<results>/overlap.tsv",
        index="<results>/shards/index.parquet",
        tables=FIRST_TABLES,
        training="<results>/pretrain/<run>/metrics.csv",
        features=[path for path in DATASET_FILES if "/features/" in path],
        scores=SCORES,
        figures=["<results>/figures/augmented_<run>.png", *DATASET_FIGURES],
    output:
        page=report(
            "<results>/report.html", caption=f"{CAPTIONS}/page.rst", category="Report"
        ),
        videos=report(
            f"{PAGES}/videos.html", caption=f"{CAPTIONS}/videos.rst", category="Videos"
        ),
        leaks=report(
            f"{PAGES}/leaks.html", caption=f"{CAPTIONS}/leaks.rst", category="Videos"
        ),
        detection=report(
            f"{FIGURES}/detection.svg",
            caption=f"{CAPTIONS}/detection.rst",
            category="Poses",
        ),
        bones=report(
            f"{FIGURES}/bones.svg", caption=f"{CAPTIONS}/bones.rst", category="Poses"
        ),
        angles=report(
            f"{FIGURES}/angles.svg", caption=f"{CAPTIONS}/angles.rst", category="Poses"
        ),
        sequences=report(
            f"{PAGES}/sequences.html",
            caption=f"{CAPTIONS}/sequences.rst",
            category="Sequences",
        ),
        lengths=report(
            f"{FIGURES}/lengths.svg",
            caption=f"{CAPTIONS}/lengths.rst",
            category="Sequences",
        ),
        activity=report(
            f"{FIGURES}/activity.svg",
            caption=f"{CAPTIONS}/activity.rst",
            category="Sequences",
        ),
        crops=report(
            f"{FIGURES}/crops.jpg",
            caption=f"{CAPTIONS}/crops.rst",
            category="Sequences",
        ),
        training=report(
            f"{FIGURES}/training.svg",
            caption=f"{CAPTIONS}/training.rst",
            category="Training",
        ),
        results=report(
            f"{PAGES}/results.html",
            caption=f"{CAPTIONS}/results.rst",
            category="Results",
        ),
        timing=report(
            f"{FIGURES}/timing.svg",
            caption=f"{CAPTIONS}/timing.rst",
            category="Provenance",
        ),
        provenance=report(
            f"{PAGES}/provenance.html",
            caption=f"{CAPTIONS}/provenance.rst",
            category="Provenance",
        ),
    log:
        "<logs>/report.log",
    benchmark:
        "<benchmarks>/report.tsv"
    conda:
        "../envs/signrep.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        **WANTED.rule_params("report"),
    script:
        "../workflow_scripts/report.py"


rule write_card:
    """Write the dataset card."""
    input:
        videos=all_shards("<results>/videos/{shard}.parquet"),
        pose=all_shards("<results>/pose/{shard}.parquet"),
        overlap="<results>/overlap.tsv",
        index="<results>/shards/index.parquet",
        info="<results>/shards/info.json",
        weights="<results>/pretrain/<run>/best.safetensors",
    output:
        card="<results>/README.md",
    log:
        "<logs>/write_card.log",
    benchmark:
        "<benchmarks>/write_card.tsv"
    conda:
        "../envs/signrep.yaml"
    script:
        "../workflow_scripts/write_card.py"
