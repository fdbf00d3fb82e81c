"""Write the dataset card: counts, sources, licences, the overlap audit."""

from pathlib import Path

import _job

from signrep_core.inspect.report.card import write_card

with _job.open_job(snakemake):
    inputs, card = snakemake.input, Path(snakemake.output.card)
    write_card(card.parent, map(Path, inputs.videos), card, Path(inputs.weights))
