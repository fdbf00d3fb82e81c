"""A lifter of one's own: the network that turns 2-D joints into angles, trained on poses that are never rendered (A1).

REQUIRED INPUTS
    none; made only where `angles.lifter` is `train` and `angles.solver` uses a lifter

OUTPUTS
    lifter/best.safetensors   the selected weights with their configuration inside; their confidence is not calibrated
    lifter/metrics.csv        every loss term and errors in degrees and mm
    lifter/last/              where a run works until it is finished; a killed one goes on from there
"""


rule train_lifter:
    """Train the lifter on drawn poses with the detector's measured errors."""
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
        seed=CONFIG.seed,
    script:
        "../workflow_scripts/train_lifter.py"
