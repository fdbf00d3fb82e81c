"""The standard skeleton: the median length of every bone over the pretraining videos of all shards."""

import _job

from signrep_core.body.bones import BoneHistogram
from signrep_core.store.files import read_json, write_json

provenance = _job.start(snakemake)
corpus = BoneHistogram()
for part in snakemake.input.bones:
    corpus = corpus.merge(read_json(part, BoneHistogram.from_dict, "solve_angles"))
write_json(snakemake.output.bones, {**corpus.medians(), "provenance": provenance})
