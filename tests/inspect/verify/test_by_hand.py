"""Records of commands that are called by hand, compared with those of the workflow."""

import shutil
from pathlib import Path

import pytest

from signrep_core.__main__ import main
from signrep_core.inspect.verify.corpus import verify
from signrep_core.store.records import read_record
from signrep_core.store.schemas import SEQUENCES
from signrep_core.store.tables import read_table, write_table

SMALL = """
pretrain: {initial_weights: scratch, preset: tiny, splits: [train, val, test], iterations: 2, batch_size: 4,
           warmup: 1, save_every: 2, validate_every: 2}
recognition: {epochs: 1, batch_size: 2, warmup: 1, workers: 0}
"""


@pytest.fixture
def configfile(tmp_path: Path) -> str:
    (tmp_path / "small.yaml").write_text(SMALL)
    return str(tmp_path / "small.yaml")


def test_pretrain_is_recorded_and_verified(scratch: Path, configfile: str) -> None:
    arguments = ["pretrain", "--shards", str(scratch / "shards"), "--out", str(scratch / "pretrain/mine"),
                 "--configfile", configfile]  # fmt: skip
    assert main(arguments) == 0
    record = read_record(scratch / "pretrain/mine/best.safetensors")
    assert record is not None
    assert record.finished
    assert record.command == " ".join(["signrep", *arguments])
    assert [path for path, _ in record.inputs["index"]] == ["shards/index.parquet"]
    assert verify(scratch).problems == []
    Path(configfile).write_text(SMALL.replace("batch_size: 4", "batch_size: 2"))
    assert main(arguments) == 2  # other settings: refused
    assert verify(scratch).problems == []


def test_recognition_is_recorded_and_verified(scratch: Path, configfile: str) -> None:
    """A recognition on shards in another folder with other labels: two trained glosses, two test videos."""
    shards, out = scratch.parent / "labelled", scratch / "recognition/keypoints/made"
    shutil.copytree(scratch / "shards", shards)
    index = read_table(shards / "index.parquet", SEQUENCES)
    videos = list(dict.fromkeys(index["video_id"]))
    assert len(videos) == 4
    index["split"] = ["train" if videos.index(video) < 2 else "test" for video in index["video_id"]]
    index["gloss"] = ["AB"[videos.index(video) % 2] for video in index["video_id"]]
    write_table(shards / "index.parquet", SEQUENCES, index)
    assert main(["train", "recognition", "--shards", str(shards), "--dataset", "made", "--out", str(out),
                 "--configfile", configfile]) == 0  # fmt: skip
    records = [read_record(path) for path in (out / "metrics.csv", out.with_name("made.json"))]
    assert [record and record.rule for record in records] == ["train_recognition", "evaluate_recognition"]
    assert verify(scratch).problems == []
