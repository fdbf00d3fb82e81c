"""Status of the videos: which are usable, which belong to evaluation data.

REQUIRED INPUTS
    the sheet (config `sheet`); WLASL_v0.3.json for the audit (config `deduplicate.wlasl`), if given

OUTPUTS
    video_status/probe/{shard}.parquet         one row per video: size, rate, duration ..., or rejected with a reason
    video_status/deduplicate/{shard}.parquet   the same with overlaps excluded
    overlap.tsv                            the leak audit over all shards
"""


rule probe:
    """Probe each video of a shard: usable, or rejected with a reason."""
    input:
        sheet=ancient(CONFIG.sheet_path),
        rendered=rendered_videos,
    output:
        videos="<results>/video_status/probe/{shard}.parquet",
    log:
        "<logs>/probe/{shard}.log",
    benchmark:
        "<benchmarks>/probe/{shard}.tsv"
    conda:
        "../envs/signrep.yaml"
    threads: 4
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        **WANTED.rule_params("probe"),
        rows=lambda wildcards: WANTED.job_params("probe", wildcards)["rows"],
    script:
        "../workflow_scripts/probe.py"


rule deduplicate:
    """Exclude videos of the pretraining splits that an evaluation data set holds too (A2)."""
    input:
        videos="<results>/video_status/probe/{shard}.parquet",
        wlasl=evaluation_list,
    output:
        videos="<results>/video_status/deduplicate/{shard}.parquet",
        overlap="<results>/overlap/{shard}.tsv",
    log:
        "<logs>/deduplicate/{shard}.log",
    benchmark:
        "<benchmarks>/deduplicate/{shard}.tsv"
    conda:
        "../envs/signrep.yaml"
    params:
        **WANTED.rule_params("deduplicate"),
    script:
        "../workflow_scripts/deduplicate.py"


rule audit_overlap:
    """Gather the overlaps of all shards: the leak audit."""
    input:
        overlaps=all_shards("<results>/overlap/{shard}.tsv"),
    output:
        audit="<results>/overlap.tsv",
    log:
        "<logs>/audit_overlap.log",
    benchmark:
        "<benchmarks>/audit_overlap.tsv"
    conda:
        "../envs/signrep.yaml"
    script:
        "../workflow_scripts/audit_overlap.py"
