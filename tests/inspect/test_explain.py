"""Explanation of the origin of files."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from signrep_core.errors import RecordError, SignRepError
from signrep_core.inspect.explain import explain
from signrep_core.store.records import record_path
from signrep_core.store.schemas import KEYPOINTS


def test_a_table_has_rule_inputs_versions_videos_and_command(finished: Path) -> None:
    said = explain(finished / "keypoints/00001.parquet")
    assert f"table keypoints, version {KEYPOINTS.version}, 64 rows" in said
    assert "rule angles_to_keypoints shard 00001" in said
    assert "unchanged" in said
    assert "signrep 0.1.0, python 3." in said
    assert "results=" in said
    assert f"--force {finished}/keypoints/00001.parquet" in said
    lines = [line.strip().split("  ")[0] for line in said.splitlines()]
    order = [lines.index(name) for name in ("angles/00001.parquet", "pose/00001.parquet",
             "video_status/extract_pose/00001.parquet", "video_status/deduplicate/00001.parquet",
             "video_status/probe/00001.parquet")]  # fmt: skip
    assert order[0] == min(order)
    assert ".mp4 (SHA-256 " in said


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("shards/00000.mp4", "frames of 256×256"),
        ("shards/info.json", "rule index_shards"),
        ("pretrain/test/best.safetensors", "weights of 1 tensors, format signrep-1"),
        ("figures/retrieval_test_made.png", "rule evaluate_retrieval"),
        ("overlap.tsv", "rule audit_overlap"),
    ],
)
def test_other_kinds_of_files_are_explained_too(finished: Path, name: str, expected: str) -> None:
    assert expected in explain(finished / name)


def test_a_changed_file_and_a_changed_input_are_named(scratch: Path) -> None:
    (scratch / "bones.json").write_text("{}")
    assert "CHANGED since" in explain(scratch / "bones.json")
    shutil.copy(record_path(scratch / "overlap.tsv"), record_path(scratch / "angles/00000.parquet"))
    assert "the file has CHANGED since" in explain(scratch / "keypoints/00000.parquet")


@pytest.mark.parametrize("name", ["pose/00000.parquet", "shards/00000.mp4", "bones.json",
                                  "pretrain/test/best.safetensors"])  # fmt: skip
def test_a_copy_without_its_record_is_explained_by_its_metadata(finished: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / Path(name).name
    shutil.copy(finished / name, copy)
    said = explain(copy)
    assert "none; shown is the metadata" in said
    assert "libx264" in said if name.endswith("mp4") else "code" in said


def test_weights_name_the_data_the_start_and_the_selection(tmp_path: Path) -> None:
    settings = {"datasets": ["youtube_sl_25"], "splits": ["train"], "initial_weights": "mae.safetensors"}
    notes = {"settings": json.dumps(settings), "selected_by": "retrieval on wlasl", "step": "25000"}
    about = {"signrep": json.dumps({"format": "signrep-1", "notes": notes})}
    save_file({"w": np.ones(2)}, tmp_path / "best.safetensors", about)
    said = explain(tmp_path / "best.safetensors")
    assert "trained on youtube_sl_25, split train" in said
    assert "started at mae.safetensors" in said
    assert "selected   at step 25000, by retrieval on wlasl" in said


def test_a_file_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    for name, content in (("notes.txt", b"hello"), ("other.json", b"[1]"), ("broken.parquet", b"PAR1"), ("x.mp4", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SignRepError, match="not a file of SignRep"):
            explain(tmp_path / name)
    with pytest.raises(SignRepError, match="no such file"):
        explain(tmp_path / "nowhere.parquet")


def test_a_broken_record_is_an_error(scratch: Path) -> None:
    record_path(scratch / "bones.json").write_text("{")
    with pytest.raises(RecordError, match=r"bones\.json\.json: expected a record of format"):
        explain(scratch / "bones.json")
