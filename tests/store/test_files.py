"""Atomic files."""

import errno
import hashlib
import json
import math
import os
from pathlib import Path

import pytest

from signrep_core.errors import StorageError, TableError
from signrep_core.store.files import atomic_path, file_digest, read_json, write_json, write_text


def test_the_file_appears_complete_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "new folder" / "table.parquet"
    with atomic_path(target) as partial:
        partial.write_text("half")
        assert partial.suffix == ".parquet"
        assert not target.exists()
    assert target.read_text() == "half"
    assert os.listdir(target.parent) == ["table.parquet"]


def test_an_error_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail() -> None:
        with atomic_path(target) as partial:
            partial.write_text("new")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.txt"):
        pass
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("text", [b"", b'{"a": 1', b'{"b": 1}', b"[]", b"7", b"\xff\xfe", b"[" * 100_000, None])
def test_damaged_json_names_the_stage_to_rerun(tmp_path: Path, text: bytes | None) -> None:
    path = tmp_path / "a.json"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(TableError, match=r"a\.json: broken \(.*; rerun .*snakemake --forcerun median_bones"):
        read_json(path, lambda values: values["a"], "median_bones")


def test_refused_json_names_its_file_and_stage(tmp_path: Path) -> None:
    def refuse(values: object) -> None:
        raise TableError(f"expected 3, found {values}")

    write_json(tmp_path / "a.json", 7)
    with pytest.raises(TableError, match=r"a\.json: expected 3, found 7; rerun .*snakemake --forcerun solve_angles"):
        read_json(tmp_path / "a.json", refuse, "solve_angles")
    assert read_json(tmp_path / "a.json", int, "solve_angles") == 7


def test_text_is_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "手話 été")
    assert (tmp_path / "a.txt").read_bytes() == "手話 été".encode()


def test_json_keeps_order_and_refuses_values_that_json_lacks(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": [0.5, "é"]})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "b": 1,\n  "a": [\n    0.5,\n    "é"\n  ]\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "b.json", {"x": math.nan})
    assert json.loads((tmp_path / "a.json").read_text()) == {"b": 1, "a": [0.5, "é"]}
    assert not (tmp_path / "b.json").exists()


def test_the_digest_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    assert file_digest(tmp_path / "a") == hashlib.sha256(b"x" * 3_000_000).hexdigest()


def test_temporary_files_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    for name in (".a.12.partial.parquet", ".b.12.partial.parquet", ".a.12.partial.mp4"):
        (tmp_path / name).touch()
    with atomic_path(tmp_path / "a.parquet") as partial:
        partial.touch()
    assert sorted(os.listdir(tmp_path)) == [".a.12.partial.mp4", ".b.12.partial.parquet", "a.parquet"]


@pytest.mark.parametrize(
    ("code", "do"), [("ENOSPC", "free space there"), ("EFBIG", "free space"), ("EROFS", "make the folder writable")]
)
def test_a_full_disk_is_an_error_that_says_what_to_do(tmp_path: Path, code: str, do: str) -> None:
    def fail() -> None:
        with atomic_path(tmp_path / "a.txt") as partial:
            partial.write_text("half")
            raise OSError(getattr(errno, code), "no room")

    with pytest.raises(StorageError, match=rf"a\.txt: cannot be written .*{do}.* and run the same command again"):
        fail()
    assert os.listdir(tmp_path) == []


def test_an_error_of_reading_while_writing_passes_through(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.txt"):
        (tmp_path / "elsewhere" / "b.txt").read_text()
