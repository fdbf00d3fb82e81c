"""Landmarks: one signer tracked through each video.

REQUIRED INPUTS
    video_status/deduplicate/{shard}.parquet and the videos it names

OUTPUTS
    pose/{shard}.parquet                   per frame: 61 landmarks, image points, confidences, presence
    video_status/extract_pose/{shard}.parquet  the table of videos, with those without a usable signer rejected
"""


rule extract_pose:
    """Landmarks of every frame on the common timeline: the costliest stage. With `pose.device: cuda` give it a GPU."""
    input:
        videos="<results>/video_status/deduplicate/{shard}.parquet",
        model=[] if CONFIG.pose.model == "mediapipe" else CONFIG.pose.model,
    output:
        pose="<results>/pose/{shard}.parquet",
        videos="<results>/video_status/extract_pose/{shard}.parquet",
    log:
        "<logs>/extract_pose/{shard}.log",
    benchmark:
        "<benchmarks>/extract_pose/{shard}.tsv"
    conda:
        "../envs/signrep.yaml"
    threads: 8
    resources:
        mem_mb=8000,
        runtime=1440,
    params:
        **WANTED.rule_params("extract_pose"),
    script:
        "../workflow_scripts/extract_pose.py"
