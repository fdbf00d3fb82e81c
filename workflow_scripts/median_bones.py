"""The standard skeleton: the median length of every bone over the pretraining videos of all shards."""

import json
from pathlib import Path

import _job

from signrep_core.body.bones import BoneHistogram
from signrep_core.store.files import write_json

provenance = _job.start(snakemake)
corpus = BoneHistogram()
for part in snakemake.input.bones:
    corpus = corpus.merge(BoneHistogram.from_dict(json.loads(Path(part).read_text())))
write_json(snakemake.output.bones, {**corpus.medians(), "provenance": provenance})
