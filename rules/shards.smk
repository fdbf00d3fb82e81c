"""Crops and shards: the files for the GPU machine.

REQUIRED INPUTS
    pose, angles, keypoints and activity of the shard, and the videos

OUTPUTS
    crops/{shard}.parquet, crops/{shard}.mp4    sequences with a signer, 256×256
    videos/{shard}.parquet                      the final table of videos: every video ok, excluded or rejected
    shards/{shard}.mp4, shards/{shard}.parquet  frames, packet index and targets, row by row
    shards/index.parquet, shards/info.json      one row per sequence; parameters for decoding
"""


rule crop_signers:
    """Cut each run of frames with a signer to one crop box of the upper torso."""
    input:
        videos="<results>/video_status/extract_pose/{shard}.parquet",
        pose="<results>/pose/{shard}.parquet",
    output:
        crops="<results>/crops/{shard}.parquet",
        mp4="<results>/crops/{shard}.mp4",
        videos="<results>/videos/{shard}.parquet",
    log:
        "<logs>/crop_signers/{shard}.log",
    benchmark:
        "<benchmarks>/crop_signers/{shard}.tsv"
    conda:
        "../envs/signrep.yaml"
    threads: 4
    resources:
        mem_mb=6000,
        runtime=480,
    params:
        **WANTED.rule_params("crop_signers"),
    script:
        "../workflow_scripts/crop_signers.py"


rule pack_shards:
    """Join frames, packet index and targets of a shard."""
    input:
        videos="<results>/videos/{shard}.parquet",
        crops="<results>/crops/{shard}.parquet",
        mp4="<results>/crops/{shard}.mp4",
        angles="<results>/angles/{shard}.parquet",
        keypoints="<results>/keypoints/{shard}.parquet",
        activity="<results>/activity/{shard}.parquet",
    output:
        mp4="<results>/shards/{shard}.mp4",
        frames="<results>/shards/{shard}.parquet",
        sequences="<results>/sequences/{shard}.parquet",
    log:
        "<logs>/pack_shards/{shard}.log",
    benchmark:
        "<benchmarks>/pack_shards/{shard}.tsv"
    conda:
        "../envs/signrep.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        **WANTED.rule_params("pack_shards"),
    script:
        "../workflow_scripts/pack_shards.py"


rule index_shards:
    """Write the table of all sequences, and the parameters for decoding the shards."""
    input:
        sequences=all_shards("<results>/sequences/{shard}.parquet"),
        mp4s=all_shards("<results>/shards/{shard}.mp4"),
    output:
        index="<results>/shards/index.parquet",
        info="<results>/shards/info.json",
    log:
        "<logs>/index_shards.log",
    benchmark:
        "<benchmarks>/index_shards.tsv"
    conda:
        "../envs/signrep.yaml"
    params:
        **WANTED.rule_params("index_shards"),
    script:
        "../workflow_scripts/index_shards.py"
