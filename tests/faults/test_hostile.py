"""Hostile files and names: nothing outside the output is written, nothing is executed, no network is touched."""

import os
import pickle
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from signrep_core.config import Config, Crop
from signrep_core.errors import CheckpointError, SheetError, SignRepError, TableError
from signrep_core.model.convert import convert_checkpoint
from signrep_core.sources.folder import list_folder
from signrep_core.sources.metadata import unpickle_safely
from signrep_core.sources.sheet import Row, read_sheet, write_sheet
from signrep_core.store.schemas import POSE, VIDEOS
from signrep_core.store.tables import TableWriter, arrow_schema, open_table, write_table
from signrep_core.train.checkpoint import load_state
from signrep_core.video.probe import probe_shard
from tests.video.painted import crop_videos, pose_of, write_video

NAMES = [
    "-rf.mp4", "--help.mp4", "a'b\"c.mp4", "$(touch pwned).mp4", "; touch pwned;.mp4", "`touch pwned`.mp4",
    "%(title)s %d.mp4", "file:a.mp4", "concat:a|b.mp4", "\u202egpj.mp4", "\u2066a\u2069.mp4", "🤟 手話.mp4",
    "a\\b.mp4", "{shard}.mp4",
]  # fmt: skip
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0", '=HYPERLINK("http://x","y")']


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_videos_of_any_name_go_through_sheet_probe_and_crops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With names as video_ids that would lead elsewhere, and a results folder that looks like an option."""
    monkeypatch.chdir(tmp_path)
    videos = tmp_path / "videos"
    videos.mkdir()
    template = write_video(tmp_path / "video.mp4", range(18), size=(64, 48))
    for name in NAMES:
        (videos / name).write_bytes(template.read_bytes())
    write_sheet("videos.tsv", list_folder(videos))
    rows = [row._replace(video_id=f"../../{row.video_id}") for row in read_sheet("videos.tsv")]
    before = files_below(tmp_path)
    probed = probe_shard(rows, threads=1)
    assert len(rows) == len(NAMES) == probed["status"].count("ok"), probed["detail"]
    with TableWriter("-out/pose.parquet", POSE) as writer:
        for row in rows:
            writer.write(pose_of(row.video_id, [True] * 18, center=(32, 24), width=20))
    result = crop_videos(probed, "-out/pose.parquet", Path("-out/00000.mp4"), Config(crop=Crop(preset="ultrafast")))
    assert result.crops["video_id"] == [row.video_id for row in rows]
    assert files_below(tmp_path) - before == {"-out", "-out/pose.parquet", "-out/00000.mp4"}


def test_a_name_that_a_sheet_cannot_hold_is_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", range(2)).rename(tmp_path / "two\nlines.mp4")
    with pytest.raises(SheetError, match=r"two\\nlines"):
        list_folder(tmp_path)
    (tmp_path / "sheet.tsv").write_text('video_id\tpath\n"two\nlines"\ta.mp4\n')
    with pytest.raises(SheetError, match="line 2, column video_id"):
        read_sheet(tmp_path / "sheet.tsv")


@pytest.mark.parametrize("dataset", ["../evil", "a/b", "a\\b", "{shard}", "a{b"])
def test_a_data_set_that_would_name_other_files_is_refused(tmp_path: Path, dataset: str) -> None:
    (tmp_path / "sheet.tsv").write_text(f"video_id\tpath\tdataset\na\ta.mp4\t{dataset}\n")
    with pytest.raises(SheetError, match="line 2, column dataset"):
        read_sheet(tmp_path / "sheet.tsv")


def test_formulas_in_a_sheet_are_text(tmp_path: Path) -> None:
    rows = [Row(text, str(tmp_path / "a.mp4"), "made", "train", text, text, text) for text in FORMULAS]
    write_sheet(tmp_path / "sheet.tsv", rows)
    assert [row.gloss for row in read_sheet(tmp_path / "sheet.tsv")] == FORMULAS
    videos = probe_shard(rows, threads=1)
    write_table(tmp_path / "videos.parquet", VIDEOS, videos)
    assert pq.read_table(tmp_path / "videos.parquet")["video_id"].to_pylist() == FORMULAS


@contextmanager
def listener() -> Iterator[tuple[int, list[str]]]:
    """A port on this machine, and what has connected to it."""
    calls: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        ended = threading.Event()

        def accept() -> None:
            while not ended.is_set():
                try:
                    connection, address = server.accept()
                except TimeoutError:
                    continue
                calls.append(str(address))
                connection.close()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield server.getsockname()[1], calls
        finally:
            ended.set()
            thread.join()


def disguised(port: int, secret: Path) -> dict[str, str]:
    """Playlists and pictures that refer elsewhere, as text."""
    url = f"http://127.0.0.1:{port}/a.ts"
    return {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n",
        "hls of a file": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile {url}\nfile {secret}\n",
        "dash": f'<?xml version="1.0"?><MPD><Period><BaseURL>{url}</BaseURL></Period></MPD>',
        "sdp": f"v=0\nc=IN IP4 127.0.0.1\nm=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        "svg": f'<svg xmlns:xlink="http://www.w3.org/1999/xlink"><image xlink:href="{url}"/></svg>',
        "asx": f'<asx version="3.0"><entry><ref href="{url}"/></entry></asx>',
        "smil": f'<smil><body><video src="{url}"/></body></smil>',
        "avisynth": f'DirectShowSource("{secret}")\n',
    }


def test_a_playlist_disguised_as_a_video_is_refused_and_touches_nothing(tmp_path: Path) -> None:
    secret = write_video(tmp_path / "secret.mp4", range(20), size=(64, 48))
    with listener() as (port, calls):
        rows = []
        for name, content in disguised(port, secret).items():
            for suffix in ("mp4", "mkv"):
                path = tmp_path / f"{name}.{suffix}"
                path.write_text(content)
                rows.append(Row(path.name, str(path)))
        rows += [
            Row(url, url) for url in (f"http://127.0.0.1:{port}/a.mp4", f"tcp://127.0.0.1:{port}", f"concat:{secret}")
        ]
        videos = probe_shard(rows, threads=1)
        with socket.create_connection(("127.0.0.1", port)):
            pass  # the listener does listen
        for _ in range(50):
            if calls:
                break
            threading.Event().wait(0.1)
        assert len(calls) == 1
    assert set(videos["status"]) == {"rejected"}
    assert set(videos["reason"]) == {"not_a_video", "missing_file"}


class Bomb:
    """Unpickled, it leaves a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("form", ["pickle", "torch", "torch within a model"])
def test_a_pickle_bomb_does_not_go_off(tmp_path: Path, form: str) -> None:
    mark, path = tmp_path / "mark", tmp_path / "weights.pth"
    if form == "pickle":
        path.write_bytes(pickle.dumps({"model": Bomb(mark)}))
    else:
        torch.save(Bomb(mark) if form == "torch" else {"model": {"w": torch.zeros(1), "x": Bomb(mark)}}, path)
    for read in (lambda: convert_checkpoint(path, tmp_path / "out.safetensors"), lambda: load_state(path)):
        with pytest.raises(CheckpointError, match=str(path)):
            read()
    with pytest.raises(SignRepError):
        unpickle_safely(path)
    assert not mark.exists()
    assert not (tmp_path / "out.safetensors").exists()
    if form == "pickle":
        pickle.loads(path.read_bytes())
        assert mark.exists(), "it was a bomb"


def test_a_table_with_a_bomb_of_a_row_group_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """Fifty million equal rows take 100 kB on the disk."""
    path = tmp_path / "bomb.parquet"
    metadata = {"schema": VIDEOS.name, "version": str(VIDEOS.version)}
    schema = pa.schema([arrow_schema(VIDEOS).field("width")]).with_metadata(metadata)
    width = pa.array(np.zeros(5_000_000, np.int32))
    pq.write_table(pa.table({"width": width}, schema=schema), path, row_group_size=5_000_000)
    assert path.stat().st_size < 100_000
    with pytest.raises(TableError, match=r"5000000 rows .* at most 4096"):
        open_table(path, VIDEOS)
