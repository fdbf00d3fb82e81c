"""The overlap audit: a YouTube id is found in any name, and its video excluded from pretraining."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signrep_core.errors import TableError
from signrep_core.sources.overlap import Overlap, exclude, find_overlap, read_overlap, write_overlap
from signrep_core.sources.sheet import Row
from signrep_core.store.video_status import finalise, new_video_status

ONE, TWO = "dQw4w9WgXcQ", "-_bcdefghi8"
EVALUATION = {"WLASL": {ONE: {"00336", "00335"}, TWO: {"00414"}}}


def videos_of(*rows: Row):
    return new_video_status(rows)


@pytest.mark.parametrize(
    ("video_id", "path", "rule"),
    [
        (ONE, "videos/1.mp4", "video_id"),
        (f"https://www.youtube.com/watch?v={ONE}&t=3", "videos/1.mp4", "video_id"),
        (f"{ONE}_0003", "videos/1.mp4", "video_id"),
        (f"sub/Title [{ONE}]", "videos/1.mp4", "video_id"),
        ("1", f"videos/{ONE}.mp4", "filename"),
        ("1", f"videos/Title [{ONE}].mp4", "filename"),
        ("1", f"videos/Title-{ONE}.mp4", "filename"),
        ("1", f"videos/{ONE}-00-12.mp4", "filename"),
        ("1", f"videos/2023_{ONE}.f137.mp4", "filename"),
        ("1", f"videos/watch%3Fv%3D{ONE}%26t%3D3", "filename"),
        ("1", f"videos/{ONE}/0003.mp4", "folder"),
    ],
)
def test_the_id_is_found_anywhere_in_the_names(video_id, path, rule):
    found = find_overlap(videos_of(Row(video_id, path, "yt", "train")), EVALUATION)
    assert found == [
        Overlap(video_id, ONE, "WLASL", "00335", rule),
        Overlap(video_id, ONE, "WLASL", "00336", rule),
    ]


@pytest.mark.parametrize("name", ["hello_world", "dQw4w9WgXcq", "dQw4w9 WgXcQ", "QcXgW9w4wQd", "dQw4w9WgXc"])
def test_other_names_are_no_overlap(name):
    assert find_overlap(videos_of(Row(name, f"videos/{name}.mp4", "yt", "train")), EVALUATION) == []


def test_a_name_can_hold_two_ids_and_an_id_counts_once():
    found = find_overlap(videos_of(Row(ONE, f"{TWO}/{ONE}.mp4", "yt", "train")), EVALUATION)
    assert [(one.youtube_id, one.matched_id, one.rule) for one in found] == [
        (ONE, "00335", "video_id"), (ONE, "00336", "video_id"), (TWO, "00414", "folder"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("video_id", "path", "others"),
    [
        ("00335", f"uncut/{ONE}.mp4", ["MSASL"]),  # `signrep sheet wlasl`, uncut videos
        ("train/book/00335", f"{ONE}/00335.mp4", ["MSASL"]),  # a folder per gloss
        (f"clip of {ONE}", f"{ONE}/00335.mp4", ["MSASL"]),  # ids of one's own
        ("00335 ", f"{ONE}.mp4", ["MSASL"]),  # a blank that a spreadsheet left
        (ONE, f"{ONE}.mp4", ["WLASL", "MSASL"]),  # the uncut video may hold test instances
        (f"{ONE}_00335", f"{ONE}.mp4", ["WLASL", "MSASL"]),  # a counter
        ("00414", f"{ONE}.mp4", ["WLASL", "MSASL"]),  # an instance of another video
    ],
)
@pytest.mark.parametrize("dataset", ["WLASL", "WLASL100", "anything"])
def test_an_instance_is_no_overlap_with_its_own_data_set_whatever_that_is_called(video_id, path, others, dataset):
    evaluation = {"WLASL": {ONE: {"00335", "00336"}, TWO: {"00414"}}, "MSASL": {ONE: {"7"}}}
    found = find_overlap(videos_of(Row(video_id, path, dataset, "train")), evaluation)
    assert list(dict.fromkeys(one.matched_dataset for one in found)) == others


def test_nothing_to_compare_with_is_no_overlap():
    assert find_overlap(videos_of(Row(ONE, "1.mp4", "yt", "train")), {}) == []


def test_overlaps_are_excluded_from_the_pretraining_splits_only():
    rows = [
        Row("a", f"{ONE}.mp4", "yt", "train"),
        Row("b", f"{ONE}.mp4", "yt", "test"),
        Row("c", "c.mp4", "yt", "train"),
        Row("d", f"{TWO}.mp4", "yt", "train"),
    ]
    before = finalise(videos_of(*rows), {"d": ("rejected", "not_a_video", "text")})
    overlaps = find_overlap(before, EVALUATION)
    assert {overlap.video_id for overlap in overlaps} == {"a", "b", "d"}
    after = exclude(before, overlaps, ("train",))
    assert after["status"] == ["excluded", "ok", "ok", "rejected"]
    assert after["reason"] == ["overlap", "", "", "not_a_video"]
    assert after["detail"][0] == f"YouTube {ONE} is in WLASL (00335, 00336)"
    assert exclude(before, overlaps, ("train", "test"))["status"] == ["excluded", "excluded", "ok", "rejected"]
    assert exclude(before, overlaps, ("train", "test"), ["elsewhere"])["status"] == ["ok", "ok", "ok", "rejected"]


def test_the_detail_of_a_video_with_many_instances_is_short():
    overlaps = [Overlap("a", ONE, "WLASL", f"{n:05d}", "filename") for n in range(40)]
    after = exclude(videos_of(Row("a", f"{ONE}.mp4", "yt", "train")), overlaps)
    assert after["detail"] == [f"YouTube {ONE} is in WLASL (00000, 00001, 00002 and 37 more)"]


def test_overlaps_of_other_shards_are_ignored():
    before = videos_of(Row("a", "a.mp4", "yt", "train"))
    assert exclude(before, [Overlap("z", ONE, "WLASL", "1", "filename")])["status"] == ["ok"]


ID = st.text(string.ascii_letters + string.digits + "-_", min_size=11, max_size=11)
PLACES = ["{}", "{}_0003", "Title [{}]", "Title-{}", "https://youtu.be/{}?t=3", "x{}y", "{}/3", "no id"]


@given(st.data(), st.lists(ID, min_size=1, max_size=6, unique=True))
def test_no_pretraining_video_contains_a_known_id(data, ids):
    known = data.draw(st.sets(st.sampled_from(ids)))
    rows = [
        Row(
            f"{number} {data.draw(st.sampled_from(PLACES)).format(video)}",
            data.draw(st.sampled_from(PLACES)).format(video),
            "WLASL",
            data.draw(st.sampled_from(["train", "val"])),
        )
        for number, video in enumerate(data.draw(st.lists(st.sampled_from(ids), max_size=12)))
    ]
    before = videos_of(*rows)
    after = exclude(before, find_overlap(before, {"WLASL": {video: {"1"} for video in known}}), ("train",))
    for row, status in zip(rows, after["status"], strict=True):
        holds = any(video in row.video_id or video in row.path for video in known)
        expected = "excluded" if holds and row.split == "train" else "ok"
        assert status == expected


def test_the_audit_is_read_as_it_was_written(tmp_path):
    overlaps = [
        Overlap("z", ONE, "WLASL", "00336", "filename"),
        Overlap('a "b" ü', TWO, "WLASL", "00335", "video_id"),
    ]
    write_overlap(tmp_path / "overlap.tsv", overlaps)
    assert read_overlap(tmp_path / "overlap.tsv") == overlaps
    assert (tmp_path / "overlap.tsv").read_text().splitlines()[1] == f"z\t{ONE}\tWLASL\t00336\tfilename"


def test_an_audit_without_overlaps_has_only_its_header(tmp_path):
    write_overlap(tmp_path / "overlap.tsv", [])
    assert (tmp_path / "overlap.tsv").read_text() == "video_id\tyoutube_id\tmatched_dataset\tmatched_id\trule\n"
    assert read_overlap(tmp_path / "overlap.tsv") == []


@pytest.mark.parametrize(
    "content", ["", "video_id\tpath\n", "video_id\tyoutube_id\tmatched_dataset\tmatched_id\trule\na\n"]
)
def test_a_broken_audit_is_refused_naming_the_stage(tmp_path, content):
    (tmp_path / "overlap.tsv").write_text(content)
    with pytest.raises(TableError, match=r"cannot be read as an overlap table .*forcerun deduplicate"):
        read_overlap(tmp_path / "overlap.tsv")
