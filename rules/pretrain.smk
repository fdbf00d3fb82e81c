"""Self-supervised pretraining on the shards.

REQUIRED INPUTS
    shards/: its MP4s, tables, index.parquet and info.json
    the weights that pretrain.initial_weights names

OUTPUTS
    pretrain/{run}/best.safetensors   the selected weights with their configuration inside
    pretrain/{run}/metrics.csv        every loss term, a row every ten steps
    pretrain/{run}/last/              where a run works until it is finished; a killed one goes on from there
    figures/augmented_{run}.png       windows as stored and as training sees them
"""


rule pretrain:
    """Train encoder, decoder and style discriminator (A3, A4)."""
    input:
        unpack(initial_weights),
        index="<results>/shards/index.parquet",
        info="<results>/shards/info.json",
        frames=all_shards("<results>/shards/{shard}.parquet"),
    output:
        weights="<results>/pretrain/<run>/best.safetensors",
        metrics="<results>/pretrain/<run>/metrics.csv",
    log:
        "<logs>/pretrain/<run>.log",
    benchmark:
        "<benchmarks>/pretrain/<run>.tsv"
    conda:
        "../envs/signrep.yaml"
    threads: 16
    resources:
        mem_mb=16000,
        runtime=2880,
        gpu=1,
    params:
        **WANTED.rule_params("pretrain"),
    script:
        "../workflow_scripts/pretrain.py"


rule draw_augmented_windows:
    """Windows as they are stored, beside what training sees of them."""
    input:
        index="<results>/shards/index.parquet",
        info="<results>/shards/info.json",
        frames=all_shards("<results>/shards/{shard}.parquet"),
    output:
        figure=report(
            "<results>/figures/augmented_<run>.png",
            caption="../signrep_core/inspect/report/captions/augmented.rst",
            category="Training",
        ),
    log:
        "<logs>/draw_augmented_windows/<run>.log",
    benchmark:
        "<benchmarks>/draw_augmented_windows/<run>.tsv"
    conda:
        "../envs/signrep.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        **WANTED.rule_params("draw_augmented_windows"),
    script:
        "../workflow_scripts/draw_augmented_windows.py"
