"""Count what a shard's tables hold."""

import _job

from signrep_core.inspect.report.statistics import describe_shard
from signrep_core.store.files import write_json

with _job.open_job(snakemake) as job:
    inputs = snakemake.input
    statistics = describe_shard(pose=inputs.pose, angles=inputs.angles, activity=inputs.activity, crops=inputs.crops)
    write_json(snakemake.output.statistics, {**statistics.to_dict(), "provenance": job.provenance})
