"""Translation: sentences from frozen features, and from raw poses for comparison.

REQUIRED INPUTS
    shards/index.parquet with the sentences' texts, and features/{inputs}/{dataset}.parquet, where {inputs} is a
    pretraining's run, `keypoints` or `angles`; for data sets of language_model.datasets the pretrained model
    language_model.base, a folder or a name on the Hugging Face hub

OUTPUTS
    translation/{inputs}/{dataset}/best.safetensors    the selected weights, of a Transformer with their vocabulary
                                                       inside, of a language model the adapters and projection only
    translation/{inputs}/{dataset}/metrics.csv         loss and validation, a row every ten steps
    translation/{inputs}/{dataset}.json                metrics with protocol, counts and chance levels
    translation/{inputs}/{dataset}.parquet             every test sentence: reference and hypothesis
"""


rule pool_keypoints:
    """Raw poses of every window in the place of features: the baseline."""
    input:
        index="<results>/shards/index.parquet",
        info="<results>/shards/info.json",
        frames=all_shards("<results>/shards/{shard}.parquet"),
    output:
        features="<results>/features/{kind}/{dataset}.parquet",
    log:
        "<logs>/pool_keypoints/{kind}/{dataset}.log",
    benchmark:
        "<benchmarks>/pool_keypoints/{kind}/{dataset}.tsv"
    wildcard_constraints:
        kind="keypoints|angles",
    conda:
        "../envs/signrep.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    script:
        "../workflow_scripts/pool_keypoints.py"


rule train_translation:
    """Train a translator on the train split and select its weights on val."""
    input:
        features="<results>/features/{inputs}/{dataset}.parquet",
        index="<results>/shards/index.parquet",
    output:
        weights="<results>/translation/{inputs}/{dataset}/best.safetensors",
        training="<results>/translation/{inputs}/{dataset}/metrics.csv",
    log:
        "<logs>/train_translation/{inputs}/{dataset}.log",
    benchmark:
        "<benchmarks>/train_translation/{inputs}/{dataset}.tsv"
    wildcard_constraints:
        inputs="|".join(TRANSLATORS),
    conda:
        "../envs/signrep.yaml"
    threads: translator_threads
    resources:
        mem_mb=16000,
        runtime=1440,
    params:
        **WANTED.rule_params("train_translation"),
        translator=lambda wildcards: WANTED.job_params("train_translation", wildcards)[
            "translator"
        ],
    script:
        "../workflow_scripts/train_translation.py"


rule evaluate_translation:
    """Translate the test split."""
    input:
        weights="<results>/translation/{inputs}/{dataset}/best.safetensors",
        features="<results>/features/{inputs}/{dataset}.parquet",
        index="<results>/shards/index.parquet",
        videos=all_shards("<results>/videos/{shard}.parquet"),
        baselines=baseline_scores,
    output:
        metrics="<results>/translation/{inputs}/{dataset}.json",
        translations="<results>/translation/{inputs}/{dataset}.parquet",
    log:
        "<logs>/evaluate_translation/{inputs}/{dataset}.log",
    benchmark:
        "<benchmarks>/evaluate_translation/{inputs}/{dataset}.tsv"
    wildcard_constraints:
        inputs="|".join(TRANSLATORS),
    conda:
        "../envs/signrep.yaml"
    threads: translator_threads
    resources:
        mem_mb=16000,
        runtime=480,
    params:
        **WANTED.rule_params("evaluate_translation"),
    script:
        "../workflow_scripts/evaluate_translation.py"
