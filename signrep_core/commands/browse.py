"""`browse`: serve a page for looking through a corpus, on this machine only."""

import argparse
from pathlib import Path


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "browse",
        help="look through a run's videos in a browser: filter them, play crops with joints and plots",
        epilog="example: signrep browse results",
    )
    parser.add_argument("results", type=Path, help="results folder of a run")
    parser.add_argument("--port", type=int, default=8321, help="port on 127.0.0.1 (default: 8321)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Serve until interrupted."""
    from werkzeug.serving import make_server

    from signrep_core.errors import SignRepError
    from signrep_core.inspect.browse.app import make_app

    app = make_app(options.results)
    try:
        server = make_server("127.0.0.1", options.port, app, threaded=True)
    except (OSError, SystemExit) as error:
        raise SignRepError(f"port {options.port} cannot be opened ({error}); choose another: --port NUMBER") from error
    print(f"http://127.0.0.1:{server.server_port}   (Ctrl-C ends it)", flush=True)
    server.serve_forever()
