"""The exported folder, loaded with Hugging Face's library."""

import pytest

from signrep_core.__main__ import main
from signrep_core.errors import TableError
from signrep_core.interop.hugging_face import export_tables
from signrep_core.store.schemas import POSE
from signrep_core.store.tables import read_table

datasets = pytest.importorskip("datasets")


def test_every_table_is_a_configuration(packed, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    out = tmp_path / "dataset"
    assert main(["export", "huggingface", str(packed.folder), "--tables", "pose", "crops", "--out", str(out)]) == 0
    loaded = datasets.load_dataset(str(out), "pose", split="corpus", cache_dir=str(tmp_path / "cache"))
    table = read_table(packed.folder / "pose/00000.parquet", POSE)
    assert loaded.num_rows == len(table["video_id"]) + 20
    assert loaded[0]["video_id"] == table["video_id"][0]
    assert len(loaded[0]["landmarks"]) == 61 * 3


def test_the_table_of_one_shard_can_be_loaded(packed, tmp_path):
    path = str(packed.folder / "shards/00000.parquet")
    loaded = datasets.load_dataset("parquet", data_files=path, split="train", cache_dir=str(tmp_path))
    assert loaded.num_rows == 91


def test_the_run_s_own_card_follows_the_front_matter(packed, tmp_path):
    card = packed.folder / "README.md"
    card.write_text("---\nlicense: x\n---\n\n# My corpus\n")
    try:
        export_tables(packed.folder, tmp_path, ["crops"])
    finally:
        card.unlink()
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("---\nconfigs:\n- config_name: crops")
    assert text.count("---\n") == 2
    assert "license" not in text
    assert "# My corpus" in text


def test_a_missing_table_is_an_error(packed, tmp_path):
    with pytest.raises(TableError, match="holds no Parquet file; run the workflow, or leave 'nosuch' out"):
        export_tables(packed.folder, tmp_path, ["nosuch"])
