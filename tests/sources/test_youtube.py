"""YouTube ids in every form of link and in names of downloaded files, and texts without an id."""

import string
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signrep_core.sources.youtube import named_youtube_id, youtube_id

ID_CHARACTERS = string.ascii_letters + string.digits + "-_"
IDS = st.text(ID_CHARACTERS, min_size=11, max_size=11).filter(lambda text: text not in ("videoseries", "live_stream"))
FORMS = [
    "https://www.youtube.com/watch?v={}",
    "http://www.youtube.com/watch?v={}&t=42s",
    "https://www.youtube.com/watch?feature=player_embedded&v={}",
    "https://www.youtube.com/watch?feature=share&amp;v={}&amp;list=PLx",
    "https://www.youtube.com/watch?app=desktop&v={}#t=1m2s",
    "https://www.youtube.com/watch/?v={}",
    "https://www.youtube.com/watch/{}",
    "https://m.youtube.com/watch?v={}",
    "https://music.youtube.com/watch?v={}&si=abc",
    "//youtube.com/watch?v={}",
    "youtube.com/watch?v={}",
    "www.youtube.com/watch?v={}",
    "HTTPS://WWW.YOUTUBE.COM/watch?v={}",
    "https://youtu.be/{}",
    "https://youtu.be/{}?si=a1B2c3D4e5F6g7H8",
    "https://youtu.be/{}?t=10&list=PL0123456789",
    "youtu.be/{}#t=3",
    "https://youtu.be/watch?v={}",
    "https://www.youtube.com/embed/{}",
    "https://www.youtube.com/embed/{}?start=3&end=5&rel=0",
    "https://www.youtube-nocookie.com/embed/{}?autoplay=1",
    "https://www.youtube.com/shorts/{}?feature=share",
    "https://www.youtube.com/live/{}?si=x",
    "https://www.youtube.com/v/{}?version=3",
    "https://www.youtube.com/e/{}/",
    "https://www.youtube.com:443/watch?v={}",
    "https://i.ytimg.com/vi/{}/hqdefault.jpg",
    "https://www.youtube.com/attribution_link?a=b&u=%2Fwatch%3Fv%3D{}%26feature%3Dshare",
    "  https://youtu.be/{}\n",
    "{}",
]


@pytest.mark.parametrize("form", FORMS)
@given(IDS)
def test_the_id_of_every_form_of_link_is_found(form, video):
    assert youtube_id(form.format(video)) == video


@given(IDS)
def test_the_id_of_a_link_within_another_link_is_found(video):
    inner = quote(f"https://www.youtube.com/watch?v={video}&t=3", safe="")
    assert youtube_id(f"https://www.google.com/url?q={inner}&sa=D") == video


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dQw4w9WgXc",  # 10 characters
        "dQw4w9WgXcQQ",  # 12
        "dQw4w9WgXc!",
        "dQw4w9WgXcQ dQw4w9WgXcQ",
        "https://vimeo.com/12345678901",
        "https://example.org/watch?v=dQw4w9WgXcQ",
        "https://notyoutube.com/watch?v=dQw4w9WgXcQ",
        "https://youtube.com.example.org/watch?v=dQw4w9WgXcQ",
        "https://www.youtube.com/watch?v=dQw4w9WgXcQQ",
        "https://www.youtube.com/watch?v=dQw4w9WgXc",
        "https://www.youtube.com/watch?list=PLdQw4w9WgXcQ0",
        "https://www.youtube.com/playlist?list=PLdQw4w9WgX",
        "https://www.youtube.com/@somechannel",
        "https://www.youtube.com/channel/UCuAXFkgsw1L7xaCfnd5JJOw",
        "https://www.youtube.com/embed/videoseries?list=PL0123456789",  # 11 characters, and no video
        "https://www.youtube.com/embed/live_stream?channel=UC0123456789",
        "https://aslsignbank.haskins.yale.edu/dictionary/protected_media/glossvideo/ASL/AR/ART-2443.mp4",
    ],
)
def test_a_text_without_an_id_gives_none(text):
    assert youtube_id(text) is None


@given(st.text())
def test_any_text_gives_an_id_or_none(text):
    found = youtube_id(text)
    assert found is None or (len(found) == 11 and set(found) <= set(ID_CHARACTERS))


@pytest.mark.parametrize(
    ("path", "video"),
    [
        ("videos/Never Gonna [dQw4w9WgXcQ].mp4", "dQw4w9WgXcQ"),  # yt-dlp
        ("Never Gonna-dQw4w9WgXcQ.webm", "dQw4w9WgXcQ"),  # youtube-dl
        ("dQw4w9WgXcQ.mp4", "dQw4w9WgXcQ"),
        ("-Qw4w9WgXcQ.mp4", "-Qw4w9WgXcQ"),
        ("Title--Qw4w9WgXcQ.mp4", "-Qw4w9WgXcQ"),
        ("https://example.org/uploads/Sign%20Interesting-dQw4w9WgXcQ.mp4?x=1", "dQw4w9WgXcQ"),
        ("hello_world.mp4", None),
        ("Title-Friendships.mp4", None),  # ends as an id may
        ("GoodMorning.mp4", None),
        ("information.mp4", None),
        ("dQw4w9WgXcQ_0003.mp4", None),  # not where downloaders put it; find_overlap finds it
        ("ART-2443.mp4", None),
        ("", None),
    ],
)
def test_an_id_in_a_file_name_is_taken_only_if_it_is_clear(path, video):
    assert named_youtube_id(path) == video
