"""WLASL's JSON as published, and errors of broken files."""

import json
import logging
from pathlib import Path

import pytest

from signrep_core.errors import SourceError
from signrep_core.sources.sheet import Row
from signrep_core.sources.wlasl import list_wlasl, read_wlasl, wlasl_youtube_ids
from tests.sources.files import touch


def instance(**changes):
    return {
        "bbox": [174, 15, 461, 370], "fps": 25, "frame_end": -1, "frame_start": 1, "instance_id": 4, "signer_id": 90,
        "source": "asl5200", "split": "train", "url": "https://www.youtube.com/watch?v=dQw4w9WgXcQ",
        "variation_id": 0, "video_id": "00335", **changes,
    }  # fmt: skip


@pytest.fixture
def wlasl(tmp_path):
    """A function that writes any value, or text, as the JSON file."""

    def write(value):
        path = tmp_path / "WLASL_v0.3.json"
        path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
        return path

    return write


def test_instances_come_with_their_gloss_in_the_files_order(wlasl):
    path = wlasl(
        [
            {"gloss": "book", "instances": [instance(), instance(video_id="00336", split="val")]},
            {"gloss": "no instances", "instances": []},
            {"gloss": "drink", "instances": [instance(video_id="00414", frame_start=12, frame_end=60)]},
        ]
    )
    found = read_wlasl(path)
    assert [(one.gloss, one.video_id, one.split) for one in found] == [
        ("book", "00335", "train"), ("book", "00336", "val"), ("drink", "00414", "train"),
    ]  # fmt: skip
    assert found[0].bbox == (174, 15, 461, 370)
    assert (found[2].frame_start, found[2].frame_end, found[0].fps, found[0].signer_id) == (12, 60, 25, 90)


def without(name):
    entry = instance()
    del entry[name]
    return entry


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("{", "expected JSON"),
        ("", "expected JSON"),
        ("[" * 100_000, "expected JSON"),
        ({"gloss": "book"}, r'expected a list of glosses, found {"gloss": "book"}'),
        ([], r"expected a list of glosses, found \[\]"),
        (["book"], "entry 0: expected an object with 'gloss', found \"book\""),
        ([{"gloss": "book"}], r"entry 0 \(book\): 'instances' is missing; the entry has 'gloss'"),
        ([{"gloss": 1, "instances": []}], "entry 0: 'gloss' must be text, found 1"),
        (
            [{"gloss": "a", "instances": []}, {"gloss": "b", "instances": {}}],
            r"entry 1 \(b\): 'instances' must be a list",
        ),
        ([{"gloss": "a", "instances": [instance(), 3]}], r"entry 0 \(a\), instance 1: expected an object"),
        ([{"gloss": "a", "instances": [without("url")]}], r"entry 0 \(a\), instance 0: 'url' is missing"),
        ([{"gloss": "a", "instances": [instance(video_id=335)]}], "'video_id' must be text, found 335"),
        ([{"gloss": "a", "instances": [instance(fps="25")]}], "'fps' must be an integer, found \"25\""),
        ([{"gloss": "a", "instances": [instance(fps=True)]}], "'fps' must be an integer, found true"),
        ([{"gloss": "a", "instances": [instance(split="dev")]}], "split must be one of train, val, test, found 'dev'"),
        ([{"gloss": "a", "instances": [instance(bbox=[1, 2, 3])]}], r"bbox must be 4 integers, found \[1, 2, 3\]"),
    ],
)
def test_a_file_of_another_format_is_refused_with_the_entry(wlasl, value, said):
    path = wlasl(value)
    with pytest.raises(SourceError, match=said) as caught:
        read_wlasl(path)
    assert str(caught.value).startswith(str(path))
    assert "give WLASL_v0.3.json" in str(caught.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(SourceError, match="cannot be read"):
        read_wlasl(tmp_path / "none.json")


def test_one_youtube_video_has_many_instances(wlasl):
    urls = {
        "1": "https://www.youtube.com/watch?v=dQw4w9WgXcQ",
        "2": "https://youtu.be/dQw4w9WgXcQ?t=3",
        "3": "https://www.youtube.com/watch?v=abcdefghijk&feature=share",
        "4": "https://example.org/uploads/SignSchool%20Interesting-2KnhfiMHh7E.mp4",
        "5": "https://aslsignbank.haskins.yale.edu/dictionary/protected_media/glossvideo/ASL/AR/ART-2443.mp4",
        "6": "http://www.aslpro.com/main/b/book.swf",
    }
    instances = [instance(video_id=video_id, url=url) for video_id, url in urls.items()]
    found = wlasl_youtube_ids(read_wlasl(wlasl([{"gloss": "book", "instances": instances}])))
    assert found == {"dQw4w9WgXcQ": {"1", "2"}, "abcdefghijk": {"3"}, "2KnhfiMHh7E": {"4"}}


def test_a_youtube_link_without_an_id_gives_a_warning(wlasl, caplog):
    path = wlasl([{"gloss": "book", "instances": [instance(url="https://www.youtube.com/watch?v=short")]}])
    with caplog.at_level(logging.WARNING):
        assert wlasl_youtube_ids(read_wlasl(path)) == {}
    assert "WLASL 00335: no YouTube id found" in caplog.text


# ---------------------------------------------------------------- the sheet
def test_clips_are_taken_whole_and_uncut_videos_by_their_span_at_25_fps(wlasl, tmp_path):
    path = wlasl([
        {"gloss": "book", "instances": [
            instance(video_id="00001"),
            instance(video_id="00002", frame_start=26, frame_end=75, fps=30, split="val", signer_id=7),
            instance(video_id="00003", frame_start=1, frame_end=-1, url="https://youtu.be/aBcDeFgHiJ0", split="test"),
        ]},
        {"gloss": "drink", "instances": [
            instance(video_id="00004", url="https://www.handspeak.com/word/d/drink.mp4"),
            instance(video_id="00005", frame_start=76, frame_end=50),
        ]},
    ])  # fmt: skip
    videos = tmp_path / "videos"
    touch(videos / "00001.mp4", videos / "dQw4w9WgXcQ.mkv", videos / "aBcDeFgHiJ0.mp4")
    listing = list_wlasl(path, videos)
    uncut = f"{videos}/dQw4w9WgXcQ.mkv"
    assert listing.rows == [
        Row("00001", f"{videos}/00001.mp4", "wlasl", "train", "book", "ase", "90"),
        Row(
            "00002", uncut, "wlasl", "val", "book", "ase", "7", 1.0, 3.0
        ),  # frames 26..75 at 25 fps, whatever `fps` says
        Row("00003", f"{videos}/aBcDeFgHiJ0.mp4", "wlasl", "test", "book", "ase", "90"),
    ]
    assert [entry.why for entry in listing.missing] == [
        f"no video named 00004 below {videos}", "its span 3..2 s is empty"
    ]  # fmt: skip


def test_names_of_downloaders_are_known_and_excerpts_are_not_taken_for_the_whole_video(wlasl, tmp_path):
    spans = {"00001": (26, 75), "00002": (1, 50), "00003": (101, 125)}
    links = {"00003": "https://youtu.be/aBcDeFgHiJ0"}
    instances = [
        instance(video_id=name, frame_start=start, frame_end=end, **({"url": links[name]} if name in links else {}))
        for name, (start, end) in spans.items()
    ]
    videos = tmp_path / "videos"
    title, clip, other = "How to  sign [dQw4w9WgXcQ].mp4", "dQw4w9WgXcQ_26_75.mp4", "aBcDeFgHiJ0_0_50.mp4"
    touch(videos / title, videos / clip, videos / other)
    listing = list_wlasl(wlasl([{"gloss": "book", "instances": instances}]), videos)
    found = [(row.video_id, Path(row.path).name, row.start, row.end) for row in listing.rows]
    assert found == [("00001", clip, None, None), ("00002", title, None, 2.0)]
    (missing,) = listing.missing
    assert missing.why == (
        f"no video named 00003 or aBcDeFgHiJ0 below {videos} that is whole; {videos}/{other} is an excerpt"
    )


def test_a_subset_has_the_first_glosses(wlasl, tmp_path):
    path = wlasl([{"gloss": f"g{k}", "instances": [instance(video_id=f"{k:05d}")]} for k in range(120)])
    touch(*(tmp_path / f"{k:05d}.mp4" for k in range(120)))
    glosses = [row.gloss for row in list_wlasl(path, tmp_path, 100).rows]
    assert glosses == [f"g{k}" for k in range(100)]
    assert len(list_wlasl(path, tmp_path, 300).rows) == 120
