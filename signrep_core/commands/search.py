"""`search`: find the nearest glosses and windows of a video in a gallery of features."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from signrep_core.commands.features import parse_box


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "search",
        help="find the nearest glosses of a video, and draw the nearest strips",
        epilog="example: signrep search QUERY.mp4 --gallery results/features/demo/synthetic.parquet",
    )
    parser.add_argument("video", help="a video file, or an image folder")
    parser.add_argument("--gallery", type=Path, required=True, help="a features table")
    parser.add_argument(
        "--weights", type=Path, help="that made the gallery (default: its run's, in the results folder)"
    )
    parser.add_argument("--shards", type=Path, help="of the gallery, for glosses and pictures (default: likewise)")
    parser.add_argument("--box", type=parse_box, help="x0,y0,x1,y1 in pixels around head and hands of the query")
    parser.add_argument("--fps", type=float, help="rate of an image folder")
    parser.add_argument("--glosses", type=int, default=10, help="how many are printed (default: 10)")
    parser.add_argument("--out", type=Path, default=Path("search.png"), help="the picture (default: search.png)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the nearest glosses and write the picture strip."""
    from signrep_core.evaluate.nearest import search
    from signrep_core.evaluate.raw_video import video_file_features
    from signrep_core.evaluate.retrieval import check_weights, read_features
    from signrep_core.inspect.figures.strips import search_strips
    from signrep_core.model.signrep import SignRep
    from signrep_core.video.crop_file import video_file_window

    results = options.gallery.absolute().parents[2] if len(options.gallery.absolute().parents) > 2 else Path()
    weights = options.weights or results / "pretrain" / options.gallery.absolute().parent.name / "best.safetensors"
    check_weights(options.gallery, weights)
    query = video_file_features(SignRep.load(weights), options.video, box=options.box, fps=options.fps)
    glosses, frames_of = _open_gallery(options.gallery, options.shards or results / "shards")
    found = search(query, read_features(options.gallery), glosses, n_glosses=options.glosses)
    print(f"{options.video}: nearest of {found.n_videos} videos ({found.n_windows} windows)")
    for place, match in enumerate(found.matches, 1):
        print(f"{place:>3}  {match.similarity:.3f}  {match.gloss}  ({match.video_id})")
    window = video_file_window(options.video, found.reference.start_frame, box=options.box, fps=options.fps)
    search_strips(window, found, glosses, frames_of, options.out)
    print(f"picture: {options.out}")


def _open_gallery(features: Path, shards: Path) -> tuple[Mapping[str, str], Callable[..., Any]]:
    """Glosses and frames of the gallery's videos; without shards, videos are known by their paths alone."""
    from functools import partial

    from signrep_core.evaluate.retrieval import folder_rate
    from signrep_core.inspect.figures.strips import shown_frames, video_file_frames
    from signrep_core.store.shards import ShardReader

    if not (shards / "index.parquet").is_file():
        return {}, partial(video_file_frames, fps=folder_rate(features))
    reader = ShardReader(shards)
    return dict(zip(reader.index["video_id"], reader.index["gloss"], strict=True)), partial(shown_frames, reader)
