"""Comparison of files after a rerun."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from tests.faults.compare import same_content

TABLE = {
    "video_id": ["a", "a"],
    "frame": pa.array([0, 1], pa.int32()),
    "angle": pa.array([0.5, None], pa.float32()),
    "joints": pa.array([[1.0, 2.0], [3.0, float("nan")]], pa.list_(pa.float32())),
}


def table(path: Path, metadata: dict[str, str] | None = None, **changed: object) -> Path:
    made = pa.table({**TABLE, **changed}).replace_schema_metadata(metadata or {"schema": "x"})
    pq.write_table(made, path)
    return path


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({}, True),
        ({"angle": pa.array([0.50001, None], pa.float32())}, True),
        ({"joints": pa.array([[1.0, 2.00001], [3.0, float("nan")]], pa.list_(pa.float32()))}, True),
        ({"metadata": {"schema": "of another digest"}}, True),
        ({"angle": pa.array([0.51, None], pa.float32())}, False),
        ({"angle": pa.array([0.5, 0.5], pa.float32())}, False),
        ({"joints": pa.array([[1.0, 2.0, 3.0], [float("nan")]], pa.list_(pa.float32()))}, False),
        ({"frame": pa.array([0, 2], pa.int32())}, False),
        ({"frame": pa.array([0, 1], pa.int64())}, False),
        ({"video_id": ["a", "b"]}, False),
        ({"metadata": {"name": "x"}}, False),
    ],
)
def test_tables_are_the_same_within_rounding(tmp_path: Path, changed: dict[str, object], same: bool) -> None:
    assert same_content(table(tmp_path / "a.parquet", **changed), table(tmp_path / "b.parquet")) == same


@pytest.mark.parametrize(
    ("value", "same"),
    [({"a": [1.0000001, 2], "b": None}, True), ({"a": [1.1, 2], "b": None}, False), ({"a": [1.0, 3], "b": None}, False),
     ({"a": [1.0, 2]}, False), ({"a": [1.0, 2], "b": ""}, False)],
)  # fmt: skip
def test_json_is_the_same_within_rounding(tmp_path: Path, value: object, same: bool) -> None:
    (tmp_path / "a.json").write_text(json.dumps(value))
    (tmp_path / "b.json").write_text(json.dumps({"a": [1.0, 2], "b": None}))
    assert same_content(tmp_path / "a.json", tmp_path / "b.json") == same


def test_measured_times_of_a_training_are_not_compared(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("step,loss,clips_per_s\n1,0.50001,9\n")
    (tmp_path / "b.csv").write_text("step,loss,clips_per_s\n1,0.5,4\n")
    (tmp_path / "c.csv").write_text("step,loss,clips_per_s\n1,0.6,4\n")
    assert same_content(tmp_path / "a.csv", tmp_path / "b.csv")
    assert not same_content(tmp_path / "c.csv", tmp_path / "b.csv")


def test_weights_are_the_same_within_rounding(tmp_path: Path) -> None:
    weights = np.linspace(0, 1, 5, dtype=np.float32)
    for name, values in {"a": weights + 1e-6, "b": weights, "c": weights + 0.1}.items():
        save_file({"w": values}, tmp_path / f"{name}.safetensors")
    assert same_content(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    assert not same_content(tmp_path / "c.safetensors", tmp_path / "b.safetensors")


@pytest.mark.parametrize("suffix", ["parquet", "json", "csv", "safetensors", "mp4", "tsv"])
def test_half_a_file_is_not_the_same(tmp_path: Path, suffix: str) -> None:
    whole = table(tmp_path / "whole").read_bytes() if suffix == "parquet" else b'{"a": 1}\n' * 9
    (tmp_path / f"a.{suffix}").write_bytes(whole[: len(whole) // 2])
    (tmp_path / f"b.{suffix}").write_bytes(whole)
    assert not same_content(tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}")
