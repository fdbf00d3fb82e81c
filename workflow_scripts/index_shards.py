"""Write the table of all sequences, and the parameters for decoding the shards."""

import _job

from signrep_core.store.pack import write_index

with _job.open_job(snakemake) as job:
    inputs, outputs = snakemake.input, snakemake.output
    write_index(inputs.sequences, inputs.mp4s, outputs.index, outputs.info, provenance=job.provenance)
