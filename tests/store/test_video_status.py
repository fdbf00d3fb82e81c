"""The video status table: every video of the sheet has a row in it, from the probe to the summary."""

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
    overlong_spans,
)

ROWS = [
    Row("a", "/a.mp4", "yt", "train", "HELLO", "ase", "S1", 0.0, 2.5),
    Row("b", "/b.mp4", "yt", "test"),
    Row("c", "/c.mp4", "yt", "train", end=4.0),
]


def test_a_new_account_holds_the_sheets_rows_all_ok_and_survives_the_disk(tmp_path):
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


def test_an_account_without_rows_can_be_written(tmp_path):
    write_table(tmp_path / "videos.parquet", VIDEOS, new_video_status([]))
    assert read_table(tmp_path / "videos.parquet", VIDEOS)["video_id"] == []


def test_settling_changes_the_named_videos_and_leaves_the_account_given_as_it_was():
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
def test_a_wrong_outcome_is_refused(outcomes, said):
    videos = finalise(new_video_status(ROWS), {"b": ("rejected", "no_signer", "")})
    with pytest.raises(ValueError, match=said):
        finalise(videos, outcomes)


def test_the_summary_counts_by_status_and_reason_over_accounts_and_files(tmp_path):
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


def test_the_summary_of_nothing_is_no_video():
    assert count_statuses([]) == {("ok", ""): 0}


def test_every_reason_can_be_settled_and_counted():
    rows = [Row(reason, f"/{reason}.mp4") for reason in REASONS]
    videos = finalise(new_video_status(rows), {reason: ("rejected", reason, "") for reason in REASONS})
    assert [reason for _, reason in count_statuses([videos])] == ["", *REASONS]


def test_an_ok_video_may_carry_a_note_and_a_settled_one_keeps_its_own():
    videos = finalise(new_video_status(ROWS), {"b": ("rejected", "no_signer", "nobody")})
    noted = add_notes(videos, {"a": "3 of 90 frames are damaged", "b": "other", "c": ""})
    assert noted["detail"] == ["3 of 90 frames are damaged", "nobody", ""]
    assert videos["detail"] == ["", "nobody", ""]
    assert add_notes(noted, {"a": "cut"})["detail"][0] == "3 of 90 frames are damaged; cut"


def test_the_labelled_videos_of_a_data_set_that_were_lost_are_counted_by_split_and_reason(tmp_path):
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


def test_a_span_is_overlong_where_the_video_has_noticeably_less():
    rows = [
        Row("whole", "/a.mp4", start=1.0, end=3.0), Row("rounded", "/a.mp4", start=1.0, end=3.1),
        Row("cut", "/a.mp4", start=1.0, end=5.5), Row("from the beginning", "/a.mp4", end=4.0),
        Row("to the end", "/a.mp4", start=1.0), Row("rejected", "/a.mp4", end=60.0),
    ]  # fmt: skip
    videos = finalise(new_video_status(rows), {"rejected": ("rejected", "empty_span", "")})
    videos["duration_s"][:] = 2.0
    assert overlong_spans(videos) == {"cut": 2.5, "from the beginning": 2.0}
