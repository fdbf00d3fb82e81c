"""The resume cache: finished work is found again, stale work never."""

from pathlib import Path

import pytest

from signrep_core.store.resume import open_resume_cache, work_key


def test_recorded_work_is_found_after_a_failure_and_removed_after_success(tmp_path: Path) -> None:
    output = tmp_path / "pose" / "00000.parquet"

    def fail() -> None:
        with open_resume_cache(output) as cache:
            (cache.folder / "k1.parquet").write_text("rows")
            cache.record("k1", {"frames": 3}, ["k1.parquet"])
            cache.record("k2", {"frames": 4}, ["k2.parquet"])
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with open_resume_cache(output) as cache:
        assert cache.find("k1") == {"frames": 3}
        assert cache.find("k2") is None, "its file is missing"
        assert cache.find("k3") is None
    assert list(output.parent.iterdir()) == []


def test_a_key_changes_with_the_file_and_with_each_dependency(tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    video.write_bytes(b"abc")
    key = work_key(str(video), "settings", 1)
    assert key == work_key(str(video), "settings", 1)
    assert key != work_key(str(video), "settings", 2)
    video.write_bytes(b"abcd")
    assert key != work_key(str(video), "settings", 1)
    assert work_key(str(tmp_path / "missing.mp4")), "a missing file is a matter for its task"
