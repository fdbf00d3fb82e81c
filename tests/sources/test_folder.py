"""A folder of videos: which files become rows, under which ids, and which names are refused."""

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signrep_core.__main__ import main
from signrep_core.errors import SheetError
from signrep_core.sources.folder import list_folder, list_gloss_folders
from signrep_core.sources.sheet import read_sheet, write_sheet
from signrep_core.video.probe import probe_shard
from tests.sources.files import pictures, touch
from tests.video.painted import write_video


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def ids(folder: Path, **options) -> list[str]:
    return [row.video_id for row in list_folder(folder, **options)]


def test_videos_of_every_kind_are_found_recursively_and_sorted(tmp_path):
    names = ["b.MP4", "a/z.mkv", "a/b/c.webm", "d.mov", "e.Avi", "f.gif", "g.m4v", "notes.txt", "h.mp4.part", "mp4"]
    assert ids(fill(tmp_path, *names)) == ["a/b/c", "a/z", "b", "d", "e", "f", "g"]


def test_a_row_names_the_file_the_data_set_and_the_split(tmp_path):
    folder = fill(tmp_path / "my clips", "sub/hello world ü.mp4")
    (row,) = list_folder(folder, split="test")
    assert row.path == f"{folder}/sub/hello world ü.mp4"
    assert (row.video_id, row.dataset, row.split) == ("sub/hello world ü", "my clips", "test")
    assert (row.gloss, row.language, row.signer, row.start, row.end) == ("", "", "", None, None)
    assert list_folder(folder, dataset="own")[0].dataset == "own"


def test_further_suffixes_can_be_given(tmp_path):
    assert ids(fill(tmp_path, "a.mp4", "b.DAT", "c.mod"), suffixes=[".dat"]) == ["a", "b"]


def test_files_of_other_suffixes_are_counted_and_the_command_lists_them(tmp_path, caplog, capsys):
    fill(tmp_path / "v", "a.mp4", "b.dat")
    with caplog.at_level("INFO"):
        assert ids(tmp_path / "v") == ["a"]
    assert "1 videos; other files, listed with --suffixes: 1 .dat" in caplog.text
    out = str(tmp_path / "v.tsv")
    assert main(["sheet", "folder", str(tmp_path / "v"), "--suffixes", "dat", "--out", out]) == 0
    assert [row.video_id for row in read_sheet(out)] == ["a", "b"]


@pytest.mark.parametrize(
    "name", ["a  b.mp4", " a.mp4", "a .mp4", "a.mp4 ", "  .mp4", "d  /e.mp4", "t [x]  .mp4", "a  "]
)
def test_blanks_of_a_name_stay_through_the_sheet_and_in_messages(tmp_path, name):
    folder = fill(tmp_path / "v", name if "mp4" in name else f"{name}/1.png")
    write_sheet(tmp_path / "v.tsv", list_folder(folder, fps=25))
    (row,) = read_sheet(tmp_path / "v.tsv")
    assert os.path.exists(row.path)
    assert row.path == str(folder / name)
    videos = probe_shard([row], threads=1)
    assert videos["path"] == [row.path]
    assert row.path in videos["detail"][0]


def test_hidden_files_and_folders_are_left_out(tmp_path):
    assert ids(fill(tmp_path, "a.mp4", "._a.mp4", ".cache/b.mp4")) == ["a"]


def test_hidden_files_are_counted(tmp_path, caplog):
    with caplog.at_level("INFO"):
        assert ids(fill(tmp_path, "a.mp4", ".. and so on.mp4", ".cache/b.mp4")) == ["a"]
    assert "other files, listed with --suffixes: 1 hidden" in caplog.text


def test_names_that_look_like_something_else_are_names(tmp_path):
    names = [
        *("nbsp\u00a0\u00a0x", "\u3000wide", "zero\u200bwidth", "rtl\u202eabc", "\ufeffbom", "é" * 120),
        *("file:x", "pipe:0", "concat:a|b", "50%20x", "%04d", "back\\slash", '"quoted', "#hash", "-dash", "~"),
        *("$HOME", "*", "[br]", "{b}", "a.b.", "NaN", "1e5", "=1+1", "00000", "CON"),
    ]
    clip = write_video(tmp_path / "clip.mp4", range(16), size=(32, 32))
    folder = fill(tmp_path / "v", *(f"{name}.mp4" for name in names))
    for file in folder.iterdir():
        file.write_bytes(clip.read_bytes())
    write_sheet(tmp_path / "v.tsv", list_folder(folder))
    videos = probe_shard(read_sheet(tmp_path / "v.tsv"), threads=1)
    assert videos["status"] == ["ok"] * len(names)
    assert sorted(os.path.basename(path) for path in videos["path"]) == sorted(f"{name}.mp4" for name in names)


def test_the_suffix_is_kept_if_files_differ_only_in_it(tmp_path):
    assert ids(fill(tmp_path, "a.mp4", "a.mkv", "b.mp4", "s/a.gif")) == ["a.mkv", "a.mp4", "b", "s/a"]


def test_a_kept_suffix_cannot_make_two_ids_equal(tmp_path):
    assert ids(fill(tmp_path, "a.mp4", "a.mkv", "a.mp4.mp4")) == ["a.mkv", "a.mp4", "a.mp4.mp4"]


@given(st.lists(st.from_regex(r"[ab]{1,2}(\.mp4|\.gif|\.mkv){1,3}", fullmatch=True), min_size=1, unique=True))
def test_ids_are_unique_whatever_the_names(tmp_path_factory, names):
    folder = fill(tmp_path_factory.mktemp("videos"), *names)
    found = ids(folder)
    assert len(set(found)) == len(found) == len(names)


def test_ids_are_composed_unicode_and_paths_stay_as_on_the_disk(tmp_path):
    name = unicodedata.normalize("NFD", "tänzer.mp4")
    (row,) = list_folder(fill(tmp_path, name))
    assert row.video_id == unicodedata.normalize("NFC", "tänzer")
    assert os.path.basename(row.path) == name


def test_names_that_differ_only_in_normalisation_are_refused(tmp_path):
    fill(tmp_path, unicodedata.normalize("NFD", "ä.mp4"), unicodedata.normalize("NFC", "ä.mp4"))
    if len(os.listdir(tmp_path)) == 1:
        pytest.skip("this file system normalises names itself")
    with pytest.raises(SheetError, match=r"differ only in Unicode normalisation: 'a\\u0308.mp4', '\\xe4.mp4'; rename"):
        list_folder(tmp_path)


@pytest.mark.parametrize("name", ["a\tb.mp4", "a\nb.mp4", "a\x1bb.mp4", "a\u2028b.mp4"])
def test_a_name_that_a_sheet_cannot_contain_is_refused(tmp_path, name):
    with pytest.raises(SheetError, match=r"cannot contain file names with tabs.*rename it") as caught:
        list_folder(fill(tmp_path, "fine.mp4", name))
    assert ascii(name) in str(caught.value)


def test_a_name_that_is_not_utf8_is_refused(tmp_path):
    try:
        (tmp_path / os.fsdecode(b"a\xff.mp4")).touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(SheetError, match=r"bytes other than UTF-8: 'a\\udcff.mp4'"):
        list_folder(tmp_path)


def test_links_are_followed_each_folder_once_and_cycles_end(tmp_path):
    folder = fill(tmp_path / "videos", "real/a.mp4")
    outside = fill(tmp_path / "elsewhere", "b.mp4")
    (folder / "real" / "up").symlink_to(folder)
    (folder / "again").symlink_to(folder / "real")
    (folder / "far").symlink_to(outside)
    (folder / "file.mp4").symlink_to(outside / "b.mp4")
    assert ids(folder) == ["far/b", "file", "real/a"]


def test_a_broken_link_is_listed_so_that_the_probe_reports_it(tmp_path):
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    assert ids(tmp_path) == ["gone"]


def test_a_folder_named_like_a_video_is_a_folder(tmp_path):
    assert ids(fill(tmp_path, "x.mp4/a.mp4")) == ["x.mp4/a"]


def test_the_error_without_videos_names_the_expected_and_the_found_suffixes(tmp_path):
    with pytest.raises(SheetError, match=r"looked for 264, 265, .*, ts, .*, found no file"):
        list_folder(tmp_path)
    with pytest.raises(SheetError, match=r"found 2 \.txt, 1 no suffix"):
        list_folder(fill(tmp_path, "a.txt", "b.TXT", "README"))


def test_a_missing_folder_and_a_file_are_refused(tmp_path):
    with pytest.raises(SheetError, match="expected a folder of videos, found nothing there"):
        list_folder(tmp_path / "none")
    with pytest.raises(SheetError, match="expected a folder of videos, found a file"):
        list_folder(fill(tmp_path, "a.mp4") / "a.mp4")


def test_a_folder_that_cannot_be_listed_is_an_error_not_a_gap(tmp_path, monkeypatch):
    fill(tmp_path, "a.mp4", "closed/b.mp4")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # taking the permission away would not stop root
    with pytest.raises(SheetError, match=r"closed: the folder cannot be listed \(Permission denied\)"):
        list_folder(tmp_path)


def test_the_rows_make_a_sheet_whose_paths_exist(tmp_path):
    folder = fill(tmp_path / "clips", 'say "hi".mp4', '"quoted" first.mp4', " leading blank.mp4", "日本語/手話.webm")
    rows = list_folder(folder)
    write_sheet(tmp_path / "videos.tsv", rows)
    assert read_sheet(tmp_path / "videos.tsv") == rows
    assert all(os.path.isfile(row.path) for row in rows)
    assert len(rows) == 4


def test_the_real_clips_are_listed_and_nothing_else(clips):
    names = ["asl_milk_B", "asl_walk_C", "asl_yes_A", "robust_no_person_cars"]
    assert [row.video_id for row in list_folder(clips)] == names


# ---------------------------------------------------------------- pictures and glosses
def test_image_folders_are_videos_if_their_rate_is_given(tmp_path):
    pictures(tmp_path / "v.1", tmp_path / "deep" / "v2")
    touch(tmp_path / "v3.mp4")
    assert [row.video_id for row in list_folder(tmp_path)] == ["v3"]
    rows = list_folder(tmp_path, fps=30)
    assert [(row.video_id, row.fps) for row in rows] == [("deep/v2", 30), ("v.1", 30), ("v3", None)]
    assert rows[0].path == str(tmp_path / "deep" / "v2")
    (one,) = list_folder(tmp_path / "v.1", fps=25)
    assert one.video_id == "v.1"


def test_the_gloss_is_the_folder_and_the_split_the_one_above(tmp_path, caplog):
    touch(tmp_path / "train" / "DOG" / "1.mp4", tmp_path / "Dev" / "DOG" / "2.mp4", tmp_path / "CAT" / "3.mp4")
    touch(tmp_path / "test" / "4.mp4", tmp_path / "5.mp4")
    rows = {row.video_id: (row.split, row.gloss) for row in list_gloss_folders(tmp_path, split="val")}
    assert rows == {
        "train/DOG/1": ("train", "DOG"), "Dev/DOG/2": ("val", "DOG"), "CAT/3": ("val", "CAT"),
        "test/4": ("val", "test"), "5": ("val", ""),
    }  # fmt: skip
    assert "1 videos are outside the folders of glosses" in caplog.text
