"""The ledger: finished work is found again, stale work never."""

from pathlib import Path

import pytest

from signrep_core.store.resume import open_ledger, work_key


def test_what_was_recorded_is_found_after_a_failure_and_gone_after_success(tmp_path: Path) -> None:
    output = tmp_path / "pose" / "00000.parquet"

    def fail() -> None:
        with open_ledger(output) as ledger:
            ledger.file("k1", "parquet").write_text("rows")
            ledger.record("k1", {"frames": 3}, [ledger.file("k1", "parquet")])
            ledger.record("k2", {"frames": 4}, [ledger.file("k2", "parquet")])
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with open_ledger(output) as ledger:
        assert ledger.find("k1") == {"frames": 3}
        assert ledger.find("k2") is None, "its file is missing"
        assert ledger.find("k3") is None
    assert list(output.parent.iterdir()) == []


def test_a_key_changes_with_the_video_and_with_all_else(tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    video.write_bytes(b"abc")
    key = work_key(str(video), "settings", 1)
    assert key == work_key(str(video), "settings", 1)
    assert key != work_key(str(video), "settings", 2)
    video.write_bytes(b"abcd")
    assert key != work_key(str(video), "settings", 1)
    assert work_key(str(tmp_path / "missing.mp4")), "a missing file is a matter for its task"
