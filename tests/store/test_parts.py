"""Parts of a features table: which count as done, and that they join to the whole."""

from pathlib import Path

import numpy as np

from signrep_core.store.parts import is_done, join_parts, parts_folder
from signrep_core.store.schemas import features_schema
from signrep_core.store.tables import TableWriter, read_videos

SCHEMA = features_schema(2)
ORIGIN = {"weights_sha256": "abc", "rows": "1"}


def write_part(path: Path, *videos: str) -> Path:
    with TableWriter(path, SCHEMA, ORIGIN) as writer:
        for number, video in enumerate(videos):
            writer.write({"video_id": [video], "start_frame": np.zeros(1), "features": np.full((1, 2), number),
                          "right_active": np.ones(1), "left_active": np.ones(1)})  # fmt: skip
    return path


def test_a_part_is_done_if_it_is_whole_and_of_the_same_origin(tmp_path: Path) -> None:
    part = write_part(tmp_path / "a.parquet", "v")
    assert is_done(part, ORIGIN)
    assert not is_done(part, ORIGIN | {"rows": "2"})
    assert not is_done(tmp_path / "b.parquet", ORIGIN)
    part.write_bytes(part.read_bytes()[:-9])
    assert not is_done(part, ORIGIN)


def test_parts_wait_beside_their_table_and_join_in_order(tmp_path: Path) -> None:
    out = tmp_path / "features.parquet"
    folder = parts_folder(out)
    assert folder == tmp_path / ".features.parts"
    folder.mkdir()
    parts = [write_part(folder / "1.parquet", "b", "a"), write_part(folder / "0.parquet", "c")]
    assert join_parts(parts, out, SCHEMA, {}) == 3
    assert [video for video, _ in read_videos(out, SCHEMA)] == ["b", "a", "c"]
    assert join_parts([], out, SCHEMA, {}) == 0
    assert list(read_videos(out, SCHEMA)) == []
