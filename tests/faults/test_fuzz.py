"""Readers fed with rubbish: they give rows, or say in an error of ours what is wrong, and never hang."""

import contextlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signrep_core.errors import REASONS, SignRepError
from signrep_core.sources.metadata import read_delimited, unpickle_safely
from signrep_core.sources.overlap import read_overlap
from signrep_core.sources.sheet import COLUMNS, Row, read_sheet
from signrep_core.sources.wlasl import read_wlasl
from signrep_core.store.schemas import VIDEOS
from signrep_core.store.shards import read_info
from signrep_core.store.tables import read_table, write_table
from signrep_core.video.probe import probe_shard
from tests.video.painted import videos_of, write_video

READERS: dict[str, Callable[[Path], Any]] = {
    "sheet": read_sheet,
    "WLASL": read_wlasl,
    "overlap": read_overlap,
    "info": read_info,
    "CSV": lambda path: list(read_delimited(path, ("video_id", "language"))),
    "TSV": lambda path: list(read_delimited(path, ("a", "b"), "\t", header=False, quoted=False)),
    "pickle": unpickle_safely,
    "table": lambda path: read_table(path, VIDEOS),
}
# Bytes that mean something to one reader or another, so that chance gets past the first check.
WORDS = [
    b"\t", b"\n", b"\r", b'"', b",", b"|", b"{", b"}", b"[", b"]", b":", b"\x00", b"\xff", b"\xef\xbb\xbf", b"null",
    b"1e999", b"-1", b"NaN", b'"gloss"', b'"instances"', b"PAR1", b"\x80\x04", *(name.encode() for name in COLUMNS),
]  # fmt: skip
rubbish = st.one_of(st.binary(max_size=300), st.lists(st.sampled_from(WORDS), max_size=80).map(b"".join))
few = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)


def read(reader: str, path: Path, content: bytes) -> Any:
    """Read some bytes; None where the reader raises an error of SignRep."""
    path.write_bytes(content)
    with contextlib.suppress(SignRepError):
        return READERS[reader](path)
    return None


@few
@given(content=rubbish)
@pytest.mark.parametrize("reader", READERS)
def test_rubbish_is_read_or_refused(tmp_path: Path, reader: str, content: bytes) -> None:
    read(reader, tmp_path / "file", content)


@few
@given(content=rubbish)
def test_what_is_read_of_a_sheet_fits_a_video_status_table(tmp_path: Path, content: bytes) -> None:
    header = "\t".join(COLUMNS).encode() + b"\n"
    rows = read("sheet", tmp_path / "sheet.tsv", header + content)
    assert rows is None or all(isinstance(row, Row) and row.video_id and row.path for row in rows)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"9" * 10_000,
        b'[{"gloss": "a", "instances": [{"frame_start": ' + b"9" * 5000 + b"}]}]",
        b"video_id,language\n" + b"x" * 200_000 + b",\n",
        b'"' * 100_001,
        b"\x00" * 5000,
        "video_id\tpath\n\ud800".encode("utf-16", "surrogatepass"),
    ],
    ids=["deep list", "deep object", "long number", "long number within", "long cell", "quotes", "zeros", "UTF-16"],
)  # fmt: skip
def test_extremes_are_read_or_refused(tmp_path: Path, reader: str, content: bytes) -> None:
    read(reader, tmp_path / "file", content)


@few
@given(data=st.data())
def test_a_json_file_of_another_shape_is_refused(tmp_path: Path, data: st.DataObject) -> None:
    plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    keys = st.sampled_from(["gloss", "instances", "bbox", "fps", "version", "skeleton", "extradata", "x"])
    value = data.draw(
        st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4))
    )
    for reader in ("WLASL", "info"):
        read(reader, tmp_path / "file.json", json.dumps(value).encode())


def test_a_damaged_table_is_refused_wherever_it_is_damaged(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet", VIDEOS, videos_of({f"v{i}": tmp_path / f"{i}.mp4" for i in range(20)}))
    whole = (tmp_path / "a.parquet").read_bytes()
    chance, refused = random.Random(0), 0
    for _ in range(60):
        spoilt = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
        refused += read("table", tmp_path / "b.parquet", bytes(spoilt[: chance.randint(0, 2 * len(spoilt))])) is None
    assert refused > 20


def test_damaged_videos_end_as_rows_and_never_end_the_job(tmp_path: Path) -> None:
    """48 videos of five containers with flipped, zeroed and cut bytes, probed in the real worker processes."""
    sources = [
        write_video(tmp_path / name, range(30), size=(64, 48), codec=codec, pix_fmt=pix_fmt)
        for name, codec, pix_fmt in [
            ("a.mp4", "libx264", "yuv420p"), ("b.mkv", "libx264", "yuv420p"), ("c.webm", "libvpx", "yuv420p"),
            ("d.avi", "mjpeg", "yuvj420p"), ("e.ts", "mpeg2video", "yuv420p"), ("f.gif", "gif", "rgb8"),
        ]
    ]  # fmt: skip
    chance, rows = random.Random(1), []
    for number in range(48):
        source = sources[number % len(sources)]
        data = bytearray(source.read_bytes())
        for _ in range(chance.choice([1, 3, 30])):
            at, length = chance.randrange(len(data)), chance.choice([1, 1, 4, 50])
            data[at : at + length] = chance.choice([bytes(length), chance.randbytes(length), b""])
        path = tmp_path / f"{number}{source.suffix}"
        path.write_bytes(data[: chance.choice([len(data), chance.randrange(len(data))])])
        rows.append(Row(f"v{number}", str(path)))
    videos = probe_shard(rows, threads=2)
    assert videos["video_id"] == [row.video_id for row in rows]
    for status, reason in zip(videos["status"], videos["reason"], strict=True):
        assert (status, reason) == ("ok", "") or (status == "rejected" and reason in REASONS)
    assert {"ok", "rejected"} == set(videos["status"])
