"""Ids in the names of files, as downloaders, cutters and people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signrep_core.sources.names import IdFinder

YOUTUBE, OTHER, DASHED, CLIP = "dQw4w9WgXcQ", "aBcDeFgHiJ0", "-Qw4w9WgXc_", "69241"
FINDER = IdFinder([YOUTUBE, OTHER, DASHED, CLIP])
IDS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", min_size=11, max_size=11)

WHOLE = [
    f"{YOUTUBE}.mp4",
    f"Never Gonna  Give [{YOUTUBE}].webm",  # yt-dlp
    f"Never Gonna-{YOUTUBE}.mkv",  # youtube-dl
    f"Never Gonna [{YOUTUBE}].f137.mp4",  # yt-dlp, not merged
    f"{YOUTUBE}.f248.webm",
    f"20240501 {YOUTUBE} - Title.mp4",
    f"20240501{YOUTUBE}.mp4",
    f"[youtube] {YOUTUBE} - Title.mp4",
    f"{YOUTUBE}_720p.mp4",
    f"{YOUTUBE}-1920x1080.mp4",
    f"{YOUTUBE}_25fps.mp4",
    f"{YOUTUBE} (1).mp4",  # a browser's second copy
    f"00012-{YOUTUBE}.mp4",  # of a playlist
    f"Title ({YOUTUBE}).mov",
    f"watch?v={YOUTUBE}.mp4",
    f"Reply to {OTHER} [{YOUTUBE}].mp4",  # the bracketed one
    f"{YOUTUBE}/video.mp4",
    f"{YOUTUBE}.en.mp4",
]
EXCERPTS = {
    f"{YOUTUBE}_12_20.mp4": ("12", "20"),
    f"{YOUTUBE}_12.50_20.25.mp4": ("12", "50", "20", "25"),
    f"{YOUTUBE}-0003.mp4": ("0003",),
    f"{YOUTUBE}-Scene-001.mp4": ("001",),  # PySceneDetect
    f"{YOUTUBE}_part2.mp4": ("2",),
    f"{YOUTUBE}.000.mp4": ("000",),
    f"Title [{YOUTUBE}] 00-01-02.mp4": ("00", "01", "02"),
    f"Title [{YOUTUBE}]_clip_07.mp4": ("07",),
}


@pytest.mark.parametrize("name", WHOLE)
def test_the_id_of_a_whole_video_is_found(name: str) -> None:
    ((known, (video,)),) = FINDER.match([f"/videos/{name}"]).items()
    assert (known, video.path, video.excerpt) == (YOUTUBE, f"/videos/{name}", ())


@pytest.mark.parametrize("name", EXCERPTS)
def test_the_id_of_an_excerpt_is_found_with_its_numbers(name: str) -> None:
    ((known, (video,)),) = FINDER.match([f"/videos/{name}"]).items()
    assert (known, video.excerpt) == (YOUTUBE, EXCERPTS[name])


def test_several_files_in_a_folder_named_like_the_video_are_excerpts() -> None:
    found = FINDER.match([f"/v/{YOUTUBE}/0001.mp4", f"/v/{YOUTUBE}/0002.mp4", f"/v/{YOUTUBE}/end.mp4"])
    assert [video.excerpt for video in found[YOUTUBE]] == [("0001",), ("0002",), ("end",)]


@pytest.mark.parametrize(
    "name", ["69241.swf", "69241.mp4", "WLASL_69241.mp4", "69241_10_60.mp4", "book-69241.mkv", "book [69241].mp4"]
)
def test_the_id_of_an_instance_is_found(name: str) -> None:
    assert list(FINDER.match([name])) == [CLIP]


@pytest.mark.parametrize("name", ["169241.mp4", "692410.mp4", "a69241.mp4", "hello_world.mp4", "dQw4w9WgXc.mp4", ""])
def test_an_id_inside_a_word_is_none(name: str) -> None:
    assert FINDER.match([name]) == {}


def test_an_id_may_begin_and_end_with_a_dash_or_a_line() -> None:
    assert list(FINDER.match([f"Title-{DASHED}.mp4", f"{DASHED}_0_10.mp4", f"x{DASHED}y.mp4"])) == [DASHED]


def test_the_best_name_comes_first_and_the_others_are_said(caplog) -> None:
    names = [f"a {YOUTUBE} b.mp4", f"{YOUTUBE}.mp4", f"{YOUTUBE}_0_9.mp4", f"Title [{YOUTUBE}].mp4"]
    found = [video.path for video in FINDER.match(names)[YOUTUBE]]
    assert found == [names[1], names[3], names[0], names[2]]
    assert "1 ids have several files" in caplog.text


@given(st.text(), IDS, st.text())
def test_a_youtube_id_is_found_whatever_surrounds_it(before: str, video: str, after: str) -> None:
    assert video in [found.id for found in IdFinder([video]).find(before + video + after)]


@given(st.text())
def test_any_name_has_ids_or_none(name: str) -> None:
    assert IdFinder([]).find(name) == []
    assert all(found.id == name[found.start :][: len(found.id)] for found in FINDER.find(name))
