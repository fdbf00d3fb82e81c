"""Sign priors from keypoints: distances and signer activity.

REQUIRED INPUTS
    keypoints/{shard}.parquet

OUTPUTS
    distances/{shard}.parquet   fingertip and interaction distances per frame (for inspection; see `priors`)
    activity/{shard}.parquet    is each hand active in the window that starts at this frame
"""


rule distance_priors:
    """Per-axis signed distances between fingertips, palms and body."""
    input:
        keypoints="<results>/keypoints/{shard}.parquet",
    output:
        distances="<results>/distances/{shard}.parquet",
    log:
        "<logs>/distance_priors/{shard}.log",
    benchmark:
        "<benchmarks>/distance_priors/{shard}.tsv"
    conda:
        "../envs/signrep.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        **WANTED.rule_params("distance_priors"),
    script:
        "../workflow_scripts/distance_priors.py"


rule activity_labels:
    """Activity of each hand, for every window start of every video."""
    input:
        keypoints="<results>/keypoints/{shard}.parquet",
    output:
        activity="<results>/activity/{shard}.parquet",
    log:
        "<logs>/activity_labels/{shard}.log",
    benchmark:
        "<benchmarks>/activity_labels/{shard}.tsv"
    conda:
        "../envs/signrep.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        **WANTED.rule_params("activity_labels"),
    script:
        "../workflow_scripts/activity_labels.py"
