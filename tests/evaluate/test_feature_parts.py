"""Parts of a features table: which shards each holds, and what joining refuses."""

from pathlib import Path

import numpy as np
import pytest

from signrep_core.errors import TableError
from signrep_core.evaluate.feature_parts import Part, join_parts, part_path, shards_of_part
from signrep_core.store.schemas import features_schema
from signrep_core.store.tables import write_table


def test_a_part_is_read_from_text() -> None:
    assert Part.parse("2/4") == Part(2, 4)
    assert str(Part(2, 4)) == "2/4"
    for text in ("0/4", "5/4", "1", "a/b", "1/0"):
        with pytest.raises(ValueError, match="expected a part as i/n"):
            Part.parse(text)


def test_parts_hold_every_shard_once_with_about_the_same_number_of_windows() -> None:
    n_frames = np.array([216, 116, 16, 416, 16, 16])  # windows: 101, 51, 1, 201, 1, 1
    work = {f"{k:05d}": np.array([k]) for k in range(6)}
    halves = [list(shards_of_part(work, n_frames, Part(k, 2))) for k in (1, 2)]
    assert halves == [["00000", "00001", "00002"], ["00003", "00004", "00005"]]
    for n in (1, 3, 9):
        parts = [list(shards_of_part(work, n_frames, Part(k, n))) for k in range(1, n + 1)]
        assert [shard for part in parts for shard in part] == list(work)
    assert shards_of_part({}, n_frames, Part(1, 2)) == {}


def write_part(out: Path, part: Part, weights: str, half: bool = False) -> None:
    columns = {
        "video_id": [f"video{part.number}"], "start_frame": np.zeros(1), "features": np.ones((1, 2)),
        "right_active": np.ones(1), "left_active": np.ones(1),
    }  # fmt: skip
    about = {"weights_sha256": weights, "part": str(part)}
    write_table(part_path(out, part), features_schema(2, half), columns, about)


def test_joining_refuses_missing_and_unlike_parts(tmp_path: Path) -> None:
    out = tmp_path / "features.parquet"
    write_part(out, Part(1, 3), "a")
    with pytest.raises(TableError, match=r"2 of 3 parts are missing, such as .*2-of-3.parquet.*--part 2/3"):
        join_parts(out, 3)
    write_part(out, Part(2, 3), "a", half=True)
    write_part(out, Part(3, 3), "b")
    with pytest.raises(TableError, match=r"2-of-3.parquet: differs from .*1-of-3.parquet in its format"):
        join_parts(out, 3)
    write_part(out, Part(2, 3), "a")
    with pytest.raises(TableError, match=r"3-of-3.parquet: differs from .*1-of-3.parquet in weights_sha256"):
        join_parts(out, 3)
    write_part(out, Part(3, 3), "a")
    assert join_parts(out, 3) == 3
