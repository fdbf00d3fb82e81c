"""YouTube-SL-25's metadata and downloaded videos."""

import pytest

from signrep_core.errors import SourceError
from signrep_core.sources.sheet import Row
from signrep_core.sources.youtube_sl_25 import list_youtube_sl_25
from tests.sources.files import touch, write

ONE, TWO, THREE, FOUR = "Bdj5MUf_3Hc", "dQw4w9WgXcQ", "-2KnhfiMHh7E"[:11], "aBcDeFgHiJ0"


def test_videos_are_known_by_their_id_anywhere_in_their_name(tmp_path):
    table = write(
        tmp_path / "youtube-sl-25-metadata.csv", f"{ONE},icl\n{TWO},ase\n{THREE},gsg\n{FOUR},bfi\n{ONE},ase\n"
    )
    videos = tmp_path / "videos"
    touch(videos / f"{ONE}.mp4", videos / f"A title [{TWO}].webm", videos / THREE / "video.mkv", videos / "other.mp4")
    listing = list_youtube_sl_25(table, videos)
    assert listing.rows == [
        Row(ONE, f"{videos}/{ONE}.mp4", "youtube_sl_25", "train", language="icl"),
        Row(TWO, f"{videos}/A title [{TWO}].webm", "youtube_sl_25", "train", language="ase"),
        Row(THREE, f"{videos}/{THREE}/video.mkv", "youtube_sl_25", "train", language="gsg"),
    ]
    assert [entry.video_id for entry in listing.missing] == [FOUR]


def test_of_a_video_in_excerpts_each_is_a_row(tmp_path):
    table = write(tmp_path / "x.csv", f"{ONE},icl\n{TWO},ase\n")
    touch(*(tmp_path / name for name in (f"{ONE}_0_10.mp4", f"{ONE}_10_20.mp4", f"{TWO}.mp4", f"{TWO}_0_10.mp4")))
    rows = list_youtube_sl_25(table, tmp_path).rows
    assert [(row.video_id, row.path) for row in rows] == [
        (f"{ONE}_0_10", f"{tmp_path}/{ONE}_0_10.mp4"),
        (f"{ONE}_10_20", f"{tmp_path}/{ONE}_10_20.mp4"),
        (TWO, f"{tmp_path}/{TWO}.mp4"),
    ]


def test_a_line_without_an_id_is_refused(tmp_path):
    table = write(tmp_path / "x.csv", f"{ONE},icl\nvideo_id,language\n")
    with pytest.raises(SourceError, match=r"line 2: expected a YouTube id of 11 characters, found 'video_id'"):
        list_youtube_sl_25(table, tmp_path)
