"""Evaluation of the representation: features and retrieval.

REQUIRED INPUTS
    shards/ and pretrain/{run}/best.safetensors

OUTPUTS
    features/{run}/{dataset}.parquet     features and activity of every window
    retrieval/{run}/{dataset}.json       metrics with protocol, counts, chance level and raw-pose baselines
    figures/retrieval_{run}_{dataset}.png  sequences and their nearest neighbours
"""


rule extract_features_part:
    """Features of some of a data set's shards: a part of the table, for one of several machines."""
    input:
        weights="<results>/pretrain/<run>/best.safetensors",
        index="<results>/shards/index.parquet",
        info="<results>/shards/info.json",
    output:
        part=temp(str(part_path(FEATURES, Part("{number}", "{total}")))),
    log:
        "<logs>/extract_features_part/<run>/{dataset}.{number}-of-{total}.log",
    benchmark:
        "<benchmarks>/extract_features_part/<run>/{dataset}.{number}-of-{total}.tsv"
    wildcard_constraints:
        number=r"\d+",
        total=r"\d+",
    conda:
        "../envs/signrep.yaml"
    threads: 16
    resources:
        mem_mb=8000,
        runtime=480,
    params:
        **WANTED.rule_params("extract_features"),
    script:
        "../workflow_scripts/extract_features_part.py"


rule extract_features:
    """Features of every window of a data set's sequences; with features.parts joined from their parts."""
    input:
        weights="<results>/pretrain/<run>/best.safetensors",
        index="<results>/shards/index.parquet",
        info="<results>/shards/info.json",
        parts=feature_parts,
    output:
        features="<results>/features/<run>/{dataset}.parquet",
    log:
        "<logs>/extract_features/<run>/{dataset}.log",
    benchmark:
        "<benchmarks>/extract_features/<run>/{dataset}.tsv"
    conda:
        "../envs/signrep.yaml"
    threads: 16 if CONFIG.features.parts == 1 else 1
    resources:
        mem_mb=8000,
        runtime=480,
    params:
        **WANTED.rule_params("extract_features"),
    script:
        "../workflow_scripts/extract_features.py"


rule evaluate_retrieval:
    """Zero-shot retrieval, and the figure of nearest neighbours."""
    input:
        features="<results>/features/<run>/{dataset}.parquet",
        index="<results>/shards/index.parquet",
        videos=all_shards("<results>/videos/{shard}.parquet"),
        baselines=expand(
            "<results>/features/{kind}/{{dataset}}.parquet",
            kind=CONFIG.retrieval.baselines,
        ),
    output:
        metrics="<results>/retrieval/<run>/{dataset}.json",
        figure=report(
            "<results>/figures/retrieval_<run>_{dataset}.png",
            caption="../signrep_core/inspect/report/captions/retrieval.rst",
            category="Results",
        ),
    log:
        "<logs>/evaluate_retrieval/<run>/{dataset}.log",
    benchmark:
        "<benchmarks>/evaluate_retrieval/<run>/{dataset}.tsv"
    conda:
        "../envs/signrep.yaml"
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        **WANTED.rule_params("evaluate_retrieval"),
    script:
        "../workflow_scripts/evaluate_retrieval.py"
