"""Recognition: fine-tuning for isolated signs, and a network on angles and keypoints for comparison.

REQUIRED INPUTS
    shards/ with glosses in the splits train, val and test; of a pretraining's run its weights and features

OUTPUTS
    recognition/{inputs}/{dataset}/best.safetensors   the selected weights with their glosses inside
    recognition/{inputs}/{dataset}/metrics.csv        loss and validation, a row every ten steps
    recognition/{inputs}/{dataset}.json               top-1 and top-5 with protocol, counts and chance levels
    recognition/{inputs}/{dataset}.parquet            every test video: its gloss and the five best
    figures/confusion_{inputs}_{dataset}.png          which gloss is taken for which

where {inputs} is a pretraining's run or `keypoints`.
"""


rule train_recognition:
    """Learn the glosses of the train split and select the weights on val (A3, A5, A6)."""
    input:
        unpack(recogniser_start),
        index="<results>/shards/index.parquet",
        info="<results>/shards/info.json",
        frames=all_shards("<results>/shards/{shard}.parquet"),
    output:
        weights="<results>/recognition/{inputs}/{dataset}/best.safetensors",
        training="<results>/recognition/{inputs}/{dataset}/metrics.csv",
    log:
        "<logs>/train_recognition/{inputs}/{dataset}.log",
    benchmark:
        "<benchmarks>/train_recognition/{inputs}/{dataset}.tsv"
    wildcard_constraints:
        inputs="|".join(RECOGNISERS),
    conda:
        "../envs/signrep.yaml"
    threads: 16
    resources:
        mem_mb=16000,
        runtime=2880,
    params:
        **WANTED.rule_params("train_recognition"),
    script:
        "../workflow_scripts/train_recognition.py"


rule evaluate_recognition:
    """Name the glosses of the test split."""
    input:
        weights="<results>/recognition/{inputs}/{dataset}/best.safetensors",
        index="<results>/shards/index.parquet",
        info="<results>/shards/info.json",
        videos=all_shards("<results>/videos/{shard}.parquet"),
        baselines=recognition_baselines,
    output:
        metrics="<results>/recognition/{inputs}/{dataset}.json",
        predictions="<results>/recognition/{inputs}/{dataset}.parquet",
        figure=report(
            "<results>/figures/confusion_{inputs}_{dataset}.png",
            caption="../signrep_core/inspect/report/captions/confusion.rst",
            category="Results",
        ),
    log:
        "<logs>/evaluate_recognition/{inputs}/{dataset}.log",
    benchmark:
        "<benchmarks>/evaluate_recognition/{inputs}/{dataset}.tsv"
    wildcard_constraints:
        inputs="|".join(RECOGNISERS),
    conda:
        "../envs/signrep.yaml"
    threads: 16
    resources:
        mem_mb=8000,
        runtime=480,
    params:
        **WANTED.rule_params("evaluate_recognition"),
    script:
        "../workflow_scripts/evaluate_recognition.py"
