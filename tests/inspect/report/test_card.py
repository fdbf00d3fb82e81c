"""The dataset card, and that no audio goes with the data."""

import json
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from safetensors.numpy import save_file

from signrep_core.inspect.report.card import write_card
from signrep_core.store import schemas


def card_of(results: Path) -> tuple[dict, str]:
    front, text = (results / "README.md").read_text().removeprefix("---\n").split("---\n", 1)
    return yaml.safe_load(front), text


def test_the_front_matter_names_sizes_languages_and_files(finished: Path) -> None:
    front, _ = card_of(finished)
    assert front["size_categories"] == ["n<1K"]
    assert front["language"] == ["und"]
    assert front["license"] == "other"
    for config in front["configs"]:
        assert list(finished.glob(config["data_files"])), config


def test_the_counts_are_those_of_the_index_and_the_tables_of_videos(finished: Path) -> None:
    _, text = card_of(finished)
    assert "4 sequences with a signer from 4 videos: 128 frames" in text
    assert "| rejected | no_signer | 1 | no person was found in any frame |" in text
    assert "| excluded | overlap | 1 |" in text
    assert "1 videos were therefore excluded" in text
    index = pq.read_table(finished / "shards/index.parquet").to_pandas()
    for split, rows in index.groupby("split"):
        assert f"| made | {split} | und | {rows.video_id.nunique()} |" in text


def test_the_licences_of_weights_are_named(scratch: Path) -> None:
    _, text = card_of(scratch)
    assert "MediaPipe Holistic's models, Apache-2.0" in text
    assert "trained from scratch" in text
    initial = scratch / "hiera.safetensors"
    save_file({"w": np.ones(2)}, initial, {"signrep": json.dumps({"notes": {"licence": "CC BY-NC 4.0"}})})
    weights = scratch / "pretrain/test/best.safetensors"
    said = "trained from `hiera.safetensors`, whose licence is: CC BY-NC 4.0."
    for start, expected in ((str(initial), said), ("scratch", "was trained from scratch")):
        notes = {"notes": {"settings": json.dumps({"initial_weights": start})}}
        save_file({"w": np.ones(2)}, weights, {"signrep": json.dumps(notes)})
        write_card(scratch, sorted((scratch / "videos").glob("*.parquet")), scratch / "README.md", weights)
        assert expected in card_of(scratch)[1]


def test_no_audio_goes_with_the_data(finished: Path) -> None:
    for mp4 in finished.rglob("*.mp4"):
        with av.open(str(mp4)) as container:
            assert [stream.type for stream in container.streams] == ["video"]
    tables = [value for value in vars(schemas).values() if isinstance(value, schemas.Schema)]
    assert len(tables) > 8
    for schema in tables:
        for column in schema.columns:
            assert not pa.types.is_binary(column.dtype), (schema.name, column.name)
            assert not any(word in column.name for word in ("audio", "sound", "waveform")), (schema.name, column.name)
