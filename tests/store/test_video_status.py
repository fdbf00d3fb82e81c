"""The video status table: a row for every video of the sheet, from probe to summary."""

import numpy as np
import pytest

from signrep_core.errors import REASONS
from signrep_core.sources.sheet import Row
from signrep_core.store.schemas import VIDEOS
from signrep_core.store.tables import read_table, write_table
from signrep_core.store.video_status import (
    add_notes,
    count_lost_videos,
    count_statuses,
    finalise,
    new_video_status,
    ok_videos,
    overlong_spans,
)

ROWS = [
    Row("a", "/a.mp4", "yt", "train", "HELLO", "ase", "S1", 0.0, 2.5),
    Row("b", "/b.mp4", "yt", "test"),
    Row("c", "/c.mp4", "yt", "train", end=4.0),
]


def test_a_new_table_holds_the_sheets_rows_all_ok_and_is_read_as_written(tmp_path):
    videos = new_video_status(ROWS)
    assert list(videos) == [column.name for column in VIDEOS.columns]
    write_table(tmp_path / "videos.parquet", VIDEOS, videos)
    back = read_table(tmp_path / "videos.parquet", VIDEOS)
    assert back["video_id"] == ["a", "b", "c"]
    assert back["gloss"] == ["HELLO", "", ""]
    assert back["start"].tolist() == [0.0, None, None]
    assert back["end"].tolist() == [2.5, None, 4.0]
    assert (back["status"], back["reason"]) == (["ok"] * 3, [""] * 3)
    assert back["n_frames"].tolist() == [0, 0, 0]
    assert back["sha256"] == ["", "", ""]


def test_a_table_without_rows_can_be_written(tmp_path):
    write_table(tmp_path / "videos.parquet", VIDEOS, new_video_status([]))
    assert read_table(tmp_path / "videos.parquet", VIDEOS)["video_id"] == []


def test_finalise_changes_the_named_videos_in_a_copy():
    videos = new_video_status(ROWS)
    final = finalise(videos, {"c": ("rejected", "no_signer", "0 of 40 frames")})
    assert final["status"] == ["ok", "ok", "rejected"]
    assert final["reason"] == ["", "", "no_signer"]
    assert final["detail"] == ["", "", "0 of 40 frames"]
    assert final["path"] == videos["path"]
    assert videos["status"] == ["ok"] * 3


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        ({"z": ("rejected", "no_signer", "")}, "holds no video 'z', which was to be rejected as no_signer"),
        ({"a": ("rejected", "bored", "")}, "unknown reason 'bored' of video 'a'; add it to"),
        ({"a": ("rejected", "", "")}, "unknown reason '' of video 'a'"),
        ({"a": ("ok", "no_signer", "")}, "unknown status 'ok' of video 'a'; expected one of"),
        ({"b": ("excluded", "overlap", "")}, "video 'b' is rejected already, as no_signer"),
    ],
)
def test_a_wrong_final_status_is_refused(outcomes, said):
    videos = finalise(new_video_status(ROWS), {"b": ("rejected", "no_signer", "")})
    with pytest.raises(ValueError, match=said):
        finalise(videos, outcomes)


def test_statuses_are_counted_by_reason_over_tables_and_files(tmp_path):
    one = finalise(new_video_status(ROWS), {"a": ("rejected", "no_signer", ""), "b": ("excluded", "overlap", "")})
    two = finalise(new_video_status(ROWS), {"a": ("rejected", "missing_file", ""), "b": ("rejected", "no_signer", "")})
    write_table(tmp_path / "two.parquet", VIDEOS, two)
    counts = count_statuses([one, tmp_path / "two.parquet", str(tmp_path / "two.parquet")])
    assert list(counts.items()) == [
        (("ok", ""), 3),
        (("excluded", "overlap"), 1),
        (("rejected", "missing_file"), 2),
        (("rejected", "no_signer"), 3),
    ]


def test_without_tables_no_video_is_counted():
    assert count_statuses([]) == {("ok", ""): 0}


def test_every_reason_can_be_final_and_counted():
    rows = [Row(reason, f"/{reason}.mp4") for reason in REASONS]
    videos = finalise(new_video_status(rows), {reason: ("rejected", reason, "") for reason in REASONS})
    assert [reason for _, reason in count_statuses([videos])] == ["", *REASONS]


def test_notes_are_added_to_ok_videos_only():
    videos = finalise(new_video_status(ROWS), {"b": ("rejected", "no_signer", "nobody")})
    noted = add_notes(videos, {"a": "3 of 90 frames are damaged", "b": "other", "c": ""})
    assert noted["detail"] == ["3 of 90 frames are damaged", "nobody", ""]
    assert videos["detail"] == ["", "nobody", ""]
    assert add_notes(noted, {"a": "cut"})["detail"][0] == "3 of 90 frames are damaged; cut"


def test_lost_labelled_videos_of_a_data_set_are_counted_by_split_and_reason(tmp_path):
    rows = [
        Row("a", "/a.mp4", "d", "test", "HELLO"), Row("b", "/b.mp4", "d", "test", "HELLO"),
        Row("c", "/c.mp4", "d", "train", "HELLO"), Row("d", "/d.mp4", "d", "test"),
        Row("e", "/e.mp4", "other", "test", "HELLO"), Row("f", "/f.mp4", "d", "test", text="Hello."),
    ]  # fmt: skip
    ends = dict.fromkeys("adef", ("rejected", "no_signer", "")) | {"c": ("excluded", "overlap", "")}
    write_table(tmp_path / "0.parquet", VIDEOS, finalise(new_video_status(rows), ends))
    missing = finalise(new_video_status(rows[:1]), {"a": ("rejected", "missing_file", "")})
    write_table(tmp_path / "1.parquet", VIDEOS, missing)
    paths = [tmp_path / "0.parquet", tmp_path / "1.parquet"]
    lost = {"test": {"no_signer": 1, "missing_file": 1}, "train": {"overlap": 1}}
    assert count_lost_videos(paths, "d", "gloss") == lost
    assert count_lost_videos(paths, "d", "text") == {"test": {"no_signer": 1}}
    assert count_lost_videos(paths, "none", "gloss") == {}


def test_a_span_is_overlong_if_it_ends_noticeably_after_the_video():
    rows = [
        Row("whole", "/a.mp4", start=1.0, end=3.0), Row("rounded", "/a.mp4", start=1.0, end=3.1),
        Row("cut", "/a.mp4", start=1.0, end=5.5), Row("from the beginning", "/a.mp4", end=4.0),
        Row("to the end", "/a.mp4", start=1.0), Row("rejected", "/a.mp4", end=60.0),
    ]  # fmt: skip
    videos = finalise(new_video_status(rows), {"rejected": ("rejected", "empty_span", "")})
    videos["duration_s"][:] = 2.0
    assert overlong_spans(videos) == {"cut": 2.5, "from the beginning": 2.0}


def test_ok_videos_become_tasks_in_order():
    videos = finalise(new_video_status(ROWS), {"b": ("rejected", "no_signer", "")})
    videos["n_frames"][:], videos["duration_s"][:] = 60, 2.0
    tasks = ok_videos(videos)
    assert [task.video_id for task in tasks] == ["a", "c"]
    assert [(task.start, task.end) for task in tasks] == [(row.start, row.end) for row in ROWS if row.video_id != "b"]
    assert (tasks[0].frames_at(None), tasks[0].frames_at(25)) == (60, 50)
    videos["duration_s"][:] = np.nan
    assert ok_videos(videos)[0].frames_at(25) == 1
