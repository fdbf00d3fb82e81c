"""Coverage of a data set: existing and missing videos."""

import os

import pytest

from signrep_core.__main__ import main
from signrep_core.errors import SourceError
from signrep_core.sources.listing import Listing, find_named, first_folder, first_of, whole_video, write_listing
from signrep_core.sources.sheet import Row, read_sheet
from tests.sources.files import pictures, touch, write


def listing() -> Listing:
    found = Listing()
    for name, split, there in [("a", "train", True), ("b", "train", False), ("c", "test", True), ("d", "val", False)]:
        found.add(Row(name, "", "d", split, "GLOSS"), f"/{name}.mp4" if there else None, f"file {name}.mp4")
    return found


def test_every_video_is_a_row_or_missing_and_counted_by_split(tmp_path):
    said = write_listing(tmp_path / "videos.tsv", listing())
    assert listing().coverage() == {"train": (1, 2), "test": (1, 1), "val": (0, 1)}
    assert "2 videos (train 1 of 2, test 1 of 1, val 0 of 1); 2 missing, listed in" in said
    assert [row.video_id for row in read_sheet(tmp_path / "videos.tsv")] == ["a", "c"]
    lines = (tmp_path / "videos.missing.tsv").read_text().splitlines()
    assert lines == ["video_id\tsplit\tgloss\twhy", "b\ttrain\tGLOSS\tno file b.mp4", "d\tval\tGLOSS\tno file d.mp4"]


def test_without_missing_videos_an_old_list_of_them_is_removed(tmp_path):
    write_listing(tmp_path / "videos.tsv", listing())
    write_listing(tmp_path / "videos.tsv", Listing([Row("a", "/a.mp4", "d", "train")]))
    assert not (tmp_path / "videos.missing.tsv").exists()


def test_an_empty_span_counts_as_missing(tmp_path):
    found = listing()
    found.add(Row("e", "", "d", "train", start=2.5, end=2.5), "/e.mp4", "file e.mp4")
    assert found.missing[-1].why == "its span 2.5..2.5 s is empty"
    write_listing(tmp_path / "videos.tsv", found)


def test_a_video_that_is_named_twice_is_taken_once(tmp_path):
    found = listing()
    found.add(Row("a", "", "d", "test"), "/again.mp4", "file again.mp4")
    assert found.missing[-1] == ("a", "test", "", "the data set names it twice; only the first is taken")
    write_listing(tmp_path / "videos.tsv", found)
    assert [row.path for row in read_sheet(tmp_path / "videos.tsv")] == ["/a.mp4", "/c.mp4"]


def test_a_file_whose_name_a_sheet_cannot_hold_counts_as_missing(tmp_path):
    found = listing()
    for name, file in (("e", "/new\nline.mp4"), ("f", os.fsdecode(b"/\xff.mp4"))):
        found.add(Row(name, "", "d", "val"), file, "")
    assert [entry.why for entry in found.missing[-2:]] == [
        "a sheet cannot hold the name '/new\\nline.mp4'; rename the file",
        "a sheet cannot hold the name '/\\udcff.mp4'; rename the file",
    ]
    write_listing(tmp_path / "videos.tsv", found)
    assert found.coverage()["val"] == (0, 3)


def test_the_error_without_any_video_names_one(tmp_path):
    found = Listing()
    found.add(Row("a", "", "d", "train"), None, "file videos/a.mp4")
    with pytest.raises(SourceError, match=r"none of the data set's 1 videos exists; for example a: no file videos/a"):
        write_listing(tmp_path / "videos.tsv", found)
    with pytest.raises(SourceError, match="name no video"):
        write_listing(tmp_path / "videos.tsv", Listing())
    assert not (tmp_path / "videos.tsv").exists()


def test_a_video_is_an_image_folder_or_a_file_with_any_suffix(tmp_path):
    pictures(tmp_path / "a")
    touch(tmp_path / "b.webm")
    assert first_of(tmp_path / "a") == str(tmp_path / "a")
    assert first_of(tmp_path / "b") == str(tmp_path / "b.webm")
    assert first_of(tmp_path / "c") is None
    touch(tmp_path / "d.MTS")
    assert first_of(tmp_path / "d") == str(tmp_path / "d.MTS")
    assert first_folder(tmp_path / "none", tmp_path) == tmp_path
    with pytest.raises(SourceError, match=r"expected a folder .*none or .*none2, found none"):
        first_folder(tmp_path / "none", tmp_path / "none2")


def test_videos_are_found_by_name_below_a_folder(tmp_path):
    touch(tmp_path / "x" / "a.mp4", tmp_path / "b.MKV", tmp_path / "a.txt", tmp_path / "y" / "a.mp4")
    found = find_named(tmp_path, ["a", "b", "c"])
    assert whole_video(found, "a") == str(tmp_path / "x" / "a.mp4")
    assert whole_video(found, "b") == str(tmp_path / "b.MKV")
    assert whole_video(found, "c") is None
    with pytest.raises(SourceError, match="expected a folder of videos"):
        find_named(tmp_path / "none", [])


def test_the_command_writes_the_sheet_and_lists_missing_videos(tmp_path, capsys):
    root = tmp_path / "ASL_Citizen"
    for split in ("train", "val", "test"):
        write(root / "splits" / f"{split}.csv", f"Participant ID,Video file,Gloss,ASL-LEX Code\nP1,{split}.mp4,DOG,A\n")
    touch(root / "videos" / "train.mp4")
    arguments = ["sheet", "asl-citizen", str(root), "--dataset", "mine", "--out", str(tmp_path / "v.tsv")]
    assert main(arguments) == 0
    assert "1 videos (train 1 of 1, val 0 of 1, test 0 of 1); 2 missing" in capsys.readouterr().out
    assert [row.dataset for row in read_sheet(tmp_path / "v.tsv")] == ["mine"]
    (root / "splits" / "val.csv").unlink()
    assert main(arguments) == 2
    assert "val.csv: cannot be read" in capsys.readouterr().err
