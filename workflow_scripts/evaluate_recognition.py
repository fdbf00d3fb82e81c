"""Name the glosses of the test split, and draw which is taken for which."""

from pathlib import Path

import _job

from signrep_core.evaluate.comparison import Comparison
from signrep_core.evaluate.features import Inference
from signrep_core.evaluate.recognition import write_evaluation
from signrep_core.inspect.figures.confusion import confusion_matrix

with _job.open_job(snakemake) as job:
    inputs, outputs, wildcards = snakemake.input, snakemake.output, snakemake.wildcards
    settings = job.config.recognition
    _job.use_threads(snakemake.threads, loaders=settings.workers)
    predictions, _ = write_evaluation(
        inputs.weights,
        Path(inputs.index).parent,
        wildcards.dataset,
        (outputs.metrics, outputs.predictions),
        Comparison({Path(path).parent.name: path for path in inputs.baselines}, inputs.videos, job.provenance),
        Inference(batch_size=settings.batch_size, workers=settings.workers),
    )
    confusion_matrix(predictions, outputs.figure, f"{wildcards.inputs}: test videos of {wildcards.dataset}")
