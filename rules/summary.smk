"""What became of the videos.

REQUIRED INPUTS
    the accounts, sequences and benchmark files of all shards

OUTPUTS
    summary.txt    the table printed at the end of a run
    summary.json   the same figures for programs
"""


rule summarize:
    """Videos in, excluded, rejected by reason; sequences, frames, hours; pose frames per second."""
    input:
        accounts=all_shards("<results>/videos/{shard}.parquet"),
        sequences=all_shards("<results>/sequences/{shard}.parquet"),
        pose=all_shards("<results>/pose/{shard}.parquet"),
    output:
        text="<results>/summary.txt",
        json="<results>/summary.json",
    log:
        "<logs>/summarize.log",
    benchmark:
        "<benchmarks>/summarize.tsv"
    conda:
        "../envs/signrep.yaml"
    params:
        benchmarks=f"{CONFIG.results}/benchmarks",
        target_fps=CONFIG.timeline.rate,
    script:
        "../workflow_scripts/summarize.py"
