"""The pages of the browser: a list of videos with filters, and a page per video. Only their contents are served."""

import io
import logging
from pathlib import Path
from threading import Lock
from typing import Any, Final
from urllib.parse import urlencode

from flask import Flask, Response, abort, render_template, request, send_file

from signrep_core.errors import REASONS, SignRepError
from signrep_core.inspect.browse.catalogue import FILTERS, Catalogue, sequence_data
from signrep_core.inspect.report.pictures import fit, to_jpeg
from signrep_core.inspect.report.theme import page_colours
from signrep_core.inspect.report.units import time_unit
from signrep_core.skeleton import BODY_EDGES, HAND_EDGES, HANDS, SIDES

log = logging.getLogger(__name__)

PAGE_SIZE: Final = 60
HOSTS: Final = ("127.0.0.1", "localhost", "[::1]")
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'"
)


def make_app(results: str | Path) -> Flask:
    """Create the application for one results folder.

    Requests for a host other than this machine are refused, so that no web page can reach the application through a
    host name that resolves to this machine (DNS rebinding).

    Raises:
        TableError: nothing has run in that folder.
    """
    app = Flask(__name__)
    catalogue = Catalogue(results)
    _guard(app)
    _add_pages(app, catalogue)
    _add_sequences(app, catalogue, Lock())
    return app


def _guard(app: Flask) -> None:
    """Refuse other hosts, forbid foreign scripts, and show every SignRepError as a page."""

    @app.before_request
    def only_this_machine() -> None:
        if request.host.rsplit(":", 1)[0] not in HOSTS:
            abort(403)

    @app.after_request
    def nothing_from_elsewhere(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    @app.errorhandler(SignRepError)
    def show_error(error: SignRepError) -> tuple[str, int]:
        log.error("%s", error)
        return render_template("error.html", message=str(error)), 500


def _add_pages(app: Flask, catalogue: Catalogue) -> None:
    """Add the list of videos, the page of a video, and the files that both need."""

    @app.get("/colours.css")
    def colours() -> Response:
        return Response(page_colours(), mimetype="text/css")

    @app.get("/edges.json")
    def edges() -> dict[str, Any]:
        hands: dict[str, Any] = {side: HAND_EDGES[side] for side in SIDES}
        return {"body": BODY_EDGES, **hands, "wrists": [HANDS[side].start for side in SIDES]}

    @app.get("/")
    def videos() -> str:
        return _list_videos(catalogue)

    @app.get("/video/<path:video_id>")
    def video(video_id: str) -> str:
        found = catalogue.video(video_id)
        if found is None:
            abort(404)
        return render_template("video.html", video=found, reasons=REASONS, sequences=catalogue.sequences(video_id))


def _add_sequences(app: Flask, catalogue: Catalogue, lock: Lock) -> None:
    """Add each sequence as a video, a thumbnail, and data; the lock guards the shard reader."""

    @app.get("/sequence/<int:row>.<kind>")
    def sequence(row: int, kind: str) -> Any:
        with lock:
            reader = catalogue.reader()
            if reader is None or row >= len(reader) or kind not in ("mp4", "json", "jpg"):
                abort(404)
            if kind == "json":
                return sequence_data(catalogue.results, reader, row)
            if kind == "mp4":
                return send_file(io.BytesIO(reader.read_mp4(row)), "video/mp4", conditional=True)
            middle = reader.read_window(row, int(reader.index["n_frames"][row]) // 2, 1)[0]
        return send_file(io.BytesIO(to_jpeg(fit(middle, 96))), "image/jpeg", max_age=3600)


def _list_videos(catalogue: Catalogue) -> str:
    """Render one page of the videos that match the filters in the URL."""
    chosen = {name: request.args[name] for name in FILTERS if request.args.get(name)}
    words, page = request.args.get("words", ""), max(request.args.get("page", 1, int), 1)
    found = catalogue.find(chosen, words)
    shown = found.iloc[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
    first = {name: row for row, name in reversed(list(enumerate(_video_ids(catalogue))))}
    everything = catalogue.videos()
    choices = {name: sorted(set(everything[name]) - {""}) for name in FILTERS}
    address = {**chosen, **({"words": words} if words else {})}
    pages, length = -(-len(found) // PAGE_SIZE), _length(found["duration_s"].sum() / 3600)
    return render_template(
        "videos.html", videos=shown.to_dict("records"), total=len(found), length=length,
        choices={name: values for name, values in choices.items() if len(values) > 1 and len(values) <= 5000},
        chosen=chosen, words=words, folder=catalogue.results, page=page, pages=pages, first=first, reasons=REASONS,
        address=lambda number: "/?" + urlencode({**address, "page": number}),
    )  # fmt: skip


def _length(hours: float) -> str:
    """A time in a readable unit."""
    unit, per_hour = time_unit(hours)
    return f"{per_hour * hours:,.1f} {unit}"


def _video_ids(catalogue: Catalogue) -> list[str]:
    reader = catalogue.reader()
    return [] if reader is None else reader.index["video_id"]
