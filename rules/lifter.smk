"""The lifter, trained instead of shipped: the network from 2-D joints to angles, trained without rendering (A1).

REQUIRED INPUTS
    none; runs only if `angles.lifter` is `train` and `angles.solver` is `lifter`

OUTPUTS
    lifter/best.safetensors   the selected weights with their configuration; their confidence is not calibrated
    lifter/metrics.csv        every loss term and errors in degrees and mm
    lifter/last/              state of an unfinished run, from which a killed one resumes
"""


rule train_lifter:
    """Train the lifter on simulated detections."""
    output:
        weights="<results>/lifter/best.safetensors",
        metrics="<results>/lifter/metrics.csv",
    log:
        "<logs>/train_lifter.log",
    benchmark:
        "<benchmarks>/train_lifter.tsv"
    conda:
        "../envs/signrep.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=720,
    params:
        **WANTED.rule_params("train_lifter"),
    script:
        "../workflow_scripts/train_lifter.py"
