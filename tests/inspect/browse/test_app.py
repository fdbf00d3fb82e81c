"""Pages of the browser: lists, refused requests, and use in a real Chromium."""

import shutil
import threading

import av
import pytest
from werkzeug.serving import make_server

from signrep_core.__main__ import main
from signrep_core.errors import TableError
from signrep_core.inspect.browse.app import make_app
from tests.inspect.damaged import flip_page_byte
from tests.inspect.pages import open_page


@pytest.fixture(scope="module")
def app(packed):
    return make_app(packed.folder)


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture(scope="module")
def address(app):
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_every_video_is_listed(client):
    page = client.get("/").text
    assert "5 videos" in page
    assert all(name in page for name in ("one run", "two runs", "nobody", "too brief", "empty room"))


def test_videos_are_found_by_state_gloss_and_words(client):
    assert "2 videos" in client.get("/?status=ok").text
    assert "1 video," in client.get("/?status=ok&words=TWO").text
    assert "0 videos" in client.get("/?status=ok&gloss=gloss of nobody").text


def test_a_sequence_plays_as_it_was_packed(client, tmp_path):
    (tmp_path / "s.mp4").write_bytes(client.get("/sequence/2.mp4").data)
    with av.open(str(tmp_path / "s.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 30
    part = client.get("/sequence/2.mp4", headers={"Range": "bytes=0-9"})
    assert (part.status_code, len(part.data)) == (206, 10)


def test_a_sequence_s_data_has_a_row_per_frame(client):
    data = client.get("/sequence/1.json").json
    assert data["n_frames"] == 21 == len(data["xy"]) == len(data["keypoints"]) == len(data["active"]["left"])
    assert len(data["xy"][0]) == 61


def test_activity_is_unknown_where_no_full_window_starts(client):
    active = client.get("/sequence/2.json").json["active"]["right"]  # the last 30 of the video's 60 frames
    assert active == [k % 2 == 0 for k in range(15)] + [None] * 15


@pytest.mark.parametrize(
    "path",
    ["/video/nosuch", "/sequence/99.mp4", "/sequence/0.txt", "/../videos/00000.parquet", "/static/../app.py",
     "/video/../../etc/passwd", "/videos/00000.parquet", "/static/%2e%2e/app.py"],
)  # fmt: skip
def test_other_files_are_not_served(client, path):
    assert client.get(path).status_code == 404


def test_a_foreign_host_name_is_refused(client):
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 403
    assert client.get("/", headers={"Host": "localhost:8321"}).status_code == 200


def test_a_damaged_page_is_one_message(packed, tmp_path, caplog):
    results = shutil.copytree(packed.folder, tmp_path / "results")
    flip_page_byte(results / "pose/00000.parquet", "image_xy")
    answer = make_app(results).test_client().get("/sequence/0.json")
    assert answer.status_code == 500
    assert "pose/00000.parquet" in answer.text
    assert "snakemake --forcerun extract_pose" in answer.text
    assert "snakemake --forcerun extract_pose" in caplog.text
    assert "Traceback" not in answer.text + caplog.text


def test_search_words_are_escaped(client):
    page = client.get("/?words=<script>alert(1)</script>").text
    assert "<script>alert" not in page


def test_a_folder_without_a_run_is_one_message(tmp_path, capsys):
    with pytest.raises(TableError):
        make_app(tmp_path)
    assert main(["browse", str(tmp_path)]) == 2
    assert "run the workflow first" in capsys.readouterr().err


def test_a_port_in_use_is_one_message(packed, address, capsys):
    assert main(["browse", str(packed.folder), "--port", address.rsplit(":", 1)[1]]) == 2
    assert "choose another: --port NUMBER" in capsys.readouterr().err


@pytest.mark.slow
def test_a_video_is_stepped_through_in_a_real_browser(address):
    with open_page(f"{address}/video/two runs") as (page, said, asked):
        page.wait_for_selector(".sequence[data-frame]")
        assert page.locator(".sequence").count() == 2
        page.wait_for_function("document.querySelector('video').readyState >= 2")
        first = page.locator(".sequence").first
        first.locator(".on").click()
        page.wait_for_selector(".sequence[data-frame='1']")
        box = first.locator(".plots").bounding_box()
        page.mouse.click(box["x"] + box["width"] - 9, box["y"] + 20)
        page.wait_for_selector(".sequence[data-frame='20']")
        drawn = page.evaluate(
            "[...document.querySelectorAll('canvas')].map(c => c.getContext('2d')"
            ".getImageData(0, 0, c.width, c.height).data.some(v => v))"
        )
        assert all(drawn)
        assert said == []
        assert all(url.startswith(address) for url in asked)


def test_the_list_fits_a_phone(address):
    with open_page(address, width=390, theme="dark") as (page, said, _):
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        heights = page.evaluate("[...document.querySelectorAll('.videos tbody tr')].map(row => row.offsetHeight)")
        assert max(heights) < 160  # words are not broken into columns of letters
        assert said == []
