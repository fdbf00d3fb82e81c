"""Zero-shot retrieval, and the figure of nearest neighbours."""

import logging
from pathlib import Path

import _job

from signrep_core.evaluate.retrieval import evaluate_retrieval, read_features
from signrep_core.figures import retrieval_strips
from signrep_core.store.files import write_json
from signrep_core.store.schemas import SEQUENCES
from signrep_core.store.tables import read_table

provenance = _job.start(snakemake)
inputs, outputs, params = snakemake.input, snakemake.output, snakemake.params
index = read_table(inputs.index, SEQUENCES)
result = evaluate_retrieval(
    read_features(inputs.features), index, gallery=params.gallery, queries=params.queries, pooling=params.pooling
)
if result["metrics"] is None:
    logging.getLogger("retrieval").warning(
        "no video of split %r has a gloss that split %r has too: no metrics, only the figure of nearest neighbours",
        params.queries,
        params.gallery,
    )
write_json(outputs.metrics, {**result, "provenance": provenance})
retrieval_strips(inputs.features, Path(inputs.index).parent, outputs.figure)
