"""Kinematics: landmarks to angles, the corpus's median bones, and keypoints free of the person (A1).

REQUIRED INPUTS
    pose/{shard}.parquet
    lifter/best.safetensors     where angles.lifter is `train`

OUTPUTS
    angles/{shard}.parquet      22 + 41 + 41 angles per frame
    bones/{shard}.json          histogram of the shard's bone lengths
    bones.json                  the corpus's median bones
    keypoints/{shard}.parquet   61 joints per frame from the angles and the median bones
"""


rule solve_angles:
    """Joint angles of every frame, and the histogram of its bone lengths."""
    input:
        unpack(own_lifter),
        pose="<results>/pose/{shard}.parquet",
        videos="<results>/video_status/extract_pose/{shard}.parquet",
    output:
        angles="<results>/angles/{shard}.parquet",
        bones="<results>/bones/{shard}.json",
    log:
        "<logs>/solve_angles/{shard}.log",
    benchmark:
        "<benchmarks>/solve_angles/{shard}.tsv"
    conda:
        "../envs/signrep.yaml"
    resources:
        mem_mb=6000,
        runtime=120,
    params:
        **WANTED.rule_params("solve_angles"),
    script:
        "../workflow_scripts/solve_angles.py"


rule median_bones:
    """The standard skeleton: the median length of every bone over the pretraining videos of all shards."""
    input:
        bones=all_shards("<results>/bones/{shard}.json"),
    output:
        bones="<results>/bones.json",
    log:
        "<logs>/median_bones.log",
    benchmark:
        "<benchmarks>/median_bones.tsv"
    conda:
        "../envs/signrep.yaml"
    script:
        "../workflow_scripts/median_bones.py"


rule angles_to_keypoints:
    """Forward kinematics with the median bones."""
    input:
        angles="<results>/angles/{shard}.parquet",
        bones="<results>/bones.json",
    output:
        keypoints="<results>/keypoints/{shard}.parquet",
    log:
        "<logs>/angles_to_keypoints/{shard}.log",
    benchmark:
        "<benchmarks>/angles_to_keypoints/{shard}.tsv"
    conda:
        "../envs/signrep.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        **WANTED.rule_params("angles_to_keypoints"),
    script:
        "../workflow_scripts/angles_to_keypoints.py"
