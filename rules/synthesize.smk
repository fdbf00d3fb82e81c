"""The embedded demo: videos of procedural signers with true joints, when the user gives no sheet.

REQUIRED INPUTS
    None; the configuration (`synthetic`, `seed`) determines the corpus.

OUTPUTS
    synthetic/videos.tsv               the sheet
    synthetic/videos/*.mp4             the videos
    synthetic/truth/{shard}.parquet    true joints and angles per frame; written last, after the videos
"""


rule write_synthetic_sheet:
    """The demo corpus's sheet."""
    output:
        sheet="<results>/synthetic/videos.tsv",
    log:
        "<logs>/write_synthetic_sheet.log",
    benchmark:
        "<benchmarks>/write_synthetic_sheet.tsv"
    conda:
        "../envs/signrep.yaml"
    params:
        **WANTED.rule_params("write_synthetic_sheet"),
    script:
        "../workflow_scripts/write_synthetic_sheet.py"


rule synthesize:
    """Render a shard's videos and write their truth."""
    output:
        truth="<results>/synthetic/truth/{shard}.parquet",
    log:
        "<logs>/synthesize/{shard}.log",
    benchmark:
        "<benchmarks>/synthesize/{shard}.tsv"
    conda:
        "../envs/signrep.yaml"
    threads: 8
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        **WANTED.rule_params("synthesize"),
    script:
        "../workflow_scripts/synthesize.py"
